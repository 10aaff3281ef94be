//! The numbers of messages in the entries that were shown, for the causes in histories.

use std::collections::VecDeque;

/// Most entries of a member whose number of messages is remembered.
const REMEMBERED: usize = 1 << 16;

/// The messages of a member in its entries, as far as they were shown.
#[derive(Default)]
pub(super) struct Shown {
    /// The number of entries whose messages are not remembered one by one, and of the messages in them.
    pub(super) before: (u64, u64),
    /// For each later entry, the number of messages up to its end.
    pub(super) upto: VecDeque<u64>,
}

impl Shown {
    /// Adds the next entry, with so many messages to everybody.
    pub(super) fn add(&mut self, messages: u64) {
        let last = self.upto.back().copied().unwrap_or(self.before.1);
        self.upto.push_back(last + messages);
        if self.upto.len() > REMEMBERED
            && let Some(first) = self.upto.pop_front()
        {
            self.before = (self.before.0 + 1, first);
        }
    }

    /// Returns the number of messages in the first `entries` entries.
    pub(super) fn messages(&self, entries: u64) -> u64 {
        let at = entries.checked_sub(self.before.0 + 1);
        at.and_then(|at| self.upto.get(at as usize)).copied().unwrap_or(self.before.1)
    }
}
