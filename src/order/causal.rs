//! Causal order: what happened before a multicast is delivered before it (Birman, Schiper and Stephenson's
//! vector clocks; CDK, figure 15.15).
//!
//! A batch carries how many messages of each member its sender had delivered; it waits until as many have been
//! delivered here. Both that and the sender's own order are the vector's.

use std::collections::BTreeMap;

use super::hold_back::{HoldBack, Span};
use crate::clock::VectorClock;
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, Time, To, View};
use crate::wire::{Batch, Malformed, Reader, Wire, Writer};

/// A batch and what its sender had delivered when it multicast it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Stamped {
    /// Of each client: how many of its messages came before. The sender's own entry counts its own multicasts.
    pub clock: VectorClock,
    /// The messages.
    pub batch: Batch,
}

/// A member's engine for causal order. Its own batches are delivered when they are submitted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Causal {
    me: MemberId,
    /// How many messages of each client have been delivered here.
    delivered: VectorClock,
    senders: BTreeMap<MemberId, HoldBack<Stamped>>,
    defects: Defects,
}

type Out = Effects<Batch, Stamped>;

impl Causal {
    /// The engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        Self {
            me,
            delivered: VectorClock::new(&view.clients),
            senders: view.clients.iter().map(|&client| (client, HoldBack::default())).collect(),
            defects,
        }
    }

    fn submit(&mut self, to: To, batch: Batch, out: &mut Out) {
        out.send(to, Stamped { clock: self.delivered.clone(), batch: batch.clone() });
        self.delivered.advance(self.me, u64::from(batch.count()));
        out.deliver(self.me, None, batch);
    }

    fn receive(&mut self, from: MemberId, stamped: Stamped, out: &mut Out) {
        let Some(queue) = self.senders.get_mut(&from).filter(|_| from != self.me) else {
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
        while self.deliver_one(out) {}
    }

    /// Delivers a batch whose causes have all been delivered, if there is one.
    fn deliver_one(&mut self, out: &mut Out) -> bool {
        let ready = |(_, queue): &(&MemberId, &mut HoldBack<Stamped>)| {
            let causes = queue.peek().map(|stamped| &stamped.clock);
            causes.is_some_and(|clock| *clock <= self.delivered || self.defects.has(Defect::FifoForCausal))
        };
        let Some((&sender, queue)) = self.senders.iter_mut().find(ready) else { return false };
        let Some(Stamped { batch, .. }) = queue.pop() else { return false };
        self.delivered.advance(sender, u64::from(batch.count()));
        out.deliver(sender, None, batch);
        true
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

    fn held(&self) -> usize {
        self.senders.values().map(HoldBack::len).sum()
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

    fn weight(&self) -> usize {
        self.batch.weight()
    }
}
