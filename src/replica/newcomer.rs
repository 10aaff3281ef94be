//! A new member before it has a log: it asks the others for the epochs up to the present one, and for the part of the
//! log that they have forgotten. With both in its journal, it begins as after a restart.

use std::time::Duration;

use super::epoch::{Change, Membership, Request};
use super::message::{Message, State};
use super::record::{Confirmed, Forgotten, Record, Snapshot};
use crate::ids::{MemberId, Time};

/// The time between two requests. Each goes to the next member.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A new member: a pure state machine.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Newcomer {
    me: MemberId,
    membership: Membership,
    due: Time,
    /// The member that is asked next.
    turn: usize,
    /// The number of members that can be asked.
    others: usize,
    /// The parts of the log's start that have come, by slot, all of one epoch and prefix.
    prefix: (u16, Confirmed),
    origins: Vec<Option<Forgotten>>,
}

impl Newcomer {
    /// Returns a new member in slot `me` of a cluster that began with so many members. `others` slots can be asked.
    #[must_use]
    pub fn new(now: Time, me: MemberId, members: usize, others: usize) -> Self {
        Self {
            me,
            membership: Membership::new(members),
            due: now,
            turn: 0,
            others,
            prefix: (0, Confirmed::default()),
            origins: Vec::new(),
        }
    }

    /// Returns the number of the last epoch that is known, which its messages are of.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.membership.epoch()
    }

    /// Returns the time of the next call of [`Newcomer::wake`].
    #[must_use]
    pub const fn next_deadline(&self) -> Time {
        self.due
    }

    /// Returns the next request, if it is due, with the member to ask.
    pub fn wake(&mut self, now: Time) -> Option<(MemberId, Message)> {
        if now < self.due || self.is_complete() {
            return None;
        }
        self.due = now.after(AGAIN_AFTER);
        let is_askable = |slot: &usize| *slot != usize::from(self.me.0);
        let slots = (0..self.others).map(|step| (self.turn + step) % self.others.max(1));
        let slot = slots.into_iter().find(is_askable)?;
        self.turn = (slot + 1) % self.others;
        Some((MemberId(slot as u16), Message::Join(self.epoch())))
    }

    /// Processes a message. One that is not for a new member is ignored.
    pub fn receive(&mut self, now: Time, message: Message) {
        match message {
            Message::Decided(number, change)
                if number == self.epoch() + 1 && self.membership.allows_change(&change) =>
            {
                self.learn(now, change);
            }
            Message::State(state) => self.add(state),
            _ => {}
        }
    }

    fn learn(&mut self, now: Time, change: Change) {
        if let Request::Add { .. } = change.request
            && self.membership.slots() == usize::from(self.me.0)
        {
            self.turn = 0;
        }
        self.membership.install(change);
        self.due = now;
    }

    fn add(&mut self, state: State) {
        let State { epoch, confirmed, first, origins } = state;
        let slots = self.membership.slots();
        let end = usize::from(first.0) + origins.len();
        if epoch != self.epoch() || !self.membership.is_member(usize::from(self.me.0)) || end > slots {
            return;
        }
        if self.prefix != (epoch, confirmed) {
            self.prefix = (epoch, confirmed);
            self.origins = vec![None; slots];
        }
        for (known, origin) in self.origins[usize::from(first.0)..].iter_mut().zip(origins) {
            *known = Some(origin);
        }
    }

    /// Returns whether this member was removed before it began.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.membership.cut(usize::from(self.me.0)).is_some()
    }

    /// Returns whether everything has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_whole = !self.origins.is_empty() && self.origins.iter().all(Option::is_some);
        self.is_removed() || (is_whole && self.prefix.0 == self.epoch())
    }

    /// Returns the records with which the member begins; none before all has come.
    #[must_use]
    pub fn records(&self) -> Option<Vec<Record>> {
        if !self.is_complete() {
            return None;
        }
        let changes = (2..=self.epoch()).filter_map(|number| Some((number, self.membership.change(number)?)));
        let mut records: Vec<Record> =
            changes.map(|(number, change)| Record::Change(number, change.clone())).collect();
        if !self.is_removed() {
            let origins: Vec<Forgotten> = self.origins.iter().copied().flatten().collect();
            let sent = vec![0; origins.len()];
            records.push(Record::Began(self.prefix.1));
            records.push(Record::Snapshot(Snapshot { confirmed: self.prefix.1, origins, received: 0, sent }));
        }
        Some(records)
    }
}
