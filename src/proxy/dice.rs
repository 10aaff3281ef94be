//! Random faults, drawn from a seed, one after the other, without an end.

use std::time::Duration;

use crate::fault::link::{Direction, Fault, KINDS, Kind, PORTS, SYNC};
use crate::prng::Prng;

/// The longest drawn fault, short enough that members return long before they are excluded.
const LONGEST: Duration = Duration::from_secs(3);
const SHORTEST: Duration = Duration::from_millis(50);

/// Draws faults, about this many per minute.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    prng: Prng,
    /// The mean time from one fault to the next.
    gap: Duration,
    at: Duration,
}

impl Dice {
    pub(super) fn new(seed: u64, a_minute: u32) -> Self {
        Self { prng: Prng::new(seed), gap: Duration::from_secs(60) / a_minute.max(1), at: Duration::ZERO }
    }

    /// Draws the next fault. It begins later than the one before; on average, a fault is over when the next one begins.
    pub(super) fn draw(&mut self) -> Fault {
        let gap = self.time(Duration::ZERO, 2 * self.gap);
        self.at += gap;
        let word = KINDS[self.prng.below(KINDS.len() as u64) as usize];
        let kind = Kind::draw(word, &mut self.prng, 5000);
        let direction = match self.prng.below(3) {
            0 => Direction::Up,
            1 => Direction::Down,
            // Half a connection is closed in one direction.
            _ if kind == Kind::HalfClose => Direction::Up,
            _ => Direction::Both,
        };
        let port = self.prng.chance(500_000).then(|| self.prng.below(PORTS.len() as u64) as usize);
        let port = port.filter(|&port| !(kind.is_about_packets() && port == SYNC));
        let lasts = self.time(SHORTEST, LONGEST.min(2 * self.gap).max(SHORTEST));
        Fault {
            at: self.at,
            direction: if kind.has_direction() { direction } else { Direction::Both },
            port,
            lasts: kind.lasts().then_some(lasts),
            ..Fault::of_all_packets(kind)
        }
    }

    /// Draws a time in whole milliseconds, as people write them.
    fn time(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_millis(self.prng.between(low.as_millis() as u64, high.as_millis() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::script;

    fn drawn(seed: u64) -> Vec<Fault> {
        let mut dice = Dice::new(seed, 20);
        (0..200).map(|_| dice.draw()).collect()
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_something_else() {
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn what_is_drawn_could_have_been_written() {
        for fault in drawn(3) {
            let written = script::parse(&fault.to_string()).unwrap_or_else(|_| panic!("{fault}"));
            assert_eq!(written, [fault]);
        }
    }

    #[test]
    fn there_are_as_many_a_minute_as_asked_for() {
        let faults = drawn(1);
        let minutes = faults[199].at.as_secs_f64() / 60.0;
        assert!((8.0..12.0).contains(&minutes), "{minutes}");
        assert!(faults.is_sorted_by_key(|fault| fault.at));
    }
}
