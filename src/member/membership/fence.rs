//! Fencing: a process that is no longer in the group, perhaps without knowing it, is told so and steps back.
//!
//! Without a majority rule, two parts may install different views of the same number, and one member may be in both.
//! Each part then takes packets of the other for its own. So every member announces its view from time to time, even
//! when it sends other packets.

use super::{Membership, Out, Phase, TELL_AGAIN};
use crate::defect::Defect;
use crate::ids::{MemberId, Time, View};
use crate::member::app::App;
use crate::member::departure::Fence;
use crate::member::view_message::{Ballot, ViewMessage};

impl Membership {
    /// Tells a member of an earlier view which view is current.
    pub(super) fn tell_behind(&mut self, now: Time, from: MemberId, out: &mut Out) {
        let Some((ballot, proposal)) = self.installed.clone() else { return };
        if !self.may_tell(now, from) {
            return;
        }
        if !self.is_member(from) {
            if !self.defects.has(Defect::NoFencing) {
                let reason = self.reason_for(from);
                reason.into_iter().for_each(|message| self.send(&message, out));
                self.send(&ViewMessage::Behind(from, self.view.number, ballot), out);
            }
        } else if let Some(proposal) = proposal {
            self.send(&ViewMessage::Install(ballot, proposal), out);
        }
    }

    /// Returns whether this member may be told now: at most once per [`TELL_AGAIN`].
    pub(super) fn may_tell(&mut self, now: Time, member: MemberId) -> bool {
        let is_free = self.told.get(&member).is_none_or(|&at| now >= at.after(TELL_AGAIN));
        if is_free {
            self.told.insert(member, now);
        }
        is_free
    }

    /// Handles the news that `member` was left behind, by a view of this number and ballot.
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
        // Two parts have views of this number: `from` has to learn that ours supersedes its own.
        if (view, ballot) < ours && !self.is_leaving && self.may_tell(now, from) {
            self.send(&ViewMessage::Behind(from, ours.0, ours.1), out);
        }
    }

    /// Returns whether there may be another view of this number.
    const fn may_be_split(&self) -> bool {
        self.installed.is_some() && !self.config.majority
    }

    /// Returns the message that shows that this member is alive.
    pub(super) fn sign_of_life(&self) -> ViewMessage {
        match &self.installed {
            Some((ballot, _)) if self.may_be_split() => ViewMessage::Here(*ballot, self.view.clone()),
            _ => ViewMessage::Heartbeat,
        }
    }

    /// Counts a packet to all as a sign of life, unless the view has to be announced too.
    pub(super) fn note_multicast(&mut self, now: Time) {
        if !self.may_be_split() {
            self.detector.note_multicast(now);
        }
    }

    /// Handles the announced view of `from`. If it differs from ours with the same number, one of both members is left
    /// behind.
    pub(super) fn compare_views(
        &mut self,
        now: Time,
        from: MemberId,
        ballot: Ballot,
        view: &View,
        out: &mut Out,
    ) {
        let ours = self.installed.as_ref().map(|(ballot, _)| *ballot).unwrap_or_default();
        if view.number != self.view.number || *view == self.view {
            return;
        }
        if ballot > ours {
            self.fence(Fence::OtherPart(view.number), out);
        } else if !self.is_leaving && self.may_tell(now, from) {
            self.send(&ViewMessage::Behind(from, self.view.number, ours), out);
        }
    }

    /// Ends the part of this member in the group, for this reason.
    pub(super) fn fence(&mut self, why: Fence, out: &mut Out) {
        if self.defects.has(Defect::NoFencing) || self.is_out() {
            return;
        }
        self.go_out();
        out.deliver(self.me, None, App::Fenced(self.own_reason(why)));
    }

    /// Enters the last phase.
    pub(super) fn go_out(&mut self) {
        let has_unsent = matches!(&self.phase, Phase::Changing(change) if !change.submissions.is_empty());
        self.phase = Phase::Out { has_unsent };
    }
}
