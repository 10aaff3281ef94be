//! One member of a group at the forwarder.

use super::presence::{Held, Presence};
use super::{QUIET_AFTER, STANDBY_LIMIT};
use crate::engine::Time;
use crate::wire::control::{Identity, Role, Seat, Status};

#[derive(Debug)]
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) slot: u16,
    pub(super) incarnation: u32,
    joined: Time,
    pub(super) presence: Presence,
    pub(super) ready: bool,
    /// The view in which it was done: the number, and the slots of its clients.
    pub(super) done: Option<(u64, Vec<u16>)>,
    pub(super) can_sequence: bool,
    /// The progress that it last reported.
    pub(super) status: Option<Status>,
    /// It joins the running group: neither the start nor the size of the group depends on it.
    pub(super) late: bool,
    /// It can also join later, if others need its place at the start.
    pub(super) can_wait: bool,
    /// It has not reported a view.
    is_outside: bool,
    /// It is not ready because it has not reached a router.
    pub(super) awaits_router: bool,
    /// The forwarders that it names.
    pub(super) connect: Vec<String>,
}

impl Member {
    /// Returns a member that takes part from the start, or is `late`.
    pub(super) fn new(
        now: Time,
        who: &Identity,
        (slot, incarnation): (u16, u32),
        late: bool,
        held: &Held,
    ) -> Self {
        // Only a sequencer from the start knows all numbers.
        let role = if late && who.role == Role::Sequencer { Role::Standby } else { who.role };
        Self {
            role,
            slot,
            incarnation,
            joined: now,
            presence: Presence::new(now, who.nonce, held.asker.clone()),
            ready: false,
            done: None,
            can_sequence: who.can_sequence || role == Role::Standby,
            status: None,
            late,
            can_wait: who.late,
            is_outside: late,
            awaits_router: false,
            connect: Vec::new(),
        }
    }

    /// Returns a member of a run of another forwarder, as another member has named it.
    pub(super) fn told(now: Time, seat: &Seat) -> Self {
        Self {
            role: seat.role,
            slot: seat.slot,
            incarnation: seat.incarnation,
            joined: now,
            presence: Presence::awaited(now),
            ready: true,
            done: None,
            can_sequence: seat.can_sequence,
            status: None,
            late: seat.late,
            can_wait: seat.late,
            is_outside: false,
            awaits_router: false,
            connect: Vec::new(),
        }
    }

    pub(super) fn seat(&self, id: &str) -> Seat {
        Seat {
            slot: self.slot,
            id: id.to_owned(),
            incarnation: self.incarnation,
            role: self.role,
            can_sequence: self.can_sequence,
            late: self.late,
        }
    }

    /// Records its progress; only a member of a view reports it.
    pub(super) fn tells(&mut self, status: Option<Status>) {
        self.is_outside &= status.is_none();
        self.status = status.or(self.status);
    }

    /// Records that it is done in this view.
    pub(super) fn is_done(&mut self, view: u64, clients: Vec<u16>) {
        self.is_outside = false;
        if self.done.as_ref().is_none_or(|(before, _)| *before < view) {
            self.done = Some((view, clients));
        }
    }

    /// Returns whether it is a client that has not been admitted to a view.
    pub(super) fn is_newcomer(&self) -> bool {
        self.role == Role::Client && self.is_outside
    }

    /// Returns whether it was heard lately.
    pub(super) fn is_here(&self, now: Time) -> bool {
        self.presence.gone.is_none() && self.presence.silence(now) < QUIET_AFTER
    }

    /// Returns whether it is a standby for which the start waits no longer: the group starts without it and admits it
    /// later.
    pub(super) fn delays_the_start(&self, now: Time) -> bool {
        let is_late = !self.ready && now >= self.joined.after(STANDBY_LIMIT);
        self.role == Role::Standby && (is_late || self.presence.silence(now) >= STANDBY_LIMIT)
    }
}
