//! FIFO order: members deliver the messages of each sender in the order of sending (CDK, section 15.4.3).
//!
//! A batch carries the number of its first message; an early batch waits in the hold-back queue of its
//! sender.

use std::fmt;

use super::hold_back::HoldBacks;
use crate::defect::{Defect, Defects};
use crate::engine::{Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::Waiting;
use crate::wire::Batch;

/// A member's engine for FIFO order. It delivers own batches when they are submitted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Fifo {
    me: MemberId,
    senders: HoldBacks<Batch>,
    defects: Defects,
}

impl Fifo {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        Self { me, senders: HoldBacks::new(view.others(me)), defects }
    }

    fn receive(&mut self, from: MemberId, batch: Batch, out: &mut Effects<Batch, Batch>) {
        if self.defects.has(Defect::NoHoldBack) && self.senders.contains(from) {
            return out.deliver(from, None, batch);
        }
        let queue = match self.senders.insert(from, batch) {
            Ok(queue) => queue,
            Err(reason) => return out.drop(from, reason),
        };
        while let Some(batch) = queue.pop() {
            out.deliver(from, None, batch);
        }
    }
}

/// Describes the hold-back queues; every engine of an order has such a description.
impl fmt::Display for Fifo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.senders.describe())
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

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl OrderEngine for Fifo {
    fn held(&self) -> usize {
        self.senders.len()
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.senders.waiting(|sender, queue, batch| (None, queue.earlier(sender, batch.first())))
    }
}
