//! Processes that come to stand by while the group runs: each is worth as much as one that was there from the start.

use groupcast::engine::{MemberId, Time, To};
use groupcast::order::Order;
use groupcast::sim::process::Event;
use groupcast::sim::world::CrashAt;
use groupcast::sim::{Fault, World};

use super::promises;
use super::steps::three;
use super::world::{Plan, is_client_in, ms, sequenced};

/// By then a group in which nobody dies is at rest.
const BUSY: Time = Time::from_micros(60_000);
const END: Time = Time::from_micros(8_000_000);
/// Number of last steps of which a silently dying member sends nothing.
const UNHEARD: u64 = 6;

/// Three clients of which none can number messages, with three messages each; somebody comes to stand by meanwhile.
fn alone(order: &'static Order) -> Plan {
    Plan { candidates: Vec::new(), faults: vec![(ms(2), Fault::StandBy(None))], ..three(order) }
}

/// After how many steps everybody is in this view.
fn steps_to_view(plan: &Plan, number: u64) -> u64 {
    let mut world = plan.world();
    let is_there = |world: &World| {
        let is_in = |event: &(Time, Event)| matches!(&event.1, Event::View(view) if view.number >= number);
        world
            .processes
            .iter()
            .filter(|process| process.ended.is_none())
            .all(|process| process.history.iter().any(is_in))
    };
    let mut until = 0;
    while !is_there(&world) {
        until += 100;
        assert!(until < END.as_micros(), "nobody comes to view {number}");
        world.run_until(Time::from_micros(until));
    }
    world.steps
}

/// How many clients are in the group at the end, where everything is as it should be.
fn left(plan: &Plan, deaths: &[CrashAt]) -> usize {
    let world = plan.run(deaths, END);
    if let Err(story) = promises::judge(plan, &world) {
        panic!("{}: {deaths:?}: {story}", plan.order.title());
    }
    world.processes.iter().filter(|process| is_client_in(process)).count()
}

#[test]
fn failover_joined_standby_takes_over_whenever_the_sequencer_dies() {
    for order in sequenced() {
        let plan = alone(order);
        let victim = plan.view().sequencer.expect("this order has one");
        let ready = steps_to_view(&plan, 2);
        let world = plan.run(&[], BUSY);
        for step in 1..=world.steps {
            for is_silent in [false, true] {
                let left = left(&plan, &[CrashAt { step, victim, is_silent }]);
                // Before somebody stands by there is nobody to take its place.
                assert!(left == 3 || left == 0, "{}: step {step}: {left} go on", order.title());
                assert!(left == 3 || step < ready + UNHEARD, "{}: step {step}: all is over", order.title());
            }
        }
    }
}

#[test]
fn failover_standby_joins_for_a_standby_that_took_over() {
    for order in sequenced() {
        for earlier in [None, Some(MemberId(4))] {
            let mut plan = alone(order);
            let sequencer = plan.view().sequencer.expect("this order has one");
            plan.faults.extend([
                (ms(100), Fault::Crash(sequencer)),
                (ms(1_500), Fault::StandBy(earlier.map(|_| sequencer))),
                (ms(2_500), Fault::Crash(MemberId(4))),
                (ms(4_000), Fault::StandBy(earlier)),
                (ms(5_500), Fault::Crash(MemberId(5))),
            ]);
            for client in 0..3 {
                plan.tasks.extend((0..60).map(|number| (ms(10 + 100 * number), MemberId(client), To::Group)));
            }
            assert_eq!(left(&plan, &[]), 3, "{}", order.title());
        }
    }
}

#[test]
fn failover_one_of_two_joining_standbys_dies_during_the_join() {
    for order in sequenced() {
        let mut plan = alone(order);
        plan.faults.push((ms(2), Fault::StandBy(None)));
        plan.faults.push((ms(1_500), Fault::Crash(plan.view().sequencer.expect("this order has one"))));
        let world = plan.run(&[], BUSY);
        for step in 1..=world.steps {
            // It is not there before it comes.
            if step >= plan.steps(&[], ms(3)) {
                let death = CrashAt { step, victim: MemberId(4), is_silent: true };
                assert_eq!(left(&plan, &[death]), 3, "{}: step {step}", order.title());
            }
        }
    }
}
