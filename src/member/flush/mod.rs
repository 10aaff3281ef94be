//! The flush between two views: all members stop, receive the same packets of the old view, and agree on the new one.
//!
//! A leader prepares under a ballot: a member that promises it sends nothing more in the view, and reports which
//! packets it has. When all members that are to go on have answered, the leader proposes the next view and the cut: all
//! packets of the old view that any of them has. A member fetches the packets that it lacks, and accepts when it has
//! them all. When all that answered have accepted, the view is installed. If the leader is lost before, another one
//! prepares under a higher ballot; a member that has accepted a proposal, which may have been installed, reports it to
//! the next leader, which proposes it again (this is Paxos with all members that answered as the quorum).

mod attempt;

use std::collections::BTreeSet;
use std::time::Duration;

use super::log::Log;
use super::view_message::{Accepted, Ballot, Have, Proposal, ViewMessage};
use crate::ids::{MemberId, Time};
use crate::prefix_set::{Range, ranges};
use attempt::Attempt;
pub(super) use attempt::Rules;

/// Time after which a message without an answer is repeated.
pub const REPEAT: Duration = Duration::from_millis(60);
/// Time without progress after which a leader may be replaced.
pub const STALL: Duration = Duration::from_millis(1500);
/// Most packets fetched at one time.
pub const FETCH: usize = 16;

/// One member's part in a flush.
#[derive(Debug)]
pub(super) struct Flush {
    me: MemberId,
    /// The highest ballot that this member has promised.
    promised: Ballot,
    /// The last proposal that it has accepted.
    accepted: Option<Accepted>,
    /// The highest ballot that any member has promised, as far as is known.
    known: Ballot,
    /// The proposal whose packets it fetches, or has.
    proposed: Option<Accepted>,
    /// The packets that it has asked for.
    fetching: BTreeSet<(MemberId, u64)>,
    /// Its attempt, if it leads.
    attempt: Option<Attempt>,
    repeat_at: Time,
    /// The time of the leader's last message.
    led_at: Time,
}

/// The result of a step of the flush.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The flush is not complete.
    Open,
    /// All members that answered have accepted this proposal.
    Installed(Ballot, Proposal),
    /// No client is left.
    NobodyLeft,
}

impl Flush {
    /// Returns the part of a member that has promised nothing.
    pub(super) fn new(me: MemberId, now: Time) -> Self {
        Self {
            me,
            promised: Ballot::default(),
            accepted: None,
            known: Ballot::default(),
            proposed: None,
            fetching: BTreeSet::new(),
            attempt: None,
            repeat_at: now.after(REPEAT),
            led_at: now,
        }
    }

    // The leader.

    pub(super) const fn leads(&self) -> bool {
        self.attempt.is_some()
    }

    /// Returns whether this leader has made no progress for [`STALL`] and a member has promised a higher ballot.
    pub(super) fn is_outbid(&self, now: Time) -> bool {
        self.leads() && self.known > self.promised && now.since(self.led_at) >= STALL
    }

    /// Stops leading.
    pub(super) fn resign(&mut self) {
        self.attempt = None;
    }

    /// Returns the members that this leader asked to answer.
    pub(super) fn invited(&self) -> &[MemberId] {
        self.attempt.as_ref().map_or(&[], |attempt| &attempt.invited)
    }

    /// Returns the members from which this leader waits for an answer.
    pub(super) fn waits_for(&self) -> Vec<MemberId> {
        self.attempt.iter().flat_map(Attempt::waits_for).collect()
    }

    /// Returns the other members without an answer, if this leader has made no progress for `limit`.
    pub(super) fn unresponsive(&self, now: Time, limit: Duration) -> Vec<MemberId> {
        let stuck = self.attempt.iter().filter(|attempt| now.since(attempt.moved) >= limit);
        stuck.flat_map(Attempt::waits_for).filter(|member| *member != self.me).collect()
    }

    /// Begins an attempt with these members.
    pub(super) fn begin_attempt(
        &mut self,
        now: Time,
        invited: Vec<MemberId>,
        log: &Log,
        out: &mut Vec<ViewMessage>,
    ) {
        let attempt = self.promised.attempt.max(self.known.attempt).saturating_add(1);
        self.promise(Ballot { attempt, leader: self.me.0 }, now);
        out.push(ViewMessage::Prepare(self.promised, invited.clone()));
        self.attempt = Some(Attempt::new(now, self.me, invited, log.have(), self.accepted.clone()));
        self.repeat_at = now.after(REPEAT);
    }

    /// Returns this leader's attempt, if `ballot` is its own.
    fn attempt_of(&mut self, ballot: Ballot) -> Option<&mut Attempt> {
        self.attempt.as_mut().filter(|_| ballot == self.promised)
    }

    /// Handles the State of a member that has stopped.
    pub(super) fn handle_state(
        &mut self,
        now: Time,
        from: MemberId,
        ballot: Ballot,
        have: Vec<Have>,
        accepted: Option<Accepted>,
    ) {
        self.known = self.known.max(ballot);
        if let Some(attempt) = self.attempt_of(ballot) {
            attempt.add_state(now, from, have, accepted);
        }
    }

    /// Handles the Ready of a member that has accepted this leader's proposal.
    pub(super) fn handle_ready(&mut self, now: Time, from: MemberId, ballot: Ballot) {
        if let Some(attempt) = self.attempt_of(ballot)
            && attempt.add_ready(from)
        {
            attempt.moved = now;
        }
    }

    /// Handles the Fetch of a member, which makes progress.
    pub(super) fn handle_fetch(&mut self, now: Time, from: MemberId, sender: MemberId, ranges: &[Range]) {
        if let Some(attempt) = &mut self.attempt {
            attempt.add_fetch(now, from, sender, ranges);
        }
    }

    // Every member.

    /// Returns the last leader, and the time since it was heard.
    pub(super) fn leader(&self, now: Time) -> (MemberId, Duration) {
        (MemberId(self.promised.leader), now.since(self.led_at))
    }

    fn promise(&mut self, ballot: Ballot, now: Time) {
        if ballot > self.promised {
            self.promised = ballot;
            self.proposed = None;
            self.fetching.clear();
            self.attempt = None;
        }
        self.led_at = now;
    }

    /// Handles the Prepare of a leader: promises its ballot and reports the packets that are here.
    pub(super) fn handle_prepare(
        &mut self,
        now: Time,
        ballot: Ballot,
        log: &Log,
        out: &mut Vec<ViewMessage>,
    ) {
        if ballot.leader == self.me.0 {
            return;
        }
        if ballot >= self.promised {
            self.promise(ballot, now);
            self.repeat_at = now.after(REPEAT);
        }
        // The leader of a lower ballot learns which one to outbid, if that one's leader is lost.
        out.push(ViewMessage::State(self.promised, log.have(), self.accepted.clone()));
    }

    /// Handles the proposal of a leader.
    pub(super) fn handle_proposal(&mut self, now: Time, ballot: Ballot, proposal: Proposal) {
        if ballot < self.promised || ballot.leader == self.me.0 {
            return;
        }
        self.promise(ballot, now);
        if self.proposed.is_none() {
            self.repeat_at = now;
        }
        self.proposed = Some((ballot, proposal));
    }

    /// Returns whether the proposal names this packet, to be fetched from `holder`.
    pub(super) fn wants(&self, holder: MemberId, sender: MemberId, number: u64) -> bool {
        self.proposed.as_ref().is_some_and(|(_, proposal)| {
            let is_it = |&(of, (first, last), by): &(MemberId, Range, MemberId)| {
                (of, by) == (sender, holder) && first <= number && number <= last
            };
            proposal.cut.iter().any(is_it)
        })
    }

    /// Records the arrival of a fetched packet.
    pub(super) fn record_fetched(&mut self, now: Time, sender: MemberId, number: u64) {
        if self.fetching.remove(&(sender, number)) && self.fetching.is_empty() {
            self.repeat_at = now;
        }
    }

    /// Takes the steps that are possible now: proposes, accepts, installs.
    pub(super) fn advance(
        &mut self,
        now: Time,
        log: &Log,
        rules: &Rules<'_>,
        out: &mut Vec<ViewMessage>,
    ) -> Outcome {
        if let Some(attempt) = &mut self.attempt
            && let Some(proposal) = attempt.next_proposal(self.me, rules)
        {
            // Newcomers alone are no group: no member could tell them where their view begins.
            let is_new = |client: &MemberId| proposal.arrivals.iter().any(|seat| seat.slot == client.0);
            if proposal.view.clients.iter().all(is_new) {
                return Outcome::NobodyLeft;
            }
            out.push(ViewMessage::Propose(self.promised, proposal.clone()));
            self.proposed = Some((self.promised, proposal.clone()));
            attempt.propose(now, proposal);
            self.repeat_at = now;
        }
        self.accept(log, out);
        match self.attempt.as_ref().and_then(Attempt::installed) {
            Some(proposal) => {
                out.push(ViewMessage::Install(self.promised, proposal.clone()));
                Outcome::Installed(self.promised, proposal.clone())
            }
            None => Outcome::Open,
        }
    }

    /// Accepts the proposal, if all packets that belong to it are here.
    fn accept(&mut self, log: &Log, out: &mut Vec<ViewMessage>) {
        let is_complete = |proposal: &Proposal| {
            proposal.cut.iter().all(|&(sender, range, _)| log.missing(sender, range, 1).is_empty())
        };
        let Some((ballot, proposal)) = self.proposed.as_ref().filter(|(_, proposal)| is_complete(proposal))
        else {
            return;
        };
        if self.accepted.as_ref().is_some_and(|(accepted, _)| accepted == ballot) {
            return;
        }
        self.accepted = Some((*ballot, proposal.clone()));
        out.push(ViewMessage::Ready(*ballot));
        if let Some(attempt) = &mut self.attempt {
            attempt.add_ready(self.me);
        }
    }

    /// Returns whether this member has accepted this proposal, and so has all packets that belong to it.
    pub(super) fn has_accepted(&self, proposal: &Proposal) -> bool {
        self.accepted.as_ref().is_some_and(|(_, accepted)| accepted.view == proposal.view)
    }

    pub(super) const fn next_deadline(&self) -> Time {
        self.repeat_at
    }

    /// Repeats messages without an answer.
    pub(super) fn repeat(&mut self, now: Time, log: &Log, out: &mut Vec<ViewMessage>) {
        if now < self.repeat_at {
            return;
        }
        self.repeat_at = now.after(REPEAT);
        if let Some(attempt) = &self.attempt {
            out.push(match attempt.proposal() {
                None => ViewMessage::Prepare(self.promised, attempt.invited.clone()),
                Some(proposal) => ViewMessage::Propose(self.promised, proposal.clone()),
            });
        }
        match (&self.accepted, &self.proposed) {
            (Some((accepted, _)), Some((proposed, _))) if accepted == proposed => {
                out.push(ViewMessage::Ready(*accepted));
            }
            (_, Some(_)) => self.fetch(log, out),
            _ => {}
        }
    }

    fn fetch(&mut self, log: &Log, out: &mut Vec<ViewMessage>) {
        self.fetching.clear();
        let Some((_, proposal)) = &self.proposed else { return };
        for &(sender, range, holder) in &proposal.cut {
            let missing = log.missing(sender, range, FETCH - self.fetching.len());
            if !missing.is_empty() {
                out.push(ViewMessage::Fetch(holder, sender, ranges(missing.iter().copied())));
                self.fetching.extend(missing.into_iter().map(|number| (sender, number)));
            }
            if self.fetching.len() == FETCH {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_outbid_by_a_higher_ballot_when_it_has_led_in_vain() {
        let [me, other] = [0, 1].map(MemberId);
        let (log, mut messages) = (Log::new(&[me, other]), Vec::new());
        let ballot = |attempt, MemberId(leader)| Ballot { attempt, leader };
        let mut flush = Flush::new(me, Time::ZERO);
        let hears =
            |flush: &mut Flush, ballot| flush.handle_state(Time::ZERO, other, ballot, Vec::new(), None);
        let stalled = Time::ZERO.after(STALL);
        hears(&mut flush, ballot(4, other));
        assert!(!flush.is_outbid(stalled), "it does not lead");
        flush.begin_attempt(Time::ZERO, vec![me, other], &log, &mut messages);
        hears(&mut flush, ballot(5, me));
        assert!(!flush.is_outbid(stalled), "its own ballot is the highest");
        hears(&mut flush, ballot(5, other));
        assert!(!flush.is_outbid(Time::from_micros(STALL.as_micros() as u64 - 1)), "it has not led for long");
        assert!(flush.is_outbid(stalled));
        flush.resign();
        assert!(!flush.is_outbid(stalled), "it does not lead any more");
    }
}
