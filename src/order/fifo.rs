//! FIFO order: members deliver the messages of each sender in the order of sending (CDK, section 15.4.3).
//!
//! A batch carries the number of its first message; an early batch waits in the hold-back queue of its
//! sender.

use std::collections::BTreeMap;
use std::fmt;

use super::describe;
use super::hold_back::HoldBack;
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Clock, Waiting};
use crate::wire::Batch;

/// A member's engine for FIFO order. It delivers own batches when they are submitted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Fifo {
    me: MemberId,
    senders: BTreeMap<MemberId, HoldBack<Batch>>,
    defects: Defects,
}

impl Fifo {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        let others = view.clients.iter().filter(|&&client| client != me);
        Self { me, senders: others.map(|&client| (client, HoldBack::default())).collect(), defects }
    }

    fn receive(&mut self, from: MemberId, batch: Batch, out: &mut Effects<Batch, Batch>) {
        let Some(queue) = self.senders.get_mut(&from) else {
            return out.drop(from, DropReason::Stranger);
        };
        if self.defects.has(Defect::NoHoldBack) {
            return out.deliver(from, None, batch);
        }
        if !queue.insert(batch) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while let Some(batch) = queue.pop() {
            out.deliver(from, None, batch);
        }
    }
}

/// Describes the hold-back queues; every engine of an order has such a description.
impl fmt::Display for Fifo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe::holds(&describe::held(&self.senders), &describe::gaps(&self.senders)))
    }
}

impl Engine for Fifo {
    type App = Batch;
    type Wire = Batch;

    fn handle(&mut self, _now: Time, input: Input<Batch, Batch>, out: &mut Effects<Batch, Batch>) {
        match input {
            Input::Submit { to, app } => {
                out.send(to, app.clone());
                out.deliver(self.me, None, app);
            }
            Input::Receive { from, message } => self.receive(from, message, out),
            Input::Wake => {}
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        None
    }

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl OrderEngine for Fifo {
    fn flush(&mut self, now: Time, out: &mut Effects<Batch, Batch>) {
        self.handle(now, Input::Wake, out);
    }

    fn close(&mut self, _out: &mut Effects<Batch, Batch>) -> Vec<Batch> {
        Vec::new()
    }

    fn held(&self) -> usize {
        self.senders.values().map(HoldBack::len).sum()
    }

    fn backlog(&self, _sender: MemberId) -> u64 {
        0
    }

    fn waiting(&self) -> Vec<Waiting> {
        let of = |(&sender, queue): (&MemberId, &HoldBack<Batch>)| -> Vec<Waiting> {
            let waiting = |batch: &Batch| Waiting {
                messages: describe::span(sender, batch),
                number: None,
                waits_for: describe::earlier(sender, queue, batch.first()),
            };
            queue.iter().map(waiting).collect()
        };
        self.senders.iter().flat_map(of).collect()
    }

    fn clock(&self) -> Option<Clock> {
        None
    }
}
