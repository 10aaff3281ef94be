//! The report of the register for any process that asks for the members, also one that takes no part. It keeps no state
//! for it, and limits the forwarder's time for such requests.

use std::time::Duration;

use super::group::{Group, Phase};
use super::register::{Actions, Asker, Register, Rules};
use super::seated::Member;
use crate::engine::Time;
use crate::wire::control::{GroupState, MemberState, Reply, Say, Stage, run_as_text};

/// Most rows of one answer: a row for each group, and for each member.
pub const MAX_SHOWN: usize = 128;
/// Most missing processes that are reported.
const MAX_MISSING: usize = 16;
/// Most requests that are answered …
const ANSWERS: u32 = 16;
/// … within this time. The others have to be repeated.
const PERIOD: Duration = Duration::from_millis(100);

/// The number of requests since `since`.
#[derive(Debug, Default)]
pub(super) struct Shown {
    since: Time,
    count: u32,
}

impl Shown {
    /// Returns whether one more request may be answered now, and counts it.
    fn may_go_on(&mut self, now: Time) -> bool {
        if now >= self.since.after(PERIOD) {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count <= ANSWERS
    }
}

impl Register {
    /// Reports this group, or all, without the first rows.
    pub(super) fn show(
        &mut self,
        now: Time,
        (asker, seq): (Asker, u64),
        group: &str,
        skip: u32,
        actions: &mut Actions,
    ) {
        if !self.shown.may_go_on(now) {
            return;
        }
        let first = skip as usize;
        let window = first..first.saturating_add(MAX_SHOWN);
        let (mut row, mut groups) = (0, Vec::new());
        for (name, group) in self.groups.iter().filter(|(name, _)| group.is_empty() || *name == group) {
            let is_first = window.contains(&row);
            row += 1;
            let mut members = Vec::new();
            for (id, seat) in &group.seats {
                if window.contains(&row) {
                    members.push(group.member_state(now, id, seat));
                }
                row += 1;
            }
            if is_first || !members.is_empty() {
                groups.push(GroupState { members, ..group.state(name, &self.rules) });
            }
        }
        let more = row > window.end;
        actions.replies.push((asker, Reply::new(seq, Say::Members { groups, more })));
    }
}

impl Group {
    /// Returns the group without its members. Its view is the newest that a member has reported.
    fn state(&self, name: &str, rules: &Rules) -> GroupState {
        let missing = if self.phase == Phase::Gathering { self.missing(rules) } else { Vec::new() };
        let newest = self.seats.values().filter_map(|seat| seat.status).max_by_key(|status| status.view);
        let leader = newest.and_then(|newest| {
            self.seats.iter().find(|(_, seat)| seat.slot == newest.leader).map(|(id, _)| id.clone())
        });
        GroupState {
            group: name.to_owned(),
            run: run_as_text(self.run),
            order: self.order.name.to_owned(),
            method: self.order.method.unwrap_or_default().to_owned(),
            stage: match self.phase {
                Phase::Gathering => Stage::Gathering,
                Phase::Running => Stage::Running,
                Phase::Over(_) => Stage::Over,
            },
            view: newest.map(|newest| newest.view),
            leader,
            missing: missing.into_iter().take(MAX_MISSING).collect(),
            members: Vec::new(),
        }
    }

    fn member_state(&self, now: Time, id: &str, seat: &Member) -> MemberState {
        let stage = match self.phase {
            _ if seat.presence.gone.is_some() => Stage::Gone,
            Phase::Gathering if !seat.ready => Stage::Joined,
            Phase::Gathering => Stage::Ready,
            Phase::Running if seat.done.is_some() => Stage::Done,
            Phase::Running => Stage::Running,
            Phase::Over(_) => Stage::Over,
        };
        MemberState {
            id: id.to_owned(),
            role: seat.role,
            incarnation: seat.incarnation,
            stage,
            heard_ms: seat.presence.silence(now).as_millis() as u64,
            status: seat.status,
        }
    }
}
