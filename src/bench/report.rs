//! The report of the rounds: a line for each, and the ratios of groupcast to the baselines, pair by pair.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::delays::Delays;
use super::part::Baseline;
use super::profile;
use super::round::{Outcome, Setting, System};
use super::workload::{Amount, Workload};
use crate::units;

/// The fields of a CSV line, by their names in JSON.
const COLUMNS: [&str; 30] = [
    "round",
    "peer",
    "order",
    "method",
    "members",
    "senders",
    "groups",
    "each",
    "size",
    "window",
    "rate",
    "warmup",
    "complete",
    "seconds",
    "multicasts_per_s",
    "deliveries_per_s",
    "rtt_p50_us",
    "rtt_p99_us",
    "latency_p50_us",
    "latency_p99_us",
    "latency_max_us",
    "cpu_ms",
    "member_kib",
    "packets_per_multicast",
    "bytes_per_multicast",
    "wakeups_per_multicast",
    "safe",
    "inside",
    "sockets",
    "files",
];

/// The output format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Text,
    Json,
    Csv,
}

/// Formats the setting of the rounds for people, as the line above the results.
pub(super) fn title(setting: &Setting) -> String {
    let Workload { members, senders, groups, size, window, amount, warmup, rate } = &setting.workload;
    let groups = if *groups == 1 { String::new() } else { format!("{groups} groups of ") };
    let amount = match amount {
        Amount::Messages(count) => format!("{} multicasts each", grouped(*count)),
        Amount::Time(time) => units::duration(*time),
    };
    let pace = rate.map_or_else(
        || format!("{} own ones under way", grouped(*window)),
        |rate| format!("{} a second", grouped(rate as u64)),
    );
    let warmup = if *warmup == 0 { String::new() } else { format!(" after {} each", grouped(*warmup)) };
    let safe = if setting.safe { ", safe" } else { "" };
    let sending = if senders < members { format!(" ({senders} multicast)") } else { String::new() };
    let inside = if setting.inside { ", numbered in the forwarder" } else { "" };
    format!(
        "{}{safe}{inside}: {groups}{members} members{sending}, {size} bytes, {pace}, {amount}{warmup}; reliable, with flow control, {}, {}",
        setting.way.title(),
        sockets(setting),
        files(setting).replace("none", "no files")
    )
}

fn sockets(setting: &Setting) -> &'static str {
    if setting.way.is_cluster() {
        return match (setting.unicast, setting.keys) {
            (true, false) => "udp",
            (false, false) => "udp multicast",
            (true, true) => "udp with a key",
            (false, true) => "udp multicast with a key",
        };
    }
    match (setting.host.starts_with("ipc://"), setting.keys) {
        (true, false) => "ipc",
        (false, false) => "tcp",
        (true, true) => "ipc with keys",
        (false, true) => "tcp with keys",
    }
}

/// Returns the kinds of files that members write.
const fn files(setting: &Setting) -> &'static str {
    match (&setting.out, setting.history) {
        _ if setting.way.is_cluster() => "journals",
        (None, _) => "none",
        (Some(_), false) => "result files",
        (Some(_), true) => "result files and histories",
    }
}

/// Formats a round as JSON.
pub(super) fn json(setting: &Setting, outcome: &Outcome, round: u32) -> Value {
    let Workload { members, senders, groups, size, window, amount, warmup, rate } = &setting.workload;
    let (order, method) = match outcome.system {
        System::Ours(way) => (Some(way.name()), way.method()),
        System::Plain(_) => (None, None),
    };
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("event", json!("round"));
    add("round", json!(round));
    add("peer", json!(outcome.system.name()));
    add("order", json!(order));
    add("method", json!(method));
    add("members", json!(members));
    add("groups", json!(groups));
    add("senders", json!(senders));
    add("each", json!(outcome.multicasts / (u64::from(*senders) * u64::from(*groups))));
    add("size", json!(size));
    add("window", json!(window));
    add("rate", json!(rate));
    add("warmup", json!(warmup));
    add("sockets", json!(sockets(setting)));
    if matches!(outcome.system, System::Ours(_)) {
        add("safe", json!(setting.safe));
        add("inside", json!(setting.inside));
        add("files", json!(files(setting)));
    }
    if let Amount::Time(time) = amount {
        add("duration", json!(time.as_secs_f64()));
    }
    add("complete", json!(outcome.is_whole));
    add("seconds", json!(rounded(outcome.seconds, 1e3)));
    add("multicasts_per_s", json!(outcome.per_second.round()));
    add("deliveries_per_s", json!((outcome.per_second * f64::from(*members)).round()));
    let mut add_delays = |name: &str, delays: &Delays| {
        for (quantile, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)] {
            add(&format!("{name}_{quantile}_us"), json!(delays.quantile(share)));
        }
        add(&format!("{name}_max_us"), json!(delays.max()));
    };
    if !outcome.round_trips.is_empty() {
        add_delays("rtt", &outcome.round_trips);
    }
    if rate.is_some() {
        add_delays("latency", &outcome.delays);
    }
    add("cpu_ms", json!(outcome.cpu_ms));
    add("member_kib", json!(outcome.member.memory_kib));
    for (name, usage) in &outcome.middle {
        add(&format!("{name}_kib"), json!(usage.memory_kib));
    }
    for (name, value) in profile::fields(outcome, setting.profile) {
        add(name, value);
    }
    Value::Object(fields)
}

pub(super) fn csv_head() -> String {
    csv_line(COLUMNS)
}

/// Formats a round as a CSV line.
pub(super) fn csv(json: &Value) -> String {
    csv_line(COLUMNS.map(|name| match &json[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }))
}

fn csv_line<const N: usize>(cells: [impl AsRef<[u8]>; N]) -> String {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells).expect("a vector takes everything");
    let line = line.into_inner().expect("a vector takes everything");
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// Formats a round for people.
pub(super) fn text(setting: &Setting, outcome: &Outcome, round: u32) -> String {
    let mut line = format!("{round:>3}  {:<22}", outcome.system.name());
    let per_second = outcome.per_second.round() as u64;
    let deliveries = outcome.per_second * f64::from(setting.workload.members);
    let _ = write!(
        line,
        "{:>11} multicasts/s {:>11} deliveries/s",
        grouped(per_second),
        grouped(deliveries.round() as u64)
    );
    if setting.workload.rate.is_some() {
        let delays = &outcome.delays;
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|share| delays.quantile(share));
        let _ = write!(line, "  latency µs p50 {p50} p90 {p90} p99 {p99} p99.9 {p999} max {}", delays.max());
    } else if !outcome.round_trips.is_empty() {
        let delays = &outcome.round_trips;
        let [p50, p99] = [0.5, 0.99].map(|share| delays.quantile(share));
        let _ = write!(line, "  round trip µs p50 {p50} p99 {p99} max {}", delays.max());
    }
    let _ = write!(line, "  {:.1} s", outcome.seconds);
    if !outcome.is_whole {
        line += "  partial";
    }
    if setting.profile {
        let _ = write!(line, "\n{}", profile::text(outcome));
    }
    line
}

/// The ratios of groupcast to one baseline, pair by pair.
#[derive(Debug, Default)]
pub(super) struct Ratios {
    /// The ratios of multicasts per second.
    rates: Vec<f64>,
    /// The ratios of the median round trips.
    round_trips: Vec<f64>,
}

impl Ratios {
    pub(super) fn add(&mut self, ours: &Outcome, theirs: &Outcome) {
        if theirs.per_second > 0.0 {
            self.rates.push(ours.per_second / theirs.per_second);
        }
        if !ours.round_trips.is_empty() && !theirs.round_trips.is_empty() {
            let [ours, theirs] =
                [ours, theirs].map(|outcome| outcome.round_trips.quantile(0.5).max(1) as f64);
            self.round_trips.push(ours / theirs);
        }
    }

    pub(super) fn json(&self, baseline: Baseline) -> Value {
        json!({
            "event": "ratio",
            "to": System::Plain(baseline).name(),
            "multicasts_per_s": median(&self.rates).map(|ratio| rounded(ratio, 1e3)),
            "multicasts_per_s_pairs": self.rates.iter().map(|&ratio| rounded(ratio, 1e3)).collect::<Vec<_>>(),
            "rtt_p50": median(&self.round_trips).map(|ratio| rounded(ratio, 1e3)),
            "rtt_p50_pairs": self.round_trips.iter().map(|&ratio| rounded(ratio, 1e3)).collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self, baseline: Baseline) -> String {
        let listed =
            |ratios: &[f64]| ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ");
        let mut text = format!("     of the {:<15}", System::Plain(baseline).name());
        if let Some(ratio) = median(&self.rates) {
            let _ = write!(text, "{ratio:>10.2} × multicasts/s (median of {})", listed(&self.rates));
        }
        if let Some(ratio) = median(&self.round_trips) {
            let _ = write!(text, ", {ratio:.2} × round trip p50 (median of {})", listed(&self.round_trips));
        }
        text
    }
}

/// Returns the middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// Formats a number as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn long_numbers_are_in_groups() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
