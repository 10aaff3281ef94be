//! The configuration with which a member takes part in a group.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::defect::Defects;
use crate::engine::{MemberId, View};
use crate::member::{MembershipConfig, StackConfig};
use crate::order::Order;
use crate::transport::address::Site;
use crate::wire::Window;
use crate::wire::control::{LogHead, Role};

/// The configuration of a member.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The forwarders, each with its router.
    pub sites: Vec<Site>,
    /// The index of the forwarder at which it joins; `None` for the first that answers.
    pub only_at: Option<usize>,
    /// The group.
    pub group: String,
    /// The member id.
    pub id: String,
    /// The role in the group.
    pub role: Role,
    /// The order, the same for all members.
    pub order: &'static Order,
    /// The member must reach the router before it is ready.
    pub needs_router: bool,
    /// Longest wait for the start; `None` leaves the limit to the forwarder.
    pub timeout: Option<Duration>,
    /// Longest silence of a forwarder before it is given up.
    pub forwarder_timeout: Duration,
    /// The send window.
    pub window: Window,
    /// The deliberate defects of its engines.
    pub defects: Defects,
    /// The configuration of the membership.
    pub membership_config: MembershipConfig,
    /// The member can become the sequencer when the sequencer is lost.
    pub can_sequence: bool,
    /// The member may open a [door](super::door) while it is the sequencer.
    pub may_open_door: bool,
    /// The group may be running already when the member joins.
    pub late: bool,
    /// The end of the log that it keeps as the sequencer.
    pub log: Option<LogHead>,
    /// Set when this process is to end: the member stops waiting, and leaves.
    pub leaves: Arc<AtomicBool>,
}

impl Joining {
    /// Returns the forwarder at which it joins, if there is only one possible.
    pub(super) fn joins_at(&self) -> Option<usize> {
        self.only_at.or_else(|| (self.sites.len() == 1).then_some(0))
    }

    /// Returns the configuration of this member's protocol stack.
    pub(super) fn stack<'a>(&self, run: u64, me: MemberId, view: &'a View) -> StackConfig<'a> {
        let &Self { window, defects, .. } = self;
        StackConfig { me, view, run, seed: run ^ u64::from(me.0), window, defects }
    }
}
