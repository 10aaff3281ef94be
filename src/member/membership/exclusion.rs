//! Exclusion of a member that is alive and blocks all others: it receives nothing, or does not answer during a view
//! change.
//!
//! A blocked member sends an Exclude to all. Each receiver treats the accused member as one that has left; the next
//! view, which is the same for all, decides. The accused member stops leading changes, but leaves the group only when a
//! view excludes it, and then knows the reason.

use std::time::Duration;

use super::{Membership, Out, Phase};
use crate::ids::{MemberId, Time};
use crate::member::app::App;
use crate::member::departure::{Departure, Fence, Notice};
use crate::member::view_message::ViewMessage;

impl Membership {
    /// Asks the others to go on without `member`, which has received nothing for so long.
    pub fn exclude(&mut self, member: MemberId, length: Duration, out: &mut Out) {
        // An accused member may itself have the bad link, so it must not accuse others.
        if self.is_out() || self.is_leaving || self.is_accused() {
            return;
        }
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        self.send(&ViewMessage::Exclude(member, self.me, millis), out);
        self.accused(self.me, member, (self.me, millis), out);
    }

    /// Handles the accusation of `member` by `from`: the accuser, and for how many milliseconds it has received nothing.
    pub(super) fn accused(
        &mut self,
        from: MemberId,
        member: MemberId,
        accusation: (MemberId, u64),
        out: &mut Out,
    ) {
        if member == self.me {
            self.accusations.entry(member).or_insert(accusation);
            return;
        }
        let (by, millis) = accusation;
        // Of two that accuse each other, one goes.
        let is_heard = by == from && !self.detector.has_gone(from);
        if is_heard && self.is_member(member) && !self.detector.has_gone(member) {
            let why = Departure::Excluded(by, Duration::from_millis(millis));
            self.detector.give_up(member, why);
            self.accusations.insert(member, accusation);
            out.deliver(member, None, App::Notice(Notice::Suspected(why)));
        }
    }

    /// Returns whether another member wants this one excluded.
    pub(super) fn is_accused(&self) -> bool {
        self.accusations.contains_key(&self.me)
    }

    /// Returns the Exclude by which `member` was left out, if there was one.
    pub(super) fn reason_for(&self, member: MemberId) -> Option<ViewMessage> {
        self.accusations.get(&member).map(|&(by, millis)| ViewMessage::Exclude(member, by, millis))
    }

    /// Returns the exclusion of this member as the reason if there was one, else `why`.
    pub(super) fn own_reason(&self, why: Fence) -> Fence {
        match (self.accusations.get(&self.me), why) {
            (Some(&(by, millis)), Fence::WentOn(view) | Fence::OtherPart(view)) => {
                Fence::Excluded(by, Duration::from_millis(millis), view)
            }
            _ => why,
        }
    }

    /// Leaves out members that are alive and do not answer this leader.
    pub(super) fn exclude_unresponsive(&mut self, now: Time, out: &mut Out) {
        let (Some(flush), Some(config)) = (self.flush(), self.config.detector) else { return };
        let silent = flush.unresponsive(now, config.detection());
        let rest = self.present().filter(|member| !silent.contains(member)).count();
        let is_minority = self.config.majority && 2 * rest <= self.view.members().len();
        let Phase::Changing(change) = &mut self.phase else { return };
        if is_minority {
            // The rest would have no majority: wait for all of them again.
            for member in std::mem::take(&mut change.unresponsive) {
                self.detector.reconsider(member);
            }
            return;
        }
        change.unresponsive.extend(silent.iter().copied());
        for member in silent {
            self.detector.give_up(member, Departure::Unresponsive);
            self.report_suspicion(now, member, out);
        }
    }

    /// Reports that this member suspects `member`, and why.
    pub(super) fn report_suspicion(&self, now: Time, member: MemberId, out: &mut Out) {
        if let Some(why) = self.detector.departure(now, member) {
            out.deliver(member, None, App::Notice(Notice::Suspected(why)));
        }
    }
}
