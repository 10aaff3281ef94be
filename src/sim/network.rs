//! The simulated network: every packet may be lost, come twice, and take its own time, so packets overtake.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::engine::Time;
use crate::prng::Prng;

/// A share of cases, in parts per million. Written `20%` or `0.2`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Share(u32);

/// A range of delays, both ends included. Written `0-50ms` or, where both are the same, `5ms`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delay {
    /// The shortest.
    pub min: Duration,
    /// The longest; not less than `min`, at most [`Delay::LIMIT`].
    pub max: Duration,
}

/// What the network does to packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// The share of packets that never arrive, drawn for each packet and receiver apart.
    pub loss: Share,
    /// The share of packets that arrive twice, each time with its own delay. A lost packet is not duplicated.
    pub duplicate: Share,
    /// How long a packet travels, drawn evenly from this range; packets overtake each other accordingly.
    pub delay: Delay,
}

/// Carries packets. What it does is drawn from the seed alone.
#[derive(Debug)]
pub(super) struct Network {
    faults: Faults,
    prng: Prng,
}

/// When the copies of a packet arrive: none if it is lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    pub(super) first: Option<Time>,
    pub(super) second: Option<Time>,
}

impl Faults {
    /// Faults of one seed's own: up to 30 % loss, up to 20 % duplication, delays of up to 0 to 50 ms.
    pub(super) fn draw(prng: &mut Prng) -> Self {
        let loss = Share(prng.below(300_001) as u32);
        let duplicate = Share(prng.below(200_001) as u32);
        let max = prng.below(50_001);
        let min = prng.below(max + 1);
        let delay = Delay { min: Duration::from_micros(min), max: Duration::from_micros(max) };
        Self { loss, duplicate, delay }
    }
}

impl Network {
    pub(super) fn new(faults: Faults, prng: Prng) -> Self {
        Self { faults, prng }
    }

    /// From now on nothing is lost and nothing comes twice.
    pub(super) fn heal(&mut self) {
        self.faults.loss = Share(0);
        self.faults.duplicate = Share(0);
    }

    /// Carries one packet to one receiver.
    pub(super) fn carry(&mut self, now: Time) -> Arrivals {
        // Always the same number of draws: a changed share changes what becomes of a packet, not all that follows.
        let lost = self.prng.chance(self.faults.loss.0);
        let twice = self.prng.chance(self.faults.duplicate.0);
        let (first, second) = (now.after(self.travel()), now.after(self.travel()));
        Arrivals { first: (!lost).then_some(first), second: (!lost && twice).then_some(second) }
    }

    fn travel(&mut self) -> Duration {
        let Delay { min, max } = self.faults.delay;
        Duration::from_micros(self.prng.between(min.as_micros() as u64, max.as_micros() as u64))
    }
}

impl Share {
    /// Whether it is no case at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, whole) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
        let share = digits.trim().parse::<f64>().map_err(|_| "write 20% or 0.2".to_owned())? / whole;
        if (0.0..=1.0).contains(&share) {
            Ok(Self((share * 1e6).round() as u32))
        } else {
            Err("a share is from 0% to 100%: write 20% or 0.2".to_owned())
        }
    }
}

impl Delay {
    /// The longest delay that can be asked for.
    pub const LIMIT: Duration = Duration::from_secs(10);
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us-{}us", self.min.as_micros(), self.max.as_micros())
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let unit = high.trim_start_matches(|c: char| c.is_ascii_digit());
        let low =
            if low.ends_with(|c: char| c.is_ascii_digit()) { format!("{low}{unit}") } else { low.to_owned() };
        let parse =
            |text: &str| humantime::parse_duration(text).map_err(|_| "write 0-50ms or 5ms".to_owned());
        let delay = Self { min: parse(&low)?, max: parse(high)? };
        if delay.min > delay.max {
            return Err("the shorter delay comes first, as in 0-50ms".to_owned());
        }
        if delay.max > Self::LIMIT { Err("at most 10s".to_owned()) } else { Ok(delay) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written() {
        for (text, parts, shown) in
            [("20%", 200_000, "20%"), ("0.2", 200_000, "20%"), ("0", 0, "0%"), ("12.5%", 125_000, "12.5%")]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share, share.to_string().as_str()), (Share(parts), shown));
            assert_eq!(shown.parse(), Ok(share), "what is shown can be typed");
        }
        for bad in ["20", "-1%", "101%", "nan", "x", ""] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn delays_are_read_and_written() {
        let ms = Duration::from_millis;
        for (text, min, max) in [("0-50ms", 0, 50), ("5ms", 5, 5), ("3ms-1s", 3, 1000), ("1-2s", 1000, 2000)]
        {
            let delay: Delay = text.parse().unwrap();
            assert_eq!(delay, Delay { min: ms(min), max: ms(max) });
            assert_eq!(delay.to_string().parse(), Ok(delay), "what is shown can be typed");
        }
        for bad in ["50-0ms", "50", "x", "", "-", "1-20s"] {
            assert!(bad.parse::<Delay>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_packet_is_lost_or_comes_once_or_twice() {
        let faults = Faults { loss: Share(300_000), duplicate: Share(200_000), delay: Delay::default() };
        let mut network = Network::new(faults, Prng::new(1));
        let carried: Vec<Arrivals> = (0..10_000).map(|_| network.carry(Time::ZERO)).collect();
        let lost = carried.iter().filter(|arrivals| arrivals.first.is_none()).count();
        let twice = carried.iter().filter(|arrivals| arrivals.second.is_some()).count();
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert!((1_200..1_600).contains(&twice), "{twice}");
        network.heal();
        assert!((0..1_000).all(|_| network.carry(Time::ZERO).first.is_some()));
    }
}
