//! The group of a test: its members, its messages, and what happens to it.

use std::time::Duration;

use super::promises::may_split;
use groupcast::defect::Defects;
use groupcast::engine::{MemberId, Time, To, View};
use groupcast::member::{DetectorConfig, MembershipConfig};
use groupcast::order::{ORDERS, Order, Reliability};
use groupcast::prng::Prng;
use groupcast::sim::process::{Event, Process};
use groupcast::sim::workload::Task;
use groupcast::sim::world::{CrashAt, Group};
use groupcast::sim::{Delay, Fault, Faults, Network, Share, World};
use groupcast::wire::Window;

/// The times after its arrival at which a newcomer multicasts, in milliseconds.
const LATE_TASKS: [u64; 4] = [0, 300, 600, 900];

/// This time, in milliseconds.
pub(super) fn ms(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

/// The order of this title, as in `total (ub)` or `fifo (flood)`.
pub(super) fn named(title: &str) -> &'static Order {
    let over = |order: &'static Order| Reliability::ALL.into_iter().filter_map(|one| order.over(one));
    ORDERS.iter().flat_map(over).find(|order| order.title() == title).expect("an order of the table")
}

/// The orders whose members continue without any other. With a log, a run ends with its sequencer: `groupcast sim` has these.
pub(super) fn orders() -> impl Iterator<Item = &'static Order> {
    ORDERS.iter().filter(|order| !order.is_logged())
}

/// The orders that need a sequencer, which another member can replace.
pub(super) fn sequenced() -> impl Iterator<Item = &'static Order> {
    orders().filter(|order| order.sequencer)
}

/// How a group is made and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) order: &'static Order,
    pub(super) clients: u16,
    pub(super) standbys: u16,
    /// Clients that can become the sequencer.
    pub(super) candidates: Vec<MemberId>,
    pub(super) majority: bool,
    pub(super) window: Window,
    /// Whether members deliver only stable messages.
    pub(super) safe: bool,
    pub(super) defects: Defects,
    /// Shares of packets that are lost, that come twice, and of which a copy comes seconds later, in millionths.
    pub(super) loss: u32,
    pub(super) twice: u32,
    pub(super) late: u32,
    /// The number of the view with which it begins.
    pub(super) first_view: u64,
    /// Longest delay of a packet, in microseconds.
    pub(super) slow: u64,
    /// The messages of each client, with their times.
    pub(super) tasks: Vec<(Time, MemberId, To)>,
    pub(super) faults: Vec<(Time, Fault)>,
    pub(super) seed: u64,
}

impl Plan {
    /// A group in which nothing happens.
    pub(super) fn new(order: &'static Order, clients: u16, seed: u64) -> Self {
        Self {
            order,
            clients,
            standbys: 0,
            candidates: Vec::new(),
            majority: false,
            window: Window::default(),
            safe: false,
            defects: Defects::NONE,
            loss: 0,
            twice: 0,
            late: 0,
            first_view: 1,
            slow: 1_000,
            tasks: Vec::new(),
            faults: Vec::new(),
            seed,
        }
    }

    /// The view with which it begins: clients first, then the sequencer, then the standbys.
    pub(super) fn view(&self) -> View {
        let clients: Vec<MemberId> = (0..self.clients).map(MemberId).collect();
        let sequencer = self.order.sequencer.then_some(MemberId(self.clients));
        let first = self.clients + u16::from(self.order.sequencer);
        let standbys = (first..first + self.standbys).map(MemberId);
        let candidates = self.candidates.iter().copied().chain(standbys).collect();
        View { number: self.first_view, clients, sequencer, candidates }
    }

    /// The group at its beginning.
    pub(super) fn world(&self) -> World {
        let group = Group {
            order: self.order,
            view: self.view(),
            membership: MembershipConfig {
                detector: Some(DetectorConfig::FAST),
                majority: self.majority,
                safe: self.safe,
            },
            window: self.window,
            defects: self.defects,
            finishes: false,
            late_tasks: LATE_TASKS.map(Duration::from_millis).to_vec(),
        };
        let delay = Delay { min: Duration::from_micros(100), max: Duration::from_micros(self.slow) };
        let [loss, duplicate, stale] = [self.loss, self.twice, self.late].map(Share::new);
        let network = Network::new(Faults { loss, duplicate, stale, delay, ..Faults::default() }, self.seed);
        let mut world = World::new(group, network, Prng::new(self.seed), ());
        let task = |&(at, client, to): &(Time, MemberId, To)| Task::single(at, client, to);
        world.add_tasks(self.tasks.iter().map(task).collect());
        self.faults.iter().for_each(|(at, fault)| world.add_fault(*at, fault.clone()));
        world
    }

    /// The group at this time, after these crashes.
    pub(super) fn run(&self, crashes: &[CrashAt], until: Time) -> World {
        let mut world = self.world();
        world.crashes = crashes.to_vec();
        world.run_until(until);
        mark_strangers(self, &mut world);
        world
    }

    /// The number of steps of the group until this time, after these crashes.
    pub(super) fn steps(&self, crashes: &[CrashAt], until: Time) -> u64 {
        self.run(crashes, until).steps
    }
}

/// Where each part may go on, strangers that alone hear a newcomer admit it: theirs is a part that is promised nothing.
fn mark_strangers(plan: &Plan, world: &mut World) {
    let is_among_strangers = |process: &Process, processes: &[Process]| {
        let first = process.history.iter().find_map(|(_, event)| match event {
            Event::View(view) => Some(view.members()),
            _ => None,
        });
        let others = first.unwrap_or_default().into_iter().filter(|&member| member != process.me);
        others.into_iter().any(|member| processes[usize::from(member.0)].is_stranger)
    };
    let is_found = |process: &Process, processes: &[Process]| {
        process.is_late && !process.is_stranger && is_among_strangers(process, processes)
    };
    let find = |processes: &[Process]| processes.iter().position(|process| is_found(process, processes));
    while may_split(plan)
        && let Some(found) = find(&world.processes)
    {
        world.processes[found].is_stranger = true;
    }
}

/// Whether it is a client, as far as it knows.
pub(super) fn is_client(process: &Process) -> bool {
    let is_view =
        |(_, event): &(Time, Event)| matches!(event, Event::View(view) if view.clients.contains(&process.me));
    !process.is_stranger && process.history.iter().any(is_view)
}

/// Whether it is a client and in the group.
pub(super) fn is_client_in(process: &Process) -> bool {
    process.is_in() && is_client(process)
}
