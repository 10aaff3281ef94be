//! The list that a member shows, and the part of it that is confirmed.
//!
//! The list is all that the member inserted, sorted by time, slot and message number. A confirmation says that the next
//! messages of the list are final.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::history::{Happening, Id, MemberStory, Moment, Stamp};

/// The position of a message in a list: its place, its number, and its sender, which the place should name.
pub(super) type Key = (Stamp, u64, u16);

/// The first insertion of a message at one member.
#[derive(Clone, Copy, Debug)]
pub(in crate::check) struct Inserted<'h> {
    pub(in crate::check) at: Stamp,
    pub(in crate::check) text: &'h Bytes,
    pub(super) moment: Moment,
}

/// The list of one member at the end of its story.
#[derive(Debug, Default)]
pub(in crate::check) struct List<'h> {
    /// Everything that was ever inserted.
    pub(in crate::check) inserted: BTreeMap<Id, Inserted<'h>>,
    /// The confirmed messages in their order, each with its confirmation.
    pub(in crate::check) confirmed: Vec<(Id, Moment)>,
    /// The messages after them, in their order.
    pub(super) tentative: BTreeSet<Key>,
    /// Everything that was withdrawn.
    pub(super) withdrawn: BTreeSet<Id>,
    /// The last confirmation, and the place up to which it goes.
    pub(super) last: Option<(Stamp, Moment)>,
    /// The first event that contradicts a confirmation.
    pub(super) flaw: Option<Flaw>,
    /// The confirmed number that comes next.
    next: u64,
}

/// An event that contradicts a confirmation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flaw {
    /// A confirmation begins with another number than the next one.
    Number { confirm: Moment, next: u64 },
    /// A confirmation ends before an earlier one.
    Backwards { confirm: Moment, earlier: Moment },
    /// A confirmation has another count than the list has messages up to its place.
    Count { confirm: Moment, found: u64 },
    /// A message is inserted at or below a confirmed place.
    Below { insert: Moment, confirm: Moment },
    /// A message is withdrawn after its confirmation.
    Withdrawn { withdraw: Moment },
}

impl<'h> List<'h> {
    pub(super) fn new(story: &'h MemberStory) -> Self {
        let mut list = Self { next: 1, ..Self::default() };
        for (moment, happening) in story.happenings() {
            match happening {
                Happening::Insert { id, at, text, .. } => {
                    list.insert(*id, Inserted { at: *at, text, moment });
                }
                Happening::Confirm { upto, number, count, .. } => {
                    list.confirm(*upto, *number, *count, moment);
                }
                Happening::Withdraw { id } => list.withdraw(*id, moment),
                _ => {}
            }
        }
        list
    }

    /// Returns the messages that are shown and not confirmed, in their order.
    pub(in crate::check) fn unconfirmed(&self) -> impl Iterator<Item = Id> {
        self.tentative.iter().map(|(_, number, origin)| (*origin, *number))
    }

    fn insert(&mut self, id: Id, inserted: Inserted<'h>) {
        if let Some((upto, confirm)) = self.last
            && inserted.at <= upto
        {
            self.flaw.get_or_insert(Flaw::Below { insert: inserted.moment, confirm });
        }
        // A second insertion of an id is a violation of its own; the list keeps the first.
        self.inserted.entry(id).or_insert_with(|| {
            self.tentative.insert((inserted.at, id.1, id.0));
            inserted
        });
    }

    fn confirm(&mut self, upto: Stamp, number: u64, count: u64, confirm: Moment) {
        let found = self.tentative.iter().take_while(|(at, ..)| *at <= upto).count() as u64;
        match self.last {
            Some((last, earlier)) if upto < last => {
                self.flaw.get_or_insert(Flaw::Backwards { confirm, earlier });
            }
            _ if number != self.next => {
                self.flaw.get_or_insert(Flaw::Number { confirm, next: self.next });
            }
            _ if found != count => {
                self.flaw.get_or_insert(Flaw::Count { confirm, found });
            }
            _ => {}
        }
        for _ in 0..count {
            let Some((_, number, origin)) = self.tentative.pop_first() else { break };
            self.confirmed.push(((origin, number), confirm));
        }
        self.next = number.saturating_add(count);
        self.last = self.last.max(Some((upto, confirm)));
    }

    fn withdraw(&mut self, id: Id, withdraw: Moment) {
        let is_first = self.withdrawn.insert(id);
        let Some(inserted) = self.inserted.get(&id) else { return };
        let was_tentative = self.tentative.remove(&(inserted.at, id.1, id.0));
        if is_first && !was_tentative {
            self.flaw.get_or_insert(Flaw::Withdrawn { withdraw });
        }
    }
}
