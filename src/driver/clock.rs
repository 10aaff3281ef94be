//! The only reader of the clock and the calendar, and the only source of a number unique to this process.

#![allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::Time;

/// The longest wait of the loop: limits that are checked after each wait are kept this exactly.
pub const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// A gap between two readings of the clock that is longer than this means that the process was stopped meanwhile.
const STOPPED: Duration = Duration::from_secs(1);

/// The clock of a process.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    last: Instant,
    now: Time,
}

impl Clock {
    /// Starts a clock.
    #[must_use]
    pub fn start() -> Self {
        let began = Instant::now();
        Self { began, last: began, now: Time::ZERO }
    }

    /// Returns the time for protocols. It stands still while the process is stopped, because a process that could not
    /// receive must not conclude that the others were silent.
    pub fn now(&mut self) -> Time {
        let instant = Instant::now();
        self.now = self.now.after((instant - self.last).min(STOPPED));
        self.last = instant;
        self.now
    }

    /// Returns the microseconds since the clock started, stopped or not, for notices and histories.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Returns the date and the time of day (UTC) as a folder name: `2026-11-21T09-40-12`.
#[must_use]
pub fn date_and_time() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "-").replace('Z', "")
}

/// Returns the calendar time since 1970. It may be wrong, and may jump.
#[must_use]
pub fn calendar() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns microseconds of the monotonic clock that all processes of this machine share.
#[must_use]
pub fn shared_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Returns a number that no other process, on this machine or another, is likely to draw.
#[must_use]
pub fn nonce() -> u64 {
    let seed = (calendar().as_nanos() as u64) ^ (u64::from(std::process::id()) << 32);
    crate::prng::Prng::new(seed).next_u64() >> 1
}
