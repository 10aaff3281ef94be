//! The start barrier: a message that a client multicasts at once after the start reaches all clients.

use std::time::Duration;

use groupcast::prng::Prng;

use super::support::short;
use crate::harness::{Program, Stage, all_end, pause, side_by_side};

const RUNS: usize = 100;
const AT_A_TIME: usize = 8;
const CLIENTS: [&str; 4] = ["c1", "c2", "c3", "c4"];
const EACH: usize = 3;

#[test]
fn barrier_clients_start_in_any_order_nothing_is_lost() {
    side_by_side(RUNS, AT_A_TIME, run);
}

/// Four clients start in random order within two seconds; sometimes one or the other comes before the programs in
/// the middle do.
fn run(seed: usize) {
    let mut dice = Prng::new(seed as u64);
    let stage = Stage::new();
    let names = ["forwarder", "router", "sequencer"].into_iter().chain(CLIENTS);
    let mut starts: Vec<(u64, &str)> =
        names.map(|name| (dice.below(if CLIENTS.contains(&name) { 2000 } else { 500 }), name)).collect();
    starts.sort_unstable();
    let mut programs: Vec<Program> = Vec::new();
    let mut at = 0;
    for (start, name) in starts {
        pause(Duration::from_millis(start - at));
        at = start;
        programs.push(match name {
            "forwarder" => stage.forwarder(4).start(),
            "router" => stage.router().start(),
            "sequencer" => stage.sequencer().start(),
            id => stage.client(id, commands(id)).start(),
        });
    }
    all_end(&mut programs);
    let first = stage.lines("c1", "tom");
    let mut sorted = first.clone();
    sorted.sort();
    let expected: Vec<String> =
        CLIENTS.iter().flat_map(|id| (1..=EACH).map(move |number| format!("{id}###{number}"))).collect();
    assert_eq!(sorted, expected, "seed {seed}: deliveries");
    for id in CLIENTS {
        assert_eq!(stage.lines(id, "tom"), first, "seed {seed}: {id} and c1 differ");
    }
}

fn commands(id: &str) -> String {
    (1..=EACH).map(|number| format!("Multicast,{id},{number}\n")).collect()
}

#[test]
fn barrier_late_client_is_waited_for() {
    let stage = Stage::new();
    let [mut forwarder, router, sequencer] = stage.middle(2);
    let mut c1 = stage.client("c1", short("c1")).start();
    c1.says("waiting for 1 more client");
    forwarder.says("waiting for 1 more client");
    let c2 = stage.client("c2", short("c2")).start();
    all_end(&mut [forwarder, router, sequencer, c1, c2]);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
}

#[test]
fn barrier_timeout_missing_client_is_named() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).args(["--start-timeout", "2.5s"]).start();
    let (mut router, mut sequencer) = (stage.router().start(), stage.sequencer().start());
    let mut c1 = stage.client("c1", short("c1")).start();
    for program in [&mut forwarder, &mut router, &mut sequencer, &mut c1] {
        program.ends_saying(75, &["error: ", "did not start within 2.5 s", "waiting for 1 more client"]);
    }
    assert!(stage.files().is_empty(), "a run that never began leaves nothing: {:?}", stage.files());
}

#[test]
fn barrier_timeout_missing_sequencer_is_named() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(1).args(["--start-timeout", "1s"]).start();
    let mut c1 = stage.client("c1", short("c1")).start();
    for program in [&mut forwarder, &mut c1] {
        program.ends_saying(75, &["error: ", "did not start within 1.0 s", "waiting for a sequencer"]);
    }
}

#[test]
fn barrier_timeout_forwarder_without_clients_ends() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(3).args(["--start-timeout", "3s"]).start();
    forwarder.ends_saying(75, &["error: nobody came within 3.0 s", "3 clients", "gives up in"]);
}

#[test]
fn barrier_client_killed_before_the_start_may_return() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let mut first = stage.client("c1", short("c1")).start();
    programs[0].says("ready: c1");
    first.kill();
    programs.push(stage.client("c1", short("c1")).arg("--force").start());
    programs[3].says("waiting for 1 more client");
    programs.push(stage.client("c2", short("c2")).start());
    all_end(&mut programs);
    let starts = ["c1", "c2"].map(|id| stage.history(id)[0]["incarnation"].as_u64());
    assert_eq!(starts, [Some(2), Some(1)]);
    assert_eq!(stage.history("c2").iter().filter(|event| event["id"] == "c1/2/1").count(), 1);
}

/// At any moment of the barrier, not only at those when it waits for something.
#[test]
fn barrier_client_killed_at_any_point_may_return() {
    side_by_side(24, 6, |seed| {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(2).into();
        let mut first = stage.client("c1", short("c1")).start();
        pause(Duration::from_millis(Prng::new(seed as u64).below(150)));
        first.kill();
        programs.push(stage.client("c1", short("c1")).arg("--force").start());
        programs.push(stage.client("c2", short("c2")).start());
        all_end(&mut programs);
        assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    });
}

#[test]
fn barrier_forwarder_router_and_sequencer_may_restart() {
    for who in ["router", "sequencer"] {
        let stage = Stage::new();
        let forwarder = stage.forwarder(2).start();
        let mut programs = vec![forwarder, stage.client("c1", "c1,c2,x\nMulticast,c1,y\n").start()];
        let (mut router, mut sequencer) = (stage.router().start(), stage.sequencer().start());
        programs[0].says("ready: c1 and sequencer");
        (if who == "router" { &mut router } else { &mut sequencer }).kill();
        let again = stage.program(who).start();
        programs.push(stage.client("c2", short("c2")).start());
        programs.push(again);
        programs.push(if who == "router" { sequencer } else { router });
        all_end(&mut programs);
        assert_eq!(stage.lines("c2", "uno"), ["c1###x"]);
    }
}

/// A forwarder may end 200 ms after its start, and a router that has waited for it tries again in pauses that grow.
#[test]
fn barrier_forwarder_started_last_tells_its_end_to_all() {
    side_by_side(8, AT_A_TIME, |number| {
        let stage = Stage::new();
        let mut programs = vec![stage.router().start(), stage.sequencer().start()];
        programs.extend(["c1", "c2"].map(|id| stage.client(id, "").start()));
        pause(Duration::from_millis(2000 + 100 * number as u64));
        programs.push(stage.forwarder(2).start());
        all_end(&mut programs);
    });
}
