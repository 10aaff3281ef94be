//! The knowledge of a member about all members: what each has stored, and which times each can no longer use.
//!
//! Every member passes on what it knows of others, because two members may hear of each other through a third one alone.
//! These are the matrix clock of Wuu and Bernstein (1984) for forgetting, and Lamport clocks for confirming.

use super::epoch::Membership;
use super::message::Line;
use crate::ids::MemberId;

/// The lines of all members, by slot.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Matrix {
    me: usize,
    /// For each member: the entries that it has sent, and a time; all entries after those are above it. The two are
    /// replaced together: the clock alone says nothing about entries that are still to come.
    promises: Vec<Promise>,
    /// For each member: the numbers up to which it has stored the entries of each member.
    stored: Vec<Vec<u64>>,
    /// For each slot, whether a promise of its member is known.
    has_spoken: Vec<bool>,
}

/// A promise of a member: all its entries after the first `sent` have times above `clock`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Promise {
    pub(super) clock: u64,
    pub(super) sent: u64,
}

impl Matrix {
    /// Returns the matrix of a member that has heard of nobody.
    pub(super) fn new(me: MemberId, members: usize) -> Self {
        Self {
            me: usize::from(me.0),
            promises: vec![Promise::default(); members],
            stored: vec![vec![0; members]; members],
            has_spoken: vec![false; members],
        }
    }

    /// Returns the number of slots.
    pub(super) const fn slots(&self) -> usize {
        self.promises.len()
    }

    /// Makes room for so many slots. Those that are new have no members.
    pub(super) fn widen(&mut self, slots: usize) {
        self.promises.resize(slots, Promise::default());
        self.stored.iter_mut().for_each(|row| row.resize(slots, 0));
        self.stored.resize(slots, vec![0; slots]);
        self.has_spoken.resize(slots, false);
    }

    /// Adds a member whose entries will be above `clock`.
    pub(super) fn add(&mut self, member: usize, clock: u64) {
        self.promises[member] = Promise { clock, sent: 0 };
    }

    /// Removes a member, whose entries after `cut` are void.
    pub(super) fn remove(&mut self, member: usize, cut: u64) {
        self.promises[member].sent = cut;
        self.stored.iter_mut().for_each(|row| row[member] = row[member].min(cut));
    }

    /// Returns whether a promise of the member is known.
    pub(super) fn has_spoken(&self, member: usize) -> bool {
        self.has_spoken[member]
    }

    /// Adds a line, which is one of a member, and whose list begins with the member `first`. Returns true if it says
    /// anything new.
    pub(super) fn learn(&mut self, line: &Line, first: usize, is_mixed: bool) -> bool {
        let member = usize::from(line.member.0);
        let promise = Promise { clock: line.clock, sent: line.sent };
        let known = &mut self.promises[member];
        let mut is_new = promise > *known;
        self.has_spoken[member] |= is_new;
        if is_mixed {
            *known = Promise { clock: known.clock.max(promise.clock), sent: known.sent.min(promise.sent) };
        } else if is_new {
            *known = promise;
        }
        for (known, &stored) in self.stored[member].iter_mut().skip(first).zip(&line.stored) {
            is_new |= stored > *known;
            *known = stored.max(*known);
        }
        is_new
    }

    /// Records that this member has stored the entries of `origin` up to `number`.
    pub(super) fn store(&mut self, origin: usize, number: u64) {
        self.stored[self.me][origin] = number;
    }

    /// Returns the promise of a member.
    pub(super) fn promise(&self, member: usize) -> Promise {
        self.promises[member]
    }

    /// Returns the number up to which `member` has stored the entries of `origin`.
    pub(super) fn stored(&self, member: usize, origin: usize) -> u64 {
        self.stored[member][origin]
    }

    /// Returns what this member knows of `member`, to be passed on.
    pub(super) fn line(&self, member: usize) -> Line {
        let Promise { clock, sent } = self.promises[member];
        Line { member: MemberId(member as u16), sent, clock, stored: self.stored[member].clone() }
    }

    /// Returns the number up to which every member has stored the entries of `origin`.
    pub(super) fn stored_by_all(&self, origin: usize, members: &Membership) -> u64 {
        self.rows(members).map(|stored| stored[origin]).min().unwrap_or(0)
    }

    /// Returns whether a majority has stored entry `number` of `origin`.
    pub(super) fn is_at_majority(&self, origin: usize, number: u64, members: &Membership) -> bool {
        self.rows(members).filter(|stored| stored[origin] >= number).count() >= members.majority()
    }

    /// Returns the rows of the members.
    fn rows(&self, members: &Membership) -> impl Iterator<Item = &Vec<u64>> {
        self.stored.iter().enumerate().filter(|(slot, _)| members.is_member(*slot)).map(|(_, row)| row)
    }

    /// Returns the highest number that an entry of `origin` is known to have.
    pub(super) fn last_known(&self, origin: usize) -> u64 {
        let stored = self.stored.iter().map(|stored| stored[origin]);
        stored.max().unwrap_or(0).max(self.promises[origin].sent)
    }
}
