//! Station 9, start and finish: how a run begins and ends at all members together.
//!
//! [`register`] is the forwarder's side, with all groups: [`group`] is one of them, [`missing`] words the processes it
//! waits for, `seated` is one member, [`presence`] one process, [`shown`] the report for `groupcast members`.
//! [`attendance`] is the side of every other process: one request under way at all times, so that silence is a sign of
//! failure. All are pure; their messages are in [`crate::wire::control`].

pub mod attendance;
pub mod group;
pub mod missing;
pub mod objection;
pub mod presence;
pub mod register;
mod seated;
pub mod shown;

use std::time::Duration;

use crate::engine::{MemberId, View};
use crate::wire::control::{Role, Seat};

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
/// Grace period after a disconnect, before the start and for non-clients at the end.
pub const GONE_FOR_GOOD: Duration = Duration::from_secs(2);
/// Most standbys of one group.
pub const MAX_STANDBYS: usize = 16;
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
    let seats = || seats.iter().filter(|seat| !seat.late);
    let of_role = |role: Role| {
        let slots = seats().filter(|seat| seat.role == role).map(|seat| MemberId(seat.slot));
        let mut slots: Vec<MemberId> = slots.collect();
        slots.sort_unstable();
        slots
    };
    let mut candidates: Vec<MemberId> =
        seats().filter(|seat| seat.can_sequence).map(|seat| MemberId(seat.slot)).collect();
    candidates.sort_unstable();
    let sequencer = of_role(Role::Sequencer).first().copied();
    View { number: 1, clients: of_role(Role::Client), sequencer, candidates }
}

#[cfg(test)]
mod tests;
