//! `groupcast sim`: its report, its exit codes, its costs and its replays.

use std::process::{Command, Output};

fn groupcast(arguments: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast")).args(arguments.split_whitespace()).output();
    output.expect("the tool starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn sim_reports_its_verdict() {
    let output = groupcast("sim --order total --method bb --members 4 --messages 50 --loss 20% --seed 7 -v");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("PASS: total (bb), 4 members × 50 messages, seed 7"), "{text}");
    assert!(text.lines().any(|line| line.contains(" deliver ")), "{text}");
    assert!(output.stderr.is_empty());
    assert_eq!(text, said(&groupcast("sim --members 4 --loss 0.2 --seed 7 -v")), "the same, by its defaults");
}

#[test]
fn sim_exit_codes_follow_the_table() {
    for (arguments, code) in [
        ("sim --seeds 5", 0),
        ("sim --messages 0", 2),
        ("sim --messages 1 --loss 0.0001%", 2),
        ("sim --order sorted", 64),
        ("sim --method zz", 64),
        ("sim --members 1", 64),
        ("sim --order causal --expect-violation total", 0),
        ("sim --order total --expect-violation total --seeds 5", 1),
        ("sim --order total --expect-violation sorted", 64),
        ("sim --partition 20", 64),
        ("sim --loss 20", 64),
        ("sim --delay 50-0ms", 64),
        ("sim --nonsense", 64),
        ("sim --order fifo --reliability lossy", 64),
        ("sim --order total --reliability flood", 64),
        ("sim --order fifo --reliability basic --safe", 64),
        ("sim --order unordered --reliability basic --crash 1 --expect-violation agreement", 0),
        ("sim --order unordered --reliability flood --crash 1 --expect-violation agreement --seeds 50", 1),
        ("sim --order unordered --crash 1 --expect-violation agreement --seeds 50", 1),
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
fn sim_json_report() {
    let output = groupcast("sim --order fifo --seeds 3 --json");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["verdict"], "PASS");
    assert_eq!(value["seeds"], 3);
    assert_eq!(value["properties"].as_array().map(Vec::len), Some(8));
}

#[test]
fn sim_order_that_held_nothing_back_is_undecided() {
    let calm = "sim --order fifo --members 3 --messages 5 --steady --delay 1ms --loss 0 --duplicate 0 --slow 0 --clog 0 \
                --partition 0 --pause 0";
    let output = groupcast(calm);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("hold-back       undecided nothing came out of order"), "{text}");
    assert_eq!(groupcast(&calm.replace("fifo", "unordered")).status.code(), Some(0));
}

#[test]
fn sim_cost_of_a_multicast_is_counted() {
    // Nothing is lost and nobody waits: every number below follows from the setup.
    let calm = "--members 3 --messages 50 --steady --delay 2ms --loss 0 --duplicate 0 --slow 0 --clog 0 --partition 0 \
                --pause 0 --json";
    let cost = |order: &str| -> serde_json::Value {
        let output = groupcast(&format!("sim --order {order} {calm}"));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        value["cost"].clone()
    };
    let [unordered, total] = ["unordered", "total"].map(cost);
    assert_eq!([&unordered["multicasts"], &total["multicasts"]], [150, 150]);
    assert_eq!(unordered["latency_us"]["max"], 2_000, "one way");
    assert_eq!(total["latency_us"]["max"], 4_000, "there, and the number back");
    assert_eq!(unordered["hold_back"]["depth_max"], 0);
    assert!(total["hold_back"]["depth_max"].as_u64() > Some(0));
    let number = |cost: &serde_json::Value, name: &str| cost[name].as_f64().expect("a number");
    // The body, to two others; each of them acknowledges, more rarely.
    assert!((2.0..6.0).contains(&number(&unordered, "packets_carried")), "{unordered}");
    assert!((128.0..400.0).contains(&number(&unordered, "bytes_carried")), "{unordered}");
    assert!(number(&unordered, "control_share") < number(&total, "control_share"));
}

#[test]
fn sim_printed_command_replays_a_loss() {
    let output =
        groupcast("sim --order fifo --members 5 --crash 1 --split 1 --expect-violation total --seeds 50");
    let text = said(&output);
    let command = text.lines().find_map(|line| line.strip_prefix("replay    groupcast ")).expect("a command");
    assert!(command.contains(" --crash 1 --split 1 "), "{text}");
    let again = groupcast(command);
    assert_eq!(output.status.code(), again.status.code(), "{text}");
    assert!(said(&again).lines().any(|line| line.ends_with(" die")), "deaths are shown with their times");
}

#[test]
fn sim_members_join_return_and_stand_by() {
    let dir = tempfile::tempdir().unwrap();
    let command = "sim --order total --members 4 --restart 1 --join 2 --standby 1 --seed 3 -v --json";
    let histories = format!("{command} --histories {}", dir.path().display());
    let output = groupcast(&histories);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["verdict"], "PASS", "{value}");
    assert_eq!(value["counters"]["joined"], 4);
    assert!(value["replay"].as_str().unwrap().contains(" --restart 1 --join 2 --standby 1 "), "{value}");
    let check = groupcast(&format!("check {}", dir.path().display()));
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    assert_eq!(groupcast("sim --order fifo --standby 1").status.code(), Some(64));
}

#[test]
fn sim_expected_violation_is_shown() {
    let output = groupcast("sim --order unordered --expect-violation total");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("violates total as expected"), "{text}");
    let witness = text.lines().find(|line| line.starts_with("total ")).expect("a verdict");
    assert!(witness.contains(" then p"), "{text}");
    let replay = text.lines().find_map(|line| line.strip_prefix("replay    groupcast ")).expect("a command");
    let again = groupcast(replay);
    assert_eq!(again.status.code(), Some(0));
    assert!(said(&again).contains(witness), "the same witness");
}

#[cfg(feature = "known-bad")]
#[test]
fn sim_failure_prints_the_replay_command() {
    let output = groupcast("sim --order fifo --seeds 50 --loss 10% --delay 0-20ms --known-bad no-hold-back");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let witness = text.lines().find(|line| line.starts_with("fifo")).expect("a verdict");
    assert!(witness.contains("; p"), "{text}");
    let replay = text.lines().find_map(|line| line.strip_prefix("replay    groupcast ")).expect("a command");
    let again = groupcast(replay);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains(witness), "the same witness");
}
