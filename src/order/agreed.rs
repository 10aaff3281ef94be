//! Total order by agreed numbers (the ISIS algorithm of Birman and Joseph; CDK, figure 15.14): every member proposes
//! a number for a message, the sender picks the largest, and messages are delivered by agreed number.
//!
//! A sender draws its own number when those of all others are in: a batch of its own that still waits for a send window has
//! no place, so it holds nothing up that the window may wait for.
//!
//! Nothing ties the agreed numbers to a sender's order: this order may break FIFO order, and causal order with it; a
//! checker can show it. What a member had delivered before a multicast does come first everywhere: the member
//! proposes a greater number.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::describe;
use super::hold_back::HoldBack;
use super::numbering::Range;
use super::total::{FAR_AHEAD, OWN_WINDOW};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, Time, To, View};
use crate::waiting::{Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// No honest number gets this far: it counts batches.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// A place in the order: a number, made unique by who proposed it and, since a member proposes one number for one
/// batch only, by nothing else.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rank {
    /// The number.
    pub number: u64,
    /// Who proposed it.
    pub proposer: MemberId,
}

/// What members exchange.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AgreedWire {
    /// A batch, to all.
    Body(Batch),
    /// To its sender: the proposed number of the batch that begins with the sender's message `first`.
    Proposal {
        /// The sender's number of the batch's first message.
        first: u64,
        /// The proposed number.
        number: u64,
    },
    /// From its sender, to all: what was agreed for the batch that begins with the sender's message `first`.
    Agreed {
        /// The sender's number of the batch's first message.
        first: u64,
        /// Its place.
        rank: Rank,
    },
}

/// A member's engine.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Agreed {
    me: MemberId,
    clients: Vec<MemberId>,
    /// The largest number proposed here or agreed anywhere, so far as is known here.
    largest: u64,
    /// Which messages of each other member have been received, so that none is taken for a new one again.
    seen: BTreeMap<MemberId, HoldBack<Range>>,
    /// Received and not yet delivered, by their place so far.
    held: BTreeMap<Rank, Held>,
    /// Where in `held` a batch is.
    places: BTreeMap<(MemberId, u64), Rank>,
    /// Own batches that still lack proposals. They have no place yet: the one that they get is behind all that has been
    /// delivered here by then.
    ballots: BTreeMap<u64, Ballot>,
    next: u64,
    own_undelivered: usize,
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
    /// The largest of the others' proposals so far.
    best: Option<Rank>,
}

type Out = Effects<Batch, AgreedWire>;

impl Agreed {
    /// The engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        let others = view.clients.iter().filter(|&&client| client != me);
        Self {
            me,
            clients: view.clients.clone(),
            largest: 0,
            seen: others.map(|&client| (client, HoldBack::default())).collect(),
            held: BTreeMap::new(),
            places: BTreeMap::new(),
            ballots: BTreeMap::new(),
            next: 1,
            own_undelivered: 0,
            defects,
        }
    }

    /// Draws a number that is larger than any that has been proposed here or seen agreed.
    fn draw(&mut self) -> Rank {
        self.largest += 1;
        Rank { number: self.largest, proposer: self.me }
    }

    fn submit(&mut self, batch: Batch, out: &mut Out) {
        let first = batch.first();
        self.own_undelivered += 1;
        out.send(To::Group, AgreedWire::Body(batch.clone()));
        let missing = self.clients.iter().copied().filter(|&client| client != self.me).collect();
        self.ballots.insert(first, Ballot { batch, missing, best: None });
        self.settle(first, out);
    }

    fn receive_body(&mut self, from: MemberId, batch: Batch, out: &mut Out) {
        let (first, count) = (batch.first(), batch.count());
        let Some(seen) = self.seen.get_mut(&from) else {
            return out.drop(from, DropReason::Stranger);
        };
        if !seen.insert(Range { sender: from, first, count }) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while seen.pop().is_some() {}
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

    /// Announces what is agreed for an own batch, once all have proposed.
    fn settle(&mut self, first: u64, out: &mut Out) {
        let Entry::Occupied(ballot) = self.ballots.entry(first) else { return };
        if !ballot.get().missing.is_empty() {
            return;
        }
        let Ballot { batch, best, .. } = ballot.remove();
        let own = self.draw();
        // Whatever was proposed, no other batch here has a number as large as this one.
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
        // Agreed once, and at a place that is our own proposal's or a later one that nobody else has.
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

    /// What a batch that is agreed waits for: the first that is not agreed, which is before it.
    fn turn(&self) -> WaitsFor {
        let first = self.held.values().find(|held| !held.is_agreed);
        first.map_or(WaitsFor::Agreement, |held| WaitsFor::Turn(describe::span(held.sender, &held.batch)))
    }

    /// Delivers as long as the first place is agreed: places that are not can only move back.
    fn deliver_agreed(&mut self, out: &mut Out) {
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.get().is_agreed) {
            let Held { sender, batch, .. } = entry.remove();
            self.places.remove(&(sender, batch.first()));
            self.own_undelivered -= usize::from(sender == self.me);
            let number = self.next;
            self.next += u64::from(batch.count());
            out.deliver(sender, Some(number), batch);
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

    /// First what is agreed, by its places; then the rest, of which nobody has delivered anything, by sender and number.
    fn close(&mut self, out: &mut Out) -> Vec<Batch> {
        let held = std::mem::take(&mut self.held).into_values();
        let (agreed, mut open): (Vec<Held>, Vec<Held>) = held.partition(|held| held.is_agreed);
        let own = std::mem::take(&mut self.ballots).into_values();
        open.extend(own.map(|Ballot { batch, .. }| Held { sender: self.me, batch, is_agreed: false }));
        open.sort_by_key(|held| (held.sender, held.batch.first()));
        for Held { sender, batch, .. } in agreed.into_iter().chain(open) {
            let number = self.next;
            self.next += u64::from(batch.count());
            out.deliver(sender, Some(number), batch);
        }
        Vec::new()
    }

    fn window(&self, _to: To) -> usize {
        OWN_WINDOW.saturating_sub(self.own_undelivered)
    }

    fn held(&self) -> usize {
        self.held.len() + self.ballots.len()
    }

    fn held_of(&self, sender: MemberId) -> u64 {
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
    fn a_batch_comes_once_and_from_another_member() {
        let mut engine = engine();
        for from in [P1, STRANGER] {
            let outcome = receive(&mut engine, from, AgreedWire::Body(batch(1)));
            assert_eq!(outcome, Err(DropReason::Stranger));
        }
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), Ok(0));
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), REFUSED);
    }

    #[test]
    fn a_member_proposes_once_and_for_what_was_asked() {
        let mut engine = engine();
        let proposal = |first| AgreedWire::Proposal { first, number: 1 };
        assert_eq!(receive(&mut engine, P0, proposal(1)), REFUSED, "nothing was asked");
        submit(&mut engine, 1);
        assert_eq!(receive(&mut engine, P1, proposal(1)), REFUSED);
        assert_eq!(receive(&mut engine, STRANGER, proposal(1)), REFUSED);
        assert_eq!(receive(&mut engine, P0, proposal(2)), REFUSED);
        assert_eq!(receive(&mut engine, P0, proposal(1)), Ok(1));
        assert_eq!(receive(&mut engine, P0, proposal(1)), REFUSED);
    }

    #[test]
    fn a_place_is_agreed_once_and_not_below_the_proposal() {
        let mut engine = engine();
        assert_eq!(receive(&mut engine, P0, agreed(1, 1, P0)), REFUSED, "of an unknown batch");
        for first in 1..=3 {
            assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(first))), Ok(0));
        }
        assert_eq!(receive(&mut engine, P1, agreed(2, 9, P0)), REFUSED, "by another than its sender");
        assert_eq!(receive(&mut engine, P0, agreed(2, 1, P0)), REFUSED, "below our proposal");
        assert_eq!(receive(&mut engine, P0, agreed(2, 3, P1)), REFUSED, "where another batch is");
        assert_eq!(receive(&mut engine, P0, agreed(2, 9, STRANGER)), REFUSED, "proposed by nobody");
        assert_eq!(receive(&mut engine, P0, agreed(2, 9, P0)), Ok(0));
        assert_eq!(receive(&mut engine, P0, agreed(2, 11, P0)), REFUSED, "agreed already");
        assert_eq!(receive(&mut engine, P0, agreed(1, 1, P1)), Ok(1));
        assert_eq!(receive(&mut engine, P0, agreed(1, 12, P0)), REFUSED, "delivered already");
        assert_eq!(receive(&mut engine, P0, agreed(3, 10, P0)), Ok(2));
    }

    /// The place that is announced when the proposal of the one other member comes in, and how many batches that delivers.
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
    fn a_batch_that_lacks_proposals_holds_nothing_up() {
        let mut engine = engine();
        submit(&mut engine, 1);
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), Ok(0));
        assert_eq!(receive(&mut engine, P0, agreed(1, 5, P0)), Ok(1));
        // Its own place is behind what has been delivered, however low the others' proposals are.
        assert_eq!(settled(&mut engine, 1, 1), (Some(Rank { number: 6, proposer: P1 }), 1));
        submit(&mut engine, 2);
        assert_eq!(settled(&mut engine, 2, 9), (Some(Rank { number: 9, proposer: P0 }), 1));
        submit(&mut engine, 3);
        assert_eq!(settled(&mut engine, 3, 1), (Some(Rank { number: 10, proposer: P1 }), 1));
    }

    #[test]
    fn a_number_that_is_proposed_twice_is_agreed_once() {
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
    fn what_lacks_proposals_is_delivered_last_when_the_view_ends() {
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
            _ => panic!("nothing is sent any more"),
        };
        let expected = [(P0, 2, Some(1)), (P0, 1, Some(2)), (P1, 1, Some(3))];
        assert_eq!(out.drain().map(delivered).collect::<Vec<_>>(), expected);
        assert_eq!((engine.held(), engine.waiting().len()), (0, 0));
    }

    #[test]
    fn an_absurd_number_changes_nothing() {
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
    fn no_number_near_the_limit_is_read() {
        for number in [0, NUMBER_MAX, u64::MAX] {
            assert!(!is_readable(&AgreedWire::Proposal { first: 1, number }));
            assert!(!is_readable(&agreed(1, number, P0)));
        }
        assert!(is_readable(&agreed(1, NUMBER_MAX - 1, P0)));
    }
}
