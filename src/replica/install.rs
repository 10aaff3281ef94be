//! The beginning of an epoch: a member is added or removed in all parts of a replica, and members of earlier epochs are
//! told.

use super::early::Early;
use super::entry::Entry;
use super::epoch::{Change, Request};
use super::message::{Message, State};
use super::record::Record;
use super::{DropReason, Effect, Effects, Pending, Replica};
use crate::defect::Defect;
use crate::ids::{MemberId, To};

/// Most changes that are told at once.
const MOST_AT_ONCE: u16 = 8;
/// The bytes of a message with a part of the state, without the members.
const STATE_HEAD: usize = 1 + 2 + 34 + 2 + 1;
/// The bytes of a member in it.
const STATE_OF_ONE: usize = 40;

impl Replica {
    /// Returns the number of the epoch, from 1.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.membership.epoch()
    }

    /// Returns the number of slots, those of removed members included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.slots()
    }

    /// Returns the number of members of the first epoch, which have the first slots.
    #[must_use]
    pub const fn first_members(&self) -> usize {
        self.config.members
    }

    /// Returns the number of members.
    #[must_use]
    pub fn members(&self) -> usize {
        self.membership.members()
    }

    /// Returns whether a slot has a member.
    #[must_use]
    pub fn is_member(&self, member: MemberId) -> bool {
        self.membership.is_member(usize::from(member.0))
    }

    /// Returns whether this member was removed: it takes no part any more.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.membership.cut(self.me).is_some()
    }

    /// Makes room for so many slots.
    pub(super) fn widen(&mut self, slots: usize) {
        self.log.widen(slots);
        self.early.resize(slots, Early::default());
        self.matrix.widen(slots);
        self.flow.widen(slots);
        self.repair.widen(slots);
        self.words.widen(slots);
        self.finished.resize(slots, false);
    }

    /// Begins the next epoch, whose change is stored.
    pub(super) fn install_next(&mut self, out: &mut Effects) {
        let Some(change) = self.votes.next.take() else { return };
        let has_led = self.votes.round.is_some();
        self.install(change.clone(), out);
        if has_led {
            out.push(Effect::Send(To::Group, Message::Decided(self.epoch(), change)));
        }
        if self.is_removed() {
            return;
        }
        if let Some(entry) = self.next_early() {
            self.take(entry, out);
        }
        self.repair.see_gap(self.now);
        self.words.have_news(self.now);
    }

    /// Adds a member or removes one. All records before this are stored.
    pub(super) fn install(&mut self, change: Change, out: &mut Effects) {
        if !self.config.defects.has(Defect::NoFloor) {
            self.clock = self.clock.max(change.clock);
        }
        self.superseded.extend(self.votes.begin_epoch());
        let (slot, cut) = self.membership.install(change.clone());
        self.words.begin_epoch();
        match (&change.request, cut) {
            (Request::Remove(_), cut) => self.remove(slot, cut.unwrap_or(0), out),
            (Request::Add { .. }, _) => {
                self.widen(self.slots().max(slot + 1));
                self.matrix.add(slot, change.clock);
            }
        }
        // The request of the operator is met, or cannot be met any more.
        self.votes.wanted.take_if(|wanted| !self.membership.allows(wanted));
        out.push(Effect::Epoch(self.epoch(), change));
    }

    fn remove(&mut self, slot: usize, cut: u64, out: &mut Effects) {
        self.early[slot] = Early::default();
        self.matrix.remove(slot, cut);
        let withdrawn: Vec<(Entry, u64)> = self.log.withdraw(slot, cut);
        self.matrix.store(slot, self.log.stored(slot));
        if !withdrawn.is_empty() {
            let index = self.store(Record::Clock(self.clock), Pending::Other, out);
            self.superseded.extend(self.clock_index.replace(index));
            self.superseded.extend(withdrawn.iter().map(|(_, index)| *index));
        }
        out.extend(withdrawn.into_iter().map(|(entry, _)| Effect::Withdraw(entry)));
    }

    /// Processes what members of other epochs may say. Returns the message if it is of the present one.
    pub(super) fn receive_of_any_epoch(
        &mut self,
        from: MemberId,
        epoch: u16,
        message: Message,
        out: &mut Effects,
    ) -> Option<Message> {
        let own = self.epoch();
        let is_member = self.membership.is_member(usize::from(from.0));
        match message {
            Message::Decided(number, change) if is_member && number == own + 1 => {
                if self.is_sound(&change) {
                    self.learn(change, out);
                } else {
                    out.push(Effect::Drop(from, DropReason::BreaksContract));
                }
            }
            Message::Decided(..) if is_member => out.push(Effect::Drop(from, DropReason::Duplicate)),
            Message::Join(known) => self.welcome(from, known, out),
            message if epoch == own && is_member => return Some(message),
            message => {
                if epoch < own && matches!(message, Message::Word(_)) {
                    self.tell(from, epoch, out);
                }
                if epoch > own {
                    // The next word shows the others that this member needs to be told.
                    self.words.have_news(self.now);
                }
                out.push(Effect::Drop(from, DropReason::OtherEpoch));
            }
        }
        None
    }

    /// Tells a member the changes after the epoch that it knows.
    fn tell(&self, to: MemberId, known: u16, out: &mut Effects) {
        for number in (known..self.epoch()).take(usize::from(MOST_AT_ONCE)).map(|known| known + 1) {
            if let Some(change) = self.membership.change(number) {
                out.push(Effect::Send(To::Member(to), Message::Decided(number, change.clone())));
            }
        }
    }

    /// Returns whether a member has spoken before. If it asks to be let in again, it has lost its journal, and with it
    /// promises that the others rest on.
    fn rests_on(&self, slot: usize) -> bool {
        let matrix = &self.matrix;
        // Above the clock with which a member was added, nothing is confirmed without its word: the journal has that.
        let is_confirmed = self.log.confirmed().upto.time > matrix.promise(slot).clock;
        let has_stored = (0..self.slots()).any(|origin| matrix.stored(slot, origin) > 0);
        matrix.has_spoken(slot) || matrix.last_known(slot) > 0 || is_confirmed || has_stored
    }

    /// Gives a new member the changes that it lacks, then the start of its log.
    fn welcome(&self, to: MemberId, known: u16, out: &mut Effects) {
        let slot = usize::from(to.0);
        if known < self.epoch() {
            return self.tell(to, known.max(1), out);
        }
        if !self.membership.is_member(slot) || self.rests_on(slot) || known > self.epoch() {
            return out.push(Effect::Drop(to, DropReason::OtherEpoch));
        }
        let snapshot = self.log.snapshot();
        let most = (self.config.longest.saturating_sub(STATE_HEAD) / STATE_OF_ONE).max(1);
        for (at, origins) in snapshot.origins.chunks(most).enumerate() {
            let first = MemberId((at * most) as u16);
            let (epoch, confirmed, origins) = (self.epoch(), snapshot.confirmed, origins.to_vec());
            let state = State { epoch, confirmed, first, origins };
            out.push(Effect::Send(To::Member(to), Message::State(state)));
        }
    }
}
