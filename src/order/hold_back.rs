//! The hold-back queue: received items that may not be delivered yet (CDK, section 15.4.2).
//!
//! One queue serves every order. Each item covers consecutive numbers (a batch of messages, or a range of the
//! total order); the queue releases items without a gap.

use std::collections::BTreeMap;

use crate::wire::Batch;

/// An item that covers consecutive numbers.
pub trait Span {
    /// The first number covered.
    fn first(&self) -> u64;
    /// The number after the last one covered; greater than `first`.
    fn next(&self) -> u64;
}

impl Span for Batch {
    fn first(&self) -> u64 {
        self.first()
    }

    fn next(&self) -> u64 {
        self.next()
    }
}

/// A queue of items that wait for earlier ones. Numbers begin at 1.
///
/// The windows of the senders bound its size: receivers report their backlog to each sender
/// ([`OrderEngine::backlog`](crate::engine::OrderEngine::backlog)).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HoldBack<T> {
    next: u64,
    held: BTreeMap<u64, T>,
}

impl<T: Span> Default for HoldBack<T> {
    fn default() -> Self {
        Self { next: 1, held: BTreeMap::new() }
    }
}

impl<T: Span> HoldBack<T> {
    /// Adds an item. Returns false if it covers a number that an earlier item covered.
    ///
    /// The reliable layer filters duplicates, so false means that the sender breaks the contract.
    #[must_use]
    pub fn insert(&mut self, item: T) -> bool {
        let before = self.held.range(..item.next()).next_back();
        if item.first() < self.next || before.is_some_and(|(_, held)| held.next() > item.first()) {
            return false;
        }
        self.held.insert(item.first(), item);
        true
    }

    /// Returns the next item if it has been received.
    #[must_use]
    pub fn peek(&self) -> Option<&T> {
        self.held.get(&self.next)
    }

    /// Removes and returns the next item if it has been received.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.held.remove(&self.next)?;
        self.next = item.next();
        Some(item)
    }

    /// Removes and returns the item with the lowest number, regardless of gaps. For defects only.
    pub fn pop_any(&mut self) -> Option<T> {
        let (_, item) = self.held.pop_first()?;
        self.next = item.next();
        Some(item)
    }

    /// Removes all items, lowest number first.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.held).into_values()
    }

    /// Returns all items, lowest number first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.held.values()
    }

    /// Returns the half-open range of numbers that must be released before the item beginning at `first`: the
    /// first gap, or without a gap all earlier items.
    pub(super) fn missing_before(&self, first: u64) -> (u64, u64) {
        let head = self.held.first_key_value().map_or(first, |(&head, _)| head);
        (self.next, if head > self.next { head } else { first })
    }

    /// Returns the first number of the next item.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns true if the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Run(u64, u64);

    impl Span for Run {
        fn first(&self) -> u64 {
            self.0
        }
        fn next(&self) -> u64 {
            self.1
        }
    }

    #[test]
    fn hold_back_queue_after_a_gap_closes_releases_in_sequence() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(Run(4, 6)));
        assert_eq!(queue.pop(), None);
        assert!(queue.insert(Run(1, 4)));
        assert_eq!(queue.pop(), Some(Run(1, 4)));
        assert_eq!(queue.pop(), Some(Run(4, 6)));
        assert_eq!((queue.pop(), queue.next(), queue.is_empty()), (None, 6, true));
    }

    #[test]
    fn hold_back_queue_with_gaps_returns_the_first_one() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(Run(4, 6)) && queue.insert(Run(8, 9)));
        assert_eq!((queue.missing_before(4), queue.missing_before(8)), ((1, 4), (1, 4)));
        assert!(queue.insert(Run(1, 4)));
        assert_eq!(queue.missing_before(8), (1, 8));
    }

    #[test]
    fn hold_back_queue_refuses_overlapping_items() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(Run(3, 6)));
        for overlapping in [Run(3, 6), Run(5, 9), Run(1, 4), Run(1, 9)] {
            assert!(!queue.insert(overlapping));
        }
        assert!(queue.insert(Run(6, 7)));
        assert!(queue.insert(Run(1, 3)));
        while queue.pop().is_some() {}
        assert!(!queue.insert(Run(2, 3)), "already released");
    }
}
