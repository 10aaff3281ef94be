//! Votes on the change to the next epoch: the part of a member that is asked (the acceptor of Paxos, Lamport 1998).
//!
//! From its first vote in an epoch until the next one begins, a member is *held*. It says no clock above that of its
//! vote and submits nothing, so that a new member can begin above everything that may be confirmed. And it takes nothing
//! more of a member that may be removed, so that the promises of a majority tell all that may be confirmed of it.

use std::collections::{BTreeMap, VecDeque};

use super::ballot::Round;
use super::epoch::{Ballot, Change, Request};
use super::message::{Message, Promise};
use super::record::{Record, Vote};
use super::{DropReason, Effect, Effects, Pending, Replica};
use crate::defect::{Defect, Defects};
use crate::ids::{MemberId, Time, To};

/// Most rounds by which a ballot is ahead of the last vote: there is one in two seconds.
const MOST_ROUNDS_AHEAD: u32 = 1 << 16;

/// The votes of a member in the present epoch, and the change that it proposes itself.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Votes {
    /// The last vote; its epoch is 0 if there is none.
    pub(super) vote: Vote,
    /// For each member that may be removed, the last entry that is taken.
    limits: BTreeMap<usize, u64>,
    /// The replies to votes that are not stored yet.
    answers: VecDeque<(MemberId, Message)>,
    /// The index of the record of the last vote.
    index: Option<u64>,
    /// The change that is decided, and is not stored yet.
    pub(super) next: Option<Change>,
    /// The request of this member's operator.
    pub(super) wanted: Option<Request>,
    /// The round that this member leads.
    pub(super) round: Option<Round>,
    /// The time of the next step of the change that is under way.
    pub(super) due: Option<Time>,
}

impl Votes {
    /// Returns whether this member waits for the next epoch.
    pub(super) fn is_held(&self, defects: Defects) -> bool {
        self.is_capped(defects) || self.next.is_some()
    }

    /// Returns the highest clock that may be said.
    pub(super) fn cap(&self, defects: Defects) -> u64 {
        if self.is_capped(defects) { self.vote.clock } else { u64::MAX }
    }

    fn is_capped(&self, defects: Defects) -> bool {
        self.vote.epoch > 0 && !defects.has(Defect::NoFloor)
    }

    /// Begins the next epoch: only the request of the operator is left, and the record that can go.
    pub(super) fn begin_epoch(&mut self) -> Option<u64> {
        let Self { wanted, index, .. } = std::mem::take(self);
        self.wanted = wanted;
        index
    }
}

impl Replica {
    /// Returns the number of the last entry of `origin` that this member takes.
    pub(super) fn limit_of(&self, origin: usize) -> u64 {
        let removed = self.votes.next.as_ref().and_then(|change| match change.request {
            Request::Remove(slot) if usize::from(slot.0) == origin => change.stored.get(origin).copied(),
            _ => None,
        });
        let held = || self.votes.limits.get(&origin).copied().unwrap_or(u64::MAX);
        self.membership.cut(origin).or(removed).unwrap_or_else(held)
    }

    /// Returns the highest number that an entry of `origin` is known to have, as far as it can be taken.
    pub(super) fn last_known(&self, origin: usize) -> u64 {
        self.matrix.last_known(origin).min(self.limit_of(origin))
    }

    pub(super) fn receive_vote(&mut self, from: MemberId, message: Message, out: &mut Effects) {
        match message {
            Message::Prepare(ballot, request) => self.receive_prepare(from, ballot, &request, out),
            Message::Promise(promise) => self.receive_promise(from, promise),
            Message::Accept(ballot, change) => self.receive_accept(from, ballot, change, out),
            Message::Accepted(ballot) => self.receive_accepted(from, ballot, out),
            // A late reply to a member that was new, and has begun meanwhile.
            _ => out.push(Effect::Drop(from, DropReason::Duplicate)),
        }
    }

    pub(super) fn receive_prepare(
        &mut self,
        from: MemberId,
        ballot: Ballot,
        request: &Request,
        out: &mut Effects,
    ) {
        let is_own = *request == Request::Remove(self.config.me);
        let last = self.votes.vote.ballot.round;
        let is_far = ballot.round > last.saturating_add(MOST_ROUNDS_AHEAD);
        if ballot.proposer != from || is_far || !self.membership.allows(request) {
            return out.push(Effect::Drop(from, DropReason::BreaksContract));
        }
        if is_own || self.votes.next.is_some() || ballot < self.votes.vote.ballot {
            return;
        }
        self.follow(ballot);
        if ballot > self.votes.vote.ballot {
            self.vote(ballot, request, None, out);
        } else if !self.votes.answers.is_empty() {
            return;
        }
        let Vote { clock, accepted, .. } = self.votes.vote.clone();
        let received = (0..self.slots()).map(|origin| self.log.received(origin));
        let stored = if accepted.is_some() { Vec::new() } else { received.collect() };
        self.reply_vote(from, Message::Promise(Promise { ballot, clock, stored, accepted }), out);
    }

    pub(super) fn receive_accept(
        &mut self,
        from: MemberId,
        ballot: Ballot,
        change: Change,
        out: &mut Effects,
    ) {
        let is_own = change.request == Request::Remove(self.config.me);
        if ballot.proposer != from || !self.is_sound(&change) {
            return out.push(Effect::Drop(from, DropReason::BreaksContract));
        }
        if is_own || self.votes.next.is_some() || ballot < self.votes.vote.ballot {
            return;
        }
        self.follow(ballot);
        for (&slot, limit) in &mut self.votes.limits {
            *limit = change.stored[slot].max(*limit);
        }
        // A change is decided only when a majority has all that may have been confirmed before it.
        let lacks = |origin: &usize| self.log.received(*origin) < change.stored[*origin];
        let lacking: Vec<usize> = (0..self.slots()).filter(lacks).collect();
        for &origin in &lacking {
            self.repair.need(origin, change.stored[origin]);
            self.repair.see_gap(self.now);
        }
        if let Some(entry) = self.next_early() {
            self.take(entry, out);
        }
        if !lacking.is_empty() {
            return;
        }
        let request = change.request.clone();
        let accepted = Some((ballot, change));
        if self.votes.vote.accepted != accepted {
            self.vote(ballot, &request, accepted, out);
        } else if !self.votes.answers.is_empty() {
            return;
        }
        self.reply_vote(from, Message::Accepted(ballot), out);
    }

    /// Follows a ballot: this member leads none that is lower, and takes over only when the proposer is silent.
    fn follow(&mut self, ballot: Ballot) {
        if ballot.proposer == self.config.me {
            return;
        }
        if self.votes.round.as_ref().is_some_and(|round| round.ballot() < ballot) {
            self.votes.round = None;
        }
        self.votes.due = Some(self.now.after(self.patience()));
    }

    /// Gives a vote, and stores it.
    fn vote(
        &mut self,
        ballot: Ballot,
        request: &Request,
        accepted: Option<(Ballot, Change)>,
        out: &mut Effects,
    ) {
        let (epoch, clock) = (self.membership.epoch(), self.clock);
        let vote = &mut self.votes.vote;
        if vote.epoch != epoch {
            *vote = Vote { epoch, clock, ..Vote::default() };
        }
        vote.ballot = ballot;
        vote.request = Some(request.clone());
        if accepted.is_some() {
            vote.accepted = accepted;
        }
        if let Request::Remove(slot) = *request
            && !vote.targets.contains(&slot)
        {
            vote.targets.push(slot);
        }
        let vote = vote.clone();
        self.hold_again();
        let index = self.store(Record::Vote(vote), Pending::Vote, out);
        self.superseded.extend(self.votes.index.replace(index));
    }

    /// Takes nothing more of the members that may be removed.
    pub(super) fn hold_again(&mut self) {
        if self.votes.vote.epoch == 0 || self.config.defects.has(Defect::NoCut) {
            return;
        }
        for target in &self.votes.vote.targets {
            let slot = usize::from(target.0);
            self.votes.limits.insert(slot, self.log.received(slot));
        }
    }

    /// Takes a vote from the journal.
    pub(super) fn vote_again(&mut self, vote: &Vote, index: u64) {
        self.superseded.extend(self.votes.index.replace(index));
        let is_sound = |target: &MemberId| usize::from(target.0) < self.slots();
        if vote.epoch == self.membership.epoch() && vote.targets.iter().all(is_sound) {
            self.votes.vote = vote.clone();
        }
    }

    /// Replies once the vote is stored: a reply is sent for each record, and at once if there is none to wait for.
    fn reply_vote(&mut self, to: MemberId, message: Message, out: &mut Effects) {
        let is_stored = !self.pending.iter().any(|(_, pending)| *pending == Pending::Vote);
        self.votes.answers.push_back((to, message));
        if is_stored {
            self.answer(out);
        }
    }

    /// Sends the reply to the first vote that has none yet.
    pub(super) fn answer(&mut self, out: &mut Effects) {
        let Some((to, message)) = self.votes.answers.pop_front() else { return };
        if to == self.config.me {
            self.receive_vote(to, message, out);
        } else {
            out.push(Effect::Send(To::Member(to), message));
        }
    }
}
