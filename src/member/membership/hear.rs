//! Handles received packets: those for the protocol stack, and membership messages that are [believed](super::belief).

use super::belief::SaidIn;
use super::{MAX_EARLY, MAX_EARLY_BYTES, Membership, Out};
use crate::defect::Defect;
use crate::engine::{DropReason, Input, MemberId, Time, To};
use crate::member::Departure;
use crate::member::flush::FETCH;
use crate::member::word::{Word, data_of};
use crate::wire::header::view_near;
use crate::wire::{Frames, Header, Kind};

impl Membership {
    pub(super) fn receive(&mut self, now: Time, from: MemberId, frames: Frames, out: &mut Out) {
        let Ok(header) = Header::peek(&frames.header) else {
            return out.drop(from, DropReason::Malformed);
        };
        if header.run != self.run || header.sender != from {
            return out.drop(from, DropReason::Malformed);
        }
        if from == self.me || self.is_out {
            return;
        }
        let Some(view) = view_near(header.view, self.view.number) else {
            return out.drop(from, DropReason::Stranger);
        };
        let is_here = self.is_member(from) && view == self.view.number;
        if header.kind != Kind::Membership {
            return match self.is_member(from) && view >= self.view.number {
                true if is_here => {
                    self.detector.heard(now, from);
                    self.pass(now, header, frames, out);
                }
                true => {
                    self.detector.heard(now, from);
                    self.keep_early(from, view, frames);
                }
                false => self.is_behind(now, from, view, out),
            };
        }
        let Ok(word) = Word::decode(&frames) else { return out.drop(from, DropReason::Malformed) };
        let said_in = SaidIn { low: header.view, view };
        if !self.believes(from, said_in, &word) {
            return self.disbelieved(now, from, said_in, &word, out);
        }
        if self.is_member(from) && view >= self.view.number {
            self.detector.heard(now, from);
        }
        match word {
            Word::Admit(seat) => self.asked_for_admission(now, seat, out),
            Word::Install(ballot, proposal) => self.install_told(now, ballot, proposal, out),
            Word::Behind(member, view, ballot) => self.left_behind(now, from, (member, view, ballot), out),
            word if is_here => self.hear(now, from, word, out),
            Word::Exclude(member, by, length) if member == self.me => {
                self.reproached(from, member, (by, length), out);
            }
            _ if self.is_member(from) && view > self.view.number => self.keep_early(from, view, frames),
            _ => self.is_behind(now, from, view, out),
        }
    }

    /// Ignores a message that is not believed. A sender in an earlier view is told so.
    fn disbelieved(&mut self, now: Time, from: MemberId, said_in: SaidIn, word: &Word, out: &mut Out) {
        let is_late = said_in.view < self.view.number || !self.is_member(from);
        let is_of_a_view = match word {
            Word::Admit(_) | Word::Behind(..) => false,
            // The Install of a view that has begun here is only late.
            Word::Install(_, proposal) => proposal.view.number <= self.view.number,
            _ => true,
        };
        if is_late && is_of_a_view {
            return self.is_behind(now, from, said_in.view, out);
        }
        out.drop(from, if self.has_seat(from) { DropReason::BreaksContract } else { DropReason::Stranger });
    }

    pub(super) fn is_member(&self, member: MemberId) -> bool {
        self.detector.knows(member)
    }

    /// Passes a packet of this view to the protocol stack.
    fn pass(&mut self, now: Time, header: Header, frames: Frames, out: &mut Out) {
        let from = header.sender;
        if header.kind == Kind::Status {
            self.note_status(from, &frames);
        }
        // During a flush only fetched packets count: all members are to have the same ones.
        if self.flush.is_some() {
            return;
        }
        if matches!(header.kind, Kind::Data | Kind::Outline)
            && header.to == To::Group
            && let Some((number, _)) = data_of(&frames)
            && !self.defects.has(Defect::ForgetsUnstable)
        {
            self.log.add(from, number, &frames);
        }
        self.step(now, Input::Receive { from, message: frames }, out);
    }

    /// Keeps a packet of the next view until that view is installed here.
    fn keep_early(&mut self, from: MemberId, view: u64, frames: Frames) {
        let bytes = self.early_bytes + frames.body.len();
        let is_next = view == self.view.number + 1;
        if is_next && self.early.len() < MAX_EARLY && bytes <= MAX_EARLY_BYTES {
            self.early_bytes = bytes;
            self.early.push_back((from, frames));
        }
    }

    /// Handles a packet of an earlier view, or of a process that is not in this one.
    fn is_behind(&mut self, now: Time, from: MemberId, view: u64, out: &mut Out) {
        if self.installed.is_none() || !self.has_seat(from) {
            return out.drop(from, DropReason::Stranger);
        }
        // A sender in a later view will tell us.
        if (1..=self.view.number).contains(&view) {
            self.tell_behind(now, from, out);
        }
    }

    fn hear(&mut self, now: Time, from: MemberId, word: Word, out: &mut Out) {
        let mut words = Vec::new();
        match word {
            Word::Heartbeat => {}
            Word::Here(ballot, view) => self.met(now, from, ballot, &view, out),
            Word::Verify(member) if member == self.me => words.push(Word::Heartbeat),
            Word::Verify(member) if self.detector.vouches_for(now, member) => words.push(Word::Vouch(member)),
            Word::Verify(_) => {}
            Word::Vouch(member) => self.detector.vouched(now, member),
            Word::Election | Word::Answer(_) | Word::Coordinator => self.elect(now, from, &word, out),
            Word::Prepare(ballot, _) => {
                self.stop(now, out);
                self.election.settled();
                if let Some(flush) = &mut self.flush {
                    flush.prepare(now, ballot, &self.log, &mut words);
                }
            }
            Word::State(ballot, have, accepted) => {
                if let Some(flush) = &mut self.flush {
                    flush.state(now, from, ballot, have, accepted);
                }
            }
            Word::Propose(ballot, proposal) => {
                self.stop(now, out);
                if let Some(flush) = &mut self.flush {
                    flush.propose(now, ballot, proposal);
                }
            }
            Word::Ready(ballot) => {
                if let Some(flush) = &mut self.flush {
                    flush.ready(now, from, ballot);
                }
            }
            Word::Fetch(holder, sender, ranges) => {
                if let Some(flush) = &mut self.flush {
                    flush.asks(now, from, sender, &ranges);
                    let wanted = ranges.into_iter().filter(|_| holder == self.me);
                    let packets = wanted.flat_map(|range| self.log.kept(sender, range)).take(FETCH);
                    words.extend(packets.cloned().map(Word::Relay));
                }
            }
            Word::Relay(frames) => self.relayed(now, from, &frames),
            Word::Leave => {
                self.detector.gives_up(from, Departure::Left);
                self.look_after_change(now, out);
            }
            Word::Exclude(member, by, length) => self.reproached(from, member, (by, length), out),
            // A Welcome is for its newcomer; the others are handled before, whatever their view.
            Word::Welcome(..) | Word::Admit(_) | Word::Install(..) | Word::Behind(..) => {}
        }
        self.say_all(now, &words, out);
        self.go_on(now, out);
    }

    /// Adds a packet that `by` relays, if it was asked for.
    fn relayed(&mut self, now: Time, by: MemberId, frames: &Frames) {
        let Ok(header) = Header::peek(&frames.header) else { return };
        let is_of_view =
            header.kind == Kind::Data && header.to == To::Group && (header.run, header.view) == self.place();
        if let (true, Some(flush), Some((number, _))) = (is_of_view, &mut self.flush, data_of(frames))
            && flush.wants(by, header.sender, number)
        {
            self.log.add(header.sender, number, frames);
            flush.fetched(now, header.sender, number);
        }
    }
}
