//! Sets of numbers that arrive nearly in order, such as sequence numbers: a contiguous prefix, which takes no room, and
//! the early numbers beyond it.

use std::collections::BTreeSet;

/// First and last number of consecutive ones, both included.
pub type Range = (u64, u64);

/// A set of numbers from 1 on.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct PrefixSet {
    /// The set has all numbers up to this one …
    complete: u64,
    /// … and these beyond the next.
    early: BTreeSet<u64>,
}

impl PrefixSet {
    /// Adds a number. Returns false if the set had it.
    pub fn insert(&mut self, number: u64) -> bool {
        if number != self.complete + 1 {
            return number > self.complete && self.early.insert(number);
        }
        self.complete = number;
        while !self.early.is_empty() && self.early.remove(&(self.complete + 1)) {
            self.complete += 1;
        }
        true
    }

    /// Returns whether the set has this number.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        number <= self.complete || self.early.contains(&number)
    }

    /// Returns the number up to which the set has all numbers.
    #[must_use]
    pub const fn complete(&self) -> u64 {
        self.complete
    }

    /// Returns the highest number of the set; 0 if it is empty.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.early.last().copied().unwrap_or(self.complete)
    }

    /// Returns the numbers of the set as ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range> {
        let prefix = (self.complete > 0).then_some((1, self.complete));
        prefix.into_iter().chain(ranges(self.early.iter().copied())).collect()
    }

    /// Returns the ranges of numbers up to `last` that the set lacks, ascending.
    pub fn gaps(&self, last: u64) -> impl Iterator<Item = Range> + '_ {
        let ends = self.early.iter().copied().take_while(move |&number| number <= last).chain([last + 1]);
        let starts = [self.complete].into_iter().chain(self.early.iter().copied());
        starts.zip(ends).map(|(before, after)| (before + 1, after - 1)).filter(|(first, last)| first <= last)
    }
}

/// Returns ascending numbers as ranges.
pub fn ranges(numbers: impl IntoIterator<Item = u64>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_set_takes_each_number_once_and_keeps_no_complete_prefix() {
        let mut set = PrefixSet::default();
        let new: Vec<u64> = [1, 3, 3, 1, 2, 4, 0, 7, 8].into_iter().filter(|&n| set.insert(n)).collect();
        assert_eq!(new, [1, 3, 2, 4, 7, 8]);
        assert_eq!((set.complete(), set.early.len(), set.last()), (4, 2, 8));
        assert!(set.contains(4) && !set.contains(5) && set.contains(7) && !set.contains(9));
    }

    #[test]
    fn prefix_set_names_its_ranges_and_its_gaps() {
        let mut set = PrefixSet::default();
        assert_eq!((set.ranges(), set.gaps(0).count(), set.gaps(2).collect()), (vec![], 0, vec![(1, 2)]));
        [1, 2, 5, 6, 9].into_iter().for_each(|number| assert!(set.insert(number)));
        assert_eq!(set.ranges(), [(1, 2), (5, 6), (9, 9)]);
        let gaps = |last| set.gaps(last).collect::<Vec<_>>();
        assert_eq!(gaps(2), []);
        assert_eq!(gaps(4), [(3, 4)]);
        assert_eq!(gaps(5), [(3, 4)]);
        assert_eq!(gaps(12), [(3, 4), (7, 8), (10, 12)]);
    }
}
