//! Words: the members tell each other what they have, and pass on what they know of others.
//!
//! A word is due soon after news, and at each heartbeat. A member says only what its journal has.

use std::ops::Range;
use std::time::Duration;

use super::epoch::Membership;
use super::message::{Line, Message, Word};
use super::record::Confirmed;
use super::{Effect, Effects, Replica};
use crate::defect::Defect;
use crate::ids::{MemberId, Time, To};
use crate::wire::varint_length;

/// The time from news to the word that tells it: more may come.
const NEWS_AFTER: Duration = Duration::from_millis(10);
/// The time between words of a member that waits for others.
const SHORT_HEARTBEAT: Duration = Duration::from_millis(50);
/// The time between words of an idle member.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// The length of a word without the numbers for each member and without lines, in bytes, at most.
const HEAD: usize = 1 + 5 + 10 + 8 + 10 + 1 + 2 + 1 + 1;

/// The last word of a member about itself.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Peer {
    /// It has said, since this member started, what it has of this member, and what it knows of its promises.
    is_heard: bool,
    /// The number of entries that it has confirmed.
    confirmed: u64,
    /// It knows that all members have confirmed everything.
    is_settled: bool,
}

/// The part of a member's knowledge that its next word tells. If there is no room for the numbers for all members, words
/// tell them in turn: a *cycle* of words has them all.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Turn {
    /// The first member of the lists.
    first: usize,
    /// The member whose line is the first one that is passed on.
    line: usize,
    /// The fewest lines that the words of this cycle have passed on.
    fewest: usize,
}

impl Turn {
    /// Returns the turn after a word of the member `me`.
    fn after(self, word: &Word, me: usize, members: usize) -> Self {
        let fewest = self.fewest.min(word.lines.len() - 1);
        let end = usize::from(word.first.0) + word.received.len();
        if end < members {
            return Self { first: end, fewest, ..self };
        }
        // The line after the last one that was told in the whole cycle is the first of the next.
        let line = others(self.line, me, members).nth(fewest).unwrap_or(self.line);
        Self { first: 0, line, fewest: usize::MAX }
    }
}

/// Returns the members other than `me`, from `first` on.
fn others(first: usize, me: usize, members: usize) -> impl Iterator<Item = usize> {
    (0..members).map(move |step| (first + step) % members).filter(move |&member| member != me)
}

/// The words of a member, and what it has heard from others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Words {
    /// The time of the next word.
    due: Time,
    /// The confirmed prefix that is stored, so that it can be told.
    announced: Confirmed,
    peers: Vec<Peer>,
    /// For each sender, the last entry that it knows this member to have received.
    acknowledged: Vec<u64>,
    turn: Turn,
}

impl Words {
    pub(super) fn new(now: Time, members: usize, announced: Confirmed) -> Self {
        Self {
            due: now,
            announced,
            peers: vec![Peer::default(); members],
            acknowledged: vec![0; members],
            turn: Turn { first: 0, line: 0, fewest: usize::MAX },
        }
    }

    /// Makes room for so many slots.
    pub(super) fn widen(&mut self, slots: usize) {
        self.peers.resize(slots, Peer::default());
        self.acknowledged.resize(slots, 0);
    }

    /// Begins an epoch: members that have settled with another list say nothing about this one.
    pub(super) fn begin_epoch(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.is_settled = false);
    }

    /// Returns the time of the next word.
    pub(super) const fn due(&self) -> Time {
        self.due
    }

    /// Records that there is something new to tell.
    pub(super) fn have_news(&mut self, now: Time) {
        self.due = self.due.min(now.after(NEWS_AFTER));
    }

    /// Records that a confirmed prefix is stored.
    pub(super) const fn announce(&mut self, confirmed: Confirmed) {
        self.announced = confirmed;
    }

    /// Returns the confirmed prefix that others may be told of.
    pub(super) const fn announced(&self) -> Confirmed {
        self.announced
    }

    /// Records a word of `member` to `me`. Returns true if it has confirmed something else than this member, as far as
    /// `own` shows.
    pub(super) fn hear(&mut self, member: usize, word: &Word, me: MemberId, own: Confirmed) -> bool {
        let peer = &mut self.peers[member];
        let has_own = word.number(&word.received, usize::from(me.0)).is_some();
        peer.is_heard |= has_own && word.lines.iter().any(|line| line.member == me);
        peer.confirmed = word.confirmed.max(peer.confirmed);
        peer.is_settled |= word.settled;
        let is_same = word.confirmed == own.entries && word.digest == own.digest;
        if word.settled && is_same {
            // It has heard of all members that they have confirmed as much. Two that cannot reach each other end by it.
            self.peers.iter_mut().for_each(|peer| peer.confirmed = word.confirmed.max(peer.confirmed));
        }
        word.confirmed == own.entries && word.digest != own.digest
    }

    /// Returns whether `received` entries of a sender are so many more than it knows of that it waits for a word.
    pub(super) fn owes_acknowledgement(&mut self, origin: usize, received: u64, burst: u64) -> bool {
        let owes = received >= self.acknowledged[origin] + burst;
        if owes {
            self.acknowledged[origin] = received;
        }
        owes
    }

    /// Returns the members that have not confirmed so many entries.
    pub(super) fn behind(
        &self,
        me: usize,
        entries: u64,
        members: &Membership,
    ) -> impl Iterator<Item = usize> {
        let others = self.others(me, members);
        others.filter(move |(_, peer)| peer.confirmed < entries).map(|(member, _)| member)
    }

    /// Returns the other members that have not said that they have settled.
    pub(super) fn unsettled(&self, me: usize, members: &Membership) -> impl Iterator<Item = usize> {
        self.others(me, members).filter(|(_, peer)| !peer.is_settled).map(|(member, _)| member)
    }

    /// Returns whether all others have said what they have of this member, and know of its promises, since it started.
    pub(super) fn all_are_heard(&self, me: usize, members: &Membership) -> bool {
        self.others(me, members).all(|(_, peer)| peer.is_heard)
    }

    /// Returns the other members.
    fn others(&self, me: usize, members: &Membership) -> impl Iterator<Item = (usize, &Peer)> {
        members.others(me).filter_map(|member| Some((member, self.peers.get(member)?)))
    }
}

impl Replica {
    /// Sends the word that is due.
    pub(super) fn send_words(&mut self, out: &mut Effects) {
        if self.now < self.words.due {
            return;
        }
        let (me, members, turn) = (self.me, self.slots(), self.words.turn);
        let is_member = |member: &usize| self.membership.is_member(*member);
        let word = self.word(turn.first, others(turn.line, me, members).filter(is_member));
        self.words.turn = turn.after(&word, me, members);
        let told = usize::from(word.first.0)..;
        for (origin, &received) in told.zip(&word.received) {
            self.words.acknowledged[origin] = received;
        }
        out.push(Effect::Send(To::Group, Message::Word(word)));
        let is_waiting = self.flow.is_outstanding(self.now, &self.membership)
            || self.tentative() > 0
            || self.is_complete();
        self.words.due = self.now.after(if is_waiting { SHORT_HEARTBEAT } else { HEARTBEAT });
    }

    /// Returns a word of this member with the lines of `others`, as many as a datagram has room for. Its lists have all
    /// members if there is room for one such line with them, else as many as possible, the member `first` among them.
    pub(super) fn word(&self, first: usize, others: impl Iterator<Item = usize>) -> Word {
        let received: Vec<u64> = (0..self.slots()).map(|origin| self.log.received(origin)).collect();
        let own = self.own_line(&received);
        let mut others = others.map(|member| self.matrix.line(member)).peekable();
        let told = self.told(first, &[Some(&own), others.peek()], &received);
        let cut = |line: Line| Line { stored: line.stored[told.clone()].to_vec(), ..line };
        let (own, received) = (cut(own), received[told.clone()].to_vec());
        let lengths = HEAD + numbers_length(&received) + length(&own);
        let mut room = self.config.longest.saturating_sub(lengths);
        let mut lines = vec![own];
        for line in others.map(cut) {
            let Some(rest) = room.checked_sub(length(&line)) else { break };
            room = rest;
            lines.push(line);
        }
        let Confirmed { entries, digest, .. } = self.words.announced();
        let (first, settled) = (MemberId(told.start as u16), self.is_settled());
        Word {
            life: self.life,
            confirmed: entries,
            digest,
            room: self.config.room,
            settled,
            first,
            received,
            lines,
        }
    }

    /// Returns the members that a word with these lines tells of, by the room for their numbers: `first`, those after it,
    /// and those before it.
    fn told(&self, first: usize, lines: &[Option<&Line>], received: &[u64]) -> Range<usize> {
        let lines = || lines.iter().copied().flatten();
        let heads: usize = lines().map(|line| length(line) - numbers_length(&line.stored)).sum();
        let mut room = self.config.longest.saturating_sub(HEAD + heads);
        let length = |member: usize| {
            let stored: usize = lines().map(|line| varint_length(line.stored[member])).sum();
            varint_length(received[member]) + stored
        };
        let mut take = |member: usize| {
            let rest = room.checked_sub(length(member));
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        if !take(first) {
            return first..first + 1;
        }
        let end = (first + 1..received.len()).find(|&member| !take(member)).unwrap_or(received.len());
        let start = (0..first).rev().find(|&member| !take(member)).map_or(0, |member| member + 1);
        start..end
    }

    /// Returns the promises of this member. All of them are stored.
    fn own_line(&self, received: &[u64]) -> Line {
        let mut stored = if self.config.defects.has(Defect::AcknowledgeEarly) {
            received.to_vec()
        } else {
            (0..self.slots()).map(|origin| self.log.stored(origin)).collect()
        };
        // An entry that waits to be sent is nothing that others should ask for.
        let sent = self.flow.sent().max(self.log.forgotten(self.me));
        stored[self.me] = sent;
        // An entry that waits to be sent is below the clock; others must not take the clock for a promise about it.
        let unsent = self.log.entry(self.me, sent + 1).map(|entry| entry.time - 1);
        let clock = unsent.map_or(self.own_promise(), |time| time.min(self.own_promise()));
        Line { member: self.config.me, sent, clock, stored }
    }

    /// Returns whether the entries that end the sending of all members are confirmed: there is nothing more to come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_over = |slot: usize| match self.membership.cut(slot) {
            Some(cut) => self.log.stored(slot) >= cut,
            None => self.finished[slot],
        };
        (0..self.membership.slots()).all(is_over) && self.tentative() == 0
    }

    /// Returns whether all members have confirmed everything, and know of nothing more to come.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_complete() && self.behind().next().is_none()
    }

    /// Returns whether all members know that all have confirmed everything.
    #[must_use]
    pub fn all_have_settled(&self) -> bool {
        self.is_settled() && self.unsettled().next().is_none()
    }

    /// Returns the members that have not said that they know that all members have confirmed everything.
    pub fn unsettled(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.words.unsettled(self.me, &self.membership).map(|member| MemberId(member as u16))
    }

    /// Returns the members that may still send.
    pub fn unfinished(&self) -> impl Iterator<Item = MemberId> + '_ {
        let is_unfinished = |&slot: &usize| self.membership.is_member(slot) && !self.finished[slot];
        (0..self.membership.slots()).filter(is_unfinished).map(|slot| MemberId(slot as u16))
    }

    /// Returns the members that are not known to have stored all entries that this one has.
    pub fn lacking(&self) -> impl Iterator<Item = MemberId> + '_ {
        let lacks = |member: usize| {
            (0..self.slots()).any(|origin| self.matrix.stored(member, origin) < self.log.stored(origin))
        };
        let others = self.membership.others(self.me);
        others.filter(move |&member| lacks(member)).map(|member| MemberId(member as u16))
    }

    /// Returns the members that have not confirmed as much as this one.
    pub fn behind(&self) -> impl Iterator<Item = MemberId> + '_ {
        let entries = self.words.announced().entries;
        self.words.behind(self.me, entries, &self.membership).map(|member| MemberId(member as u16))
    }
}

/// Returns the length of a line on the wire, in bytes.
fn length(line: &Line) -> usize {
    2 + varint_length(line.sent) + varint_length(line.clock) + 1 + numbers_length(&line.stored)
}

/// Returns the length of the numbers of a list on the wire, in bytes.
fn numbers_length(numbers: &[u64]) -> usize {
    numbers.iter().copied().map(varint_length).sum()
}
