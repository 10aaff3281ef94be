//! Members that are there and hold everybody up: the others may go on without them, all in the same way.

use std::time::Duration;

use groupcast::engine::{MemberId, Time};
use groupcast::member::Departure;
use groupcast::order::ORDERS;

use super::promises;
use super::steps::three;
use super::world::{Fate, Plan, Process, World};

const END: Time = Time::from_micros(5_000_000);
const C0: MemberId = MemberId(0);
const C1: MemberId = MemberId(1);
const C2: MemberId = MemberId(2);

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

/// How it ends for a group of three to which this happens.
fn lives(plan: &Plan) -> World {
    let mut world = World::new(plan);
    world.run_until(END);
    promises::judge(plan, &world)
        .unwrap_or_else(|story| panic!("{}: {:?}: {story}", plan.order.title(), plan.fates));
    world
}

/// The clients of the view that a process is in.
fn clients(process: &Process) -> &[MemberId] {
    &process.membership.view().clients
}

#[test]
fn exclude_member_is_in_no_later_view() {
    for order in &ORDERS {
        for ms in 1..12 {
            let mut plan = three(order);
            plan.fates.push((at(ms), Fate::Excludes(C0, C2)));
            let world = lives(&plan);
            let [first, second, third] = &world.processes[..3] else { panic!("three clients") };
            assert!(!third.is_in(), "{} {ms}", order.title());
            for other in [first, second] {
                assert!(
                    other.is_in() && clients(other) == [C0, C1],
                    "{} {ms}: {:?}",
                    order.title(),
                    clients(other)
                );
            }
        }
    }
}

#[test]
fn exclude_two_accusing_members_at_most_one_is_excluded() {
    for order in &ORDERS {
        for ms in 1..12 {
            let mut plan = three(order);
            plan.fates.push((at(ms), Fate::Excludes(C0, C2)));
            plan.fates.push((at(ms), Fate::Excludes(C2, C0)));
            let world = lives(&plan);
            let left: Vec<bool> = world.processes[..3].iter().map(Process::is_in).collect();
            assert!(left[1] && (left[0] || left[2]), "{} {ms}: {left:?}", order.title());
        }
    }
}

/// The member sends heartbeats, receives nothing, and suspects no member: a wait for its answer would never end.
#[test]
fn flush_leader_continues_without_silent_member() {
    for order in &ORDERS {
        let mut plan = three(order);
        plan.fates.push((at(3), Fate::Deaf(C2, at(4_000))));
        // Something to change the view for.
        let victim = plan.view().sequencer.unwrap_or(C1);
        plan.fates.push((at(5), Fate::Dies(victim)));
        let mut world = World::new(&plan);
        world.run_until(at(3_900));
        let first = &world.processes[0];
        assert!(!first.membership.is_changing() && !clients(first).contains(&C2), "{}", order.title());
        let world = lives(&plan);
        assert!(!world.processes[2].is_in(), "{}: it was told when it heard again", order.title());
    }
}

#[test]
fn exclude_next_view_gives_the_true_reason() {
    let patience = Duration::from_millis(600);
    type Expected = fn(Departure, Duration) -> bool;
    let cases: [(&[(u64, Fate)], Expected); 4] = [
        (&[(5, Fate::Leaves(C2))], |why, _| why == Departure::Left),
        (
            &[(5, Fate::Dies(C2))],
            |why, patience| matches!(why, Departure::Silent(length) if length >= patience),
        ),
        (&[(5, Fate::Excludes(C0, C2))], |why, _| matches!(why, Departure::Excluded(C0, _))),
        (&[(5, Fate::Dies(C2)), (100, Fate::Comes(Some(C2)))], |why, _| why == Departure::Superseded),
    ];
    for order in &ORDERS {
        for (fates, expected) in cases {
            let mut plan = three(order);
            plan.fates = fates.iter().map(|(ms, fate)| (at(*ms), fate.clone())).collect();
            for process in &lives(&plan).processes[..2] {
                let [(C2, why)] = process.gone[..] else {
                    panic!("{} {fates:?}: {:?}", order.title(), process.gone);
                };
                assert!(expected(why, patience), "{} {fates:?}: {why:?}", order.title());
            }
        }
    }
}
