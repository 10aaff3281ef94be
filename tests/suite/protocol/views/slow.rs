//! Members that are there and hold everybody up: the others may go on without them, all in the same way.

use std::time::Duration;

use groupcast::engine::{MemberId, Time};
use groupcast::member::{Departure, Notice};
use groupcast::sim::process::{Event, Process};
use groupcast::sim::{Fault, World};

use super::promises;
use super::steps::three;
use super::world::{Plan, ms, orders};

const END: Time = Time::from_micros(5_000_000);
const C0: MemberId = MemberId(0);
const C1: MemberId = MemberId(1);
const C2: MemberId = MemberId(2);

/// How it ends for a group of three to which this happens.
fn lives(plan: &Plan) -> World {
    let world = plan.run(&[], END);
    promises::judge(plan, &world)
        .unwrap_or_else(|story| panic!("{}: {:?}: {story}", plan.order.title(), plan.faults));
    world
}

/// The clients of the view that a process is in.
fn clients(process: &Process) -> &[MemberId] {
    &process.view().expect("it is a member").clients
}

/// The members that the views of a process went on without, with the reasons.
fn gone(process: &Process) -> Vec<(MemberId, Departure)> {
    let gone = process.history.iter().filter_map(|(_, event)| match event {
        Event::Notice(member, Notice::Gone(why)) => Some((*member, *why)),
        _ => None,
    });
    gone.collect()
}

#[test]
fn exclude_member_is_in_no_later_view() {
    for order in orders() {
        for time in 1..12 {
            let mut plan = three(order);
            plan.faults.push((ms(time), Fault::Exclude(C0, C2)));
            let world = lives(&plan);
            let [first, second, third] = &world.processes[..3] else { panic!("three clients") };
            assert!(!third.is_in(), "{} {time}", order.title());
            for other in [first, second] {
                assert!(
                    other.is_in() && clients(other) == [C0, C1],
                    "{} {time}: {:?}",
                    order.title(),
                    clients(other)
                );
            }
        }
    }
}

#[test]
fn exclude_two_accusing_members_at_most_one_is_excluded() {
    for order in orders() {
        for time in 1..12 {
            let mut plan = three(order);
            plan.faults.push((ms(time), Fault::Exclude(C0, C2)));
            plan.faults.push((ms(time), Fault::Exclude(C2, C0)));
            let world = lives(&plan);
            let left: Vec<bool> = world.processes[..3].iter().map(Process::is_in).collect();
            assert!(left[1] && (left[0] || left[2]), "{} {time}: {left:?}", order.title());
        }
    }
}

/// The member sends heartbeats, receives nothing, and suspects no member: a wait for its answer would never end.
#[test]
fn flush_leader_continues_without_silent_member() {
    for order in orders() {
        let mut plan = three(order);
        plan.faults.push((ms(3), Fault::Deafen(C2, ms(4_000))));
        // Something to change the view for.
        let victim = plan.view().sequencer.unwrap_or(C1);
        plan.faults.push((ms(5), Fault::Crash(victim)));
        let world = plan.run(&[], ms(3_900));
        let first = &world.processes[0];
        assert!(
            !first.membership().expect("it is one").is_changing() && !clients(first).contains(&C2),
            "{}",
            order.title()
        );
        let world = lives(&plan);
        assert!(!world.processes[2].is_in(), "{}: it was told when it heard again", order.title());
    }
}

#[test]
fn exclude_next_view_gives_the_true_reason() {
    let patience = Duration::from_millis(600);
    type Expected = fn(Departure, Duration) -> bool;
    let cases: [(&[(u64, Fault)], Expected); 4] = [
        (&[(5, Fault::Leave(C2))], |why, _| why == Departure::Left),
        (
            &[(5, Fault::Crash(C2))],
            |why, patience| matches!(why, Departure::Silent(length) if length >= patience),
        ),
        (&[(5, Fault::Exclude(C0, C2))], |why, _| matches!(why, Departure::Excluded(C0, _))),
        (&[(5, Fault::Crash(C2)), (100, Fault::Join(Some(C2)))], |why, _| why == Departure::Superseded),
    ];
    for order in orders() {
        for (faults, expected) in cases {
            let mut plan = three(order);
            plan.faults = faults.iter().map(|(time, fault)| (ms(*time), fault.clone())).collect();
            for process in &lives(&plan).processes[..2] {
                let [(C2, why)] = gone(process)[..] else {
                    panic!("{} {faults:?}: {:?}", order.title(), gone(process));
                };
                assert!(expected(why, patience), "{} {faults:?}: {why:?}", order.title());
            }
        }
    }
}
