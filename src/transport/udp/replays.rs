//! The numbers of the datagrams that came in one life of a member, so that each counts once.

/// The numbers behind the highest that are told apart, in words of 64. Between two sockets of a member, as many datagrams
/// overtake one another as a receive buffer holds: some ten thousand short ones.
const WORDS: usize = 256;
/// The bits of a word.
const BITS: u64 = u64::BITS as u64;
/// The numbers behind the highest that are told apart at least.
pub const NUMBERS_KEPT: u64 = (WORDS as u64 - 1) * BITS;

/// The numbers that came. They are never 0.
#[derive(Debug)]
pub(super) struct Numbers {
    highest: u64,
    /// A ring: the word of a number is that of its multiple of 64.
    came: Box<[u64; WORDS]>,
}

impl Numbers {
    /// Returns the numbers of a life of which those up to `highest` count as come.
    pub(super) fn above(highest: u64) -> Self {
        let mut came = Box::new([u64::MAX; WORDS]);
        came[(highest / BITS % WORDS as u64) as usize] >>= BITS - 1 - highest % BITS;
        Self { highest, came }
    }

    /// Notes a number. Returns whether it is new: it did not come before, and is not too far behind to tell.
    pub(super) fn is_new(&mut self, number: u64) -> bool {
        let (word, last) = (number / BITS, self.highest / BITS);
        if last.saturating_sub(word) >= WORDS as u64 {
            return false;
        }
        // The words behind the last are of numbers that have not come. A longer way goes once around the ring.
        for behind in (last + 1..=word).take(WORDS) {
            self.came[(behind % WORDS as u64) as usize] = 0;
        }
        self.highest = number.max(self.highest);
        let (came, bit) = (&mut self.came[(word % WORDS as u64) as usize], 1 << (number % BITS));
        let is_new = *came & bit == 0;
        *came |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::prng::Prng;

    #[test]
    fn numbers_are_new_once_in_any_order() {
        for seed in 0..20 {
            let begin = seed * 1_000_003 % 777;
            let (mut prng, mut numbers, mut model) =
                (Prng::new(seed), Numbers::above(begin), BTreeSet::new());
            let mut highest = begin;
            for _ in 0..20_000 {
                let number = match prng.below(1000) {
                    0 => highest + prng.below(100_000),
                    1..500 => highest + prng.below(8),
                    _ => highest.saturating_sub(prng.below(20_000)),
                }
                .max(1);
                highest = number.max(highest);
                let is_told = highest / BITS - number / BITS < WORDS as u64;
                let is_new = number > begin && model.insert(number) && is_told;
                assert_eq!(numbers.is_new(number), is_new, "{seed}: {number} {highest}");
            }
        }
    }

    #[test]
    fn numbers_at_the_end_of_all_are_told_apart() {
        let mut numbers = Numbers::above(0);
        assert!(numbers.is_new(1) && !numbers.is_new(1));
        assert!(numbers.is_new(u64::MAX) && !numbers.is_new(u64::MAX) && numbers.is_new(u64::MAX - 1));
        assert!(!numbers.is_new(1));
    }
}
