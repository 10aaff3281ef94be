//! Total order by agreed numbers (the ISIS algorithm of Birman and Joseph; CDK, figure 15.14): every member proposes
//! a number for a message, the sender picks the largest, and messages are delivered by agreed number.
//!
//! Nothing ties the agreed numbers to a sender's order: this order may break FIFO order, and causal order with it; a
//! checker can show it. What a member had delivered before a multicast does come first everywhere: the member
//! proposes a greater number.

use std::collections::BTreeMap;
use std::fmt;

use super::describe;
use super::hold_back::HoldBack;
use super::numbering::Range;
use super::total::{FAR_AHEAD, OWN_WINDOW};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Clock, Waiting, WaitsFor};
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
    /// Own batches that still lack proposals.
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
    missing: Vec<MemberId>,
    best: Rank,
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

    /// Takes a batch in at a place of our own proposal.
    fn propose(&mut self, sender: MemberId, batch: Batch) -> Rank {
        self.largest += 1;
        let rank = Rank { number: self.largest, proposer: self.me };
        self.places.insert((sender, batch.first()), rank);
        self.held.insert(rank, Held { sender, batch, is_agreed: self.defects.has(Defect::ProposalAsAgreed) });
        rank
    }

    fn submit(&mut self, batch: Batch, out: &mut Out) {
        let first = batch.first();
        self.own_undelivered += 1;
        out.send(To::Group, AgreedWire::Body(batch.clone()));
        let best = self.propose(self.me, batch);
        let missing = self.clients.iter().copied().filter(|&client| client != self.me).collect();
        self.ballots.insert(first, Ballot { missing, best });
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
        let Rank { number, .. } = self.propose(from, batch);
        out.send(To::Member(from), AgreedWire::Proposal { first, number });
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
        ballot.best = ballot.best.max(Rank { number, proposer: from });
        self.settle(first, out);
    }

    /// Announces what is agreed for an own batch, once all have proposed.
    fn settle(&mut self, first: u64, out: &mut Out) {
        let Some(ballot) = self.ballots.get(&first).filter(|ballot| ballot.missing.is_empty()) else {
            return;
        };
        let rank = ballot.best;
        self.ballots.remove(&first);
        out.send(To::Group, AgreedWire::Agreed { first, rank });
        self.agree(self.me, first, rank, out);
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

    /// What a batch that is not agreed waits for.
    fn agreement(&self, sender: MemberId, first: u64) -> WaitsFor {
        match self.ballots.get(&first).filter(|_| sender == self.me) {
            Some(ballot) => WaitsFor::Proposals(ballot.missing.clone()),
            None => WaitsFor::Agreement,
        }
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
        f.write_str(&describe::holds(&held.collect::<Vec<_>>(), &[]))
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

    fn next_deadline(&self) -> Option<Time> {
        None
    }

    fn window(&self, _to: To) -> usize {
        OWN_WINDOW.saturating_sub(self.own_undelivered)
    }
}

impl OrderEngine for Agreed {
    fn flush(&mut self, now: Time, out: &mut Out) {
        self.handle(now, Input::Wake, out);
    }

    /// First what is agreed, by its places; then the rest, of which nobody has delivered anything, by sender and number.
    fn close(&mut self, out: &mut Out) -> Vec<Batch> {
        let held = std::mem::take(&mut self.held).into_values();
        let (agreed, mut open): (Vec<Held>, Vec<Held>) = held.partition(|held| held.is_agreed);
        open.sort_by_key(|held| (held.sender, held.batch.first()));
        for Held { sender, batch, .. } in agreed.into_iter().chain(open) {
            let number = self.next;
            self.next += u64::from(batch.count());
            out.deliver(sender, Some(number), batch);
        }
        Vec::new()
    }

    fn held(&self) -> usize {
        self.held.len()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.held.values().filter(|held| held.sender == sender).count() as u64
    }

    fn waiting(&self) -> Vec<Waiting> {
        let waiting = |Held { sender, batch, is_agreed }: &Held| Waiting {
            messages: describe::span(*sender, batch),
            number: None,
            waits_for: if *is_agreed { self.turn() } else { self.agreement(*sender, batch.first()) },
        };
        self.held.values().map(waiting).collect()
    }

    fn clock(&self) -> Option<Clock> {
        None
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

    #[test]
    fn an_absurd_number_changes_nothing() {
        let mut engine = engine();
        submit(&mut engine, 1);
        let proposal = |number| AgreedWire::Proposal { first: 1, number };
        for number in [FAR_AHEAD + 2, NUMBER_MAX - 1, u64::MAX] {
            assert_eq!(receive(&mut engine, P0, proposal(number)), Err(DropReason::OutsideWindow));
        }
        assert_eq!(receive(&mut engine, P0, AgreedWire::Body(batch(1))), Ok(0));
        for number in [FAR_AHEAD + 3, NUMBER_MAX - 1, u64::MAX] {
            assert_eq!(receive(&mut engine, P0, agreed(1, number, P0)), Err(DropReason::OutsideWindow));
        }
        assert_eq!(receive(&mut engine, P0, proposal(FAR_AHEAD + 2)), Ok(0));
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
