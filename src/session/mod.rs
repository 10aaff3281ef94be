//! Station 9, start and finish: how a run begins and ends at all members together.
//!
//! [`registry`] is the forwarder's side, with all groups: `group` is one of them, `member` one of its members,
//! `attendants` are the routers and sequencers, `peer` is one process. [`attendance`] is the side of every other
//! process: one request under way at all times, so that silence is a sign of failure. All are pure; their messages are
//! in [`crate::wire::control`].

pub mod actions;
pub mod attendance;
mod attendants;
mod group;
mod member;
mod peer;
pub mod registry;

use std::time::Duration;

use crate::engine::{MemberId, View};
use crate::wire::control::{HOLD_MILLIS, Role, Seat};

/// Time after which a member whose connection has closed, or a silent forwarder, is given up.
pub const LOST_AFTER: Duration = Duration::from_secs(10);
/// Silence after which a member prefers another forwarder.
pub const QUIET_AFTER: Duration = Duration::from_secs(3);
/// Silence after which a connected member is given up.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);
/// Time after which a forwarder or router that cannot be reached at the start is given up.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait at the start for a standby that is not ready or is silent.
pub const STANDBY_LIMIT: Duration = Duration::from_secs(3);
/// Wait of a process with the id of a member, until it is known whether that member is still present.
pub const CHALLENGE: Duration = Duration::from_millis(HOLD_MILLIS + 500);
/// Grace period after a disconnect, before the start and for non-clients at the end.
pub const GONE_FOR_GOOD: Duration = Duration::from_secs(2);
/// Time for which the end of a run is kept for a silent member: as long as it waits for a silent forwarder, because its
/// connection may be the reason.
pub const END_KEPT: Duration = LOST_AFTER;
/// Time after which a group that has not started and has no client is dropped.
pub const EMPTY_KEPT: Duration = Duration::from_secs(5);
/// Longest life of a forwarder that has nothing to do but wait for a router or sequencer that may still be starting:
/// processes that were started together with it must hear of the end, however short the run was.
pub const LATECOMERS: Duration = Duration::from_secs(2);
/// Shortest such life.
pub const FIRST_LATECOMERS: Duration = Duration::from_millis(200);
/// Factor of the time in which the others came, within which one that was started together with them comes, too.
pub const LATECOMERS_FACTOR: u32 = 3;
/// Oldest age at which a forwarder takes up a run that another one began.
pub const RESUMABLE: Duration = Duration::from_secs(2 * LOST_AFTER.as_secs());
/// The number of ended runs, and of runs that may be taken up, that are remembered.
pub const RUNS_KEPT: usize = 64;
/// Most groups that a forwarder serves at one time.
pub const MAX_GROUPS: usize = 1024;
/// Most routers that attend one forwarder.
pub const MAX_ROUTERS: usize = 16;
/// Most standbys of one group.
pub const MAX_STANDBYS: usize = 16;
/// Most processes that are kept waiting at one time.
const MAX_POSTPONED: usize = 256;
/// Most rows of one report: a row for each group, and for each member.
pub const MAX_SHOWN: usize = 128;
/// Most texts of authors under way in one group.
pub const MAX_UNDER_WAY: usize = 64;
/// Time after which a text of an author is handed to its client again: an answer may be lost.
pub const HAND_AGAIN: Duration = Duration::from_secs(3);
/// Longest time between two reports of a process that waits.
pub const SAY_EVERY: Duration = Duration::from_secs(2);

/// Returns the members of a start, except those that join a running group: they are in no view yet.
#[must_use]
pub fn founders(seats: &[Seat]) -> Vec<Seat> {
    seats.iter().filter(|seat| !seat.late).cloned().collect()
}

/// Returns view 1: the members of a start, except those that join a running group.
#[must_use]
pub fn view_of(seats: &[Seat]) -> View {
    let slots = |wanted: fn(&Seat) -> bool| {
        let founders = seats.iter().filter(|seat| !seat.late && wanted(seat));
        let mut slots: Vec<MemberId> = founders.map(|seat| MemberId(seat.slot)).collect();
        slots.sort_unstable();
        slots
    };
    View {
        number: 1,
        clients: slots(|seat| seat.role == Role::Client),
        sequencer: slots(|seat| seat.role == Role::Sequencer).first().copied(),
        candidates: slots(|seat| seat.can_sequence),
    }
}

/// Formats a number of clients: `1 client`, `2 clients`.
#[must_use]
pub fn clients(count: usize) -> String {
    format!("{count} client{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
