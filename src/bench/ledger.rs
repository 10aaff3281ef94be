//! What one member was given, folded into a few numbers while it comes: enough to see that all were given the same,
//! in the same order where that is promised, and that each sender's order and what caused what was kept.

use serde::{Deserialize, Serialize};

use super::workload::Stamp;
use crate::order::Promise;

/// The fold of the sequence is kept after so many deliveries each time, so that runs that were broken off can be
/// compared as far as both got.
const MARK_EVERY: u64 = 1 << 12;

/// What a member was given, as far as others can compare it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Witness {
    pub(super) delivered: u64,
    /// The fold of all that was delivered, in no order: the same if the same was delivered.
    pub(super) all: u64,
    /// The fold of the sequence: the same if the order was.
    pub(super) sequence: u64,
    /// The fold of the sequence after each so many deliveries.
    pub(super) marks: Vec<u64>,
}

/// The account of one member.
#[derive(Debug)]
pub(super) struct Ledger {
    is_fifo: bool,
    is_causal: bool,
    /// The number of the last multicast of each member that was delivered.
    last: Vec<u32>,
    witness: Witness,
}

impl Ledger {
    pub(super) fn new(members: u16, promises: &[Promise]) -> Self {
        Self {
            is_fifo: promises.contains(&Promise::Fifo),
            is_causal: promises.contains(&Promise::Causal),
            last: vec![0; usize::from(members)],
            witness: Witness::default(),
        }
    }

    /// How many were delivered.
    pub(super) const fn delivered(&self) -> u64 {
        self.witness.delivered
    }

    /// The number of the last delivered multicast of `member`.
    pub(super) fn last(&self, member: u16) -> u32 {
        self.last[usize::from(member)]
    }

    pub(super) fn into_witness(self) -> Witness {
        self.witness
    }

    /// Takes note of a delivery.
    ///
    /// # Errors
    /// Which promise it breaks.
    pub(super) fn deliver(&mut self, stamp: &Stamp) -> Result<(), String> {
        let Some(&last) = self.last.get(usize::from(stamp.sender)) else {
            return Err(format!("a multicast of member {}, which does not exist", stamp.sender));
        };
        if self.is_fifo && stamp.number != last.wrapping_add(1) {
            return Err(format!(
                "member {}'s multicast {} came after its {last}",
                stamp.sender, stamp.number
            ));
        }
        if self.is_causal && self.last.get(usize::from(stamp.cause)).is_some_and(|&had| had < stamp.caused_by)
        {
            return Err(format!(
                "member {}'s multicast {} came before member {}'s {}, which caused it",
                stamp.sender, stamp.number, stamp.cause, stamp.caused_by
            ));
        }
        // Where a sender's order is not promised, a later cause is at least as good as the one before.
        self.last[usize::from(stamp.sender)] = stamp.number.max(last);
        let identity = mixed(u64::from(stamp.sender) << 32 | u64::from(stamp.number));
        let witness = &mut self.witness;
        witness.all = witness.all.wrapping_add(identity);
        witness.sequence = (witness.sequence.rotate_left(5) ^ identity).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        witness.delivered += 1;
        if witness.delivered.is_multiple_of(MARK_EVERY) {
            witness.marks.push(witness.sequence);
        }
        Ok(())
    }
}

const fn mixed(number: u64) -> u64 {
    (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

impl Witness {
    /// How the deliveries of another member differ from these, so that a promise is broken; `whole` if both have
    /// everything.
    pub(super) fn contradicts(&self, other: &Self, promises: &[Promise], whole: bool) -> Option<String> {
        if whole && (self.delivered, self.all) != (other.delivered, other.all) {
            return Some(format!(
                "not the same was delivered: {} here, {} there",
                self.delivered, other.delivered
            ));
        }
        if !promises.contains(&Promise::Total) {
            return None;
        }
        let mut pairs = self.marks.iter().zip(&other.marks);
        if let Some(place) = pairs.position(|(one, other)| one != other) {
            let (from, to) = (place as u64 * MARK_EVERY + 1, (place as u64 + 1) * MARK_EVERY);
            return Some(format!("the order differs between deliveries {from} and {to}"));
        }
        let differs = self.delivered == other.delivered && self.sequence != other.sequence;
        let from = self.marks.len() as u64 * MARK_EVERY + 1;
        differs.then(|| format!("the order differs from delivery {from} on"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Promise::{Causal, Fifo, Total};

    fn stamp(sender: u16, number: u32) -> Stamp {
        Stamp { sender, cause: 0, number, caused_by: 0, due: 0 }
    }

    fn witness(promises: &[Promise], stamps: &[Stamp]) -> Witness {
        let mut ledger = Ledger::new(2, promises);
        stamps.iter().for_each(|stamp| ledger.deliver(stamp).unwrap());
        ledger.into_witness()
    }

    #[test]
    fn another_order_shows_where_one_order_is_promised() {
        let (here, there) = ([stamp(0, 1), stamp(1, 1)], [stamp(1, 1), stamp(0, 1)]);
        let compare = |promises: &[Promise], whole| {
            witness(promises, &here).contradicts(&witness(promises, &there), promises, whole)
        };
        assert_eq!(compare(&[Fifo], true), None);
        assert!(compare(&[Total], true).is_some());
        let less = witness(&[], &here[..1]);
        assert!(less.contradicts(&witness(&[], &here), &[], true).is_some(), "one is missing");
        assert_eq!(less.contradicts(&witness(&[], &here), &[], false), None, "it was broken off");
        let twice = witness(&[], &[stamp(0, 1), stamp(0, 1)]);
        assert!(twice.contradicts(&witness(&[], &here), &[], true).is_some(), "the same one twice");
    }

    #[test]
    fn runs_that_were_broken_off_are_compared_as_far_as_both_got() {
        let stamps: Vec<Stamp> = (1..10_000).map(|number| stamp(0, number)).collect();
        let mut other = stamps[..9000].to_vec();
        let whole = witness(&[Total], &stamps);
        assert_eq!(whole.contradicts(&witness(&[Total], &other), &[Total], false), None);
        other.swap(5000, 5001);
        let told = whole.contradicts(&witness(&[Total], &other), &[Total], false);
        assert_eq!(told.unwrap(), "the order differs between deliveries 4097 and 8192");
    }

    #[test]
    fn a_broken_order_of_a_sender_or_of_causes_is_noticed_at_once() {
        let mut fifo = Ledger::new(2, &[Fifo]);
        assert!(fifo.deliver(&stamp(0, 1)).is_ok() && fifo.deliver(&stamp(0, 3)).is_err());
        let caused = Stamp { cause: 0, caused_by: 1, ..stamp(1, 1) };
        let mut causal = Ledger::new(2, &[Fifo, Causal]);
        assert!(causal.deliver(&caused).unwrap_err().contains("which caused it"));
        assert!(causal.deliver(&stamp(0, 1)).is_ok() && causal.deliver(&caused).is_ok());
        assert!(causal.deliver(&stamp(2, 1)).is_err(), "nobody");
    }
}
