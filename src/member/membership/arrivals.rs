//! Admission of newcomers: one that asks is taken into the next view, and is told where that view begins.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Keeping, Membership, Out};
use crate::engine::{MemberId, Time};
use crate::member::StackConfig;
use crate::member::newcomer::{ADMIT_EVERY, TAKE_OVER};
use crate::member::word::{Admission, Word};
use crate::member::{App, Departure, Notice};
use crate::order::Order;
use crate::wire::control::Seat;

/// Time for which a newcomer is remembered after it has asked last.
pub const ARRIVAL_KEPT: Duration = ADMIT_EVERY.saturating_mul(10);
/// Most newcomers that are remembered at one time.
pub const MAX_ARRIVALS: usize = 256;

/// The newcomers that ask, and those that were taken in.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    asking: BTreeMap<MemberId, Asking>,
    /// The members of the view that joined the running group, each with the time from which its welcome is due.
    taken_in: BTreeMap<MemberId, Time>,
}

/// A newcomer that asks to be taken in.
#[derive(Debug)]
struct Asking {
    first: Time,
    last: Time,
    seat: Seat,
}

impl Arrivals {
    fn note(&mut self, now: Time, seat: Seat) {
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
    fn are_overdue(&self, now: Time) -> bool {
        self.asking.values().any(|asking| asking.is_fresh(now) && now >= asking.first.after(TAKE_OVER))
    }
}

impl Asking {
    fn is_fresh(&self, now: Time) -> bool {
        now < self.last.after(ARRIVAL_KEPT)
    }
}

impl Membership {
    /// Returns the membership of a newcomer that was admitted to a view.
    #[must_use]
    pub fn admitted(
        order: &'static Order,
        place: StackConfig<'_>,
        keeping: Keeping,
        admission: &Admission,
    ) -> Self {
        let Admission { ballot, before, numbers, seats, .. } = admission;
        let mut membership = Self::new(order, place, keeping).knowing(seats);
        membership.before = before.iter().copied().collect();
        membership.numbers = (*numbers, 0);
        membership.installed = Some((*ballot, None));
        membership
    }

    /// Adds the seats of the run. Without them, a newcomer that supersedes a member is not recognized.
    #[must_use]
    pub fn knowing(mut self, seats: &[Seat]) -> Self {
        self.seats.learn(seats);
        self
    }

    /// Returns how many messages of each client were delivered before the current view.
    pub fn delivered_before(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.before.iter().map(|(&member, &count)| (member, count))
    }

    /// Handles the request of a process to be taken in, with its seat from a forwarder.
    pub(super) fn asked_for_admission(&mut self, now: Time, seat: Seat, out: &mut Out) {
        let from = MemberId(seat.slot);
        if self.is_member(from) {
            self.detector.heard(now, from);
            return self.welcome_in_turn(now, from, out);
        }
        // It was in an earlier view without knowing it, or a later incarnation has its id.
        if self.seats.has(&seat) || self.seats.has_later(&seat) {
            return self.tell_behind(now, from, out);
        }
        // A forwarder gives an id to a second process only when the first is lost.
        let same: Vec<MemberId> = self.seats.of_name(&seat.id).map(|(member, _)| member).collect();
        same.into_iter().for_each(|member| self.detector.gives_up(member, Departure::Superseded));
        self.arrivals.note(now, seat);
        self.look_after_change(now, out);
    }

    /// Returns whether this member takes newcomers in: it would lead the change, or the members before it have not done
    /// so.
    pub(super) fn takes_newcomers_in(&self, now: Time) -> bool {
        !self.arrivals.seats(now).is_empty() && (self.above().is_empty() || self.arrivals.are_overdue(now))
    }

    /// Reports the members that should have taken newcomers in.
    pub(super) fn complain_of_takers_in(&self, now: Time, out: &mut Out) {
        let is_overdue = self.flush.is_none() && self.arrivals.are_overdue(now);
        for member in self.above().into_iter().filter(|_| is_overdue) {
            out.deliver(member, None, App::Notice(Notice::TookNobodyIn));
        }
    }

    /// Handles a newcomer that still asks. The first client that was there before it welcomes it; if none has for
    /// [`TAKE_OVER`], the next client does, and reports that.
    fn welcome_in_turn(&mut self, now: Time, member: MemberId, out: &mut Out) {
        let since = *self.arrivals.taken_in.entry(member).or_insert(now);
        let is_before = |client: &MemberId| {
            *client < self.me
                && !self.detector.is_lost(*client)
                && !self.arrivals.taken_in.contains_key(client)
        };
        let before: Vec<MemberId> = self.view.clients.iter().copied().filter(is_before).collect();
        if now < since.after(TAKE_OVER.saturating_mul(before.len() as u32)) {
            return;
        }
        if let Some(&first) = before.first()
            && self.welcome(now, member, out)
        {
            out.deliver(first, None, App::Notice(Notice::DidNotWelcome(member)));
        } else if before.is_empty() {
            self.welcome(now, member, out);
        }
    }

    /// Tells a newcomer where its first view begins. A sequencer cannot, since it delivers nothing. Returns whether it
    /// was told.
    fn welcome(&mut self, now: Time, member: MemberId, out: &mut Out) -> bool {
        let Some((ballot, _)) = self.installed else { return false };
        if !self.view.clients.contains(&self.me) || !self.may_tell(now, member) {
            return false;
        }
        let admission = Admission {
            ballot,
            view: self.view.clone(),
            before: self.delivered_before().collect(),
            numbers: self.numbers.0,
            seats: self.seats.all(),
        };
        self.say(&Word::Welcome(member, Box::new(admission)), out);
        true
    }

    /// Records the newcomers of the view that has just begun. The first of the other clients welcomes them.
    pub(super) fn take_in(&mut self, now: Time, arrivals: &[Seat], out: &mut Out) {
        self.seats.learn(arrivals);
        let is_new = |member: &MemberId| arrivals.iter().any(|seat| seat.slot == member.0);
        let speaks = self.view.clients.iter().find(|client| !is_new(client)) == Some(&self.me);
        let members = self.view.members();
        self.arrivals.taken_in.retain(|member, _| members.contains(member));
        for seat in arrivals {
            let member = MemberId(seat.slot);
            self.arrivals.asking.remove(&member);
            self.arrivals.taken_in.insert(member, now);
            if speaks {
                self.welcome(now, member, out);
            }
        }
        self.arrivals.asking.values_mut().for_each(|asking| asking.first = now);
    }
}
