//! How a membership keeps out who is not in the group any more, and may not even know: it is told, and steps back.
//!
//! Where no majority is needed, two parts may have gone on, each to a view of the same number; and each may have one in its
//! view that is in the other's. These take each other's packets for those of their own view. So every member says from time
//! to time in which view it is, however much else it says.

use super::{Membership, Out, TELL_AGAIN};
use crate::defect::Defect;
use crate::engine::{MemberId, Time, View};
use crate::member::word::{Ballot, Word};
use crate::member::{App, Fence};

impl Membership {
    /// Tells a member of an earlier view which one the group is in now.
    pub(super) fn tell_behind(&mut self, now: Time, from: MemberId, out: &mut Out) {
        let Some((ballot, proposal)) = self.installed.clone() else { return };
        if !self.may_tell(now, from) {
            return;
        }
        if !self.is_member(from) {
            if !self.defects.has(Defect::NoFencing) {
                let reason = self.reason_for(from);
                reason.into_iter().for_each(|word| self.say(&word, out));
                self.say(&Word::Behind(from, self.view.number, ballot), out);
            }
        } else if let Some(proposal) = proposal {
            self.say(&Word::Install(ballot, proposal), out);
        }
    }

    /// Whether somebody may be told so now: not too often.
    pub(super) fn may_tell(&mut self, now: Time, member: MemberId) -> bool {
        let is_free = self.told.get(&member).is_none_or(|&at| now >= at.after(TELL_AGAIN));
        if is_free {
            self.told.insert(member, now);
        }
        is_free
    }

    pub(super) fn left_behind(
        &mut self,
        now: Time,
        from: MemberId,
        (member, view, ballot): (MemberId, u64, Ballot),
        out: &mut Out,
    ) {
        let ours = (self.view.number, self.installed.as_ref().map(|(ballot, _)| *ballot).unwrap_or_default());
        if member != self.me {
            return;
        }
        if (view, ballot) > ours {
            return self.fence(Fence::WentOn(view), out);
        }
        // Two parts went on, each in a view of this number: it has to hear that ours comes before its own.
        if (view, ballot) < ours && !self.leaves && self.may_tell(now, from) {
            self.say(&Word::Behind(from, ours.0, ours.1), out);
        }
    }

    /// Whether there may be another view of this number.
    const fn may_be_split(&self) -> bool {
        self.installed.is_some() && !self.keeping.majority
    }

    /// What to say to show that we are there.
    pub(super) fn sign_of_life(&self) -> Word {
        match &self.installed {
            Some((ballot, _)) if self.may_be_split() => Word::Here(*ballot, self.view.clone()),
            _ => Word::Heartbeat,
        }
    }

    /// We said something to all: it shows that we are there, if it need not show where.
    pub(super) fn said(&mut self, now: Time) {
        if !self.may_be_split() {
            self.detector.said(now);
        }
    }

    /// `from` is in this view. If it is not ours, although it has its number, one of us is of a part that was left behind.
    pub(super) fn met(&mut self, now: Time, from: MemberId, ballot: Ballot, view: &View, out: &mut Out) {
        let ours = self.installed.as_ref().map(|(ballot, _)| *ballot).unwrap_or_default();
        if view.number != self.view.number || *view == self.view {
            return;
        }
        if ballot > ours {
            self.fence(Fence::OtherPart(view.number), out);
        } else if !self.leaves && self.may_tell(now, from) {
            self.say(&Word::Behind(from, self.view.number, ours), out);
        }
    }

    pub(super) fn fence(&mut self, why: Fence, out: &mut Out) {
        if self.defects.has(Defect::NoFencing) || self.is_out {
            return;
        }
        self.is_out = true;
        self.flush = None;
        out.deliver(self.me, None, App::Fenced(self.own_reason(why)));
    }
}
