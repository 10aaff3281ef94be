//! Exclusion of a member that is alive and blocks all others: it receives nothing, or does not answer during a view
//! change.
//!
//! A blocked member sends an Exclude to all. Each receiver treats the accused member as one that has left; the next
//! view, which is the same for all, decides. The accused member stops leading changes, but leaves the group only when a
//! view excludes it, and then knows the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Membership, Out};
use crate::engine::{MemberId, Time};
use crate::member::word::Word;
use crate::member::{App, Departure, Fence, Notice};

/// The accuser of a member, and for how many milliseconds it has received nothing.
pub(super) type Reproach = (MemberId, u64);

/// The members to be excluded, with the reasons.
#[derive(Debug, Default)]
pub(super) struct Reproaches {
    /// Against members of this view, and those that were left out of it.
    others: BTreeMap<MemberId, Reproach>,
    /// Against this member.
    own: Option<Reproach>,
    /// Members that do not answer during the view change.
    mute: BTreeSet<MemberId>,
}

impl Membership {
    /// Asks the others to go on without `member`, which has received nothing for so long.
    pub fn exclude(&mut self, member: MemberId, length: Duration, out: &mut Out) {
        // An accused member may itself have the bad link, so it must not accuse others.
        if self.is_out || self.leaves || self.reproaches.own.is_some() {
            return;
        }
        let reproach = (self.me, u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        self.say(&Word::Exclude(member, reproach.0, reproach.1), out);
        self.reproached(self.me, member, reproach, out);
    }

    /// Handles the accusation of `member` by `from`.
    pub(super) fn reproached(&mut self, from: MemberId, member: MemberId, reproach: Reproach, out: &mut Out) {
        if member == self.me {
            self.reproaches.own.get_or_insert(reproach);
            return;
        }
        // Of two that accuse each other, one goes.
        let is_heard = reproach.0 == from && !self.detector.has_gone(from);
        if is_heard && self.is_member(member) && !self.detector.has_gone(member) {
            let why = Departure::Excluded(reproach.0, Duration::from_millis(reproach.1));
            self.detector.gives_up(member, why);
            self.reproaches.others.insert(member, reproach);
            out.deliver(member, None, App::Notice(Notice::Suspected(why)));
        }
    }

    /// Returns whether another member wants this one excluded.
    pub(super) const fn is_reproached(&self) -> bool {
        self.reproaches.own.is_some()
    }

    /// Returns the Exclude by which `member` was left out, if there was one.
    pub(super) fn reason_for(&self, member: MemberId) -> Option<Word> {
        self.reproaches.others.get(&member).map(|&(by, length)| Word::Exclude(member, by, length))
    }

    /// Returns the exclusion of this member as the reason if there was one, else `why`.
    pub(super) fn own_reason(&self, why: Fence) -> Fence {
        match (self.reproaches.own, why) {
            (Some((by, length)), Fence::WentOn(view) | Fence::OtherPart(view)) => {
                Fence::Excluded(by, Duration::from_millis(length), view)
            }
            _ => why,
        }
    }

    /// Clears all accusations against the members of the new view.
    pub(super) fn forgive(&mut self) {
        let members = self.view.members();
        self.reproaches.own = None;
        self.reproaches.mute.clear();
        self.reproaches.others.retain(|member, _| !members.contains(member));
    }

    /// Leaves out members that are alive and do not answer this leader.
    pub(super) fn leave_out_the_mute(&mut self, now: Time, out: &mut Out) {
        let (Some(flush), Some(patience)) = (&self.flush, self.keeping.patience) else { return };
        let mute = flush.mute(now, patience.detection());
        let rest = self.present().filter(|member| !mute.contains(member)).count();
        // The rest would have no majority: wait for all of them again.
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

    /// Reports that this member suspects `member`, and why.
    pub(super) fn suspected(&self, now: Time, member: MemberId, out: &mut Out) {
        if let Some(why) = self.detector.departure(now, member) {
            out.deliver(member, None, App::Notice(Notice::Suspected(why)));
        }
    }
}
