//! Going on without a member that is there and holds everybody up: it takes nothing of what is sent, or it does not answer
//! while the view changes.
//!
//! Whoever is held up says so to all. Who hears that takes the member for one that has left; what becomes of it, the next
//! view says, which is the same for all. The member itself leads no change any more, but believes only the view, and then
//! knows why it is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Membership, Out};
use crate::engine::{MemberId, Time};
use crate::member::word::Word;
use crate::member::{App, Departure, Fence, Notice};

/// Why a member is to go: who says so, and for how many milliseconds it has taken nothing.
pub(super) type Reproach = (MemberId, u64);

/// Who is to go, and why.
#[derive(Debug, Default)]
pub(super) struct Reproaches {
    /// Of the members of this view, and of those that were left out of it.
    others: BTreeMap<MemberId, Reproach>,
    /// Of us.
    own: Option<Reproach>,
    /// Those who do not answer while the view changes.
    mute: BTreeSet<MemberId>,
}

impl Membership {
    /// `member` has taken nothing for so long: the others are to go on without it.
    pub fn exclude(&mut self, member: MemberId, length: Duration, out: &mut Out) {
        // Who is reproached itself may be the one whose ways are bad.
        if self.is_out || self.leaves || self.reproaches.own.is_some() {
            return;
        }
        let reproach = (self.me, u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        self.say(&Word::Exclude(member, reproach.0, reproach.1), out);
        self.reproached(self.me, member, reproach, out);
    }

    /// `from` says that `member` is to go.
    pub(super) fn reproached(&mut self, from: MemberId, member: MemberId, reproach: Reproach, out: &mut Out) {
        if member == self.me {
            self.reproaches.own.get_or_insert(reproach);
            return;
        }
        // Of two that reproach each other, one goes.
        let is_heard = reproach.0 == from && !self.detector.has_gone(from);
        if is_heard && self.is_member(member) && !self.detector.has_gone(member) {
            let why = Departure::Excluded(reproach.0, Duration::from_millis(reproach.1));
            self.detector.gives_up(member, why);
            self.reproaches.others.insert(member, reproach);
            out.deliver(member, None, App::Notice(Notice::Suspected(why)));
        }
    }

    /// Whether somebody wants us to go.
    pub(super) const fn is_reproached(&self) -> bool {
        self.reproaches.own.is_some()
    }

    /// What to tell one that was left behind of the reason, if it was left out for one.
    pub(super) fn reason_for(&self, member: MemberId) -> Option<Word> {
        self.reproaches.others.get(&member).map(|&(by, length)| Word::Exclude(member, by, length))
    }

    /// `why`, or that a member excluded this one, if that is known.
    pub(super) fn own_reason(&self, why: Fence) -> Fence {
        match (self.reproaches.own, why) {
            (Some((by, length)), Fence::WentOn(view) | Fence::OtherPart(view)) => {
                Fence::Excluded(by, Duration::from_millis(length), view)
            }
            _ => why,
        }
    }

    /// A new view: whoever is in it begins anew.
    pub(super) fn forgive(&mut self) {
        let members = self.view.members();
        self.reproaches.own = None;
        self.reproaches.mute.clear();
        self.reproaches.others.retain(|member, _| !members.contains(member));
    }

    /// A leader does not wait for ever for those that are there and do not answer.
    pub(super) fn leave_out_the_mute(&mut self, now: Time, out: &mut Out) {
        let (Some(flush), Some(patience)) = (&self.flush, self.keeping.patience) else { return };
        let mute = flush.mute(now, patience.detection());
        let rest = self.present().filter(|member| !mute.contains(member)).count();
        // Without them nobody could go on at all: then all are waited for again.
        if self.keeping.majority && 2 * rest <= self.view.members().len() {
            for member in std::mem::take(&mut self.reproaches.mute) {
                self.detector.is_back(member);
            }
            return;
        }
        for member in mute {
            self.reproaches.mute.insert(member);
            self.detector.gives_up(member, Departure::Unresponsive);
            self.suspected(now, member, out);
        }
    }

    /// Tells people that this member takes `member` for gone, and why.
    pub(super) fn suspected(&self, now: Time, member: MemberId, out: &mut Out) {
        if let Some(why) = self.detector.departure(now, member) {
            out.deliver(member, None, App::Notice(Notice::Suspected(why)));
        }
    }
}
