//! Admission of newcomers: one that asks is admitted to the next view, and is told where that view begins.

use super::{Membership, Out};
use crate::ids::{MemberId, Time};
use crate::member::app::App;
use crate::member::departure::{Departure, Notice};
use crate::member::newcomer::TAKE_OVER;
use crate::member::view_message::{Admission, ViewMessage};
use crate::wire::control::Seat;

impl Membership {
    /// Handles the request of a process to be admitted, with its seat from a forwarder.
    pub(super) fn admission_requested(&mut self, now: Time, seat: Seat, out: &mut Out) {
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
        same.into_iter().for_each(|member| self.detector.give_up(member, Departure::Superseded));
        self.arrivals.note(now, seat);
        self.check_need_for_change(now, out);
    }

    /// Returns whether this member admits newcomers: it would lead the change, or the members before it have not done so.
    pub(super) fn admits_newcomers(&self, now: Time) -> bool {
        !self.arrivals.seats(now).is_empty() && (self.above().is_empty() || self.arrivals.are_overdue(now))
    }

    /// Reports the members that should have admitted newcomers.
    pub(super) fn report_overdue_admission(&self, now: Time, out: &mut Out) {
        let is_overdue = self.is_normal() && self.arrivals.are_overdue(now);
        for member in self.above().into_iter().filter(|_| is_overdue) {
            out.deliver(member, None, App::Notice(Notice::TookNobodyIn));
        }
    }

    /// Handles a newcomer that still asks. The first client that was there before it welcomes it; if none has for
    /// [`TAKE_OVER`], the next client does, and reports that.
    fn welcome_in_turn(&mut self, now: Time, member: MemberId, out: &mut Out) {
        let since = *self.arrivals.admitted.entry(member).or_insert(now);
        let is_before = |client: &MemberId| {
            *client < self.me
                && !self.detector.is_lost(*client)
                && !self.arrivals.admitted.contains_key(client)
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
            numbers: self.offsets.numbers_before(),
            seats: self.seats.all(),
        };
        self.send(&ViewMessage::Welcome(member, Box::new(admission)), out);
        true
    }

    /// Records the newcomers of the view that has just begun. The first of the other clients welcomes them.
    pub(super) fn admit(&mut self, now: Time, seats: &[Seat], out: &mut Out) {
        self.seats.learn(seats);
        self.arrivals.admit(now, &self.view.members(), seats);
        let is_new = |member: &MemberId| seats.iter().any(|seat| seat.slot == member.0);
        if self.view.clients.iter().find(|client| !is_new(client)) == Some(&self.me) {
            for seat in seats {
                self.welcome(now, MemberId(seat.slot), out);
            }
        }
    }
}
