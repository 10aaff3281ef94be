//! The servers of a run: a forwarder or router that is killed and started again in mid-run, and the sequencer that the
//! forwarder contains. The run continues, and nothing is lost or doubled.

use std::time::Duration;

use groupcast::order::{ORDERS, Order};
use groupcast::prng::Prng;

use super::support::{CLIENTS, commands, is_all_there};
use crate::harness::{Program, Stage, all_end, pause, side_by_side};

fn clients(stage: &Stage, order: &Order) -> Vec<Program> {
    let client = |(place, id): (usize, &&str)| {
        let launch = stage.client(id, commands(place)).args(["--order", order.name]);
        launch.args(order.method.iter().flat_map(|method| ["--method", method])).start()
    };
    CLIENTS.iter().enumerate().map(client).collect()
}

/// A run in which `victim`, 0 or 1 of the middle, is killed some time after the start, and another takes its place.
fn restart(seed: u64, order: &Order, victim: usize) {
    let mut dice = Prng::new(seed);
    let stage = Stage::new();
    let mut middle = stage.middle(CLIENTS.len());
    let mut members = clients(&stage, order);
    members[0].says("start of main");
    pause(Duration::from_millis(dice.below(1200)));
    middle[victim].kill();
    pause(Duration::from_millis(dice.below(1500)));
    let successor = if victim == 0 { stage.forwarder(CLIENTS.len()) } else { stage.router() };
    middle[victim] = successor.start();
    all_end(&mut members);
    all_end(&mut middle);
    is_all_there(&stage, order);
    if victim == 0 {
        middle[0].ends_saying(0, &["goes on with a run that another forwarder began"]);
        members[0].ends_saying(0, &["the forwarder was started again"]);
    }
}

#[test]
fn restart_forwarder_killed_and_restarted_nothing_is_lost() {
    side_by_side(ORDERS.len() * 2, 4, |number| restart(number as u64, &ORDERS[number / 2], 0));
}

#[test]
fn restart_router_killed_and_restarted_nothing_is_lost() {
    side_by_side(ORDERS.len(), 4, |number| restart(100 + number as u64, &ORDERS[number], 1));
}

#[test]
fn failover_sequencer_restarted_without_candidate_ends_the_run() {
    let sequenced: Vec<&Order> = ORDERS.iter().filter(|order| order.sequencer).collect();
    side_by_side(sequenced.len(), 3, |number| {
        let stage = Stage::new();
        let [mut forwarder, mut router, mut sequencer] = stage.middle(CLIENTS.len());
        let mut members = clients(&stage, sequenced[number]);
        members[0].says("start of main");
        pause(Duration::from_millis(300));
        sequencer.kill();
        let mut successor = stage.sequencer().start();
        let words = ["the sequencer was started again and does not know which numbers it gave"];
        for program in members.iter_mut().chain([&mut forwarder, &mut router, &mut successor]) {
            program.ends_saying(69, &words);
        }
    });
}

#[test]
fn embedded_sequencer_replaces_the_sequencer_process() {
    let orders = [Order::find("total", "bb"), Order::find("causal", "")].map(Option::unwrap);
    side_by_side(orders.len(), 2, |number| {
        let stage = Stage::new();
        let mut programs =
            vec![stage.forwarder(CLIENTS.len()).arg("--sequencer").start(), stage.router().start()];
        programs.extend(clients(&stage, orders[number]));
        all_end(&mut programs);
        is_all_there(&stage, orders[number]);
    });
}

#[test]
fn embedded_sequencers_of_two_groups_are_independent() {
    let stage = Stage::new();
    // They stay: a group may be done before the members of the other have come.
    let _middle =
        [stage.forwarder(2).arg("--sequencer"), stage.router()].map(|launch| launch.arg("--stay").start());
    let mut clients = Vec::new();
    for group in ["red", "redder"] {
        for id in ["a", "b"] {
            let id = format!("{group}-{id}");
            let commands: String = (1..=50).map(|number| format!("Multicast,{id},{number}\n")).collect();
            clients.push(stage.client(&id, commands).args(["--group", group]).start());
        }
    }
    all_end(&mut clients);
    for group in ["red", "redder"] {
        let lines = stage.lines(&format!("{group}-a"), "tom");
        assert_eq!((lines.len(), &lines), (100, &stage.lines(&format!("{group}-b"), "tom")));
    }
}
