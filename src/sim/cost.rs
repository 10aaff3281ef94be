//! What the multicasts of a simulation cost, measured from outside the engines.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde_json::{Value, json};

use crate::cost::{Spread, Traffic, body_bytes, control_share};
use crate::engine::{MemberId, Time};
use crate::member::App;
use crate::wire::Frames;

/// Sums over a run, or over many.
///
/// *Control* is every byte carried that is not the body of a batch on its one necessary way to a client other than
/// its sender:
/// what a sequencer is given, whatever is sent again or comes twice, headers, numbers and acknowledgements are control.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// What members send, a packet to all counted once.
    pub sent: Traffic,
    /// What the network is given to carry to others, a packet to all counted once for each of them.
    pub carried: Traffic,
    /// Bytes of bodies, counted once for each client other than the sender that was given them.
    pub bodies: u64,
    /// Of each multicast that every client delivered: from its submission to the last delivery.
    pub latency: Spread,
    /// The most batches that a client held back at one time.
    pub deepest: u64,
    /// For how long batches were held back, all batches and clients together, in microseconds.
    pub held_us: u64,
    /// For how long clients held anything back, in microseconds.
    pub holding_us: u64,
    /// Batches that were delivered.
    pub batches: u64,
}

/// Measures one run.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) cost: Cost,
    clients: usize,
    /// Batches that not all have delivered: by sender and first number, since when, and how many have not.
    open: BTreeMap<(MemberId, u64), (Time, usize)>,
    /// Of each client: how many batches it holds back, since when.
    depths: BTreeMap<MemberId, (u64, Time)>,
}

impl Meter {
    pub(super) fn new(clients: usize) -> Self {
        Self { cost: Cost::default(), clients, open: BTreeMap::new(), depths: BTreeMap::new() }
    }

    /// A member sends a packet to so many others.
    pub(super) fn sent(&mut self, frames: &Frames, others: usize) {
        self.cost.sent.add(frames, 1);
        self.cost.carried.add(frames, others as u64);
    }

    pub(super) fn submitted(&mut self, now: Time, at: MemberId, app: &App) {
        if let App::Multicast(batch) = app {
            self.open.insert((at, batch.first()), (now, self.clients));
        }
    }

    pub(super) fn delivered(&mut self, now: Time, at: MemberId, from: MemberId, app: &App) {
        if at != from {
            self.cost.bodies += body_bytes(app);
        }
        let App::Multicast(batch) = app else { return };
        self.cost.batches += 1;
        let key = (from, batch.first());
        let Some((since, missing)) = self.open.get_mut(&key) else { return };
        *missing -= 1;
        if *missing == 0 {
            self.cost.latency.add(now.since(*since), u64::from(batch.count()));
            self.open.remove(&key);
        }
    }

    /// A client holds so many batches back from now on.
    pub(super) fn holds(&mut self, now: Time, at: MemberId, depth: usize) {
        let (was, since) = self.depths.insert(at, (depth as u64, now)).unwrap_or_default();
        let micros = now.since(since).as_micros() as u64;
        self.cost.held_us += was * micros;
        self.cost.holding_us += if was > 0 { micros } else { 0 };
        self.cost.deepest = self.cost.deepest.max(depth as u64);
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.carried += other.carried;
        self.bodies += other.bodies;
        self.latency += other.latency;
        self.deepest = self.deepest.max(other.deepest);
        self.held_us += other.held_us;
        self.holding_us += other.holding_us;
        self.batches += other.batches;
    }
}

impl Cost {
    /// Of each multicast delivered everywhere: its part of `sum`.
    fn each(&self, sum: u64) -> f64 {
        ratio(sum, self.latency.count())
    }

    /// How many batches a client holds back while it holds any, on average over time.
    fn mean_depth(&self) -> f64 {
        ratio(self.held_us, self.holding_us)
    }

    /// For how long a batch is held back on average, those that are not included, in milliseconds.
    fn mean_hold_ms(&self) -> f64 {
        ratio(self.held_us, self.batches) / 1000.0
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let micros = |duration: std::time::Duration| duration.as_micros() as u64;
        json!({
            "multicasts": self.latency.count(),
            "packets_sent": self.each(self.sent.packets),
            "packets_carried": self.each(self.carried.packets),
            "bytes_carried": self.each(self.carried.bytes),
            "control_share": control_share(self.bodies, self.carried.bytes),
            "hold_back": {
                "depth_mean": self.mean_depth(), "depth_max": self.deepest, "time_mean_us": self.mean_hold_ms() * 1000.0,
            },
            "latency_us": {
                "mean": micros(self.latency.mean()), "p50": micros(self.latency.quantile(50)),
                "p99": micros(self.latency.quantile(99)), "max": micros(self.latency.max()),
            },
        })
    }
}

fn ratio(sum: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sent, packets, bytes] =
            [self.sent.packets, self.carried.packets, self.carried.bytes].map(|sum| self.each(sum));
        let control = 100.0 * control_share(self.bodies, self.carried.bytes);
        let (depth, deepest, hold) = (self.mean_depth(), self.deepest, self.mean_hold_ms());
        writeln!(f, "cost      {} multicasts were delivered everywhere; each took", self.latency.count())?;
        writeln!(
            f,
            "  network   {sent:.2} packets sent, {packets:.2} carried, {bytes:.0} bytes, {control:.1}% control"
        )?;
        writeln!(
            f,
            "  hold-back {hold:.1} ms on average; {depth:.1} batches deep on average, {deepest} at most"
        )?;
        write!(f, "  latency   {}", self.latency)
    }
}
