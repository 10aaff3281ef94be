//! The knowledge of a log about its entries, without reading them again: the last place, and each client's last message. So every
//! multicast is in the log once, also over the lives of its client.

use std::collections::BTreeMap;

use super::record::{Base, Sender, Step};

/// The state of a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    /// The place of the last message that is in the log or was removed from it.
    pub place: u64,
    /// The clients with entries.
    pub senders: BTreeMap<String, Sender>,
}

impl Table {
    /// Returns the state before the first entry behind a base.
    #[must_use]
    pub fn new(base: &Base) -> Self {
        Self { place: base.place, senders: base.senders.iter().cloned().collect() }
    }

    /// Takes an entry in.
    ///
    /// # Errors
    /// The reason why the entry cannot follow: its place, or the number of its first message, is not the next one.
    pub fn add(&mut self, entry: &Step) -> Result<(), String> {
        let Step { place, sender: (id, incarnation), first, count, .. } = entry;
        if *place <= self.place {
            return Err(format!("place {place} is behind place {}", self.place));
        }
        let known = self.senders.get(id).cloned().unwrap_or_default();
        let expected = match incarnation.cmp(&known.incarnation) {
            std::cmp::Ordering::Less => {
                let newer = known.incarnation;
                return Err(format!("{id}/{incarnation} multicasts although there is {id}/{newer}"));
            }
            std::cmp::Ordering::Equal => known.last + 1,
            std::cmp::Ordering::Greater => 1,
        };
        if *first != expected {
            return Err(format!("place {place} has {id}/{incarnation}/{first}, and not number {expected}"));
        }
        let messages = known.messages.saturating_add(*count);
        let sender = Sender { incarnation: *incarnation, last: first + count - 1, messages };
        self.senders.insert(id.clone(), sender);
        self.place = entry.last();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(place: u64, id: &str, incarnation: u32, first: u64) -> Step {
        Step { place, time_us: 0, sender: (id.into(), incarnation), first, count: 2 }
    }

    #[test]
    fn each_message_of_each_life_is_taken_once_and_in_its_turn() {
        let mut table = Table::default();
        for good in [entry(1, "c1", 1, 1), entry(3, "c2", 1, 1), entry(5, "c1", 1, 3), entry(7, "c1", 3, 1)] {
            table.add(&good).unwrap();
        }
        let before = table.clone();
        for bad in [
            entry(8, "c2", 1, 3),
            entry(9, "c2", 1, 2),
            entry(9, "c2", 1, 4),
            entry(9, "c1", 3, 1),
            entry(9, "c1", 1, 5),
            entry(9, "c3", 1, 2),
        ] {
            assert!(table.add(&bad).is_err(), "{bad:?}");
            assert_eq!(table, before);
        }
        assert_eq!((table.place, table.senders["c1"].messages), (8, 6));
    }
}
