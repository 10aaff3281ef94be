//! The hold-back queue: what was received but must wait for what comes before it (CDK, section 15.4.2).
//!
//! One queue serves every order. It holds items that each cover a run of consecutive numbers (a batch of
//! messages, a range of the total order) and gives them out without a gap.

use std::collections::BTreeMap;

use crate::wire::Batch;

/// Something that covers `count` consecutive numbers from `first`.
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

/// Items waiting for the ones before them. Numbers begin at 1.
///
/// What waits is bounded by the windows of the senders, which are told how much of theirs is held back
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
    /// Adds an item; false if it covers a number that an earlier item covered.
    ///
    /// The layer below gives nothing twice, so false means that the peer contradicts itself.
    #[must_use]
    pub fn insert(&mut self, item: T) -> bool {
        let before = self.held.range(..item.next()).next_back();
        if item.first() < self.next || before.is_some_and(|(_, held)| held.next() > item.first()) {
            return false;
        }
        self.held.insert(item.first(), item);
        true
    }

    /// The item that is next in line, if it is here.
    #[must_use]
    pub fn peek(&self) -> Option<&T> {
        self.held.get(&self.next)
    }

    /// Takes the item that is next in line, if it is here.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.held.remove(&self.next)?;
        self.next = item.next();
        Some(item)
    }

    /// Takes the item with the lowest number, gap or no gap: what a queue that holds nothing back would do.
    pub fn pop_any(&mut self) -> Option<T> {
        let (_, item) = self.held.pop_first()?;
        self.next = item.next();
        Some(item)
    }

    /// Takes everything that waits, lowest number first.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.held).into_values()
    }

    /// What waits, lowest number first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.held.values()
    }

    /// What must come out before the item that begins with `first`: numbers that are not here or, if those before it
    /// all are, the items before it. From one number up to, and without, the other.
    pub(super) fn missing_before(&self, first: u64) -> (u64, u64) {
        let head = self.held.first_key_value().map_or(first, |(&head, _)| head);
        (self.next, if head > self.next { head } else { first })
    }

    /// The number that the next item out must begin with.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing waits.
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
    fn gives_out_without_a_gap() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(Run(4, 6)));
        assert_eq!(queue.pop(), None);
        assert!(queue.insert(Run(1, 4)));
        assert_eq!(queue.pop(), Some(Run(1, 4)));
        assert_eq!(queue.pop(), Some(Run(4, 6)));
        assert_eq!((queue.pop(), queue.next(), queue.is_empty()), (None, 6, true));
    }

    #[test]
    fn knows_what_is_missing() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(Run(4, 6)) && queue.insert(Run(8, 9)));
        assert_eq!((queue.missing_before(4), queue.missing_before(8)), ((1, 4), (1, 4)));
        assert!(queue.insert(Run(1, 4)));
        assert_eq!(queue.missing_before(8), (1, 8));
    }

    #[test]
    fn refuses_what_overlaps() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(Run(3, 6)));
        for overlapping in [Run(3, 6), Run(5, 9), Run(1, 4), Run(1, 9)] {
            assert!(!queue.insert(overlapping));
        }
        assert!(queue.insert(Run(6, 7)));
        assert!(queue.insert(Run(1, 3)));
        while queue.pop().is_some() {}
        assert!(!queue.insert(Run(2, 3)), "already given out");
    }
}
