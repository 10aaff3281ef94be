//! Keys that were refused: each is told at once, and then counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Time;
use crate::transport::curve::PublicKey;

/// The interval at which a key that is refused again and again is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Most keys and addresses that are told apart: strangers must not make it grow.
const MOST: usize = 64;

/// The refused keys.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(String, PublicKey), Count>);

#[derive(Debug, Default)]
struct Count {
    /// The number of times since it was last told.
    new: u64,
    told: Option<Time>,
}

impl Refusals {
    /// Counts a key that a peer at this address has.
    pub(super) fn add(&mut self, address: &str, key: PublicKey) {
        let peer = (address.to_owned(), key);
        if self.0.contains_key(&peer) || self.0.len() < MOST {
            self.0.entry(peer).or_default().new += 1;
        }
    }

    /// Returns a line for each key that is to be told now.
    pub(super) fn due(&mut self, now: Time) -> Vec<String> {
        let mut lines = Vec::new();
        self.0.retain(|(address, key), count| {
            let since = count.told.map(|told| now.since(told));
            if since.is_some_and(|since| since < TELL_EVERY) {
                return true;
            }
            if count.new == 0 {
                return false;
            }
            let times = match since {
                None if count.new == 1 => String::new(),
                None => format!(" ({} times)", count.new),
                Some(since) => format!(" ({} times in {} s)", count.new, since.as_secs()),
            };
            let from = if address.is_empty() { "a process of this machine" } else { address };
            let key = key.short();
            lines.push(format!("{from} was refused: its key {key} is in no file of the members{times}"));
            *count = Count { new: 0, told: Some(now) };
            true
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn refused_keys_are_told_once_and_then_counted() {
        let mut refusals = Refusals::default();
        let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert_eq!(refusals.due(at(1)), [""; 0]);
        refusals.add("10.0.0.9", one);
        let told = refusals.due(at(2));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("10.0.0.9 was refused: its key 0rAi4") && told[0].ends_with("members"),
            "{told:?}"
        );
        (0..12).for_each(|_| refusals.add("10.0.0.9", one));
        refusals.add("", other);
        let told = refusals.due(at(3));
        assert!(told.len() == 1 && told[0].starts_with("a process of this machine"), "{told:?}");
        assert!(refusals.due(at(62))[0].ends_with("(12 times in 60 s)"));
        assert_eq!(refusals.due(at(200)), [""; 0]);
        assert!(refusals.0.is_empty(), "those that came no more are forgotten");
        for number in 0..=255 {
            refusals.add("10.0.0.9", PublicKey([number; 32]));
        }
        assert_eq!(refusals.due(at(201)).len(), MOST);
    }
}
