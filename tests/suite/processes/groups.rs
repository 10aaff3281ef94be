//! Several groups on one forwarder, router and sequencer: each is alone.

use rustix::process::Signal;

use super::support::{has_delivered, long, short};
use crate::harness::{Program, Stage, all_end};

#[test]
fn groups_are_isolated() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    for (group, id) in [("red", "r1"), ("red", "r2"), ("blue", "b1"), ("blue", "b2")] {
        let commands: String = (0..200).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands + "sleep,1\n").args(["--group", group]).start());
    }
    all_end(&mut programs);
    for [one, other] in [["r1", "r2"], ["b1", "b2"]] {
        let delivered = stage.lines(one, "tom");
        assert_eq!(delivered, stage.lines(other, "tom"));
        assert_eq!(delivered.len(), 400);
        assert!(delivered.iter().all(|line| line.starts_with(&one[..1])));
        let numbers = stage
            .history(one)
            .iter()
            .filter_map(|event| event["number"].as_u64())
            .skip(1)
            .collect::<Vec<_>>();
        assert_eq!(numbers, (1..=400).collect::<Vec<_>>(), "each group counts for itself");
    }
}

#[test]
fn groups_failed_group_does_not_affect_others() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(2);
    let [mut r1, mut r2] = ["r1", "r2"].map(|id| stage.client(id, long(id)).args(["--group", "red"]).start());
    let commands = |id: &str| format!("Multicast,{id},x\nsleep,0.1\n").repeat(40);
    let blue = ["b1", "b2"].map(|id| stage.client(id, commands(id)).args(["--group", "blue"]).start());
    has_delivered(&stage, "r1", 4);
    r1.signal(Signal::INT);
    r1.ends(130);
    r2.says("view 2: r2");
    r2.signal(Signal::INT);
    r2.ends(130);
    let mut blue = blue;
    all_end(&mut blue);
    assert_eq!(stage.lines("b1", "tom").len(), 80);
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        program.ends_saying(69, &["r1 left the run"]);
    }
}

#[test]
fn groups_group_deserted_before_its_start_does_not_fail_the_sequencer() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(2);
    let mut r1 = stage.client("r1", long("r1")).args(["--group", "red"]).start();
    r1.says("waiting for 1 more client");
    r1.signal(Signal::INT);
    r1.ends(130);
    sequencer.says("warning: red: ");
    let mut blue = ["b1", "b2"].map(|id| stage.client(id, short(id)).args(["--group", "blue"]).start());
    all_end(&mut blue);
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        program.ends(0);
    }
}
