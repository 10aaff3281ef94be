//! Thousands of drawn lives of groups, for every order.

use std::collections::BTreeSet;

use groupcast::engine::{MemberId, Time, To};
use groupcast::order::{ORDERS, Order};
use groupcast::prng::Prng;

use super::promises;
use super::world::{Event, Fate, Plan, Process, World};

/// Of each order, with and without partitions; `GROUPCAST_SEEDS` sets another number, `GROUPCAST_SEED` a single seed.
const SEEDS: u64 = 100;
/// Everybody sends within this …
const BUSY: u64 = 1_500;
/// … and everything is to be well by then.
const END: u64 = 12_000;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

/// What a row of seeds saw, so that nobody takes an idle test for a good one.
#[derive(Debug, Default)]
struct Seen {
    views: u64,
    fenced: u64,
    deliveries: u64,
    /// Groups that no majority is left of.
    blocked: u64,
}

fn draw(order: &'static Order, seed: u64, with_partitions: bool) -> Plan {
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
    plan.majority = with_partitions;
    plan.loss = [0, 20_000, 150_000][dice.below(3) as usize];
    plan.twice = [0, 50_000][dice.below(2) as usize];
    plan.slow = [500, 3_000, 30_000][dice.below(3) as usize];
    for client in 0..clients {
        for _ in 0..dice.below(60) {
            let receiver = MemberId(dice.below(u64::from(clients)) as u16);
            let to =
                if dice.chance(200_000) && receiver.0 != client { To::Member(receiver) } else { To::Group };
            plan.tasks.push((at(dice.below(BUSY)), MemberId(client), to));
        }
    }
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
        let fate = match dice.below(5) {
            0 => Fate::Sleeps(member, at(when + dice.between(300, 4_000))),
            1 => Fate::Leaves(member),
            _ => Fate::Dies(member),
        };
        plan.fates.push((at(when), fate));
    }
    if with_partitions {
        let part = members.iter().copied().filter(|_| dice.chance(300_000)).collect();
        let when = dice.below(BUSY);
        plan.fates.push((at(when), Fate::Parted(part)));
        plan.fates.push((at(when + dice.between(100, 3_000)), Fate::Healed));
    }
    plan
}

fn live(plan: &Plan, seen: &mut Seen) -> Result<(), String> {
    let mut world = World::new(plan);
    world.run_until(at(END));
    let is_blocked = |process: &Process| process.is_in() && process.membership.is_changing();
    seen.blocked += u64::from(world.processes.iter().any(is_blocked));
    for process in &world.processes {
        for (_, event) in &process.events {
            match event {
                Event::View(view) if view.number > 1 => seen.views += 1,
                Event::Fenced => seen.fenced += 1,
                Event::Deliver(..) => seen.deliveries += 1,
                _ => {}
            }
        }
    }
    promises::judge(plan, &world)
}

/// What happens to the members, in words.
fn tell(plan: &Plan) -> String {
    let Plan { clients, standbys, candidates, loss, slow, fates, majority, .. } = plan;
    let fates: Vec<String> = fates.iter().map(|(at, fate)| format!("{at} {fate:?}")).collect();
    format!(
        "{clients} clients, {standbys} stand by, {candidates:?} can number, majority: {majority}, \
         loss {loss}, slow {slow}\n{}",
        fates.join("\n")
    )
}

fn lives(title: &str, with_partitions: bool, safe: bool) {
    let order = ORDERS.iter().find(|order| order.title() == title).expect("an order of the table");
    let mut seen = Seen::default();
    let only: Option<u64> = std::env::var("GROUPCAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = std::env::var("GROUPCAST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in only.map_or(1..=seeds, |seed| seed..=seed) {
        let plan = Plan { safe, ..draw(order, seed, with_partitions) };
        if let Err(story) = live(&plan, &mut seen) {
            panic!("{title}, seed {seed}: {story}\n{}", tell(&plan));
        }
    }
    println!("{title}: {seen:?}");
    assert!(seen.views > 0 && seen.deliveries > 0 && 4 * seen.blocked < seeds, "{seen:?}");
}

macro_rules! every_order {
    ($($name:ident $parted:ident $safe:ident $title:literal;)*) => {
        $(
            #[test]
            fn $name() {
                lives($title, false, false);
            }

            #[test]
            fn $parted() {
                lives($title, true, false);
            }

            #[test]
            fn $safe() {
                lives($title, false, true);
                lives($title, true, true);
            }
        )*

        #[test]
        fn every_order_lives() {
            let titles = [$($title),*];
            assert!(ORDERS.iter().all(|order| titles.contains(&order.title().as_str())));
        }
    };
}

every_order! {
    unordered unordered_parted unordered_safe "unordered";
    fifo fifo_parted fifo_safe "fifo";
    causal causal_parted causal_safe "causal";
    total_bb total_bb_parted total_bb_safe "total (bb)";
    total_ub total_ub_parted total_ub_safe "total (ub)";
    total_uub total_uub_parted total_uub_safe "total (uub)";
    lamport lamport_parted lamport_safe "lamport";
    agreed agreed_parted agreed_safe "agreed";
}
