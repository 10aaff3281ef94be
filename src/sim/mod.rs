//! The simulator. The real engines run on a simulated network that loses, duplicates, delays and reorders packets,
//! whose links clog, that partitions, and whose members pause. All faults are drawn from one seed.
//!
//! A run has two phases. While the network has faults, the safety properties must hold; then it heals, and every member
//! must deliver every message. The oracles of [`crate::check`] judge the deliveries. The same seed gives the same
//! trace, byte for byte.

mod client;
mod cluster;
mod contract;
mod cost;
mod counters;
mod diary;
mod fates;
mod faults;
mod network;
mod outages;
pub mod swarm;
pub mod tool;
mod trace;
mod workload;

use std::time::Duration;

use crate::check::{self, PROPERTIES, Property, Verdict};
use crate::defect::Defects;
use crate::engine::{MemberId, View};
use crate::member::StackConfig;
use crate::member::{Membership, MembershipConfig};
use crate::order::Order;
use crate::prng::Prng;
use crate::wire::Window;
use crate::wire::control::{Role, Seat};
use cluster::Cluster;
pub use cost::Cost;
pub use counters::Counters;
use fates::Fates;
pub use fates::Losses;
use faults::SLOW;
pub use faults::{Delay, Faults, Share};
use network::Network;
use outages::Outages;
pub use trace::Trace;
use workload::Workload;

/// The time from the healing of the network by which all must be delivered, for a group with few messages.
const PATIENCE: Duration = Duration::from_secs(60);
/// The additional time for each message.
const PATIENCE_PER_MESSAGE: Duration = Duration::from_millis(100);
/// Any number suffices: a simulated group receives no packets of other runs.
const RUN: u64 = 1;

/// The parameters of a simulation. Parameters that are not given are drawn from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The order that the members use.
    pub order: &'static Order,
    /// The number of clients, 2 to [`Setup::MAX_MEMBERS`]; `None`: drawn, 2 to 8. An order with a sequencer adds one.
    pub members: Option<u16>,
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
    /// The members to lose.
    pub losses: Losses,
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

impl Setup {
    /// The most clients of a simulated group.
    pub const MAX_MEMBERS: u16 = 64;
    /// The fewest and the most clients that a seed draws.
    pub const DRAWN_MEMBERS: (u16, u16) = (2, 8);

    /// Creates a setup with this order and these numbers of members and messages; all else is drawn from the seed.
    #[must_use]
    pub const fn new(order: &'static Order, members: u16, messages: u64) -> Self {
        Self {
            order,
            members: Some(members),
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
            losses: Losses::NONE,
            expect: None,
            defects: Defects::NONE,
        }
    }

    /// Runs one seed and records every event in `trace`.
    #[must_use]
    pub fn run(&self, seed: u64, trace: &mut Trace) -> Outcome {
        // Each concern has its own generator, so that a change to one does not change the draws of the others.
        let mut prng = Prng::new(seed);
        let [mut swarm, mut tasks, packets, mut engines, mut outages] = std::array::from_fn(|_| prng.fork());
        let view = self.view(&mut swarm);
        let faults = self.faults(&mut swarm);
        let draw = if self.steady { Workload::steady } else { Workload::draw };
        let mut workload = draw(&mut tasks, &view.clients, self.messages);
        let members = self.memberships(&view, &mut engines);
        let mut outages = Outages::draw(&mut outages, faults, &view.members(), workload.heal_at);
        let fates = Fates::draw(&mut prng.fork(), self.losses, &view.members(), workload.heal_at);
        outages.add(&fates, &view.members());
        workload.heal_at = workload.heal_at.max(fates.end().unwrap_or_default());
        let network = Network::new(faults, outages, packets);
        let patience = self.patience(faults, view.clients.len());
        let mut cluster = Cluster::new(&view, members, workload, network, trace);
        if self.losses.are_asked_for() {
            cluster = cluster.with_losses(&view, &fates);
        }
        let remains = cluster.run(patience);
        let mut verdicts = vec![("contract", remains.contract)];
        verdicts.extend(check::judge(&remains.history, self.judged()));
        verdicts.push(("liveness", remains.liveness));
        Outcome { seed, verdicts, counters: remains.counters, cost: remains.cost }
    }

    /// Returns the properties that the order promises and the expected one, without those that this setup cannot show.
    fn judged(&self) -> impl Iterator<Item = &'static Property> {
        let is_expected = |name| self.expect.is_some_and(|expected| expected.name == name);
        let is_left_out = |name| match name {
            "point-to-point" => self.steady,
            "view-synchrony" => !self.losses.are_asked_for(),
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
            clog: self.clog.unwrap_or(drawn.clog),
            partition: self.partition.unwrap_or(drawn.partition),
            pause: self.pause.unwrap_or(drawn.pause),
        }
    }

    fn view(&self, prng: &mut Prng) -> View {
        let (low, high) = Self::DRAWN_MEMBERS;
        let drawn = prng.between(u64::from(low), u64::from(high)) as u16;
        let members = self.members.unwrap_or(drawn);
        let clients: Vec<MemberId> = (0..members).map(MemberId).collect();
        let sequencer = self.order.sequencer.then_some(MemberId(members));
        // If the sequencer may be lost, any client can take its place.
        let can_lose_it = self.losses.are_asked_for() && self.order.sequencer;
        let candidates = if can_lose_it { clients.clone() } else { Vec::new() };
        View { number: 1, clients, sequencer, candidates }
    }

    fn memberships(&self, view: &View, prng: &mut Prng) -> Vec<Membership> {
        let place = |me| StackConfig {
            me,
            view,
            run: RUN,
            seed: prng.next_u64(),
            window: self.window,
            defects: self.defects,
        };
        // A group that may lose members monitors them, and goes on as a majority or not at all.
        let is_kept = self.losses.are_asked_for();
        let membership_config = MembershipConfig {
            detector: is_kept.then_some(fates::PATIENCE),
            majority: is_kept,
            safe: self.safe,
        };
        let seats = seats(view);
        let member = |config| Membership::new(self.order, config, membership_config).with_seats(&seats);
        view.members().into_iter().map(place).map(member).collect()
    }

    fn patience(&self, faults: Faults, clients: usize) -> Duration {
        let messages = u32::try_from(self.messages * clients as u64).unwrap_or(u32::MAX);
        PATIENCE + SLOW + (PATIENCE_PER_MESSAGE + faults.delay.max).saturating_mul(messages)
    }
}

/// Returns the seats that a forwarder would give to the members of this view.
#[must_use]
pub fn seats(view: &View) -> Vec<Seat> {
    let seat = |member: MemberId| Seat {
        slot: member.0,
        id: member.to_string(),
        incarnation: 1,
        role: if view.clients.contains(&member) { Role::Client } else { Role::Sequencer },
        can_sequence: view.candidates.contains(&member),
        late: false,
    };
    view.members().into_iter().map(seat).collect()
}

impl Outcome {
    /// Returns true if any property was violated.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| verdict.is_violated())
    }
}
