//! Causal order by vector clocks (Birman, Schiper and Stephenson; CDK, figure 15.15).
//!
//! A batch carries the vector clock of its sender: how many messages of each member the sender had delivered.
//! A receiver holds the batch back until it has delivered as many. The clock implies FIFO order too.

use std::collections::BTreeSet;
use std::fmt;

use super::describe;
use super::hold_back::{HoldBack, HoldBacks};
use super::span::Span;
use crate::clock::VectorClock;
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Clock, Messages, Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// A batch with the vector clock of its sender at the time of the multicast.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Stamped {
    /// The number of preceding messages of each client. The sender's own entry counts its own multicasts.
    pub clock: VectorClock,
    /// The messages.
    pub batch: Batch,
}

/// A member's engine for causal order. It delivers own batches when they are submitted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Causal {
    me: MemberId,
    /// The number of messages of each client that have been delivered here.
    delivered: VectorClock,
    senders: HoldBacks<Stamped>,
    defects: Defects,
}

type Out = Effects<Batch, Stamped>;

impl Causal {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        Self {
            me,
            delivered: VectorClock::new(&view.clients),
            senders: HoldBacks::new(view.clients.iter().copied()),
            defects,
        }
    }

    fn submit(&mut self, to: To, batch: Batch, out: &mut Out) {
        out.send(to, Stamped { clock: self.delivered.clone(), batch: batch.clone() });
        self.delivered.advance(self.me, u64::from(batch.count()));
        out.deliver(self.me, None, batch);
    }

    fn receive(&mut self, from: MemberId, stamped: Stamped, out: &mut Out) {
        let Some(queue) = self.senders.get_mut(from).filter(|_| from != self.me) else {
            return out.drop(from, DropReason::Stranger);
        };
        if self.defects.has(Defect::NoHoldBack) {
            return out.deliver(from, None, stamped.batch);
        }
        let sane =
            stamped.clock.is_over(&self.delivered) && stamped.clock.get(from) + 1 == stamped.batch.first();
        if !sane || !queue.insert(stamped) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while self.deliver_one(Self::has_causes, out) {}
    }

    /// Returns whether all causes of a batch have been delivered.
    fn has_causes(&self, _sender: MemberId, clock: &VectorClock) -> bool {
        *clock <= self.delivered || self.defects.has(Defect::FifoForCausal)
    }

    /// Returns the messages that precede `clock` and have not been delivered here.
    fn lacking(&self, clock: &VectorClock) -> impl Iterator<Item = Messages> {
        self.senders.iter().filter_map(|(sender, _)| {
            let (first, next) = (self.delivered.get(sender) + 1, clock.get(sender) + 1);
            (first < next).then_some(Messages { sender, first, next })
        })
    }

    /// Returns the reason why a batch in the queue of `sender` is held back.
    fn waits_for(&self, sender: MemberId, queue: &HoldBack<Stamped>, stamped: &Stamped) -> WaitsFor {
        let first = stamped.batch.first();
        if queue.next() < first {
            return queue.earlier(sender, first);
        }
        WaitsFor::Causes(self.lacking(&stamped.clock).collect())
    }

    /// Delivers one batch that is the next of its sender and ready. Returns false if there is none.
    fn deliver_one(&mut self, ready: impl Fn(&Self, MemberId, &VectorClock) -> bool, out: &mut Out) -> bool {
        let is_ready = |(sender, queue): &(MemberId, &HoldBack<Stamped>)| {
            queue.peek().is_some_and(|stamped| ready(self, *sender, &stamped.clock))
        };
        let Some((sender, _)) = self.senders.iter().find(is_ready) else { return false };
        let Some(Stamped { batch, .. }) = self.senders.get_mut(sender).and_then(HoldBack::pop) else {
            return false;
        };
        self.delivered.advance(sender, u64::from(batch.count()));
        out.deliver(sender, None, batch);
        true
    }
}

impl fmt::Display for Causal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.senders.iter().filter_map(|(_, queue)| queue.iter().next());
        let lacking = first.flat_map(|stamped| self.lacking(&stamped.clock));
        let in_words =
            |Messages { sender, first, next }| format!("{sender}/{}", describe::numbers(first, next));
        let lacking = lacking.map(in_words).collect::<BTreeSet<_>>();
        let lacking: Vec<String> = lacking.into_iter().collect();
        write!(f, "has delivered {}, {}", self.delivered, describe::holds(&self.senders.list(), &lacking))
    }
}

impl Engine for Causal {
    type App = Batch;
    type Wire = Stamped;

    fn handle(&mut self, _now: Time, input: Input<Batch, Stamped>, out: &mut Out) {
        match input {
            Input::Submit { to, app } => self.submit(to, app, out),
            Input::Receive { from, message } => self.receive(from, message, out),
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl OrderEngine for Causal {
    fn release(&mut self, members: &[MemberId], out: &mut Out) {
        let ready = |causal: &Self, sender: MemberId, clock: &VectorClock| {
            members.contains(&sender)
                && members.iter().all(|&member| clock.get(member) <= causal.delivered.get(member))
        };
        while self.deliver_one(ready, out) {}
    }

    fn held(&self) -> usize {
        self.senders.len()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.senders.backlog(sender)
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.senders.waiting(|sender, queue, stamped| (None, self.waits_for(sender, queue, stamped)))
    }

    fn clock(&self) -> Option<Clock> {
        Some(Clock::Vector(self.delivered.clone()))
    }
}

impl Span for Stamped {
    fn first(&self) -> u64 {
        self.batch.first()
    }

    fn next(&self) -> u64 {
        self.batch.next()
    }
}

impl Wire for Stamped {
    fn write(&self, out: &mut Writer) {
        self.clock.write(out);
        self.batch.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { clock: VectorClock::read(from)?, batch: Batch::read(from)? })
    }

    fn weight(&self) -> Weight {
        self.batch.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::hostile::{P0, P1, STRANGER, batch, receive, view};

    fn stamped(counts: &[(MemberId, u64)], first: u64) -> Stamped {
        let members: Vec<MemberId> = counts.iter().map(|&(member, _)| member).collect();
        let mut clock = VectorClock::new(&members);
        for &(member, count) in counts {
            clock.advance(member, count);
        }
        Stamped { clock, batch: batch(first) }
    }

    #[test]
    fn causal_clock_of_other_members_is_refused() {
        let mut engine = Causal::new(P1, &view(), Defects::NONE);
        for nonsense in [
            stamped(&[(P0, 0)], 1),
            stamped(&[(P0, 0), (STRANGER, 0)], 1),
            stamped(&[(P0, 0), (P1, 0), (STRANGER, 0)], 1),
            stamped(&[(P0, 1), (P1, 0)], 1),
            stamped(&[(P0, u64::MAX - 1), (P1, 0)], 1),
        ] {
            assert_eq!(receive(&mut engine, P0, nonsense), Err(DropReason::BreaksContract));
        }
        assert_eq!(receive(&mut engine, P0, stamped(&[(P0, 0), (P1, 0)], 1)), Ok(1));
        let again = receive(&mut engine, P0, stamped(&[(P0, 0), (P1, 0)], 1));
        assert_eq!(again, Err(DropReason::BreaksContract));
    }

    #[test]
    fn causal_batch_of_a_stranger_is_dropped() {
        let mut engine = Causal::new(P1, &view(), Defects::NONE);
        for from in [P1, STRANGER] {
            let outcome = receive(&mut engine, from, stamped(&[(P0, 0), (P1, 0)], 1));
            assert_eq!(outcome, Err(DropReason::Stranger));
        }
    }

    #[test]
    fn causal_batch_without_its_causes_is_held_back() {
        let mut engine = Causal::new(P1, &view(), Defects::NONE);
        assert_eq!(receive(&mut engine, P0, stamped(&[(P0, 0), (P1, u64::MAX - 1)], 1)), Ok(0));
        let far = stamped(&[(P0, u64::MAX - 3), (P1, 0)], u64::MAX - 2);
        assert_eq!(receive(&mut engine, P0, far), Ok(0));
    }
}
