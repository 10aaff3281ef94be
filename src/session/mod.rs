//! Station 9, start and finish: how a run begins together and ends together.
//!
//! [`register`] is the forwarder's side: who has joined, who is ready, who is done, who is lost; [`group`] is one
//! group in it, [`missing`] what it waits for, `seated` one member, [`presence`] one process. [`attendance`] is the side of everybody else: one request under way at all
//! times, so that silence means something. [`shown`] is what anybody may know. All are pure; their messages are in [`crate::wire::control`].

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

/// A member whose connection has closed, or a forwarder that is silent, is given up after this long.
pub const LOST_AFTER: Duration = Duration::from_secs(10);
/// A forwarder that is silent for so long is not counted on, where there is another.
pub const QUIET_AFTER: Duration = Duration::from_secs(3);
/// A member that is connected and says nothing is given up after this long.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);
/// A forwarder or router that cannot be reached at the start is given up after this long.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// A process that stands by and is not ready, or has gone silent, is waited for at the start for this long.
pub const STANDBY_LIMIT: Duration = Duration::from_secs(3);
/// Whose connection has been closed for this long has gone, where nothing depends on it: before the start, and at the end
/// if it is no client.
pub const GONE_FOR_GOOD: Duration = Duration::from_secs(2);
/// Most processes that stand by for one group.
pub const MAX_STANDBYS: usize = 16;
/// Whoever waits says for whom at least this often.
pub const SAY_EVERY: Duration = Duration::from_secs(2);

/// The members that a start names, but for those that come to join a group that runs: they are in no view yet.
#[must_use]
pub fn founders(seats: &[Seat]) -> Vec<Seat> {
    seats.iter().filter(|seat| !seat.late).cloned().collect()
}

/// View 1: the members that a start names, but for those that come to join a group that runs.
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
