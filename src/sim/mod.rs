//! The simulator. The real engines run on a simulated network that loses, duplicates, delays and reorders packets,
//! whose links clog, that partitions, and whose members pause. All faults are drawn from one seed.
//!
//! A run has two phases. While the network has faults, the safety properties must hold; then it heals, and every member
//! must deliver every message. The oracles of [`crate::check`] judge the deliveries. The same seed gives the same
//! trace, byte for byte.

mod churn;
pub mod cluster;
mod cluster_files;
mod cost;
mod counters;
mod faults;
mod histories;
mod monitor;
mod network;
mod outages;
mod overlap;
pub mod process;
mod recorder;
mod run;
pub mod swarm;
pub mod tool;
mod trace;
pub mod workload;
pub mod world;

use std::time::Duration;

use crate::check::{self, PROPERTIES, Property, Verdict};
use crate::defect::Defects;
use crate::engine::{MemberId, View};
use crate::member::MembershipConfig;
use crate::order::{Order, Reliability};
use crate::prng::Prng;
use crate::wire::Window;
pub use churn::Churn;
pub use cost::Cost;
pub use counters::Counters;
use faults::SLOW;
pub use faults::{Delay, Fault, Faults, Share};
use monitor::Monitor;
pub use network::{Network, Passage};
use outages::Outages;
use run::Run;
pub use trace::Trace;
use workload::Workload;
use world::Group;
pub use world::{World, seats};

/// The time from the healing of the network by which all must be delivered, for a group with few messages.
const PATIENCE: Duration = Duration::from_secs(60);
/// The additional time for each message.
const PATIENCE_PER_MESSAGE: Duration = Duration::from_millis(100);

/// The parameters of a simulation. Parameters that are not given are drawn from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The order that the members use.
    pub order: &'static Order,
    /// The number of clients, 2 to [`Setup::MAX_MEMBERS`]; `None`: drawn, 2 to 8. An order with a sequencer adds one.
    pub members: Option<u16>,
    /// The number of groups. Each client is in two of them, or in more; with one, all are in that one.
    pub groups: u16,
    /// The number of messages that each client multicasts. Each client also sends a few direct messages.
    pub messages: u64,
    /// Whether the clients only multicast, at a steady pace, as the comparison of costs needs.
    pub steady: bool,
    /// Whether the members deliver only stable messages.
    pub safe: bool,
    /// The window of each sender.
    pub window: Window,
    /// The share of packets that are lost before the network heals; `None`: drawn, as all shares below.
    pub loss: Option<Share>,
    /// The share of packets that are duplicated.
    pub duplicate: Option<Share>,
    /// The delay of packets; `None`: drawn, at most 50 ms.
    pub delay: Option<Delay>,
    /// The share of packets that are slow.
    pub slow: Option<Share>,
    /// The share of the time in which a link is clogged.
    pub clog: Option<Share>,
    /// The share of the time in which the group is partitioned.
    pub partition: Option<Share>,
    /// The share of the time in which a member is paused.
    pub pause: Option<Share>,
    /// The members that are lost and that come.
    pub churn: Churn,
    /// A property that is expected to be violated, and judged also if the order does not promise it.
    pub expect: Option<&'static Property>,
    /// The defects that the engines have on purpose.
    pub defects: Defects,
}

/// The result of one seed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The verdicts, in the order of reports.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// The counts of events.
    pub counters: Counters,
    /// The cost of the multicasts.
    pub cost: Cost,
}

/// The most messages that a client multicasts which joins, and the time between two.
const LATE_TASKS: u64 = 5;
const LATE_GAP: Duration = Duration::from_millis(50);

impl Setup {
    /// The most clients of a simulated group.
    pub const MAX_MEMBERS: u16 = 64;
    /// The fewest and the most clients that a seed draws.
    pub const DRAWN_MEMBERS: (u16, u16) = (2, 8);
    /// The most groups of a simulation.
    pub const MAX_GROUPS: u16 = 8;

    /// Creates a setup with this order and these numbers of members and messages; all else is drawn from the seed.
    #[must_use]
    pub const fn new(order: &'static Order, members: u16, messages: u64) -> Self {
        Self {
            order,
            members: Some(members),
            groups: 1,
            messages,
            steady: false,
            safe: false,
            window: Window::WHOLE,
            loss: None,
            duplicate: None,
            delay: None,
            slow: None,
            clog: None,
            partition: None,
            pause: None,
            churn: Churn::NONE,
            expect: None,
            defects: Defects::NONE,
        }
    }

    /// Runs one seed and records every event in `trace`.
    #[must_use]
    pub fn run(&self, seed: u64, trace: &mut Trace) -> Outcome {
        if self.groups > 1 {
            return overlap::run(self, seed, trace);
        }
        // Each concern has its own generator, so that a change to one does not change the draws of the others.
        let mut prng = Prng::new(seed);
        let [mut swarm, mut tasks, mut packets, mut outages, mut churn] =
            std::array::from_fn(|_| prng.fork());
        let view = self.view(&mut swarm);
        let faults = self.faults(&mut swarm);
        let draw = if self.steady { Workload::steady } else { Workload::draw };
        let Workload { tasks, heal_at } = draw(&mut tasks, &view.clients, self.messages);
        let members = view.members();
        let outages = Outages::draw(&mut outages, faults, &members, heal_at);
        trace.announce(|| outages.announcements());
        let (churn, end) = self.churn.draw(&mut churn, &view, heal_at);
        let heal_at = heal_at.max(end);
        let network = Network::new(faults, packets.next_u64()).with_outages(outages);
        let (patience, has_churn) = (self.patience(faults, view.clients.len()), self.churn.is_asked_for());
        let has_histories = trace.histories.is_some();
        let monitor = Monitor::new(view.clients.len(), has_churn, trace);
        let mut world = World::new(self.group(view), network, packets, monitor);
        if has_histories {
            world.watch();
        }
        world.add_fault(heal_at, Fault::Calm);
        world.add_tasks(tasks);
        churn.into_iter().for_each(|(at, fault)| world.add_fault(at, fault));
        let remains = Run::new(world, heal_at, has_churn).run(patience);
        let mut verdicts = vec![("contract", remains.contract)];
        verdicts.extend(check::judge(&remains.history, self.judged()));
        verdicts.push(("liveness", remains.liveness));
        Outcome { seed, verdicts, counters: remains.counters, cost: remains.cost }
    }

    /// Returns the properties that the order promises and the expected one, without those that this setup cannot show.
    fn judged(&self) -> impl Iterator<Item = &'static Property> {
        let is_expected = |name| self.expect.is_some_and(|expected| expected.name == name);
        // Over `basic`, members that go on may differ in the last messages of one that is lost. Agreement shows it; the
        // same messages are missing between two views, and what was sent after them lacks its causes.
        let may_differ = self.churn.loses_members() && self.order.reliability == Reliability::Basic;
        let is_left_out = move |name| match name {
            "point-to-point" => self.steady,
            "view-synchrony" => !self.churn.is_asked_for() || may_differ,
            "across-groups" => self.groups == 1,
            "causal" => may_differ,
            _ => false,
        };
        let is_judged = move |property: &&Property| {
            let is_promised = property.is_promised_by(self.order) && !is_left_out(property.name);
            is_promised || is_expected(property.name)
        };
        PROPERTIES.iter().filter(is_judged)
    }

    fn faults(&self, prng: &mut Prng) -> Faults {
        let drawn = Faults::draw(prng);
        Faults {
            loss: self.loss.unwrap_or(drawn.loss),
            duplicate: self.duplicate.unwrap_or(drawn.duplicate),
            delay: self.delay.unwrap_or(drawn.delay),
            slow: self.slow.unwrap_or(drawn.slow),
            stale: Share::ZERO,
            clog: self.clog.unwrap_or(drawn.clog),
            partition: self.partition.unwrap_or(drawn.partition),
            pause: self.pause.unwrap_or(drawn.pause),
        }
    }

    fn view(&self, prng: &mut Prng) -> View {
        let (low, high) = Self::DRAWN_MEMBERS;
        let drawn = prng.between(u64::from(low), u64::from(high)) as u16;
        self.view_of(self.members.unwrap_or(drawn))
    }

    /// Returns the first view of so many clients.
    fn view_of(&self, members: u16) -> View {
        let clients: Vec<MemberId> = (0..members).map(MemberId).collect();
        let sequencer = self.order.sequencer.then_some(MemberId(members));
        // If the sequencer may be lost, any client can take its place; none has its log.
        let can_lose_it = self.churn.is_asked_for() && self.order.sequencer && !self.order.is_logged();
        let candidates = if can_lose_it { clients.clone() } else { Vec::new() };
        View { number: 1, clients, sequencer, candidates }
    }

    fn group(&self, view: View) -> Group {
        // A group that may lose members monitors them, and goes on as a majority or not at all.
        let is_kept = self.churn.is_asked_for();
        let detector = is_kept.then_some(churn::DETECTOR);
        Group {
            order: self.order,
            view,
            membership: MembershipConfig { detector, majority: is_kept, safe: self.safe },
            window: self.window,
            defects: self.defects,
            finishes: true,
            late_tasks: (0..self.messages.min(LATE_TASKS)).map(|number| LATE_GAP * number as u32).collect(),
        }
    }

    fn patience(&self, faults: Faults, clients: usize) -> Duration {
        let messages = u32::try_from(self.messages * clients as u64).unwrap_or(u32::MAX);
        PATIENCE + SLOW + (PATIENCE_PER_MESSAGE + faults.delay.max).saturating_mul(messages)
    }
}

impl Outcome {
    /// Returns true if any property was violated.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| verdict.is_violated())
    }
}
