//! The hold-back queue: received items that may not be delivered yet (CDK, section 15.4.2).
//!
//! One queue serves every order. Each item covers consecutive numbers (a batch of messages, or a range of the
//! total order); the queue releases items without a gap.

use std::collections::BTreeMap;

use super::describe;
use super::span::Span;
use crate::engine::{DropReason, MemberId};
use crate::waiting::{Messages, Waiting, WaitsFor};

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

    /// Returns the messages of `sender`, whose queue this is, that must be delivered before the one numbered `first`.
    pub(super) fn earlier(&self, sender: MemberId, first: u64) -> WaitsFor {
        let (first, next) = self.missing_before(first);
        WaitsFor::Earlier(Messages { sender, first, next })
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

/// One hold-back queue for each sender.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct HoldBacks<T>(BTreeMap<MemberId, HoldBack<T>>);

impl<T: Span> HoldBacks<T> {
    /// Creates an empty queue for each of these senders.
    pub(super) fn new(senders: impl IntoIterator<Item = MemberId>) -> Self {
        Self(senders.into_iter().map(|sender| (sender, HoldBack::default())).collect())
    }

    /// Adds an item to the queue of its sender, and returns the queue.
    ///
    /// # Errors
    /// The reason why the item is refused.
    pub(super) fn insert(&mut self, sender: MemberId, item: T) -> Result<&mut HoldBack<T>, DropReason> {
        let queue = self.0.get_mut(&sender).ok_or(DropReason::Stranger)?;
        if queue.insert(item) { Ok(queue) } else { Err(DropReason::BreaksContract) }
    }

    /// Returns whether this member has a queue.
    pub(super) fn contains(&self, sender: MemberId) -> bool {
        self.0.contains_key(&sender)
    }

    pub(super) fn get_mut(&mut self, sender: MemberId) -> Option<&mut HoldBack<T>> {
        self.0.get_mut(&sender)
    }

    /// Returns each sender with its queue.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MemberId, &HoldBack<T>)> {
        self.0.iter().map(|(&sender, queue)| (sender, queue))
    }

    /// Returns the number of items in all queues.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(HoldBack::len).sum()
    }

    /// Returns the number of items of one sender.
    pub(super) fn backlog(&self, sender: MemberId) -> u64 {
        self.0.get(&sender).map_or(0, |queue| queue.len() as u64)
    }

    /// Returns all items, each with its global number, if known, and the reason that `explain` gives.
    pub(super) fn waiting(
        &self,
        explain: impl Fn(MemberId, &HoldBack<T>, &T) -> (Option<u64>, WaitsFor),
    ) -> Vec<Waiting> {
        let mut all = Vec::new();
        for (sender, queue) in self.iter() {
            for item in queue.iter() {
                let (number, waits_for) = explain(sender, queue, item);
                all.push(Waiting { messages: describe::span(sender, item), number, waits_for });
            }
        }
        all
    }

    /// Lists the items of all senders.
    pub(super) fn list(&self) -> Vec<String> {
        let of = |(sender, queue): (MemberId, &HoldBack<T>)| -> Vec<String> {
            queue.iter().map(|item| describe::messages(sender, item)).collect()
        };
        self.iter().flat_map(of).collect()
    }

    /// Describes the items, and the first gap of each queue, for which they wait.
    pub(super) fn describe(&self) -> String {
        let gap = |(sender, queue): (MemberId, &HoldBack<T>)| {
            let first = queue.iter().next()?.first();
            (first > queue.next()).then(|| describe::messages(sender, &(queue.next()..first)))
        };
        describe::holds(&self.list(), &self.iter().filter_map(gap).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_back_queue_after_a_gap_closes_releases_in_sequence() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(4..6));
        assert_eq!(queue.pop(), None);
        assert!(queue.insert(1..4));
        assert_eq!(queue.pop(), Some(1..4));
        assert_eq!(queue.pop(), Some(4..6));
        assert_eq!((queue.pop(), queue.next(), queue.is_empty()), (None, 6, true));
    }

    #[test]
    fn hold_back_queue_with_gaps_returns_the_first_one() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(4..6) && queue.insert(8..9));
        assert_eq!((queue.missing_before(4), queue.missing_before(8)), ((1, 4), (1, 4)));
        assert!(queue.insert(1..4));
        assert_eq!(queue.missing_before(8), (1, 8));
    }

    #[test]
    fn hold_back_queue_refuses_overlapping_items() {
        let mut queue = HoldBack::default();
        assert!(queue.insert(3..6));
        for overlapping in [3..6, 5..9, 1..4, 1..9] {
            assert!(!queue.insert(overlapping));
        }
        assert!(queue.insert(6..7));
        assert!(queue.insert(1..3));
        while queue.pop().is_some() {}
        assert!(!queue.insert(2..3), "already released");
    }
}
