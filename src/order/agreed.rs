//! Total order by agreed numbers (the ISIS algorithm of Birman and Joseph; CDK, figure 15.14): every member
//! proposes a number for a batch, the sender picks the largest, and members deliver by agreed number.
//!
//! A sender draws its own number after all other proposals have arrived. An own batch that waits for a send
//! window therefore has no number yet and blocks no other batch; otherwise the window could wait for that
//! very batch.
//!
//! Agreed numbers may break FIFO order, and causal order with it: nothing ties them to a sender's sequence. A
//! message that a member had delivered before it multicast does precede the multicast everywhere, since that
//! member proposes a greater number.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Range;

use super::describe;
use super::hold_back::HoldBacks;
use super::total::{Deliveries, FAR_AHEAD};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// An upper bound on any honest number, which counts batches.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// A place in the total order. The proposer makes equal numbers distinct; a member proposes each number once.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rank {
    /// The number.
    pub number: u64,
    /// The member that proposed the number.
    pub proposer: MemberId,
}

/// The messages that members exchange.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AgreedWire {
    /// A batch, to all.
    Body(Batch),
    /// To the sender of a batch: the proposed number of the batch beginning at its message `first`.
    Proposal {
        /// The message number of the batch's first message.
        first: u64,
        /// The proposed number.
        number: u64,
    },
    /// From the sender to all: the agreed number of the batch beginning at its message `first`.
    Agreed {
        /// The message number of the batch's first message.
        first: u64,
        /// The agreed number.
        rank: Rank,
    },
}

/// A member's engine for agreed order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Agreed {
    me: MemberId,
    clients: Vec<MemberId>,
    /// The largest number proposed here or known to be agreed.
    largest: u64,
    /// The messages received from each other member, to reject a batch that comes twice.
    seen: HoldBacks<Range<u64>>,
    /// Received and undelivered batches by proposed or agreed number.
    held: BTreeMap<Rank, Held>,
    /// The key in `held` of each batch, by sender and first message.
    places: BTreeMap<(MemberId, u64), Rank>,
    /// Own batches that still lack proposals, by first message. Their number is drawn last, so it exceeds
    /// every number delivered here by then.
    ballots: BTreeMap<u64, Ballot>,
    deliveries: Deliveries,
    defects: Defects,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Held {
    sender: MemberId,
    batch: Batch,
    is_agreed: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Ballot {
    batch: Batch,
    missing: Vec<MemberId>,
    /// The largest proposal of the other members so far.
    best: Option<Rank>,
}

type Out = Effects<Batch, AgreedWire>;

impl Agreed {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        Self {
            me,
            clients: view.clients.clone(),
            largest: 0,
            seen: HoldBacks::new(view.others(me)),
            held: BTreeMap::new(),
            places: BTreeMap::new(),
            ballots: BTreeMap::new(),
            deliveries: Deliveries::new(me),
            defects,
        }
    }

    /// Draws a number larger than any proposed here or known to be agreed.
    fn draw(&mut self) -> Rank {
        self.largest += 1;
        Rank { number: self.largest, proposer: self.me }
    }

    fn submit(&mut self, batch: Batch, out: &mut Out) {
        let first = batch.first();
        self.deliveries.submitted();
        out.send(To::Group, AgreedWire::Body(batch.clone()));
        let missing = self.clients.iter().copied().filter(|&client| client != self.me).collect();
        self.ballots.insert(first, Ballot { batch, missing, best: None });
        self.settle(first, out);
    }

    fn receive_body(&mut self, from: MemberId, batch: Batch, out: &mut Out) {
        let first = batch.first();
        match self.seen.insert(from, first..batch.next()) {
            Ok(seen) => while seen.pop().is_some() {},
            Err(reason) => return out.drop(from, reason),
        }
        let rank = self.draw();
        self.places.insert((from, first), rank);
        let is_agreed = self.defects.has(Defect::ProposalAsAgreed);
        self.held.insert(rank, Held { sender: from, batch, is_agreed });
        out.send(To::Member(from), AgreedWire::Proposal { first, number: rank.number });
        self.deliver_agreed(out);
    }

    fn receive_proposal(&mut self, from: MemberId, first: u64, number: u64, out: &mut Out) {
        let ballot = self.ballots.get_mut(&first);
        let expected = ballot.and_then(|ballot| {
            let at = ballot.missing.iter().position(|&member| member == from)?;
            Some((ballot, at))
        });
        let Some((ballot, at)) = expected else {
            return out.drop(from, DropReason::BreaksContract);
        };
        if number > self.largest.saturating_add(FAR_AHEAD) {
            return out.drop(from, DropReason::OutsideWindow);
        }
        ballot.missing.swap_remove(at);
        ballot.best = ballot.best.max(Some(Rank { number, proposer: from }));
        self.settle(first, out);
    }

    /// Announces the agreed number of an own batch once all members have proposed.
    fn settle(&mut self, first: u64, out: &mut Out) {
        let Entry::Occupied(ballot) = self.ballots.entry(first) else { return };
        if !ballot.get().missing.is_empty() {
            return;
        }
        let Ballot { batch, best, .. } = ballot.remove();
        let own = self.draw();
        // The own number exceeds that of every other batch here.
        let rank = best.map_or(own, |best| best.max(own));
        self.largest = self.largest.max(rank.number);
        out.send(To::Group, AgreedWire::Agreed { first, rank });
        self.held.insert(rank, Held { sender: self.me, batch, is_agreed: true });
        self.deliver_agreed(out);
    }

    fn agree(&mut self, sender: MemberId, first: u64, rank: Rank, out: &mut Out) {
        if rank.number > self.largest.saturating_add(FAR_AHEAD) {
            return out.drop(sender, DropReason::OutsideWindow);
        }
        let place = self.places.get(&(sender, first)).copied();
        // Accept one agreed number per batch: our proposal, or a later one that no other batch has.
        let sane = place.is_some_and(|place| {
            self.held.get(&place).is_some_and(|held| !held.is_agreed)
                && (rank == place || (rank > place && !self.held.contains_key(&rank)))
                && self.clients.contains(&rank.proposer)
        });
        let Some(mut held) = place.filter(|_| sane).and_then(|place| self.held.remove(&place)) else {
            return out.drop(sender, DropReason::BreaksContract);
        };
        held.is_agreed = true;
        self.held.insert(rank, held);
        self.places.insert((sender, first), rank);
        self.largest = self.largest.max(rank.number);
        self.deliver_agreed(out);
    }

    /// Returns the reason why an agreed batch is held back: the first batch before it that is not agreed.
    fn turn(&self) -> WaitsFor {
        let first = self.held.values().find(|held| !held.is_agreed);
        first.map_or(WaitsFor::Agreement, |held| WaitsFor::Turn(describe::span(held.sender, &held.batch)))
    }

    /// Delivers batches while the first one is agreed: the number of any other batch can only increase.
    fn deliver_agreed(&mut self, out: &mut Out) {
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.get().is_agreed) {
            let Held { sender, batch, .. } = entry.remove();
            self.places.remove(&(sender, batch.first()));
            self.deliveries.deliver(sender, batch, out);
        }
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.proposer)
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.iter().map(|(rank, Held { sender, batch, is_agreed })| {
            let state = if *is_agreed { "agreed" } else { "proposed" };
            format!("{} {state} as {rank}", describe::messages(*sender, batch))
        });
        let own = self.ballots.values();
        let own = own.map(|ballot| format!("{} not agreed", describe::messages(self.me, &ballot.batch)));
        f.write_str(&describe::holds(&held.chain(own).collect::<Vec<_>>(), &[]))
    }
}

impl Engine for Agreed {
    type App = Batch;
    type Wire = AgreedWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, AgreedWire>, out: &mut Out) {
        match input {
            Input::Submit { app, .. } => self.submit(app, out),
            Input::Receive { from, message: AgreedWire::Body(batch) } => self.receive_body(from, batch, out),
            Input::Receive { from, message: AgreedWire::Proposal { first, number } } => {
                self.receive_proposal(from, first, number, out);
            }
            Input::Receive { from, message: AgreedWire::Agreed { first, rank } } => {
                self.agree(from, first, rank, out);
            }
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        self.deliveries.window()
    }
}

impl OrderEngine for Agreed {
    /// Delivers agreed batches by number, then the others by sender and message number: no member has
    /// delivered any of those.
    fn close(&mut self, out: &mut Out) -> Vec<Batch> {
        let held = std::mem::take(&mut self.held).into_values();
        let (agreed, mut open): (Vec<Held>, Vec<Held>) = held.partition(|held| held.is_agreed);
        let own = std::mem::take(&mut self.ballots).into_values();
        open.extend(own.map(|Ballot { batch, .. }| Held { sender: self.me, batch, is_agreed: false }));
        open.sort_by_key(|held| (held.sender, held.batch.first()));
        for Held { sender, batch, .. } in agreed.into_iter().chain(open) {
            self.deliveries.deliver(sender, batch, out);
        }
        Vec::new()
    }

    fn held(&self) -> usize {
        self.held.len() + self.ballots.len()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.held.values().filter(|held| held.sender == sender).count() as u64
    }

    fn waiting(&self) -> Vec<Waiting> {
        let waiting = |Held { sender, batch, is_agreed }: &Held| Waiting {
            messages: describe::span(*sender, batch),
            number: None,
            waits_for: if *is_agreed { self.turn() } else { WaitsFor::Agreement },
        };
        let own = |Ballot { batch, missing, .. }: &Ballot| Waiting {
            messages: describe::span(self.me, batch),
            number: None,
            waits_for: WaitsFor::Proposals(missing.clone()),
        };
        self.held.values().map(waiting).chain(self.ballots.values().map(own)).collect()
    }
}

impl Wire for AgreedWire {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Body(batch) => {
                out.u8(1);
                batch.write(out);
            }
            Self::Proposal { first, number } => {
                out.u8(2);
                out.u64(*first);
                out.u64(*number);
            }
            Self::Agreed { first, rank } => {
                out.u8(3);
                out.u64(*first);
                out.u64(rank.number);
                out.member(rank.proposer);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let number = |from: &mut Reader| {
            from.u64().and_then(
                |number| if number > 0 && number < NUMBER_MAX { Ok(number) } else { Err(Malformed) },
            )
        };
        match from.u8()? {
            1 => Ok(Self::Body(Batch::read(from)?)),
            2 => Ok(Self::Proposal { first: from.u64()?, number: number(from)? }),
            3 => {
                let first = from.u64()?;
                let rank = Rank { number: number(from)?, proposer: from.member()? };
                Ok(Self::Agreed { first, rank })
            }
            _ => Err(Malformed),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Body(batch) => batch.weight(),
            Self::Proposal { .. } | Self::Agreed { .. } => Weight::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Effect;
    use crate::order::hostile::{P0, P1, STRANGER, batch, is_readable, receive, submit, view};

    const REFUSED: Result<usize, DropReason> = Err(DropReason::BreaksContract);

    fn engine() -> Agreed {
        Agreed::new(P1, &view(), Defects::NONE)
    }

    fn agreed(first: u64, number: u64, proposer: MemberId) -> AgreedWire {
        AgreedWire::Agreed { first, rank: Rank { number, proposer } }
    }

    #[test]
    fn agreed_batch_repeated_or_from_a_stranger_is_dropped() {
        let mut engine = engine();
        for from in [P1, STRANGER] {
            let outcome = receive(&mut engine, from, AgreedWire::Body(batch(1)));
            assert_eq!(outcome, Err(DropReason::Stranger));
        }
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), Ok(0));
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), REFUSED);
    }

    #[test]
    fn agreed_proposal_repeated_or_unrequested_is_dropped() {
        let mut engine = engine();
        let proposal = |first| AgreedWire::Proposal { first, number: 1 };
        assert_eq!(receive(&mut engine, P0, proposal(1)), REFUSED, "no proposal was requested");
        submit(&mut engine, 1);
        assert_eq!(receive(&mut engine, P1, proposal(1)), REFUSED);
        assert_eq!(receive(&mut engine, STRANGER, proposal(1)), REFUSED);
        assert_eq!(receive(&mut engine, P0, proposal(2)), REFUSED);
        assert_eq!(receive(&mut engine, P0, proposal(1)), Ok(1));
        assert_eq!(receive(&mut engine, P0, proposal(1)), REFUSED);
    }

    #[test]
    fn agreed_number_repeated_or_below_the_proposal_is_dropped() {
        let mut engine = engine();
        assert_eq!(receive(&mut engine, P0, agreed(1, 1, P0)), REFUSED, "unknown batch");
        for first in 1..=3 {
            assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(first))), Ok(0));
        }
        assert_eq!(receive(&mut engine, P1, agreed(2, 9, P0)), REFUSED, "not from its sender");
        assert_eq!(receive(&mut engine, P0, agreed(2, 1, P0)), REFUSED, "below our proposal");
        assert_eq!(receive(&mut engine, P0, agreed(2, 3, P1)), REFUSED, "number of another batch");
        assert_eq!(receive(&mut engine, P0, agreed(2, 9, STRANGER)), REFUSED, "not proposed by a member");
        assert_eq!(receive(&mut engine, P0, agreed(2, 9, P0)), Ok(0));
        assert_eq!(receive(&mut engine, P0, agreed(2, 11, P0)), REFUSED, "already agreed");
        assert_eq!(receive(&mut engine, P0, agreed(1, 1, P1)), Ok(1));
        assert_eq!(receive(&mut engine, P0, agreed(1, 12, P0)), REFUSED, "already delivered");
        assert_eq!(receive(&mut engine, P0, agreed(3, 10, P0)), Ok(2));
    }

    /// Returns the announced rank and the number of deliveries after the proposal of the other member.
    fn settled(engine: &mut Agreed, first: u64, number: u64) -> (Option<Rank>, usize) {
        let (mut out, message) = (Out::default(), AgreedWire::Proposal { first, number });
        engine.handle(Time::ZERO, Input::Receive { from: P0, message }, &mut out);
        let effects = out.as_slice();
        let rank = effects.iter().find_map(|effect| match effect {
            Effect::Send { message: AgreedWire::Agreed { rank, .. }, .. } => Some(*rank),
            _ => None,
        });
        (rank, effects.iter().filter(|effect| matches!(effect, Effect::Deliver { .. })).count())
    }

    #[test]
    fn agreed_batch_without_proposals_blocks_no_other() {
        let mut engine = engine();
        submit(&mut engine, 1);
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), Ok(0));
        assert_eq!(receive(&mut engine, P0, agreed(1, 5, P0)), Ok(1));
        // The own rank follows everything delivered, however low the others' proposals are.
        assert_eq!(settled(&mut engine, 1, 1), (Some(Rank { number: 6, proposer: P1 }), 1));
        submit(&mut engine, 2);
        assert_eq!(settled(&mut engine, 2, 9), (Some(Rank { number: 9, proposer: P0 }), 1));
        submit(&mut engine, 3);
        assert_eq!(settled(&mut engine, 3, 1), (Some(Rank { number: 10, proposer: P1 }), 1));
    }

    #[test]
    fn agreed_number_proposed_twice_is_agreed_once() {
        let mut engine = engine();
        for first in [1, 2] {
            assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(first))), Ok(0));
        }
        assert_eq!(receive(&mut engine, P0, agreed(2, 9, P0)), Ok(0));
        submit(&mut engine, 1);
        assert_eq!(settled(&mut engine, 1, 9), (Some(Rank { number: 10, proposer: P1 }), 0));
        assert_eq!(receive(&mut engine, P0, agreed(1, 1, P1)), Ok(3));
    }

    #[test]
    fn agreed_batch_without_proposals_is_delivered_last_at_the_end_of_the_view() {
        let (mut engine, mut out) = (engine(), Out::default());
        submit(&mut engine, 1);
        for first in [1, 2] {
            assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(first))), Ok(0));
        }
        assert_eq!(receive(&mut engine, P0, agreed(2, 9, P0)), Ok(0));
        assert_eq!((engine.held(), engine.waiting().len()), (3, 3));
        assert_eq!(engine.waiting()[2].waits_for, WaitsFor::Proposals(vec![P0]));
        assert!(engine.close(&mut out).is_empty());
        let delivered = |effect: Effect<Batch, AgreedWire>| match effect {
            Effect::Deliver { from, number, app } => (from, app.first(), number),
            _ => panic!("an engine sends nothing in close"),
        };
        let expected = [(P0, 2, Some(1)), (P0, 1, Some(2)), (P1, 1, Some(3))];
        assert_eq!(out.drain().map(delivered).collect::<Vec<_>>(), expected);
        assert_eq!((engine.held(), engine.waiting().len()), (0, 0));
    }

    #[test]
    fn agreed_number_far_ahead_is_dropped() {
        let mut engine = engine();
        submit(&mut engine, 1);
        let proposal = |number| AgreedWire::Proposal { first: 1, number };
        for number in [FAR_AHEAD + 1, NUMBER_MAX - 1, u64::MAX] {
            assert_eq!(receive(&mut engine, P0, proposal(number)), Err(DropReason::OutsideWindow));
        }
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), Ok(0));
        for number in [FAR_AHEAD + 2, NUMBER_MAX - 1, u64::MAX] {
            assert_eq!(receive(&mut engine, P0, agreed(1, number, P0)), Err(DropReason::OutsideWindow));
        }
        assert_eq!(receive(&mut engine, P0, proposal(FAR_AHEAD + 1)), Ok(0));
    }

    #[test]
    fn agreed_number_near_the_limit_is_malformed() {
        for number in [0, NUMBER_MAX, u64::MAX] {
            assert!(!is_readable(&AgreedWire::Proposal { first: 1, number }));
            assert!(!is_readable(&agreed(1, number, P0)));
        }
        assert!(is_readable(&agreed(1, NUMBER_MAX - 1, P0)));
    }
}
