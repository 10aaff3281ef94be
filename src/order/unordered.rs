//! No order: members deliver a batch when they receive it (B-deliver in CDK, on reliable channels).

use std::fmt;

use crate::engine::{Effects, Engine, Input, MemberId, OrderEngine, Time, To};
use crate::wire::Batch;

/// A member's engine for unordered delivery.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Unordered {
    me: MemberId,
}

impl Unordered {
    /// Creates the engine of `me`.
    #[must_use]
    pub const fn new(me: MemberId) -> Self {
        Self { me }
    }
}

impl fmt::Display for Unordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("holds nothing back")
    }
}

impl Engine for Unordered {
    type App = Batch;
    type Wire = Batch;

    fn handle(&mut self, _now: Time, input: Input<Batch, Batch>, out: &mut Effects<Batch, Batch>) {
        match input {
            Input::Submit { to, app } => {
                out.send(to, app.clone());
                out.deliver(self.me, None, app);
            }
            Input::Receive { from, message } => out.deliver(from, None, message),
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl OrderEngine for Unordered {}
