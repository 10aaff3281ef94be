//! The report for any process that asks for the members, also one that takes no part. The forwarder keeps no state for
//! it, and limits its time for such requests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Group, Phase};
use crate::engine::Time;
use crate::session::MAX_SHOWN;
use crate::session::member::Member;
use crate::wire::control::{GroupEntry, GroupState, MemberState, Say, Stage};

/// Most missing processes that are reported.
const MAX_MISSING: usize = 16;
/// Most requests that are answered …
const ANSWERS: u32 = 16;
/// … within this time. The others have to be repeated.
const PERIOD: Duration = Duration::from_millis(100);

/// The limit of answers: the number of requests since `since`.
#[derive(Debug, Default)]
pub(in crate::session) struct RateLimit {
    since: Time,
    count: u32,
}

impl RateLimit {
    /// Returns whether one more request may be answered now, and counts it.
    pub(in crate::session) fn admits(&mut self, now: Time) -> bool {
        if now >= self.since.after(PERIOD) {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count <= ANSWERS
    }
}

/// Reports the group of this name, or all groups, without the first rows.
pub(in crate::session) fn report(now: Time, groups: &BTreeMap<String, Group>, group: &str, skip: u32) -> Say {
    let first = skip as usize;
    let window = first..first.saturating_add(MAX_SHOWN);
    let (mut row, mut shown) = (0, Vec::new());
    for group in groups.values().filter(|other| group.is_empty() || other.name == group) {
        let is_first = window.contains(&row);
        row += 1;
        let mut members = Vec::new();
        for member in group.members.values() {
            if window.contains(&row) {
                members.push(group.member_state(now, member));
            }
            row += 1;
        }
        if is_first || !members.is_empty() {
            shown.push(GroupState { members, ..group.state() });
        }
    }
    Say::Members { groups: shown, more: row > window.end }
}

impl Group {
    /// Returns the group without its members. Its view is the newest that a member has reported.
    fn state(&self) -> GroupState {
        let newest =
            self.members.values().filter_map(|member| member.status).max_by_key(|status| status.view);
        let leader = newest.and_then(|newest| self.seats().find(|seat| seat.slot == newest.leader));
        let GroupEntry { group, run, order, method } = self.entry();
        let (stage, missing) = match self.phase {
            Phase::Gathering(_) => (Stage::Gathering, self.missing()),
            Phase::Running(_) => (Stage::Running, Vec::new()),
            Phase::Over(_) => (Stage::Over, Vec::new()),
        };
        GroupState {
            group,
            run,
            order,
            method,
            reliability: self.order.reliability.told().to_owned(),
            stage,
            view: newest.map(|newest| newest.view),
            leader: leader.map(|seat| seat.id),
            missing: missing.into_iter().take(MAX_MISSING).collect(),
            members: Vec::new(),
        }
    }

    fn member_state(&self, now: Time, member: &Member) -> MemberState {
        let stage = match self.phase {
            _ if member.peer.gone.is_some() => Stage::Gone,
            Phase::Gathering(_) if !member.ready => Stage::Joined,
            Phase::Gathering(_) => Stage::Ready,
            Phase::Running(_) if member.done.is_some() => Stage::Done,
            Phase::Running(_) => Stage::Running,
            Phase::Over(_) => Stage::Over,
        };
        MemberState {
            id: member.seat.id.clone(),
            role: member.seat.role,
            incarnation: member.seat.incarnation,
            stage,
            heard_ms: member.peer.silence(now).as_millis() as u64,
            status: member.status,
        }
    }
}
