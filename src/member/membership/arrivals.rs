//! How a membership takes newcomers in: who asks is in the next view, and is told where that one begins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Keeping, Membership, Out, TELL_AGAIN};
use crate::engine::{DropReason, MemberId, Time, View};
use crate::member::StackConfig;
use crate::member::newcomer::ADMIT_EVERY;
use crate::member::word::{Admission, Proposal, Word};
use crate::order::Order;
use crate::wire::control::Seat;

/// Who has not asked for this long wants to be taken in no more.
const KEPT: Duration = ADMIT_EVERY.saturating_mul(10);
/// Most newcomers that are kept in mind at one time.
const MAX_ARRIVALS: usize = 256;

/// Those who have asked, and when they did last.
#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeMap<MemberId, (Time, Seat)>);

impl Arrivals {
    fn note(&mut self, now: Time, seat: Seat) {
        self.0.retain(|_, (asked, _)| now < asked.after(KEPT));
        if self.0.len() < MAX_ARRIVALS {
            self.0.insert(MemberId(seat.slot), (now, seat));
        }
    }

    /// Those who want to be taken in now: of each name the last.
    pub(super) fn seats(&self, now: Time) -> Vec<Seat> {
        let fresh = self.0.values().filter(|(asked, _)| now < asked.after(KEPT));
        let mut last: BTreeMap<&str, &Seat> = BTreeMap::new();
        for (_, seat) in fresh {
            let known = last.entry(&seat.id).or_insert(seat);
            if known.incarnation < seat.incarnation {
                *known = seat;
            }
        }
        last.into_values().cloned().collect()
    }
}

impl Membership {
    /// The membership of a newcomer that was admitted to a view.
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

    /// Tells it who is who: without, it cannot tell whether a newcomer takes the place of a member.
    #[must_use]
    pub fn knowing(mut self, seats: &[Seat]) -> Self {
        self.learn(seats);
        self
    }

    fn learn(&mut self, seats: &[Seat]) {
        self.seats.extend(seats.iter().map(|seat| (MemberId(seat.slot), seat.clone())));
    }

    /// Of each client: how many of its messages were delivered before the current view.
    pub fn delivered_before(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.before.iter().map(|(&member, &count)| (member, count))
    }

    /// Somebody asks to be taken in.
    pub(super) fn asked_for_admission(&mut self, now: Time, from: MemberId, seat: Seat, out: &mut Out) {
        if MemberId(seat.slot) != from {
            return out.drop(from, DropReason::BreaksContract);
        }
        let is_known = self.seats.get(&from) == Some(&seat);
        if self.is_member(from) && is_known {
            self.detector.heard(now, from);
            return self.welcome(now, from, out);
        }
        if self.seats.contains_key(&from) {
            // It was in a view, and does not even know that.
            return self.tell_behind(now, from, out);
        }
        // The forwarder gives a name to a second process when it has lost the first.
        let same: Vec<(MemberId, u32)> = self
            .seats
            .iter()
            .filter(|(_, known)| known.id == seat.id)
            .map(|(&member, known)| (member, known.incarnation))
            .collect();
        if same.iter().any(|&(_, incarnation)| incarnation > seat.incarnation) {
            return self.tell_behind(now, from, out);
        }
        same.into_iter().for_each(|(member, _)| self.detector.has_left(member));
        self.arrivals.note(now, seat);
        self.look_after_change(now, out);
    }

    /// Tells a member that has just come where its first view begins. A sequencer cannot: it delivers nothing.
    fn welcome(&mut self, now: Time, member: MemberId, out: &mut Out) {
        let Some((ballot, _)) = self.installed else { return };
        if !self.view.clients.contains(&self.me)
            || self.told.get(&member).is_some_and(|&at| now < at.after(TELL_AGAIN))
        {
            return;
        }
        self.told.insert(member, now);
        let admission = Admission {
            ballot,
            view: self.view.clone(),
            before: self.delivered_before().collect(),
            numbers: self.numbers.0,
            seats: self.seats.values().cloned().collect(),
        };
        self.say(&Word::Welcome(member, Box::new(admission)), out);
    }

    /// Takes those in that are new in the view that has just begun. The first of the others tells them so.
    pub(super) fn take_in(&mut self, now: Time, arrivals: &[Seat], out: &mut Out) {
        self.learn(arrivals);
        let is_new = |member: &MemberId| arrivals.iter().any(|seat| seat.slot == member.0);
        let speaks = self.view.clients.iter().find(|client| !is_new(client)) == Some(&self.me);
        for seat in arrivals {
            self.arrivals.0.remove(&MemberId(seat.slot));
            if speaks {
                self.welcome(now, MemberId(seat.slot), out);
            }
        }
    }

    /// Whether a group could go on so: with members of this view and newcomers only, and with a sequencer if the order has
    /// one.
    pub(super) fn makes_sense(&self, Proposal { view, arrivals, .. }: &Proposal) -> bool {
        let View { sequencer, .. } = view;
        let mut known: BTreeSet<MemberId> = self.view.members().into_iter().collect();
        let are_new = arrivals.iter().all(|seat| known.insert(MemberId(seat.slot)));
        are_new
            && sequencer.is_some() == self.order.sequencer
            && view.members().iter().all(|member| known.contains(member))
    }
}
