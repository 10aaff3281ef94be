//! Refusals at a forwarder or a router, of keys and of packets: each kind is told at once, and then counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Time;

/// The interval at which a refusal that happens again and again is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Most refusals that are told apart: strangers must not make it grow.
const MOST: usize = 64;
/// The sentence that tells of all others.
const OTHERS: &str = "others were refused, too";

/// The refusals, by the sentence that tells of them.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<String, Count>);

#[derive(Debug, Default)]
struct Count {
    /// The number of times since it was last told.
    new: u64,
    told: Option<Time>,
}

impl Refusals {
    /// Counts a refusal.
    pub(super) fn add(&mut self, sentence: String) {
        let is_told_apart = self.0.contains_key(&sentence) || self.0.len() < MOST;
        let sentence = if is_told_apart { sentence } else { OTHERS.to_owned() };
        self.0.entry(sentence).or_default().new += 1;
    }

    /// Returns a line for each refusal that is to be told now.
    pub(super) fn due(&mut self, now: Time) -> Vec<String> {
        let mut lines = Vec::new();
        self.0.retain(|sentence, count| {
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
            lines.push(format!("{sentence}{times}"));
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
    fn refusals_are_told_once_and_then_counted() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.due(at(1)), [""; 0]);
        refusals.add("one".into());
        assert_eq!(refusals.due(at(2)), ["one"]);
        (0..12).for_each(|_| refusals.add("one".into()));
        refusals.add("other".into());
        assert_eq!(refusals.due(at(3)), ["other"]);
        assert_eq!(refusals.due(at(62)), ["one (12 times in 60 s)"]);
        assert_eq!(refusals.due(at(200)), [""; 0]);
        assert!(refusals.0.is_empty(), "those that came no more are forgotten");
        (0..=255).for_each(|number| refusals.add(format!("{number}")));
        let told = refusals.due(at(201));
        assert!(told.len() == MOST + 1 && told.contains(&format!("{OTHERS} (192 times)")), "{told:?}");
    }
}
