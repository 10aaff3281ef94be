//! The configuration with which a member takes part in a group.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::defect::Defects;
use crate::engine::{MemberId, View};
use crate::member::{Keeping, StackConfig};
use crate::order::Order;
use crate::transport::address::Site;
use crate::wire::Window;
use crate::wire::control::Role;

/// How a member wants to take part.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The forwarders, each with its router.
    pub sites: Vec<Site>,
    /// The one at which it joins; `None` for the first that answers.
    pub only_at: Option<usize>,
    /// The group.
    pub group: String,
    /// The member's name.
    pub id: String,
    /// What it is to the group.
    pub role: Role,
    /// The order, which all members must agree on.
    pub order: &'static Order,
    /// Whether it is not ready before it has reached the router.
    pub needs_router: bool,
    /// How long to wait for the start; `None` leaves that to the forwarder.
    pub timeout: Option<Duration>,
    /// How long a forwarder that does not answer any more is waited for.
    pub forwarder_timeout: Duration,
    /// How far it may be ahead of the slowest receiver.
    pub window: Window,
    /// What its engines are to do wrong.
    pub defects: Defects,
    /// How the group keeps its membership.
    pub keeping: Keeping,
    /// Whether it can take the place of a sequencer that is lost.
    pub can_sequence: bool,
    /// Whether it joins a group that may be running already.
    pub late: bool,
    /// Set when this process is to end: then it waits for nothing more, and leaves.
    pub leaves: Arc<AtomicBool>,
}

impl Joining {
    /// The forwarder at which it joins, if there is no choice.
    pub(super) fn joins_at(&self) -> Option<usize> {
        self.only_at.or_else(|| (self.sites.len() == 1).then_some(0))
    }

    /// Returns the configuration of this member's protocol stack.
    pub(super) fn stack<'a>(&self, run: u64, me: MemberId, view: &'a View) -> StackConfig<'a> {
        let &Self { window, defects, .. } = self;
        StackConfig { me, view, run, seed: run ^ u64::from(me.0), window, defects }
    }
}
