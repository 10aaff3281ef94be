//! One member of a group at the forwarder.

use super::actions::Incoming;
use super::peer::Peer;
use super::{QUIET_AFTER, STANDBY_LIMIT};
use crate::engine::Time;
use crate::wire::control::{Role, Seat, Status};

#[derive(Debug)]
pub(super) struct Member {
    /// If `late`, neither the start nor the size of the group depends on it.
    pub(super) seat: Seat,
    pub(super) peer: Peer,
    joined: Time,
    pub(super) ready: bool,
    /// The view in which it was done: the number, and the slots of its clients.
    pub(super) done: Option<(u64, Vec<u16>)>,
    /// The progress that it last reported.
    pub(super) status: Option<Status>,
    /// It can also join later, if others need its place at the start.
    pub(super) can_wait: bool,
    /// It has not reported a view.
    is_outside: bool,
    /// It is not ready because it has not reached a router.
    pub(super) awaits_router: bool,
    /// Whether it multicasts texts of authors now; `None` if it does not even deliver them.
    pub(super) posts: Option<bool>,
    /// The forwarders that it names.
    pub(super) connect: Vec<String>,
}

impl Member {
    /// Returns a member that takes part from the start, or is `late`.
    pub(super) fn new(now: Time, incoming: &Incoming, slot: u16, incarnation: u32, late: bool) -> Self {
        let who = &incoming.request.who;
        // Only a sequencer from the start knows all numbers.
        let role = if late && who.role == Role::Sequencer { Role::Standby } else { who.role };
        let can_sequence = who.can_sequence || role == Role::Standby;
        Self {
            seat: Seat { slot, id: who.id.clone(), incarnation, role, can_sequence, late },
            peer: Peer::new(now, who.nonce, incoming.asker.clone()),
            joined: now,
            ready: false,
            done: None,
            status: None,
            can_wait: who.late,
            is_outside: late,
            awaits_router: false,
            posts: incoming.request.posts,
            connect: incoming.request.connect.clone(),
        }
    }

    /// Returns a member of a run of another forwarder, as another member has named it.
    pub(super) fn named(now: Time, seat: &Seat) -> Self {
        Self {
            seat: seat.clone(),
            peer: Peer::awaited(now),
            joined: now,
            ready: true,
            done: None,
            status: None,
            can_wait: seat.late,
            is_outside: false,
            awaits_router: false,
            posts: None,
            connect: Vec::new(),
        }
    }

    pub(super) fn is_client(&self) -> bool {
        self.seat.role == Role::Client
    }

    /// Returns whether the group starts with this client.
    pub(super) fn is_founder(&self) -> bool {
        self.is_client() && !self.seat.late
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
        self.is_client() && self.is_outside
    }

    /// Returns whether it was heard lately.
    pub(super) fn is_here(&self, now: Time) -> bool {
        self.peer.gone.is_none() && self.peer.silence(now) < QUIET_AFTER
    }

    /// Returns whether it is a standby for which the start waits no longer: the group starts without it and admits it
    /// later.
    pub(super) fn delays_the_start(&self, now: Time) -> bool {
        let is_late = !self.ready && now >= self.joined.after(STANDBY_LIMIT);
        self.seat.role == Role::Standby && (is_late || self.peer.silence(now) >= STANDBY_LIMIT)
    }
}
