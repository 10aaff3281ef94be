//! Thousands of drawn lives of groups, for every order.

use std::collections::BTreeSet;
use std::time::Duration;

use groupcast::engine::{MemberId, Time, To};
use groupcast::order::Order;
use groupcast::prng::Prng;
use groupcast::sim::process::Event;
use groupcast::sim::{Fault, World};

use super::promises;
use super::world::{Plan, ms, named, orders};

/// Of each order, without partitions, and with them, whether a majority is needed then or not; `GROUPCAST_SEEDS` sets
/// another number, `GROUPCAST_SEED` a single seed, and
/// `GROUPCAST_NEWCOMERS` has processes come into the group as well.
const SEEDS: u64 = 20;
/// Everybody sends within this …
const BUSY: u64 = 1_500;
/// … and everything is to be well by then.
const END: u64 = 12_000;

/// Counts over a row of seeds, so that an idle test does not pass for a good one.
#[derive(Debug, Default)]
struct Seen {
    views: u64,
    fenced: u64,
    deliveries: u64,
    /// Groups that no majority is left of.
    blocked: u64,
}

/// Events beside deaths, sleeps and departures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Partitions {
    None,
    /// Only more than half of the members may go on.
    Majority,
    /// Each part may go on.
    Split,
}

fn draw(order: &'static Order, seed: u64, partitions: Partitions, with_newcomers: bool) -> Plan {
    let with_partitions = partitions != Partitions::None;
    let mut dice = Prng::new(seed);
    let clients = dice.between(if with_partitions { 4 } else { 2 }, 5) as u16;
    let mut plan = Plan::new(order, clients, dice.next_u64());
    if order.sequencer {
        plan.standbys = dice.below(3) as u16;
        plan.candidates = (0..clients).map(MemberId).filter(|_| dice.chance(300_000)).collect();
        if plan.standbys == 0 && plan.candidates.is_empty() {
            plan.candidates = vec![MemberId(0)];
        }
    }
    plan.majority = partitions == Partitions::Majority;
    plan.loss = [0, 20_000, 150_000][dice.below(3) as usize];
    plan.twice = [0, 50_000][dice.below(2) as usize];
    plan.slow = [500, 3_000, 30_000][dice.below(3) as usize];
    draw_tasks(&mut plan, &mut dice);
    draw_losses(&mut plan, &mut dice);
    if with_partitions {
        let members = plan.view().members();
        let part = members.into_iter().filter(|_| dice.chance(300_000)).collect();
        let when = dice.below(BUSY);
        plan.faults.push((ms(when), Fault::Partition(part)));
        plan.faults.push((ms(when + dice.between(100, 3_000)), Fault::Reconnect));
    }
    // Windows of a few messages, for some; and who has died may be started again.
    if dice.chance(400_000) {
        plan.window.messages = dice.between(1, 4);
    }
    plan.late = [0, 10_000][dice.below(2) as usize];
    draw_arrivals(&mut plan, &mut dice, with_newcomers);
    plan
}

fn draw_tasks(plan: &mut Plan, dice: &mut Prng) {
    for client in 0..plan.clients {
        for _ in 0..dice.below(60) {
            let receiver = MemberId(dice.below(u64::from(plan.clients)) as u16);
            let to =
                if dice.chance(200_000) && receiver.0 != client { To::Member(receiver) } else { To::Group };
            plan.tasks.push((ms(dice.below(BUSY)), MemberId(client), to));
        }
    }
}

fn draw_losses(plan: &mut Plan, dice: &mut Prng) {
    let members = plan.view().members();
    let leaders: BTreeSet<MemberId> =
        plan.view().sequencer.into_iter().chain(plan.view().candidates).collect();
    // Somebody who can lead goes on, and a client.
    let spared = [MemberId(0), *leaders.first().unwrap_or(&MemberId(0))];
    let mut left = members.len();
    for &member in members.iter().filter(|member| !spared.contains(member)) {
        let is_too_few = plan.majority && 2 * (left - 1) <= members.len();
        if is_too_few || !dice.chance(400_000) {
            continue;
        }
        left -= 1;
        let when = dice.below(BUSY);
        let fault = match dice.below(5) {
            0 => Fault::Pause(member, ms(when + dice.between(300, 4_000))),
            1 => Fault::Leave(member),
            _ => Fault::Crash(member),
        };
        plan.faults.push((ms(when), fault));
    }
}

/// Draws members that come back, and newcomers.
fn draw_arrivals(plan: &mut Plan, dice: &mut Prng, with_newcomers: bool) {
    let crash = |(when, fault): &(Time, Fault)| match fault {
        Fault::Crash(member) => Some((*when, *member)),
        _ => None,
    };
    for (when, member) in plan.faults.iter().filter_map(crash).collect::<Vec<_>>() {
        if dice.chance(300_000) {
            let later = Duration::from_millis(dice.between(10, 2_500));
            let is_client = member.0 < plan.clients;
            let again = if is_client { Fault::Join(Some(member)) } else { Fault::StandBy(Some(member)) };
            let joins = with_newcomers && dice.chance(500_000);
            plan.faults.push((when.after(later), if joins { again } else { Fault::ReturnUnaware(member) }));
        }
    }
    if with_newcomers && dice.chance(300_000) {
        for _ in 0..dice.between(1, 3) {
            let stands_by = plan.order.sequencer && dice.chance(500_000);
            let joins = if stands_by { Fault::StandBy(None) } else { Fault::Join(None) };
            plan.faults.push((ms(dice.below(BUSY)), joins));
        }
    }
}

fn live(plan: &Plan, seen: &mut Seen) -> Result<(), String> {
    // One message at a time takes its time.
    let world = plan.run(&[], ms(if plan.window.messages < 8 { 4 * END } else { END }));
    seen.blocked += u64::from(promises::somebody_is_blocked(plan, &world));
    for process in &world.processes {
        for (_, event) in &process.history {
            match event {
                Event::View(view) if view.number > 1 => seen.views += 1,
                Event::Fenced => seen.fenced += 1,
                Event::Deliver(..) => seen.deliveries += 1,
                _ => {}
            }
        }
    }
    promises::judge(plan, &world).map_err(|story| format!("{story}\n{}", changes(&world)))
}

/// Returns the views that every member installed, in words.
fn changes(world: &World) -> String {
    let mut told = String::new();
    for process in &world.processes {
        if let Some(membership) = process.membership() {
            let state = if membership.is_changing() { "is changed" } else { "holds" };
            let (view, whom) = (membership.view().number, membership.waits_for());
            let state = if process.is_in() { state } else { "is nothing to it any more" };
            told += &format!("{}: view {view} {state}, waits for {whom:?}\n", process.me);
        }
        for (at, event) in &process.history {
            if matches!(event, Event::View(_) | Event::Fenced) {
                told += &format!("{} at {at}: {event:?}\n", process.me);
            }
        }
    }
    told
}

/// The faults of the members, in words.
fn tell(plan: &Plan) -> String {
    let Plan { clients, standbys, candidates, loss, slow, faults, majority, window, .. } = plan;
    let faults: Vec<String> = faults.iter().map(|(at, fault)| format!("{at} {fault:?}")).collect();
    format!(
        "{clients} clients, {standbys} stand by, {candidates:?} can number, majority: {majority}, \
         loss {loss}, slow {slow}, {} messages in a window\n{}",
        window.messages,
        faults.join("\n")
    )
}

fn lives(title: &str, partitions: Partitions, safe: bool) {
    let order = named(title);
    let with_newcomers = std::env::var_os("GROUPCAST_NEWCOMERS").is_some();
    let mut seen = Seen::default();
    let only: Option<u64> = std::env::var("GROUPCAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = std::env::var("GROUPCAST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut failures: Vec<(u64, String)> = Vec::new();
    for seed in only.map_or(1..=seeds, |seed| seed..=seed) {
        let plan = Plan { safe, ..draw(order, seed, partitions, with_newcomers) };
        if let Err(story) = live(&plan, &mut seen) {
            failures.push((seed, format!("{story}\n{}", tell(&plan))));
        }
    }
    if let Some((first, story)) = failures.first() {
        let all: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        panic!("{title}, {partitions:?}, {} seeds fail: {all:?}; seed {first}: {story}", all.len());
    }
    println!("{title}, {partitions:?}: {seeds} seeds: {seen:?}");
    assert!(seen.views > 0 && seen.deliveries > 0 && 4 * seen.blocked < seeds, "{seen:?}");
}

macro_rules! every_order {
    ($($name:ident $parted:ident $split:ident $safe:ident $title:literal;)*) => {
        $(
            #[test]
            fn $name() {
                lives($title, Partitions::None, false);
            }

            #[test]
            fn $parted() {
                lives($title, Partitions::Majority, false);
            }

            #[test]
            fn $split() {
                lives($title, Partitions::Split, false);
            }

            #[test]
            fn $safe() {
                lives($title, Partitions::None, true);
                lives($title, Partitions::Majority, true);
            }
        )*

        #[test]
        fn every_order_is_in_the_seed_table() {
            let titles = [$($title),*];
            assert!(orders().all(|order| titles.contains(&order.title().as_str())));
        }
    };
}

every_order! {
    unordered unordered_parted unordered_split unordered_safe "unordered";
    fifo fifo_parted fifo_split fifo_safe "fifo";
    causal causal_parted causal_split causal_safe "causal";
    total_bb total_bb_parted total_bb_split total_bb_safe "total (bb)";
    total_ub total_ub_parted total_ub_split total_ub_safe "total (ub)";
    total_uub total_uub_parted total_uub_split total_uub_safe "total (uub)";
    lamport lamport_parted lamport_split lamport_safe "lamport";
    agreed agreed_parted agreed_split agreed_safe "agreed";
}

/// Newcomers come into a group of which each part may go on.
fn lives_with_newcomers(title: &str, seed: u64) {
    let plan = draw(named(title), seed, Partitions::Split, true);
    if let Err(story) = live(&plan, &mut Seen::default()) {
        panic!("{title}, seed {seed}: {story}\n{}", tell(&plan));
    }
}

#[test]
fn join_newcomer_admitted_by_two_partitions_is_in_one() {
    lives_with_newcomers("causal", 164);
}

#[test]
fn join_newcomer_heard_only_by_strangers_forms_a_partition() {
    for (title, seed) in [("fifo", 221), ("causal", 930), ("total (bb)", 1229)] {
        lives_with_newcomers(title, seed);
    }
}

#[test]
fn flush_lamport_stable_messages_keep_their_place() {
    for seed in [24, 202] {
        let plan = Plan { safe: true, ..draw(named("lamport"), seed, Partitions::None, false) };
        if let Err(story) = live(&plan, &mut Seen::default()) {
            panic!("seed {seed}: {story}\n{}", tell(&plan));
        }
    }
}
