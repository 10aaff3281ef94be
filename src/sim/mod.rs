//! Beside the path: the world, simulated. The engines that run for real run here on a network that loses,
//! duplicates, delays and reorders, all of it drawn from one seed.
//!
//! A run has two phases. While the network is at fault everything must stay safe; then it heals, and everybody
//! must get everything. The oracles of [`crate::check`] judge what the members delivered. Same seed, same trace,
//! byte for byte.

mod client;
mod cluster;
mod contract;
mod counters;
mod network;
pub mod swarm;
pub mod tool;
mod trace;
mod workload;

use std::time::Duration;

use crate::check::{self, Property, Verdict};
use crate::defect::Defects;
use crate::engine::{MemberId, View};
use crate::member::Line;
use crate::order::{Order, Place};
use crate::prng::Prng;
use cluster::Cluster;
pub use counters::Counters;
use network::Network;
pub use network::{Delay, Faults, Share};
pub use trace::Trace;
use workload::Workload;

/// How long after the network healed everybody must have everything, for a group that has little to send …
const PATIENCE: Duration = Duration::from_secs(60);
/// … and how much longer for each message that has to go through.
const PATIENCE_PER_MESSAGE: Duration = Duration::from_millis(100);
/// Any number will do: a simulated group meets no packets of other runs.
const RUN: u64 = 1;

/// What to simulate. Whatever is not fixed here is drawn from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The order that the members use.
    pub order: &'static Order,
    /// How many clients there are, 2 to [`Setup::MAX_MEMBERS`]; a sequencer comes on top where the order has one.
    pub members: u16,
    /// How many messages each client multicasts. Besides, it sends some to one other client each.
    pub messages: u64,
    /// The share of packets that are lost before the network heals; none: drawn from 0 to 30 %.
    pub loss: Option<Share>,
    /// The share of packets that come twice before the network heals; none: drawn from 0 to 20 %.
    pub duplicate: Option<Share>,
    /// How long packets travel; none: drawn, at most 50 ms.
    pub delay: Option<Delay>,
    /// What the engines do wrong on purpose.
    pub defects: Defects,
}

/// What one seed showed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was judged, in the order of report.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// What happened.
    pub counters: Counters,
}

impl Setup {
    /// Most clients of a simulated group.
    pub const MAX_MEMBERS: u16 = 64;

    /// This many members of this order, sending this many messages each; all else is drawn from the seed.
    #[must_use]
    pub const fn new(order: &'static Order, members: u16, messages: u64) -> Self {
        Self { order, members, messages, loss: None, duplicate: None, delay: None, defects: Defects::NONE }
    }

    /// Runs one seed, telling every event to `trace`.
    #[must_use]
    pub fn run(&self, seed: u64, trace: &mut Trace) -> Outcome {
        // A generator for each concern, so that a change to one does not change what the others draw.
        let mut prng = Prng::new(seed);
        let [mut swarm, mut tasks, packets, mut engines] = std::array::from_fn(|_| prng.fork());
        let faults = self.faults(&mut swarm);
        let view = self.view();
        let workload = Workload::draw(&mut tasks, &view.clients, self.messages);
        let lines = self.lines(&view, &mut engines);
        let remains = Cluster::new(&view, lines, workload, Network::new(faults, packets), trace)
            .run(self.patience(faults));
        let mut verdicts = vec![("contract", remains.contract)];
        verdicts.extend(check::judge(&remains.history, Property::promised_by(self.order)));
        verdicts.push(("liveness", remains.liveness));
        Outcome { seed, verdicts, counters: remains.counters }
    }

    fn faults(&self, prng: &mut Prng) -> Faults {
        let drawn = Faults::draw(prng);
        Faults {
            loss: self.loss.unwrap_or(drawn.loss),
            duplicate: self.duplicate.unwrap_or(drawn.duplicate),
            delay: self.delay.unwrap_or(drawn.delay),
        }
    }

    fn view(&self) -> View {
        let clients: Vec<MemberId> = (0..self.members).map(MemberId).collect();
        let sequencer = self.order.sequencer.then_some(MemberId(self.members));
        View { number: 1, clients, sequencer }
    }

    fn lines(&self, view: &View, prng: &mut Prng) -> Vec<Line> {
        let place = |me| Place { me, view, run: RUN, seed: prng.next_u64(), defects: self.defects };
        view.members().into_iter().map(place).map(|place| self.order.assemble(place)).collect()
    }

    fn patience(&self, faults: Faults) -> Duration {
        let messages = u32::try_from(self.messages * u64::from(self.members)).unwrap_or(u32::MAX);
        PATIENCE + (PATIENCE_PER_MESSAGE + faults.delay.max).saturating_mul(messages)
    }
}

impl Outcome {
    /// Whether anything was violated.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| verdict.is_violated())
    }
}
