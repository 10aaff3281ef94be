//! The engines in the simulator: thousands of seeds, the tool that runs them, and engines broken on purpose.

use std::process::{Command, Output};

use groupcast::exit::Exit;
use groupcast::order::{DEFAULT_METHOD, Order};
use groupcast::sim::swarm::{self, Report};
use groupcast::sim::{Setup, Trace};

const SEEDS: u64 = 2_000;

fn setup(order: &str, members: u16, messages: u64) -> Setup {
    let order = Order::find(order, DEFAULT_METHOD).expect("an order of the table");
    Setup::new(order, members, messages)
}

/// Nothing is violated, nothing is undecided, and everything that the engines are for was needed.
fn holds(setup: &Setup, seeds: u64) -> Report {
    let report = swarm::run(setup, 1, seeds);
    assert_eq!(report.exit(), Exit::Ok, "{}: {report:#?}", setup.order.title());
    let counters = &report.counters;
    let needed = [counters.lost, counters.duplicated, counters.nacks, counters.resends, counters.dropped];
    assert!(needed.iter().all(|&count| count > 0), "{counters:?}");
    report
}

fn holds_for_all_seeds(order: &str) {
    let report = holds(&setup(order, 4, 50), SEEDS);
    assert_eq!(report.seeds, SEEDS);
    println!("{order}: {SEEDS} seeds\n{}", report.counters);
    for members in 2..=8 {
        holds(&setup(order, members, 20), 100);
    }
    assert!(holds(&setup(order, 4, 400), 50).counters.waited > 0, "the windows fill");
}

#[test]
fn total_order_keeps_its_promises() {
    holds_for_all_seeds("total");
    assert!(holds(&setup("total", 4, 50), 20).counters.held_back > 0);
}

#[test]
fn fifo_order_keeps_its_promises() {
    holds_for_all_seeds("fifo");
    assert!(holds(&setup("fifo", 4, 50), 20).counters.held_back > 0);
}

#[test]
fn no_order_is_still_reliable() {
    holds(&setup("unordered", 4, 50), 200);
}

#[test]
fn the_worst_networks_only_take_longer() {
    let total = setup("total", 4, 50);
    let faults = |loss: &str, duplicate: &str, delay: &str| Setup {
        loss: Some(loss.parse().expect("a share")),
        duplicate: Some(duplicate.parse().expect("a share")),
        delay: Some(delay.parse().expect("a delay")),
        ..total
    };
    for setup in [
        faults("70%", "70%", "0-50ms"),
        faults("100%", "0%", "5ms"),
        faults("10%", "10%", "0ms"),
        faults("5%", "0%", "1-10s"),
    ] {
        assert_eq!(swarm::run(&setup, 1, 20).exit(), Exit::Ok, "{setup:?}");
    }
}

#[test]
fn same_seed_same_trace() {
    let trace = |seed| {
        let mut trace = Trace::kept();
        let _ = setup("total", 4, 50).run(seed, &mut trace);
        trace
    };
    for seed in 1..20 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
        assert!(trace(seed) != trace(seed + 1), "seed {seed}");
    }
}

#[test]
fn a_run_in_which_nothing_was_sent_shows_nothing() {
    assert_eq!(swarm::run(&setup("total", 4, 0), 1, 10).exit(), Exit::Undecided);
}

#[cfg(feature = "known-bad")]
#[test]
fn engines_broken_on_purpose_are_caught() {
    use groupcast::defect::{Defect, Defects};

    let caught = [
        ("total", Defect::NoHoldBack, "total"),
        ("fifo", Defect::NoHoldBack, "fifo"),
        ("total", Defect::NoNack, "liveness"),
        ("fifo", Defect::NoNack, "liveness"),
        ("total", Defect::NoTailAnnouncement, "liveness"),
        ("fifo", Defect::NoTailAnnouncement, "liveness"),
        // An order that numbers messages sees the repetition itself, and blames the sender for it.
        ("total", Defect::NoDuplicateFilter, "contract"),
        ("fifo", Defect::NoDuplicateFilter, "contract"),
        ("unordered", Defect::NoDuplicateFilter, "no-duplicate"),
    ];
    for (order, defect, property) in caught {
        let setup = Setup { defects: Defects::only(defect), ..setup(order, 4, 20) };
        // How many seeds it takes, from a hundred places.
        let needed: Vec<u64> = (0..100).map(|start| seeds_to_catch(&setup, start * 1000, property)).collect();
        let worst = needed.iter().max().expect("a hundred");
        let mean = needed.iter().sum::<u64>() as f64 / needed.len() as f64;
        println!("{defect:?} in {order} breaks {property}: {mean:.2} seeds on average, at most {worst}");
        assert!(*worst <= 20, "{defect:?} in {order}: {needed:?}");
    }
}

/// How many seeds from `first` on it takes until this property is seen violated; 1000 if it is not.
#[cfg(feature = "known-bad")]
fn seeds_to_catch(setup: &Setup, first: u64, property: &str) -> u64 {
    let caught = |seed| {
        let outcome = setup.run(seed, &mut Trace::off());
        outcome.verdicts.iter().any(|(name, verdict)| *name == property && verdict.is_violated())
    };
    (1..1000).find(|count| caught(first + count)).unwrap_or(1000)
}

fn groupcast(arguments: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast")).args(arguments.split_whitespace()).output();
    output.expect("the tool starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_tool_says_what_it_found() {
    let output = groupcast("sim --order total --method bb --members 4 --messages 50 --loss 20% --seed 7 -v");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("PASS: total (bb), 4 members × 50 messages, seed 7"), "{text}");
    assert!(text.lines().any(|line| line.contains(" deliver ")), "{text}");
    assert!(output.stderr.is_empty());
    assert_eq!(text, said(&groupcast("sim --loss 0.2 --seed 7 -v")), "the same, by its defaults");
}

#[test]
fn the_tool_ends_as_the_table_says() {
    for (arguments, code) in [
        ("sim --seeds 5", 0),
        ("sim --messages 0", 2),
        ("sim --messages 1 --loss 0.0001%", 2),
        ("sim --order sorted", 64),
        ("sim --method zz", 64),
        ("sim --members 1", 64),
        ("sim --loss 20", 64),
        ("sim --delay 50-0ms", 64),
        ("sim --nonsense", 64),
        ("", 64),
        ("sim --help", 0),
        ("--version", 0),
    ] {
        let output = groupcast(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
        let silent = if code == 64 { &output.stdout } else { &output.stderr };
        assert!(silent.is_empty(), "{arguments}: {output:?}");
    }
}

#[test]
fn the_tool_answers_in_json() {
    let output = groupcast("sim --order fifo --seeds 3 --json");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["verdict"], "PASS");
    assert_eq!(value["seeds"], 3);
    assert_eq!(value["properties"].as_array().map(Vec::len), Some(8));
}

#[cfg(feature = "known-bad")]
#[test]
fn the_tool_shows_how_to_replay_a_failure() {
    let output = groupcast("sim --order fifo --seeds 50 --loss 10% --delay 0-20ms --known-bad no-hold-back");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let witness = text.lines().find(|line| line.starts_with("fifo")).expect("a verdict");
    assert!(witness.contains("which p"), "{text}");
    let replay = text.lines().find_map(|line| line.strip_prefix("replay    groupcast ")).expect("a command");
    let again = groupcast(replay);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains(witness), "the same witness");
}
