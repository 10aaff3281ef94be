//! How a membership keeps out who is not in the group any more, and may not even know: it is told, and steps back.

use super::{Membership, Out, TELL_AGAIN};
use crate::defect::Defect;
use crate::engine::{MemberId, Time};
use crate::member::App;
use crate::member::word::{Ballot, Word};

impl Membership {
    /// Tells a member of an earlier view which one the group is in now.
    pub(super) fn tell_behind(&mut self, now: Time, from: MemberId, out: &mut Out) {
        let Some((ballot, proposal)) = self.installed.clone() else { return };
        if self.told.get(&from).is_some_and(|&at| now < at.after(TELL_AGAIN)) {
            return;
        }
        self.told.insert(from, now);
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

    pub(super) fn left_behind(
        &mut self,
        from: MemberId,
        (member, view, ballot): (MemberId, u64, Ballot),
        out: &mut Out,
    ) {
        let ours = (self.view.number, self.installed.as_ref().map(|(ballot, _)| *ballot).unwrap_or_default());
        if member != self.me {
            return;
        }
        if (view, ballot) > ours {
            return self.fence(format!("the group went on without this member, to view {view}"), out);
        }
        // Two parts went on, each in a view of this number: it has to hear that ours comes before its own.
        if (view, ballot) < ours && !self.leaves {
            self.say(&Word::Behind(from, ours.0, ours.1), out);
        }
    }

    pub(super) fn fence(&mut self, why: String, out: &mut Out) {
        if self.defects.has(Defect::NoFencing) || self.is_out {
            return;
        }
        self.is_out = true;
        self.flush = None;
        let (by, why) = self.own_reason(why);
        out.deliver(by, None, App::Fenced(why));
    }
}
