//! Ballots: the part of a member that leads a change to the next epoch (the proposer of Paxos).
//!
//! The member whose operator asks for a change leads it. When it is silent, a member that has voted goes on with it,
//! since it is held until the change is decided. No ballot begins before a majority was heard: a minority stays free.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::epoch::{Ballot, Change, Request};
use super::message::{Message, Promise};
use super::receive::MOST_BEHIND;
use super::record::Record;
use super::{Effect, Effects, Pending, Replica};
use crate::defect::Defect;
use crate::ids::{MemberId, Time, To};

/// The time between two sendings of a request.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The time after which a ballot that is not decided gives way to the next one.
const ROUND: Duration = Duration::from_secs(2);
/// The silence of a proposer after which another member goes on, and more of it for each slot, so that one is first.
const PATIENCE: Duration = Duration::from_secs(1);
const MORE_PATIENCE: Duration = Duration::from_millis(150);

/// A round that this member leads.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Round {
    ballot: Ballot,
    request: Request,
    /// The promises to it.
    promises: BTreeMap<usize, Promise>,
    /// The change that is proposed, once a majority has promised.
    change: Option<Change>,
    /// The members that have accepted it.
    accepted: BTreeSet<usize>,
    until: Time,
}

impl Round {
    pub(super) const fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Returns the change that is to be proposed: the one that may have been decided before, or the request with all
    /// that may have been confirmed.
    fn choose(&self) -> Change {
        let earlier = self.promises.values().filter_map(|promise| promise.accepted.clone());
        if let Some((_, change)) = earlier.max_by_key(|(ballot, _)| *ballot) {
            return change;
        }
        let slots = self.promises.values().map(|promise| promise.stored.len()).max().unwrap_or(0);
        let most =
            |slot: usize| self.promises.values().map(|promise| promise.stored[slot]).max().unwrap_or(0);
        Change {
            request: self.request.clone(),
            clock: self.promises.values().map(|promise| promise.clock).max().unwrap_or(0),
            stored: (0..slots).map(most).collect(),
        }
    }
}

impl Replica {
    /// Takes the request of an operator, or takes it back: then it is not led any more, unless there are votes on it. A
    /// request is dropped if the present members do not allow it.
    pub(super) fn propose(&mut self, request: Option<Request>) {
        let allowed = request
            .filter(|request| self.membership.allows(request) && *request != Request::Remove(self.config.me));
        self.votes.wanted = allowed;
        if self.votes.wanted.is_some() {
            self.votes.due = self.votes.due.or(Some(self.now));
        }
    }

    /// Returns whether a change can be one of the next epoch, as far as its numbers show.
    pub(super) fn is_sound(&self, change: &Change) -> bool {
        let is_far = |(&number, origin): (&u64, usize)| number > self.log.received(origin) + MOST_BEHIND;
        let is_allowed = self.membership.allows_change(change) && !self.is_far_ahead(change.clock);
        is_allowed && !change.stored.iter().zip(0..).any(is_far)
    }

    /// Returns the request of the operator that is not met yet.
    #[must_use]
    pub const fn wanted(&self) -> Option<&Request> {
        self.votes.wanted.as_ref()
    }

    /// Returns the time for which a silent proposer is waited for.
    pub(super) fn patience(&self) -> Duration {
        PATIENCE + MORE_PATIENCE * u32::try_from(self.me).unwrap_or(0)
    }

    /// Returns the time of the next step of the change that is under way.
    pub(super) fn votes_due(&self) -> Option<Time> {
        if self.votes.next.is_some() { None } else { self.votes.due }
    }

    /// Takes the next step of the change that is under way, if it is due.
    pub(super) fn drive(&mut self, out: &mut Effects) {
        if self.votes.next.is_some() {
            return;
        }
        let votes = &self.votes;
        let Some(request) = votes.wanted.clone().or_else(|| votes.vote.request.clone()) else {
            self.votes.due = None;
            return;
        };
        let patience = self.patience();
        if self.now < *self.votes.due.get_or_insert(self.now.after(patience)) {
            return;
        }
        self.votes.due = Some(self.now.after(AGAIN_AFTER));
        if self.votes.round.as_ref().is_none_or(|round| self.now >= round.until) {
            self.begin_round(&request, out);
        }
        let Some(round) = self.votes.round.clone() else { return };
        // The own promise comes first: the ballot is stored, and never led again with another request.
        let has_begun = round.promises.contains_key(&self.me);
        match round.change {
            None if has_begun => {
                out.push(Effect::Send(To::Group, Message::Prepare(round.ballot, round.request)));
            }
            None => {}
            Some(change) => {
                out.push(Effect::Send(To::Group, Message::Accept(round.ballot, change.clone())));
                self.receive_accept(self.config.me, round.ballot, change, out);
            }
        }
    }

    fn begin_round(&mut self, request: &Request, out: &mut Effects) {
        self.votes.round = None;
        if !self.membership.allows(request) || !self.hears_majority(request) {
            return;
        }
        let ballot =
            Ballot { round: self.votes.vote.ballot.round.saturating_add(1), proposer: self.config.me };
        self.votes.round = Some(Round {
            ballot,
            request: request.clone(),
            promises: BTreeMap::new(),
            change: None,
            accepted: BTreeSet::new(),
            until: self.now.after(ROUND),
        });
        self.receive_prepare(self.config.me, ballot, request, out);
    }

    /// Returns whether a majority was heard lately, without the member that is to be removed.
    fn hears_majority(&self, request: &Request) -> bool {
        let is_near = |&slot: &usize| {
            let is_target = *request == Request::Remove(MemberId(slot as u16));
            !is_target && self.repair.hears(self.now, slot)
        };
        // This member, and those that it hears.
        1 + self.membership.others(self.me).filter(is_near).count() >= self.deciding()
    }

    /// Returns the number of votes that decide.
    fn deciding(&self) -> usize {
        if self.config.defects.has(Defect::EpochAlone) { 1 } else { self.membership.majority() }
    }

    pub(super) fn receive_promise(&mut self, from: MemberId, promise: Promise) {
        let (slots, deciding) = (self.slots(), self.deciding());
        let is_far = self.is_far_ahead(promise.clock);
        let Some(round) = &mut self.votes.round else { return };
        let is_of_round = promise.ballot == round.ballot && round.change.is_none();
        let is_whole = promise.accepted.is_some() || promise.stored.len() == slots;
        if !is_of_round || !is_whole || is_far {
            return;
        }
        round.promises.insert(usize::from(from.0), promise);
        let is_first = usize::from(from.0) == self.me;
        let change = (round.promises.len() >= deciding).then(|| round.choose());
        let is_sound = change.as_ref().is_none_or(|change| self.is_sound(change));
        if let Some(round) = &mut self.votes.round
            && is_sound
            && (change.is_some() || is_first)
        {
            round.change = change;
            self.votes.due = Some(self.now);
        }
    }

    pub(super) fn receive_accepted(&mut self, from: MemberId, ballot: Ballot, out: &mut Effects) {
        let deciding = self.deciding();
        let Some(round) = self.votes.round.as_mut().filter(|round| round.ballot == ballot) else { return };
        let Some(change) = round.change.clone() else { return };
        round.accepted.insert(usize::from(from.0));
        if round.accepted.len() >= deciding {
            self.learn(change, out);
        }
    }

    /// Takes a decided change, which is sound: the next epoch begins when it is stored.
    pub(super) fn learn(&mut self, change: Change, out: &mut Effects) {
        if self.votes.next.is_none() {
            self.votes.next = Some(change.clone());
            self.store(Record::Change(self.epoch() + 1, change), Pending::Change, out);
        }
    }
}
