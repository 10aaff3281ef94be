//! A new member before it has a log: it asks the others for the epochs up to the present one, and for the part of the
//! log that they have forgotten. With both in its journal, it begins as after a restart.
//!
//! From the moment at which they know it, members forget nothing that it lacks; before, one may have forgotten more than
//! another. It waits for a majority of them, and begins where those that have forgotten most do: so each of that majority
//! has the rest, and the new member depends on none alone.

use std::collections::BTreeMap;
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
    /// The starts of the log that have come in this epoch, by member.
    starts: BTreeMap<MemberId, Start>,
}

/// The start of the log that a member has told, perhaps in part.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Start {
    confirmed: Confirmed,
    origins: Vec<Option<Forgotten>>,
}

impl Start {
    fn is_whole(&self) -> bool {
        self.origins.iter().all(Option::is_some)
    }
}

impl Newcomer {
    /// Returns a new member in slot `me` of a cluster that began with so many members. `others` slots can be asked.
    #[must_use]
    pub fn new(now: Time, me: MemberId, members: usize, others: usize) -> Self {
        Self { me, membership: Membership::new(members), due: now, turn: 0, others, starts: BTreeMap::new() }
    }

    /// Returns the number of the last epoch that is known, which its messages are of.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.membership.epoch()
    }

    /// Returns the changes that are known, in their order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        (2..=self.epoch()).filter_map(|number| self.membership.change(number))
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
        let mut slots = (0..self.others).map(|step| (self.turn + step) % self.others);
        let slot = slots.find(is_askable)?;
        self.turn = (slot + 1) % self.others;
        Some((MemberId(slot as u16), Message::Join(self.epoch())))
    }

    /// Processes a message of a member. One that is not for a new member is ignored.
    pub fn receive(&mut self, now: Time, from: MemberId, message: Message) {
        match message {
            Message::Decided(number, change)
                if number == self.epoch() + 1 && self.membership.allows_change(&change) =>
            {
                self.learn(now, change);
            }
            Message::State(state) => self.add(now, from, state),
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
        self.starts.clear();
        self.due = now;
    }

    fn add(&mut self, now: Time, from: MemberId, state: State) {
        let State { epoch, confirmed, first, origins } = state;
        let slots = self.membership.slots();
        let end = usize::from(first.0) + origins.len();
        let are_members = [self.me, from].iter().all(|of| self.membership.is_member(usize::from(of.0)));
        if epoch != self.epoch() || !are_members || from == self.me || end > slots {
            return;
        }
        let empty = || Start { confirmed, origins: vec![None; slots] };
        let start = self.starts.entry(from).or_insert_with(empty);
        if start.confirmed != confirmed {
            *start = empty();
        }
        let was_whole = start.is_whole();
        for (known, origin) in start.origins[usize::from(first.0)..].iter_mut().zip(origins) {
            *known = Some(origin);
        }
        if start.is_whole() && !was_whole {
            // The next member is asked at once.
            self.due = now;
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
        let others = self.membership.members().saturating_sub(1);
        self.is_removed() || self.whole().count() > others / 2
    }

    /// Returns the starts of the log that have come as a whole.
    fn whole(&self) -> impl Iterator<Item = &Start> {
        self.starts.values().filter(|start| start.is_whole())
    }

    /// Returns the records with which the member begins; none before all has come.
    #[must_use]
    pub fn records(&self) -> Option<Vec<Record>> {
        if !self.is_complete() {
            return None;
        }
        let changes = (2..).zip(self.changes());
        let mut records: Vec<Record> =
            changes.map(|(number, change)| Record::Change(number, change.clone())).collect();
        let last = self.whole().max_by_key(|start| start.confirmed.entries).filter(|_| !self.is_removed());
        if let Some(Start { confirmed, origins }) = last {
            let (confirmed, origins) = (*confirmed, origins.iter().copied().flatten().collect::<Vec<_>>());
            let sent = vec![0; origins.len()];
            records.push(Record::Began(confirmed));
            records.push(Record::Snapshot(Snapshot { confirmed, origins, received: 0, sent }));
        }
        Some(records)
    }
}
