//! The numbers of a view as numbers of the run. In each view, the stack counts messages and global numbers from 1.

use std::collections::BTreeMap;

use crate::ids::MemberId;
use crate::waiting::{Messages, Waiting, WaitsFor};
use crate::wire::Batch;

/// The counts of what was delivered before a view and in it.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    /// For each client: the number of its messages delivered before this view, and in it.
    before: BTreeMap<MemberId, u64>,
    within: BTreeMap<MemberId, u64>,
    /// The highest global number that was given before this view, and in it.
    numbers_before: u64,
    numbers_within: u64,
}

impl Offsets {
    /// Returns the counts of a newcomer at the beginning of its first view.
    pub(super) fn after(before: &[(MemberId, u64)], numbers: u64) -> Self {
        Self { before: before.iter().copied().collect(), numbers_before: numbers, ..Self::default() }
    }

    /// Returns how many messages of each client were delivered before this view.
    pub(super) fn before(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.before.iter().map(|(&member, &count)| (member, count))
    }

    /// Returns the highest global number that was given before this view.
    pub(super) const fn numbers_before(&self) -> u64 {
        self.numbers_before
    }

    /// Counts a batch of the stack. Returns it and its global number with the numbers of the run.
    pub(super) fn deliver(
        &mut self,
        from: MemberId,
        number: Option<u64>,
        batch: Batch,
    ) -> (Option<u64>, Batch) {
        let count = u64::from(batch.count());
        *self.within.entry(from).or_default() += count;
        if let Some(number) = number {
            self.numbers_within = self.numbers_within.max(number - 1 + count);
        }
        (self.number(number), self.absolute(from, batch))
    }

    /// Takes note that all numbers of this view below `next` are given, also those that name no message.
    pub(super) fn reached(&mut self, next: u64) {
        self.numbers_within = self.numbers_within.max(next.saturating_sub(1));
    }

    /// Begins the next view.
    pub(super) fn begin_view(&mut self) {
        for (member, count) in std::mem::take(&mut self.within) {
            *self.before.entry(member).or_default() += count;
        }
        self.numbers_before += std::mem::take(&mut self.numbers_within);
    }

    /// Returns an own batch with the numbers of the view.
    pub(super) fn relative(&self, me: MemberId, batch: Batch) -> Batch {
        let first = batch.first().saturating_sub(self.of(me)).max(1);
        batch.numbered_from(first)
    }

    /// Returns a batch of the stack with the numbers of the run.
    pub(super) fn absolute(&self, from: MemberId, batch: Batch) -> Batch {
        let first = batch.first() + self.of(from);
        batch.numbered_from(first)
    }

    /// Returns a wait in the stack with the numbers of the run.
    pub(super) fn absolute_waiting(&self, waiting: Waiting) -> Waiting {
        let here = |Messages { sender, first, next }: Messages| {
            let before = self.of(sender);
            Messages { sender, first: first + before, next: next + before }
        };
        let waits_for = match waiting.waits_for {
            WaitsFor::Earlier(messages) => WaitsFor::Earlier(here(messages)),
            WaitsFor::Causes(causes) => WaitsFor::Causes(causes.into_iter().map(here).collect()),
            WaitsFor::Place(number, messages) => {
                WaitsFor::Place(number + self.numbers_before, messages.map(here))
            }
            WaitsFor::Turn(messages) => WaitsFor::Turn(here(messages)),
            other => other,
        };
        Waiting { messages: here(waiting.messages), number: self.number(waiting.number), waits_for }
    }

    /// Returns a global number of the view as a number of the run.
    pub(super) fn number(&self, number: Option<u64>) -> Option<u64> {
        number.map(|number| number + self.numbers_before)
    }

    fn of(&self, member: MemberId) -> u64 {
        self.before.get(&member).copied().unwrap_or(0)
    }
}
