//! The faults of the simulated world: their amounts, given on the command line or drawn from the seed, and single faults
//! of members.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::engine::{MemberId, Time};
use crate::prng::Prng;

/// A share of cases or of time, in parts per million. Written `20%` or `0.2`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Share(u32);

/// A range of delays, both ends included. Written `0-50ms` or, if both are the same, `5ms`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delay {
    /// The shortest delay.
    pub min: Duration,
    /// The longest delay; not less than `min`, at most [`Delay::LIMIT`].
    pub max: Duration,
}

/// The amount of each fault until the network heals.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// The share of packets that are lost, drawn separately for each packet and receiver.
    pub loss: Share,
    /// The share of packets that arrive twice, each time with its own delay. A lost packet is not duplicated.
    pub duplicate: Share,
    /// The delay of a packet, drawn evenly from this range; packets overtake each other accordingly.
    pub delay: Delay,
    /// The share of packets that travel up to a second longer.
    pub slow: Share,
    /// The share of packets of which one more copy arrives seconds later. No seed draws it.
    pub stale: Share,
    /// The share of the time in which a link holds its packets, to release them all at once.
    pub clog: Share,
    /// The share of the time in which a part of the group cannot reach the rest, or cannot be reached by it.
    pub partition: Share,
    /// The share of the time in which a member is paused, while its packets queue up and its deadlines pass.
    pub pause: Share,
}

/// Something that happens to a member or to the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The member crashes. Of its packets to single members that have not arrived, each is lost or not.
    Crash(MemberId),
    /// A crashed member is started again, with a new slot, and takes itself for a member of the first view.
    ReturnUnaware(MemberId),
    /// A new client asks to join; with a member, as its next incarnation.
    Join(Option<MemberId>),
    /// A new standby asks to join; with a member, as its next incarnation.
    StandBy(Option<MemberId>),
    /// The member does nothing until this time.
    Pause(MemberId, Time),
    /// The member leaves the group.
    Leave(MemberId),
    /// From now on these members do not reach the others, nor the others them. Replaces the partition before.
    Partition(BTreeSet<MemberId>),
    /// From now on these two members do not reach each other.
    Cut(MemberId, MemberId),
    /// From now on the first member does not reach the second.
    Mute(MemberId, MemberId),
    /// Partitions and cuts end.
    Reconnect,
    /// The first member accuses the second of receiving nothing.
    Exclude(MemberId, MemberId),
    /// The member receives nothing until this time, does not listen, and so suspects no member.
    Deafen(MemberId, Time),
    /// Loss, duplication, slow and stale packets end.
    Calm,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(member) => write!(f, "{member} crashes"),
            Self::ReturnUnaware(member) => write!(f, "{member} is started again, unaware of its crash"),
            Self::Join(None) => f.write_str("a client joins"),
            Self::Join(Some(earlier)) => write!(f, "{earlier} joins again"),
            Self::StandBy(None) => f.write_str("a standby joins"),
            Self::StandBy(Some(earlier)) => write!(f, "{earlier} joins again, as a standby"),
            Self::Pause(member, until) => write!(f, "{member} pauses until {until}"),
            Self::Leave(member) => write!(f, "{member} leaves"),
            Self::Partition(part) => write!(f, "cut off: {part:?}"),
            Self::Cut(one, other) => write!(f, "{one} and {other} are cut off from each other"),
            Self::Mute(from, to) => write!(f, "{from} does not reach {to}"),
            Self::Reconnect => f.write_str("all members are connected"),
            Self::Exclude(by, member) => write!(f, "{by} excludes {member}"),
            Self::Deafen(member, until) => write!(f, "{member} is deaf until {until}"),
            Self::Calm => f.write_str("the network is at no fault from now on"),
        }
    }
}

/// The longest extra delay of a slow packet.
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// The delay of a stale copy.
pub(super) const STALE: Delay = Delay { min: Duration::from_secs(1), max: Duration::from_secs(3) };

/// The largest amount of each fault that a seed draws.
const MOST_LOSS: Share = Share(300_000);
const MOST_DUPLICATE: Share = Share(200_000);
const MOST_DELAY: Duration = Duration::from_millis(50);
const MOST_SLOW: Share = Share(100_000);
const MOST_CLOG: Share = Share(300_000);
const MOST_PARTITION: Share = Share(500_000);
const MOST_PAUSE: Share = Share(300_000);

impl Faults {
    /// Draws the faults of one seed. Half of the seeds leave each fault out, because one fault may hide the effect of
    /// another.
    pub(super) fn draw(prng: &mut Prng) -> Self {
        let max = prng.below(MOST_DELAY.as_micros() as u64 + 1);
        let min = prng.below(max + 1);
        let mut up_to = |most: Share| {
            let (left_out, share) = (prng.chance(500_000), prng.below(u64::from(most.0) + 1) as u32);
            Share(if left_out { 0 } else { share })
        };
        Self {
            loss: up_to(MOST_LOSS),
            duplicate: up_to(MOST_DUPLICATE),
            delay: Delay { min: Duration::from_micros(min), max: Duration::from_micros(max) },
            slow: up_to(MOST_SLOW),
            stale: Share::ZERO,
            clog: up_to(MOST_CLOG),
            partition: up_to(MOST_PARTITION),
            pause: up_to(MOST_PAUSE),
        }
    }

    /// Returns the faults of the healed network: only the delay remains.
    pub(super) fn healed(self) -> Self {
        Self { delay: self.delay, ..Self::default() }
    }
}

impl Share {
    /// The empty share.
    pub const ZERO: Self = Self(0);

    /// Creates a share in parts per million.
    #[must_use]
    pub const fn new(parts: u32) -> Self {
        Self(parts)
    }

    /// Returns the share in parts per million.
    #[must_use]
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// Returns this share of `whole`.
    pub(super) fn of(self, whole: u64) -> u64 {
        (u128::from(whole) * u128::from(self.0) / 1_000_000) as u64
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
    /// The longest delay that an option may give.
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
}
