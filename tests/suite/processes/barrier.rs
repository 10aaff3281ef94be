//! The start barrier: a message that a client multicasts at once after the start reaches all clients.

use std::time::Duration;

use groupcast::prng::Prng;

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
