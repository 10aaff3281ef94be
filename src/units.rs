//! Durations, sizes, rates and shares, as people write and read them.
//!
//! The parsers are for command lines, scenarios and scripts of faults; their errors are for people.

use std::time::Duration;

use crate::engine::Time;

/// The units of a number of bytes.
const BYTES: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// The sizes of the units in which a rate is written.
const RATES: [u64; 3] = [1, 1000, 1_000_000];

/// Parses a duration: `250ms`, `60s`, `2min`; a bare number is seconds.
///
/// # Errors
/// The mistake.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| "a duration is not negative and not endless".to_owned());
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 60s, 250ms or 2min"))
}

/// Formats a duration for people: `850 ms`, `3.2 s`, `58 s`, `5 min`.
pub(crate) fn duration(length: Duration) -> String {
    let millis = length.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{:.1} s", length.as_secs_f64()),
        10_000..120_000 => format!("{} s", length.as_secs()),
        _ => format!("{} min", length.as_secs() / 60),
    }
}

/// Formats a duration in one unit, so that [`parse_duration`] reads the same again: `250us`, `20ms`, `1.5s`.
pub(crate) fn exact_duration(length: Duration) -> String {
    match (length.as_micros(), length.as_millis()) {
        (micros, _) if micros % 1000 != 0 => format!("{micros}us"),
        (_, millis @ 1..1000) => format!("{millis}ms"),
        (_, millis) if millis % 1000 == 0 => format!("{}s", millis / 1000),
        (_, millis) => {
            format!("{}.{:03}s", millis / 1000, millis % 1000).replace("00s", "s").replace("0s", "s")
        }
    }
}

/// Formats a duration as an argument of a command line: `5m`, `1s500ms`.
pub(crate) fn duration_argument(length: Duration) -> String {
    humantime::format_duration(length).to_string().replace(' ', "")
}

/// Formats a short duration for people, in microseconds: `85 µs`, `1.2 ms`, `3.45 s`.
pub(crate) fn short_duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// Formats a time since the start, in microseconds, for people: `0.012345 s`.
pub(crate) fn seconds(micros: u64) -> String {
    format!("{} s", Time::from_micros(micros))
}

/// Splits a number of bytes into digits and the size of the unit; `None` if there is no unit or another one.
pub(crate) fn split_bytes(text: &str) -> Option<(&str, u64)> {
    let number = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = text[number.len()..].trim_start();
    BYTES.iter().find(|(known, _)| *known == unit).map(|&(_, size)| (number, size))
}

/// Parses a rate in bytes per second: `1MB/s`, `64kB/s`.
///
/// # Errors
/// Examples.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let bytes = text.strip_suffix("/s").and_then(split_bytes).filter(|(_, size)| RATES.contains(size));
    let bytes = bytes.and_then(|(number, size)| Some(number.parse::<f64>().ok()? * size as f64));
    // NaN is in no range.
    let bytes = bytes.filter(|bytes| (1.0..=1e12).contains(bytes));
    bytes.map(|bytes| bytes as u64).ok_or("write for example 1MB/s, 64kB/s or 500B/s".to_owned())
}

/// Formats a rate in bytes per second as [`parse_rate`] reads it.
pub(crate) fn rate(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1_000_000) => format!("{}MB/s", bytes / 1_000_000),
        _ if bytes.is_multiple_of(1000) => format!("{}kB/s", bytes / 1000),
        _ => format!("{bytes}B/s"),
    }
}

/// Parses a share like `5%` into parts per million.
///
/// # Errors
/// Examples.
pub(crate) fn parse_share(text: &str) -> Result<u32, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    // NaN is in no range.
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    let parts = percent.map(|percent| (percent * 10_000.0).round()).filter(|&parts| parts >= 1.0);
    parts.map(|parts| parts as u32).ok_or("write for example 5%, 0.5% or 100%".to_owned())
}

/// Formats parts per million as `5%`.
pub(crate) fn percent(parts: u32) -> String {
    format!("{}%", f64::from(parts) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_duration_has_a_fitting_unit() {
        let short = [0, 999, 1_000, 1_234_567].map(short_duration);
        assert_eq!(short, ["0 µs", "999 µs", "1.0 ms", "1.23 s"]);
        assert_eq!(seconds(1_234_567), "1.234567 s");
    }

    #[test]
    fn rate_needs_a_known_unit() {
        assert_eq!(["1.5MB/s", "64kB/s", "9B/s"].map(parse_rate), [Ok(1_500_000), Ok(64_000), Ok(9)]);
        for wrong in ["1", "1MB", "1Mb/s", "MB/s", "NaNB/s", "0B/s", "-1B/s", "1KiB/s", "1MiB/s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
