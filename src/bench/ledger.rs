//! A digest of one member's deliveries: enough to compare the members' deliveries, their order where that is promised,
//! and to check FIFO and causal order.

use serde::{Deserialize, Serialize};

use super::workload::Stamp;
use crate::order::Promise;

/// The interval, in deliveries, at which the digest of the sequence is kept, so that members that were interrupted can
/// be compared up to the shorter of the two.
const MARK_EVERY: u64 = 1 << 12;

/// The digest of a member's deliveries, for comparison with the others'.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Witness {
    pub(super) delivered: u64,
    /// The digest of all deliveries without their order.
    pub(super) all: u64,
    /// The digest of the sequence of deliveries.
    pub(super) sequence: u64,
    /// The digests of the sequence at regular intervals.
    pub(super) marks: Vec<u64>,
}

/// The deliveries of one member.
#[derive(Debug)]
pub(super) struct Ledger {
    is_fifo: bool,
    is_causal: bool,
    /// The number of the last delivered multicast of each member.
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

    /// Returns the number of deliveries.
    pub(super) const fn delivered(&self) -> u64 {
        self.witness.delivered
    }

    /// Returns the number of the last delivered multicast of `member`.
    pub(super) fn last(&self, member: u16) -> u32 {
        self.last[usize::from(member)]
    }

    pub(super) const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Adds a delivery.
    ///
    /// # Errors
    /// The promise that the delivery breaks.
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
        // Without FIFO order, the highest number counts.
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
    /// Returns the promise that two members' deliveries break together, if any; `whole` if both members have all
    /// messages.
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
        ledger.witness().clone()
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
