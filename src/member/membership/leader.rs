//! The start of a view change: the need for one, and the election of its leader.

use super::{Membership, Out, Phase};
use crate::ids::{MemberId, Time};
use crate::member::departure::Fence;
use crate::member::flush::{Flush, STALL};
use crate::member::view_message::ViewMessage;

impl Membership {
    /// Returns the members that are not lost.
    pub(super) fn present(&self) -> impl Iterator<Item = MemberId> {
        self.view.members().into_iter().filter(|&member| !self.detector.is_lost(member))
    }

    /// Returns the members that can lead: those that can be the sequencer or, in an order without one, every client.
    pub(super) fn leaders(&self) -> Vec<MemberId> {
        if !self.order.sequencer {
            return self.view.clients.clone();
        }
        self.view.sequencer.iter().chain(&self.view.candidates).copied().collect()
    }

    /// Returns the members above this one that can lead and are present.
    pub(super) fn above(&self) -> Vec<MemberId> {
        let leaders = self.leaders();
        leaders.into_iter().filter(|&member| member > self.me && !self.detector.is_lost(member)).collect()
    }

    /// Begins a view change if one is needed and no member leads it.
    pub(super) fn check_need_for_change(&mut self, now: Time, out: &mut Out) {
        if self.is_leaving {
            return;
        }
        let is_lost = |member: &MemberId| self.detector.is_lost(*member);
        let is_needed = match &self.phase {
            Phase::Out { .. } => false,
            // Newcomers are admitted by the member that would lead.
            Phase::Normal => self.admits_newcomers(now) || self.view.members().iter().any(is_lost),
            Phase::Changing(change) if change.flush.leads() => return self.check_attempt(now, out),
            Phase::Changing(change) => {
                let (leader, ago) = change.flush.leader(now);
                is_lost(&leader) || ago >= STALL
            }
        };
        if !is_needed {
            return;
        }
        let leaders = self.leaders();
        if leaders.iter().all(is_lost) {
            // With a majority rule, others may go on elsewhere and be heard again.
            if self.config.majority {
                return;
            }
            let last = self.view.sequencer;
            let last = last.and_then(|member| Some((member, self.detector.departure(now, member)?)));
            return self.fence(Fence::NoSequencer(last), out);
        }
        // A member that is to be excluded leads only if no other can.
        let is_mine =
            !self.is_accused() || leaders.iter().all(|member| *member == self.me || is_lost(member));
        if leaders.contains(&self.me) && is_mine {
            let (above, mut messages) = (self.above(), Vec::new());
            let leads = self.election.call(now, &above, &mut messages);
            if !messages.is_empty() {
                self.report_overdue_admission(now, out);
            }
            self.after_election(now, leads, &messages, out);
        }
    }

    /// Begins another attempt if the one that this member leads cannot succeed: an invited member is lost, or a lost
    /// one is heard again; or nobody answers, because they promised a higher ballot to a leader that is lost by now.
    fn check_attempt(&mut self, now: Time, out: &mut Out) {
        self.exclude_unresponsive(now, out);
        let Some(flush) = self.flush() else { return };
        if !self.present().eq(flush.invited().iter().copied()) || flush.is_outbid(now) {
            self.lead_change(now, out);
        }
    }

    /// Takes the step of the election that is due.
    pub(super) fn check_election(&mut self, now: Time, out: &mut Out) {
        // A member that leaves may have called an election before.
        if self.is_leaving {
            return self.election.settled();
        }
        if self.election.next_deadline().is_some_and(|due| due <= now) {
            let (above, mut messages) = (self.above(), Vec::new());
            let leads = self.election.check(now, &above, &mut messages);
            self.after_election(now, leads, &messages, out);
        }
    }

    /// Handles a message of the election.
    pub(super) fn handle_election(
        &mut self,
        now: Time,
        from: MemberId,
        message: &ViewMessage,
        out: &mut Out,
    ) {
        let (above, mut messages) = (self.above(), Vec::new());
        let mut leads = false;
        match message {
            ViewMessage::Election
                if self.is_leaving || self.is_accused() || !self.leaders().contains(&self.me) => {}
            // This member leads already; the caller hears the announcement again.
            ViewMessage::Election if self.flush().is_some_and(Flush::leads) => {
                messages.push(ViewMessage::Answer(from));
            }
            ViewMessage::Election => leads = self.election.called(now, from, &above, &mut messages),
            ViewMessage::Answer(member) if *member == self.me => self.election.answered(now, from),
            ViewMessage::Coordinator => self.election.settled(),
            _ => {}
        }
        self.after_election(now, leads, &messages, out);
    }

    fn after_election(&mut self, now: Time, leads: bool, messages: &[ViewMessage], out: &mut Out) {
        self.send_all(now, messages, out);
        if leads {
            self.lead_change(now, out);
        }
    }
}
