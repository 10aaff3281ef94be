//! Received messages: entries are taken in the order of their causes, pieces are put together, requests are answered.

use super::entry::{Entry, EntryId};
use super::message::{EntryRange, Line, Message, PieceRange, Want, Word};
use super::repair::MOST_REPLY;
use super::{DropReason, Effect, Effects, Phase, Replica, early};
use crate::defect::Defect;
use crate::ids::{MemberId, To};

/// Most entries of a sender beyond the last one received that are kept, or waited for.
const MOST_AHEAD: u64 = 1 << 20;
/// The number of entries of a sender that a member may lack, at most, as far as others say. It asks for them in turn.
pub(super) const MOST_BEHIND: u64 = 1 << 32;
/// The distance by which a time may be above the clock. No honest member counts so fast.
const MOST_TIME_AHEAD: u64 = 1 << 32;
/// The length of a piece before its octets, in octets, at most: the kind, the entry, and two numbers of octets.
const PIECE_HEAD: usize = 1 + (2 + 10) + 2 * 4;

/// Returns an entry as messages: one, or its pieces.
pub(super) fn messages(entry: &Entry, longest: usize) -> Vec<Message> {
    let length = entry.bytes().len();
    // The kind of a message takes an octet.
    if length < longest {
        return vec![Message::Entry(entry.clone())];
    }
    early::pieces(entry, 0..length, longest - PIECE_HEAD).map(Message::Piece).collect()
}

impl Replica {
    pub(super) fn receive(&mut self, from: MemberId, epoch: u16, message: Message, out: &mut Effects) {
        let sender = usize::from(from.0);
        if sender >= self.slots() || sender == self.me || self.is_removed() {
            return out.push(Effect::Drop(from, DropReason::Stranger));
        }
        let Some(message) = self.receive_of_any_epoch(from, epoch, message, out) else { return };
        self.repair.hear(self.now, sender);
        match message {
            Message::Entry(entry) => self.receive_entry(from, entry, out),
            Message::Piece(piece) => {
                let EntryId { origin, number } = piece.id;
                if let Err(reason) = self.look_ahead(origin, number) {
                    return out.push(Effect::Drop(from, reason));
                }
                self.repair.see_gap(self.now);
                let early = &mut self.early[usize::from(origin.0)];
                let before = early.piece_bytes();
                let whole = early.add_piece(&piece);
                if early.piece_bytes() > before {
                    self.repair.piece_progress();
                }
                match whole.map(Entry::parse) {
                    Some(Ok(entry)) if entry.id == (EntryId { origin, number }) => {
                        self.receive_entry(from, entry, out);
                    }
                    Some(_) => out.push(Effect::Drop(from, DropReason::BreaksContract)),
                    None => {}
                }
            }
            Message::Word(word) => self.receive_word(from, word, out),
            Message::Want(want) => self.reply(from, &want, out),
            Message::Forgotten(id) => self.receive_forgotten(from, id, out),
            other => self.receive_vote(from, other, out),
        }
    }

    /// Checks the sender and the number of an entry that is new.
    fn look_ahead(&self, origin: MemberId, number: u64) -> Result<(), DropReason> {
        let at = usize::from(origin.0);
        if at >= self.slots() {
            return Err(DropReason::Stranger);
        }
        let received = self.log.received(at);
        if number <= received {
            return Err(DropReason::Duplicate);
        }
        if number > self.limit_of(at) {
            return Err(DropReason::Removed);
        }
        if number - received > MOST_AHEAD { Err(DropReason::OutsideWindow) } else { Ok(()) }
    }

    fn receive_entry(&mut self, from: MemberId, entry: Entry, out: &mut Effects) {
        match self.check(&entry) {
            Ok(()) => {}
            Err(DropReason::Duplicate) => {
                let known = self.log.entry(usize::from(entry.id.origin.0), entry.id.number);
                let is_fork = known.is_some_and(|known| *known != entry);
                let dropped = Effect::Drop(from, DropReason::Duplicate);
                return out.push(if is_fork { Effect::Forked(entry.id) } else { dropped });
            }
            Err(reason) => return out.push(Effect::Drop(from, reason)),
        }
        if self.is_next(&entry) {
            return self.take(entry, out);
        }
        for (origin, &cause) in entry.causes.iter().enumerate() {
            self.repair.need(origin, cause);
        }
        self.repair.see_gap(self.now);
        if !self.early[usize::from(entry.id.origin.0)].keep(entry) {
            out.push(Effect::Drop(from, DropReason::OutsideWindow));
        }
    }

    fn check(&self, entry: &Entry) -> Result<(), DropReason> {
        let EntryId { origin, number } = entry.id;
        let at = usize::from(origin.0);
        let ahead = self.look_ahead(origin, number);
        let is_narrow = at >= entry.causes.len() || !self.is_width(entry.causes.len());
        if ahead != Err(DropReason::Stranger) && is_narrow {
            return Err(DropReason::BreaksContract);
        }
        ahead?;
        let is_own = at == self.me && !matches!(self.phase, Phase::FetchingOwn(_));
        if is_own || entry.causes[at] != number - 1 || entry.time == 0 {
            return Err(DropReason::BreaksContract);
        }
        let is_far = |(cause, origin): (&u64, usize)| *cause > self.log.received(origin) + MOST_AHEAD;
        if entry.causes.iter().zip(0..).any(is_far) || self.is_far_ahead(entry.time) {
            return Err(DropReason::OutsideWindow);
        }
        Ok(())
    }

    /// Returns whether an entry of this cluster may have so many causes: those of earlier epochs may have fewer than there
    /// are slots now.
    pub(super) fn is_width(&self, causes: usize) -> bool {
        (self.config.members..=self.slots()).contains(&causes)
    }

    /// Returns whether a time is further ahead than any honest member can be.
    pub(super) const fn is_far_ahead(&self, time: u64) -> bool {
        time > self.clock.saturating_add(MOST_TIME_AHEAD)
    }

    /// Returns whether everything before an entry, of its sender and of its causes, is in the log.
    fn is_next(&self, entry: &Entry) -> bool {
        let origin = usize::from(entry.id.origin.0);
        let has_causes = self.config.defects.has(Defect::NoCauses)
            || entry.causes.iter().enumerate().all(|(of, &cause)| self.has_cause(of, cause));
        has_causes
            && entry.id.number == self.log.received(origin) + 1
            && entry.id.number <= self.limit_of(origin)
    }

    /// Returns whether the entries of `origin` up to `cause` are in the log, or void.
    fn has_cause(&self, origin: usize, cause: u64) -> bool {
        cause.min(self.membership.cut(origin).unwrap_or(cause)) <= self.log.received(origin)
    }

    /// Takes an entry into the log, and those that waited for it.
    pub(super) fn take(&mut self, entry: Entry, out: &mut Effects) {
        let mut next = Some(entry);
        while let Some(entry) = next {
            let EntryId { origin, number } = entry.id;
            let at = usize::from(origin.0);
            if entry.previous != self.log.last_digest(at) || entry.time <= self.log.last_time(at) {
                // Nothing more of its sender is taken, as its next entry never comes.
                out.push(Effect::Forked(entry.id));
            } else {
                let bytes = entry.bytes().len();
                self.append(entry, out);
                self.early[at].drop_parts_upto(number);
                self.repair.progress(self.now, at, number, bytes);
            }
            next = self.next_early();
        }
        self.acknowledge(out);
    }

    /// Takes an early entry that waits for nothing.
    pub(super) fn next_early(&mut self) -> Option<Entry> {
        (0..self.slots()).find_map(|at| {
            let number = self.log.received(at) + 1;
            let is_next = self.early[at].get(number).is_some_and(|entry| self.is_next(entry));
            if is_next { self.early[at].take(number) } else { None }
        })
    }

    /// Tells the senders whose entries fill a good part of this member's socket buffer how far they have come.
    fn acknowledge(&mut self, out: &mut Effects) {
        let burst = (self.config.room / self.membership.members() as u64 / 4).clamp(2, 256);
        for origin in 0..self.slots() {
            let is_other = origin != self.me && self.membership.is_member(origin);
            if is_other && self.words.owes_acknowledgement(origin, self.log.received(origin), burst) {
                let word = self.word(origin, std::iter::empty());
                out.push(Effect::Send(To::Member(MemberId(origin as u16)), Message::Word(word)));
            }
        }
    }

    fn receive_word(&mut self, from: MemberId, mut word: Word, out: &mut Effects) {
        if let Err(reason) = self.check_word(from, &word) {
            return out.push(Effect::Drop(from, reason));
        }
        if self.drop_false_claims(&mut word) {
            out.push(Effect::Drop(from, DropReason::BreaksContract));
        }
        let sender = usize::from(from.0);
        let received = word.number(&word.received, self.me).unwrap_or(0);
        self.flow.acknowledged(self.now, sender, (received, word.room), &self.membership);
        for line in &word.lines {
            let stored = word.number(&line.stored, self.me).unwrap_or(0);
            if line.member == self.config.me {
                self.look_at_own(line.sent.max(stored), line.clock);
            } else {
                self.look_at_own(stored, 0);
                let first = usize::from(word.first.0);
                if self.matrix.learn(line, first, self.config.defects.has(Defect::MixedPairs)) {
                    self.words.have_news(self.now);
                }
            }
        }
        if (0..self.slots()).any(|origin| self.last_known(origin) > self.log.received(origin)) {
            self.repair.see_gap(self.now);
        }
        if self.words.hear(sender, &word, self.config.me, self.log.confirmed()) {
            out.push(Effect::Diverged(from));
        }
    }

    /// Checks that a word has the line of its sender first, that its lists are of the same members, and that its numbers
    /// are not beyond those of any member.
    fn check_word(&self, from: MemberId, word: &Word) -> Result<(), DropReason> {
        let (members, first, told) = (self.slots(), usize::from(word.first.0), word.received.len());
        let is_whole = |line: &Line| usize::from(line.member.0) < members && line.stored.len() == told;
        let is_of_sender = word.lines.first().is_some_and(|line| line.member == from);
        let is_told = told > 0 && first + told <= members;
        if !is_of_sender || !is_told || !word.lines.iter().all(is_whole) {
            return Err(DropReason::BreaksContract);
        }
        let is_far = |origin: usize, number: u64| number > self.log.received(origin) + MOST_BEHIND;
        let has_far = |line: &Line| {
            self.is_far_ahead(line.clock)
                || is_far(usize::from(line.member.0), line.sent)
                || line.stored.iter().zip(first..).any(|(&stored, origin)| is_far(origin, stored))
        };
        if word.lines.iter().any(has_far) { Err(DropReason::OutsideWindow) } else { Ok(()) }
    }

    /// Drops claims that somebody has entries of this member that it has not submitted. They are false once all others
    /// have said what they have, and it has fetched that back: nobody can have any more, unless this member sends it.
    /// Before, they may be true, as its journal may be an old copy. Returns true if there were any.
    fn drop_false_claims(&self, word: &mut Word) -> bool {
        if self.phase != Phase::Sending || !self.words.all_are_heard(self.me, &self.membership) {
            return false;
        }
        let (most, me) = (self.log.received(self.me), self.config.me);
        let own = self.me.checked_sub(usize::from(word.first.0));
        let mut is_false = false;
        for line in &mut word.lines {
            let stored = own.and_then(|own| line.stored.get_mut(own));
            let sent = (line.member == me).then_some(&mut line.sent);
            for claim in stored.into_iter().chain(sent).filter(|claim| **claim > most) {
                *claim = most;
                is_false = true;
            }
        }
        is_false
    }

    /// Notices that others have more of this member than its journal: the journal is an old copy.
    fn look_at_own(&mut self, sent: u64, clock: u64) {
        let has = self.log.received(self.me);
        if sent > has {
            let most = match self.phase {
                Phase::FetchingOwn(most) => most,
                _ => 0,
            };
            self.phase = Phase::FetchingOwn(sent.max(most));
            self.repair.need(self.me, sent);
            self.repair.see_gap(self.now);
        }
        self.clock = self.clock.max(clock);
    }

    /// Sends what another member lacks and asks for, as far as it is stored here.
    fn reply(&self, to: MemberId, want: &Want, out: &mut Effects) {
        let mut room = want.room.min(MOST_REPLY);
        let mut has_forgotten = false;
        for &PieceRange { id, first, last } in &want.pieces {
            let Some(entry) = self.stored_entry(id) else { continue };
            let length = entry.bytes().len();
            let range = (first as usize).min(length)..(last as usize + 1).min(length);
            if range.len() == length {
                continue;
            }
            for piece in early::pieces(entry, range, self.config.longest - PIECE_HEAD) {
                if !send(to, Message::Piece(piece), &mut room, out) {
                    return;
                }
            }
        }
        for &EntryRange { origin, first, last } in &want.entries {
            let at = usize::from(origin.0);
            if at >= self.slots() {
                return out.push(Effect::Drop(to, DropReason::Stranger));
            }
            let forgotten = self.log.forgotten(at);
            if first <= forgotten && !has_forgotten {
                has_forgotten = true;
                let id = EntryId { origin, number: forgotten };
                out.push(Effect::Send(To::Member(to), Message::Forgotten(id)));
            }
            for number in first.max(forgotten + 1)..=last.min(self.log.stored(at)) {
                let Some(entry) = self.stored_entry(EntryId { origin, number }) else { continue };
                for message in messages(entry, self.config.longest) {
                    if !send(to, message, &mut room, out) {
                        return;
                    }
                }
            }
        }
    }

    /// Records that a member has forgotten an entry that this one asked for. Members forget what all have stored: if this
    /// member lacks it, its journal is not the one that it had.
    fn receive_forgotten(&mut self, from: MemberId, id: EntryId, out: &mut Effects) {
        let origin = usize::from(id.origin.0);
        if origin >= self.slots() {
            return out.push(Effect::Drop(from, DropReason::Stranger));
        }
        let next = self.log.received(origin) + 1;
        if id.number < next {
            return out.push(Effect::Drop(from, DropReason::Duplicate));
        }
        if id.number - next > MOST_BEHIND {
            return out.push(Effect::Drop(from, DropReason::OutsideWindow));
        }
        // Of its own entries nobody can have forgotten one that it lacks, once it has fetched all of them.
        let is_false = origin == self.me
            && self.phase == Phase::Sending
            && self.words.all_are_heard(self.me, &self.membership);
        if is_false || !self.repair.has_asked(origin, 1) {
            return out.push(Effect::Drop(from, DropReason::BreaksContract));
        }
        // A late reply: all that was asked for has come from others.
        if !self.repair.has_asked(origin, next) {
            return out.push(Effect::Drop(from, DropReason::Duplicate));
        }
        self.repair.lose(usize::from(from.0), origin, id.number);
        if self.repair.is_lost(origin, next, &self.membership) {
            out.push(Effect::Outdated(EntryId { number: next, ..id }));
        }
    }

    /// Returns the first entry that this member lacks and that others have forgotten, and the members that may still have
    /// it.
    #[must_use]
    pub fn lacks_forgotten(&self) -> Option<(EntryId, Vec<MemberId>)> {
        (0..self.slots()).find_map(|origin| {
            let number = self.log.received(origin) + 1;
            let holders = self.repair.holders_left(origin, number, &self.membership)?;
            Some((EntryId { origin: MemberId(origin as u16), number }, holders))
        })
    }

    /// Returns an entry, if it is stored here and not forgotten.
    fn stored_entry(&self, id: EntryId) -> Option<&Entry> {
        let origin = usize::from(id.origin.0);
        let is_stored = origin < self.slots() && id.number <= self.log.stored(origin);
        if is_stored { self.log.entry(origin, id.number) } else { None }
    }

    pub(super) fn send_wants(&mut self, out: &mut Effects) {
        if self.repair.due().is_none_or(|due| due > self.now) {
            return;
        }
        let limits: Vec<u64> = (0..self.slots()).map(|origin| self.limit_of(origin)).collect();
        let (log, early, matrix) = (&self.log, &self.early[..], &self.matrix);
        let known = super::repair::Known { log, early, matrix, members: &self.membership, limits: &limits };
        for (holder, want) in self.repair.requests(self.now, &known) {
            out.push(Effect::Send(To::Member(holder), Message::Want(want)));
        }
    }
}

/// Sends one message of a reply. Returns false if there is no room for it.
fn send(to: MemberId, message: Message, room: &mut u64, out: &mut Effects) -> bool {
    let length = match &message {
        Message::Entry(entry) => entry.bytes().len(),
        Message::Piece(piece) => piece.bytes.len(),
        _ => 0,
    } as u64;
    // The first message of a reply is sent in any case.
    let is_first = !matches!(out.last(), Some(Effect::Send(To::Member(last), Message::Entry(_) | Message::Piece(_))) if *last == to);
    if *room < length && !is_first {
        return false;
    }
    *room = room.saturating_sub(length);
    out.push(Effect::Send(To::Member(to), message));
    true
}
