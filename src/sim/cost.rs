//! The cost of the multicasts of a simulation, measured from outside the engines.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde_json::{Value, json};

use crate::cost::{Spread, Traffic, body_bytes, control_share};
use crate::engine::{MemberId, Time};
use crate::member::App;
use crate::wire::{Kind, Packet};

/// Sums over one run or several.
///
/// *Control* is every byte carried, except the body of a batch the first time that it reaches a client other than its
/// sender. So packets to a sequencer, resends, duplicates, headers, numbers and acknowledgements are control.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// The packets sent, a multicast counted once.
    pub sent: Traffic,
    /// The packets that the network carried, a multicast counted once for each other member.
    pub carried: Traffic,
    /// The packets among those sent that only acknowledge or announce.
    pub acknowledgements: u64,
    /// The bytes of bodies, counted once for each client other than the sender that delivered them.
    pub bodies: u64,
    /// The latency of each multicast that every client delivered: from its submission to the last delivery.
    pub latency: Spread,
    /// The most batches in a client's hold-back queue at one time.
    pub deepest: u64,
    /// The time that batches were held back, summed over batches and clients, in microseconds.
    pub held_us: u64,
    /// The time that hold-back queues were not empty, summed over clients, in microseconds.
    pub holding_us: u64,
    /// The number of batches delivered.
    pub batches: u64,
}

/// Measures one run.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) cost: Cost,
    clients: usize,
    /// The batches that some clients lack: by sender and first number, the submission time and the number of these
    /// clients.
    open: BTreeMap<(MemberId, u64), (Time, usize)>,
    /// The length of each client's hold-back queue, and since when.
    depths: BTreeMap<MemberId, (u64, Time)>,
}

impl Meter {
    pub(super) fn new(clients: usize) -> Self {
        Self { cost: Cost::default(), clients, open: BTreeMap::new(), depths: BTreeMap::new() }
    }

    /// Counts a packet to this many other members.
    pub(super) fn sent(&mut self, packet: &Packet, others: usize) {
        self.cost.sent.add(&packet.frames, 1);
        self.cost.carried.add(&packet.frames, others as u64);
        self.cost.acknowledgements += u64::from(packet.header.kind == Kind::Status);
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

    /// Records the length of a client's hold-back queue from now on.
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
        self.acknowledgements += other.acknowledgements;
        self.bodies += other.bodies;
        self.latency += other.latency;
        self.deepest = self.deepest.max(other.deepest);
        self.held_us += other.held_us;
        self.holding_us += other.holding_us;
        self.batches += other.batches;
    }
}

impl Cost {
    /// Returns `sum` divided by the number of multicasts delivered everywhere.
    fn each(&self, sum: u64) -> f64 {
        ratio(sum, self.latency.count())
    }

    /// Returns the mean length of the hold-back queues over the time in which they are not empty.
    fn mean_depth(&self) -> f64 {
        ratio(self.held_us, self.holding_us)
    }

    /// Returns the mean time that a batch is held back, in milliseconds; a batch that is not held back counts as 0.
    fn mean_hold_ms(&self) -> f64 {
        ratio(self.held_us, self.batches) / 1000.0
    }

    /// Formats the cost for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let micros = |duration: std::time::Duration| duration.as_micros() as u64;
        json!({
            "multicasts": self.latency.count(),
            "packets_sent": self.each(self.sent.packets),
            "acknowledgements": self.each(self.acknowledgements),
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
        let [sent, acknowledgements, packets, bytes] =
            [self.sent.packets, self.acknowledgements, self.carried.packets, self.carried.bytes]
                .map(|sum| self.each(sum));
        let control = 100.0 * control_share(self.bodies, self.carried.bytes);
        let (depth, deepest, hold) = (self.mean_depth(), self.deepest, self.mean_hold_ms());
        writeln!(f, "cost      {} multicasts were delivered everywhere; each took", self.latency.count())?;
        writeln!(
            f,
            "  network   {sent:.2} packets sent, {acknowledgements:.2} of them acknowledgements, {packets:.2} carried, \
             {bytes:.0} bytes, {control:.1}% control"
        )?;
        writeln!(
            f,
            "  hold-back {hold:.1} ms on average; {depth:.1} batches deep on average, {deepest} at most"
        )?;
        write!(f, "  latency   {}", self.latency)
    }
}
