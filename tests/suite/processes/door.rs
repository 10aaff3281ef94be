//! The door of a sequencer: short packets pass it while all members hear there, and the forwarder otherwise.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Ports, Program, Stage, all_end, pause, until};

const CLIENTS: [&str; 3] = ["c1", "c2", "c3"];
/// Multicasts of each client: some seconds of short packets.
const MESSAGES: usize = 400;

fn commands(id: &str) -> String {
    (0..MESSAGES).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "Multicast,{id},{number}\nsleep,0.02");
        text
    })
}

/// A forwarder and a router for three clients, and the sequencer.
fn start(stage: &Stage) -> (Vec<Program>, Program) {
    (vec![stage.forwarder(3).start(), stage.router().start()], suspicious(stage, "sequencer", &[]))
}

fn suspicious(stage: &Stage, id: &str, arguments: &[&str]) -> Program {
    stage.sequencer().args(["--id", id, "--suspect-after", "2s"]).args(arguments).start()
}

fn client(stage: &Stage, ports: Option<&Ports>, id: &str) -> Program {
    let launch = match ports {
        Some(ports) => stage.client_at(ports, id, commands(id)),
        None => stage.client(id, commands(id)),
    };
    launch.args(["--suspect-after", "2s"]).start()
}

/// Returns by which way each member publishes short packets, as `groupcast members` shows it; those of no view excepted.
fn ways(stage: &Stage) -> Vec<String> {
    let members = ["members", "--json", "--port-base", &stage.port(0).to_string()];
    let (shown, _) = stage.bare("groupcast").args(members).ends(0);
    let group: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
    let rows = group["members"].as_array().cloned().unwrap_or_default();
    let seated = rows.iter().filter(|row| row["role"] == "client" && row["view"] == group["view"]);
    seated.filter_map(|row| row["way"].as_str().map(str::to_owned)).collect()
}

/// Waits until all three clients publish by this way.
fn all_by(stage: &Stage, way: &str) {
    until(&format!("all publish by the {way}"), || (ways(stage) == [way; 3]).then_some(()));
}

fn all_have_the_same(stage: &Stage) {
    let lines = CLIENTS.map(|id| stage.lines(id, "tom"));
    assert_eq!(lines[0].len(), CLIENTS.len() * MESSAGES, "nothing is lost, nothing comes twice");
    assert!(lines.iter().all(|other| *other == lines[0]));
}

#[test]
fn door_opens_and_opens_again_at_the_next_sequencer() {
    let stage = Stage::new();
    let (mut programs, mut sequencer) = start(&stage);
    let mut standby = suspicious(&stage, "standby", &["--standby"]);
    standby.says("asking the forwarder");
    programs.extend(CLIENTS.map(|id| client(&stage, None, id)));
    all_by(&stage, "door");
    sequencer.kill();
    standby.says("main: takes the place of sequencer in view");
    all_by(&stage, "door");
    programs.push(standby);
    all_end(&mut programs);
    all_have_the_same(&stage);
}

#[test]
fn door_of_a_stopped_sequencer_is_left_and_used_again() {
    let stage = Stage::new();
    let (mut programs, mut sequencer) = start(&stage);
    programs.extend(CLIENTS.map(|id| client(&stage, None, id)));
    all_by(&stage, "door");
    sequencer.signal(Signal::STOP);
    pause(Duration::from_secs(1));
    sequencer.signal(Signal::CONT);
    all_by(&stage, "door");
    programs.push(sequencer);
    all_end(&mut programs);
    all_have_the_same(&stage);
}

#[test]
fn door_stays_closed_where_something_is_in_between() {
    let stage = Stage::new();
    let ports = Ports::take();
    let (mut programs, sequencer) = start(&stage);
    let mut proxy = stage.proxy(&ports).start();
    programs.push(sequencer);
    programs.extend([
        client(&stage, None, "c1"),
        client(&stage, None, "c2"),
        client(&stage, Some(&ports), "c3"),
    ]);
    all_by(&stage, "forwarder");
    for _ in 0..5 {
        pause(Duration::from_millis(300));
        let ways = ways(&stage);
        assert!(ways.iter().all(|way| way == "forwarder"), "{ways:?}");
    }
    all_end(&mut programs);
    all_have_the_same(&stage);
    proxy.kill();
}
