//! Flow control in the engines: senders wait for the slowest receiver, and every queue is bounded.

use std::time::Duration;

use groupcast::defect::Defects;
use groupcast::engine::{MemberId, Time, To, View};
use groupcast::member::MembershipConfig;
use groupcast::order::{ORDERS, Order};
use groupcast::prng::Prng;
use groupcast::reliable::WINDOW_PACKETS;
use groupcast::sim::process::{Event, Process};
use groupcast::sim::workload::Task;
use groupcast::sim::world::{Group, Observer};
use groupcast::sim::{Delay, Fault, Faults, Network, World};
use groupcast::wire::{Packet, Window};

const CLIENTS: u16 = 3;
/// More batches than all windows together hold.
const BATCHES: u64 = 400;
/// Bound of a hold-back queue: one window of each other member, or the undelivered batches of each.
const MOST_HELD: usize = (CLIENTS as usize + 1) * WINDOW_PACKETS as usize;
/// The end of the time in which one member misses the packets of another.
const MISSES_UNTIL: Time = Time::from_micros(2_000_000);

/// A group whose clients submit all their batches, of so many messages, at once.
fn group<O: Observer>(
    order: &'static Order,
    window: Window,
    delay: Duration,
    each: usize,
    observer: O,
) -> World<O> {
    let clients: Vec<MemberId> = (0..CLIENTS).map(MemberId).collect();
    let sequencer = order.sequencer.then_some(MemberId(CLIENTS));
    let view = View { number: 1, clients: clients.clone(), sequencer, candidates: Vec::new() };
    let (membership, defects, late_tasks) = (MembershipConfig::default(), Defects::NONE, Vec::new());
    let group = Group { order, view, membership, window, defects, finishes: false, late_tasks };
    let faults = Faults { delay: Delay { min: delay, max: delay }, ..Faults::default() };
    let mut world = World::new(group, Network::new(faults, 1), Prng::new(1), observer);
    let task = |client| Task { at: Time::ZERO, client, to: To::Group, paddings: vec![0; each] };
    world.add_tasks(clients.into_iter().flat_map(|client| (0..BATCHES).map(move |_| task(client))).collect());
    world
}

fn delivered(process: &Process) -> u64 {
    let is_delivery = |(_, event): &&(Time, Event)| matches!(event, Event::Deliver(..));
    process.history.iter().filter(is_delivery).count() as u64
}

/// While one member misses what one other sends, everybody stops soon, and goes on when it has been given.
fn nobody_runs_away(order: &'static Order, mute: u16, deaf: u16) {
    let case = format!("{}, p{mute} not heard by p{deaf}", order.title());
    let mut world = group(order, Window::default(), Duration::ZERO, 1, ());
    world.add_fault(Time::ZERO, Fault::Mute(MemberId(mute), MemberId(deaf)));
    world.add_fault(MISSES_UNTIL, Fault::Reconnect);
    while world.now < MISSES_UNTIL && world.step() {
        for process in &world.processes {
            let held = process.membership().expect("a member").held();
            assert!(held <= MOST_HELD, "{case}: {held} batches held back");
        }
    }
    assert_eq!(world.now, MISSES_UNTIL);
    let all = BATCHES * u64::from(CLIENTS);
    let counts =
        |world: &World| world.processes[..usize::from(CLIENTS)].iter().map(delivered).collect::<Vec<_>>();
    world.run_until(Time::from_micros(60_000_000));
    assert!(
        counts(&world).iter().all(|&count| count == all),
        "{case}: {:?} of {all} delivered",
        counts(&world)
    );
}

#[test]
fn flow_hold_back_queue_is_bounded_in_every_order() {
    for order in &ORDERS {
        let members = CLIENTS + u16::from(order.sequencer);
        for mute in 0..members {
            for deaf in (0..members).filter(|&deaf| deaf != mute) {
                nobody_runs_away(order, mute, deaf);
            }
        }
    }
}

/// Counts the packets that the first client sends at once.
#[derive(Default)]
struct Sent(u64);

impl Observer for Sent {
    fn sent(&mut self, now: Time, from: MemberId, _to: To, _packet: &Packet, _members: usize) {
        self.0 += u64::from(from == MemberId(0) && now == Time::ZERO);
    }
}

#[test]
fn flow_messages_in_flight_are_limited_by_the_window() {
    let fifo = Order::find("fifo", "").unwrap();
    for (messages, each) in [(1, 1), (10, 1), (10, 3), (2, 5)] {
        let window = Window { messages, ..Window::default() };
        let mut world = group(fifo, window, Duration::from_secs(1), each, Sent::default());
        // The rest waits in the window until the first are acknowledged; one packet always goes.
        world.run_until(Time::from_micros(1));
        let most = (messages / each as u64).max(1);
        assert_eq!(world.observer.0, most, "a window of {messages}, {each} in each packet");
    }
}
