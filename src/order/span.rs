//! Items that cover consecutive numbers: a batch of messages, or a range of the total order.

use std::ops::Range;

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

impl Span for Range<u64> {
    fn first(&self) -> u64 {
        self.start
    }

    fn next(&self) -> u64 {
        self.end
    }
}
