//! How the packets of an order reach the group: the layer between an order and the reliable layer.

use std::marker::PhantomData;

use crate::engine::{Effects, Engine, Input, Time, To};

/// An engine that carries the packets of an order to the group and hands up those of other members, each once.
pub trait Carrier: Engine {
    /// Whether packets to the group travel in the pair channels. Those are not in the log of a view, from which a view
    /// change gives every member the same packets.
    const BY_PAIRS: bool = false;
    /// Whether all members have a packet that one has, also if its sender is lost.
    const AGREES: bool = true;

    /// Returns what to send to the group when a view ends, each packet once: of the packets in pair channels that are
    /// not acknowledged, those that were for the group.
    fn left_over(&self, _unacknowledged: Vec<Self::Wire>) -> Vec<Self::Wire> {
        Vec::new()
    }
}

/// Leaves everything to the reliable layer: one packet to all, which a member that lacks it requests.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ByGroup<M>(PhantomData<M>);

impl<M> Default for ByGroup<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M> Engine for ByGroup<M> {
    type App = M;
    type Wire = M;

    fn handle(&mut self, _now: Time, input: Input<M, M>, out: &mut Effects<M, M>) {
        match input {
            Input::Submit { to, app } => out.send(to, app),
            Input::Receive { from, message } => out.deliver(from, None, message),
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl<M> Carrier for ByGroup<M> {}
