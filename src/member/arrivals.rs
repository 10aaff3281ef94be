//! The newcomers that ask to be admitted, and those of the current view.

use std::collections::BTreeMap;
use std::time::Duration;

use super::newcomer::{ADMIT_EVERY, TAKE_OVER};
use crate::ids::{MemberId, Time};
use crate::wire::control::Seat;

/// Time for which a newcomer is remembered after it has asked last.
pub const ARRIVAL_KEPT: Duration = ADMIT_EVERY.saturating_mul(10);
/// Most newcomers that are remembered at one time.
pub const MAX_ARRIVALS: usize = 256;

/// The newcomers that ask, and those that were admitted.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    asking: BTreeMap<MemberId, Asking>,
    /// The members of the view that joined the running group, each with the time from which its welcome is due.
    pub(super) admitted: BTreeMap<MemberId, Time>,
}

/// A newcomer that asks to be taken in.
#[derive(Debug)]
struct Asking {
    first: Time,
    last: Time,
    seat: Seat,
}

impl Arrivals {
    /// Records that a newcomer asks.
    pub(super) fn note(&mut self, now: Time, seat: Seat) {
        self.asking.retain(|_, asking| asking.is_fresh(now));
        let member = MemberId(seat.slot);
        if let Some(asking) = self.asking.get_mut(&member) {
            asking.last = now;
        } else if self.asking.len() < MAX_ARRIVALS {
            self.asking.insert(member, Asking { first: now, last: now, seat });
        }
    }

    /// Returns the newcomers for the next view: of each id, the latest incarnation.
    pub(super) fn seats(&self, now: Time) -> Vec<Seat> {
        let fresh = self.asking.values().filter(|asking| asking.is_fresh(now));
        let mut last: BTreeMap<&str, &Seat> = BTreeMap::new();
        for Asking { seat, .. } in fresh {
            let known = last.entry(&seat.id).or_insert(seat);
            if known.incarnation < seat.incarnation {
                *known = seat;
            }
        }
        last.into_values().cloned().collect()
    }

    /// Returns whether one has asked for so long that the member that would lead must be stuck.
    pub(super) fn are_overdue(&self, now: Time) -> bool {
        self.asking.values().any(|asking| asking.is_fresh(now) && now >= asking.first.after(TAKE_OVER))
    }

    /// Records the newcomers of a view that has just begun. Those that still ask wait from now on.
    pub(super) fn admit(&mut self, now: Time, members: &[MemberId], seats: &[Seat]) {
        self.admitted.retain(|member, _| members.contains(member));
        for seat in seats {
            self.asking.remove(&MemberId(seat.slot));
            self.admitted.insert(MemberId(seat.slot), now);
        }
        self.asking.values_mut().for_each(|asking| asking.first = now);
    }
}

impl Asking {
    fn is_fresh(&self, now: Time) -> bool {
        now < self.last.after(ARRIVAL_KEPT)
    }
}
