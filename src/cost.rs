//! Beside the path: the cost of ordering, in numbers that simulations and real runs share.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::member::App;
use crate::wire::{Frames, Kind};

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Traffic {
    /// The number of packets.
    pub packets: u64,
    /// The bytes of their frames.
    pub bytes: u64,
}

/// Packets and their bytes, by the kind of the packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ByKind([Traffic; Kind::ALL.len()]);

/// A distribution of durations, in microseconds. Mean and maximum are exact, quantiles to within two per cent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    count: u64,
    sum: u64,
    max: u64,
    /// The count of each duration, rounded.
    rounded: BTreeMap<u64, u64>,
}

impl Traffic {
    /// Counts a packet `times` times.
    pub fn add(&mut self, frames: &Frames, times: u64) {
        self.packets += times;
        self.bytes += times * (frames.header.len() + frames.body.len()) as u64;
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl ByKind {
    /// Counts a packet of this kind.
    pub fn add(&mut self, kind: Kind, frames: &Frames) {
        self.0[place(kind)].add(frames, 1);
    }

    /// Returns the packets of this kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> Traffic {
        self.0[place(kind)]
    }

    /// Returns the packets of all kinds together.
    #[must_use]
    pub fn all(&self) -> Traffic {
        let mut all = Traffic::default();
        self.0.iter().for_each(|&traffic| all += traffic);
        all
    }
}

impl AddAssign for ByKind {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, traffic)| *own += traffic);
    }
}

/// Returns the place of a kind in [`Kind::ALL`].
const fn place(kind: Kind) -> usize {
    kind as usize - Kind::ALL[0] as usize
}

impl Spread {
    /// Adds `times` durations of this length.
    pub fn add(&mut self, duration: Duration, times: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.count += times;
        self.sum = self.sum.saturating_add(micros.saturating_mul(times));
        self.max = self.max.max(micros);
        *self.rounded.entry(round(micros)).or_default() += times;
    }

    /// Returns the number of durations.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the mean; zero if there are none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum.checked_div(self.count).unwrap_or(0))
    }

    /// Returns the longest.
    #[must_use]
    pub const fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// Returns the duration that `percent` of all do not exceed.
    #[must_use]
    pub fn quantile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        let found = self.rounded.iter().find(|&(_, &times)| {
            seen += times;
            seen >= wanted
        });
        Duration::from_micros(found.map_or(0, |(&micros, _)| micros))
    }
}

/// Keeps the seven leading bits.
const fn round(micros: u64) -> u64 {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(7);
    (micros >> shift) << shift
}

impl AddAssign for Spread {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        for (micros, times) in other.rounded {
            *self.rounded.entry(micros).or_default() += times;
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [mean, p50, p99, max] =
            [self.mean(), self.quantile(50), self.quantile(99), self.max()].map(millis);
        write!(f, "mean {mean}, p50 {p50}, p99 {p99}, max {max}")
    }
}

/// Formats a duration: `12.3 ms`.
#[must_use]
pub fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_micros() as f64 / 1000.0)
}

/// Returns the share of `bytes` that are not `bodies`, the bytes of messages: headers, numbers, acknowledgements,
/// requests, resends, and bodies for processes that do not need them. Zero if there are no bytes.
#[must_use]
pub fn control_share(bodies: u64, bytes: u64) -> f64 {
    if bytes == 0 { 0.0 } else { bytes.saturating_sub(bodies) as f64 / bytes as f64 }
}

/// Returns the bytes of the messages in a submission or delivery.
#[must_use]
pub fn body_bytes(app: &App) -> u64 {
    match app {
        App::Multicast(batch) | App::Direct(batch) => batch.body().len() as u64,
        App::Finished(_)
        | App::View(..)
        | App::Replay(_)
        | App::Advance(_)
        | App::Record(_)
        | App::Fenced(_)
        | App::Notice(_)
        | App::Undeliverable(..) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_knows_its_quantiles() {
        let ms = Duration::from_millis;
        let mut spread = Spread::default();
        assert_eq!((spread.mean(), spread.quantile(50), spread.max()), (ms(0), ms(0), ms(0)));
        for millis in 1..=100 {
            spread.add(ms(millis), 1);
        }
        assert_eq!((spread.count(), spread.mean(), spread.max()), (100, ms(50) + ms(1) / 2, ms(100)));
        for percent in [1, 50, 99, 100] {
            let (exact, found) = (ms(percent), spread.quantile(percent));
            assert!(found <= exact && exact - found <= exact / 50, "{percent}: {found:?}");
        }
        let mut twice = spread.clone();
        twice += spread.clone();
        assert_eq!((twice.count(), twice.quantile(50)), (200, spread.quantile(50)));
    }

    #[test]
    fn every_kind_is_counted_at_its_place_and_all_together() {
        let frames = |length: usize| Frames { header: vec![0; length].into(), body: Vec::new().into() };
        let mut traffic = ByKind::default();
        for (number, kind) in (1..).zip(Kind::ALL) {
            (0..number).for_each(|_| traffic.add(kind, &frames(10)));
        }
        traffic += traffic;
        for (number, kind) in (1..).zip(Kind::ALL) {
            assert_eq!(traffic.of(kind), Traffic { packets: 2 * number, bytes: 20 * number }, "{kind:?}");
        }
        assert_eq!(traffic.all(), Traffic { packets: 56, bytes: 560 });
    }

    #[test]
    fn what_is_no_body_is_control() {
        let shares =
            [(0, 0), (0, 10), (10, 10), (25, 100)].map(|(bodies, bytes)| control_share(bodies, bytes));
        assert_eq!(shares, [0.0, 1.0, 0.0, 0.75]);
    }
}
