//! Deaths after every step of a small group: of any member, with its last packets delivered or not. Groups of which one
//! part of the protocol is broken fail these tests.

use std::time::Duration;

use groupcast::engine::{MemberId, Time, To};
use groupcast::order::Order;
use groupcast::sim::process::Event;
use groupcast::sim::world::CrashAt;

use super::promises;
use super::world::{Plan, is_client, named, orders};

/// By then a group in which nobody dies is at rest.
const BUSY: Time = Time::from_micros(60_000);
/// By then everything is well again, also if a request for a packet or its answer is lost a dozen times.
const END: Time = Time::from_micros(10_000_000);

/// Three clients with three messages each; the sequencer, where there is one, can be replaced by two of them.
pub(super) fn three(order: &'static Order) -> Plan {
    let mut plan = Plan::new(order, 3, 1);
    if order.sequencer {
        plan.candidates = vec![MemberId(0), MemberId(1)];
    }
    for client in 0..3 {
        for number in 0..3 {
            let at = Time::from_micros(1_000 + 700 * u64::from(client) + 2_500 * number);
            plan.tasks.push((at, MemberId(client), To::Group));
        }
    }
    plan
}

fn outcome(plan: &Plan, crashes: &[CrashAt]) -> Result<(), String> {
    promises::judge(plan, &plan.run(crashes, END))
}

/// The members whose death leaves a client and somebody who can lead.
fn victims(plan: &Plan) -> Vec<MemberId> {
    plan.view().members()
}

/// Any member dies after any step. Returns the first story of a broken promise.
fn one_dies(plan: &Plan) -> Result<u64, String> {
    let (last, mut runs) = (plan.steps(&[], BUSY), 0);
    for step in 1..=last {
        for victim in victims(plan) {
            for is_silent in [false, true] {
                let deaths = [CrashAt { step, victim, is_silent }];
                runs += 1;
                outcome(plan, &deaths).map_err(|story| format!("{deaths:?}: {story}"))?;
            }
        }
    }
    Ok(runs)
}

/// One dies, and while the others see to that, another.
fn another_dies(plan: &Plan, first: MemberId, second: MemberId) -> Result<u64, String> {
    let step = plan.steps(&[], Time::from_micros(4_000));
    let death = CrashAt { step, victim: first, is_silent: false };
    let from = plan.steps(&[death], Time::from_micros(750_000));
    let until = plan.steps(&[death], Time::from_micros(1_100_000));
    for step in from..until {
        for is_silent in [false, true] {
            let deaths = [death, CrashAt { step, victim: second, is_silent }];
            outcome(plan, &deaths).map_err(|story| format!("{deaths:?}: {story}"))?;
        }
    }
    Ok(until - from)
}

fn dies(title: &str) {
    let order = named(title);
    let plan = three(order);
    match one_dies(&plan) {
        Ok(runs) => println!("{title}: {runs} deaths survived"),
        Err(story) => panic!("{title}: {story}"),
    }
    let last = MemberId(plan.view().members().len() as u16 - 1);
    for (first, second) in [(MemberId(2), last), (last, MemberId(1)), (MemberId(2), MemberId(1))] {
        if first == second {
            continue;
        }
        match another_dies(&plan, first, second) {
            Ok(steps) => println!("{title}: {second} may die in each of {steps} steps after {first}"),
            Err(story) => panic!("{title}: {story}"),
        }
    }
}

macro_rules! every_order {
    ($($name:ident $safe:ident $title:literal;)*) => {
        $(
            #[test]
            fn $name() {
                dies($title);
            }

            #[test]
            fn $safe() {
                is_uniform($title);
            }
        )*
    };
}

every_order! {
    unordered unordered_safe "unordered";
    fifo fifo_safe "fifo";
    causal causal_safe "causal";
    total_bb total_bb_safe "total (bb)";
    total_ub total_ub_safe "total (ub)";
    total_uub total_uub_safe "total (uub)";
    lamport lamport_safe "lamport";
    agreed agreed_safe "agreed";
}

#[test]
fn flood() {
    for title in ["unordered (flood)", "fifo (flood)", "causal (flood)"] {
        dies(title);
        let lossy = Plan { loss: 200_000, ..three(named(title)) };
        if let Err(story) = one_dies(&lossy) {
            panic!("{title}: {story}");
        }
    }
}

/// Members that go on may differ in the last messages of one that died, and in nothing else: without a death there is
/// no difference, however many packets are lost.
#[test]
fn basic_differs_after_a_death_alone() {
    for title in ["unordered (basic)", "fifo (basic)", "causal (basic)"] {
        let lossy = Plan { loss: 300_000, ..three(named(title)) };
        let story = one_dies(&lossy).expect_err("some have what others lack");
        assert!(story.contains("was given"), "{title}: {story}");
        assert_eq!(outcome(&lossy, &[]), Ok(()), "{title}");
    }
}

/// Deaths of which nobody hears what the victim did last. Where a sequencer numbers messages, that has all that anybody was
/// given, so it dies, too.
fn sudden_deaths(plan: &Plan) -> impl Iterator<Item = Vec<CrashAt>> {
    let last = plan.steps(&[], BUSY);
    let (sequencer, client) = (plan.view().sequencer, MemberId(2));
    (1..=last).flat_map(move |step| {
        let silent = CrashAt { step, victim: client, is_silent: true };
        (0..if sequencer.is_some() { 6 } else { 1 }).map(move |ago| {
            let heard =
                sequencer.map(|victim| CrashAt { step: step.saturating_sub(ago), victim, is_silent: false });
            heard.into_iter().chain([silent]).collect()
        })
    })
}

/// Two clients die at once, and nobody hears what either did last: nobody is left to send again what one of them had sent
/// and the other was given.
fn sudden_pairs(plan: &Plan) -> impl Iterator<Item = Vec<CrashAt>> {
    sudden_deaths(plan).map(|mut deaths| {
        deaths.extend(deaths.last().map(|&last| CrashAt { victim: MemberId(1), ..last }));
        deaths
    })
}

/// A message that a member delivers just before its death may be lost to the others; with uniform delivery it never is.
fn is_uniform(title: &str) {
    let order = named(title);
    let plan = Plan { loss: 200_000, ..three(order) };
    let is_lost = |seed: u64| {
        let plan = Plan { seed, ..plan.clone() };
        sudden_deaths(&plan)
            .any(|deaths| promises::uniform(&plan, &plan.run(&deaths, END).processes).is_err())
    };
    assert!((1..=20).any(is_lost), "{title}: no death shows what --safe is for");
    let safe = Plan { safe: true, ..plan.clone() };
    for deaths in sudden_deaths(&safe).chain(sudden_pairs(&safe)) {
        if let Err(story) = outcome(&safe, &deaths) {
            panic!("{title}: {deaths:?}: {story}");
        }
    }
    if let Err(story) = one_dies(&safe) {
        panic!("{title}: {story}");
    }
}

/// Members that wait until a message is stable wait for packets, at most seven hops, and for no timer.
#[test]
fn safe_delivery_waits_for_no_timer() {
    let at = Time::from_micros(1_000);
    for order in orders() {
        let tasks = (0..3).map(|client| (at, MemberId(client), To::Group)).collect();
        let plan = Plan { safe: true, tasks, ..Plan::new(order, 3, 1) };
        let hops = Duration::from_micros(7 * plan.slow);
        let world = plan.run(&[], at.after(hops));
        for process in world.processes.iter().filter(|process| is_client(process)) {
            let is_delivery = |(_, event): &&(Time, Event)| matches!(event, Event::Deliver(..));
            let delivered = process.history.iter().filter(is_delivery).count();
            assert_eq!(delivered, plan.tasks.len(), "{}: {}", order.title(), process.me);
        }
    }
}

#[cfg(feature = "known-bad")]
mod known_bad {
    use groupcast::defect::{Defect, Defects};

    use super::*;
    use groupcast::sim::Fault;

    fn fifo() -> Plan {
        three(Order::find("fifo", "").expect("an order of the table"))
    }

    #[test]
    fn flush_broken_leader_ignoring_accepted_proposal_is_detected() {
        let plan = Plan { defects: Defects::only(Defect::NoAdoption), ..fifo() };
        let story = another_dies(&plan, MemberId(1), MemberId(2)).expect_err("two views of one number");
        assert!(story.contains(" has View"), "{story}");
        assert!(another_dies(&fifo(), MemberId(1), MemberId(2)).is_ok());
    }

    #[test]
    fn flush_broken_member_forgetting_unstable_messages_is_detected() {
        let lossy = |defects| Plan { loss: 300_000, defects, ..fifo() };
        let story =
            one_dies(&lossy(Defects::only(Defect::ForgetsUnstable))).expect_err("one has what others lack");
        assert!(story.contains("was given") || story.contains("still in"), "{story}");
    }

    #[test]
    fn undeliverable_messages_forgotten_by_sender_are_detected() {
        let dies = |defects| {
            let at = Time::from_micros;
            let mut plan = Plan { faults: vec![(at(3_000), Fault::Crash(MemberId(1)))], defects, ..fifo() };
            plan.tasks.push((at(3_000_000), MemberId(0), To::Member(MemberId(1))));
            plan
        };
        assert_eq!(outcome(&dies(Defects::NONE), &[]), Ok(()));
        let story = outcome(&dies(Defects::only(Defect::ForgetsUndeliverable)), &[]).expect_err("it is lost");
        assert!(story.contains("received: false, undeliverable: None"), "{story}");
    }

    #[test]
    fn view_broken_member_not_told_it_was_left_behind_is_detected() {
        let asleep = |defects| {
            let sleeps = Fault::Pause(MemberId(1), Time::from_micros(2_000_000));
            Plan { faults: vec![(Time::from_micros(3_000), sleeps)], defects, ..fifo() }
        };
        assert_eq!(outcome(&asleep(Defects::NONE), &[]), Ok(()));
        assert!(outcome(&asleep(Defects::only(Defect::NoFencing)), &[]).is_err());
    }
}
