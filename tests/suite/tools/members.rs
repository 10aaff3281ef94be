//! `groupcast members`: who is there, from a forwarder that serves a run, and where there is none.

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Launch, Program, Stage, until};

const SUSPECT: [&str; 2] = ["--suspect-after", "2s"];

fn members(stage: &Stage) -> Launch<'_> {
    stage.bare("groupcast").args(["members", "--port-base", &stage.port(0).to_string()])
}

/// The one group that `groupcast members --json` prints, if there is one.
fn look(stage: &Stage) -> Option<Value> {
    let mut program = members(stage).args(["--json", "--timeout", "0.5"]).start();
    let code = program.wait();
    assert!([0, 69].contains(&code), "{code}: {}", program.stderr());
    let shown = program.stdout();
    (code == 0 && !shown.is_empty()).then(|| serde_json::from_str(&shown).expect("one object"))
}

fn member<'a>(group: &'a Value, id: &str) -> &'a Value {
    let all = group["members"].as_array().expect("members");
    all.iter().find(|member| member["id"] == id).unwrap_or(&Value::Null)
}

/// Three multicasts, and then nothing for long.
fn sleepy(id: &str) -> String {
    format!("Multicast,{id},a\nMulticast,{id},b\nMulticast,{id},c\nsleep,1000\n")
}

/// The answer for programs has every member of the running group, and the text for people too.
fn shows_all(stage: &Stage, group: &Value) {
    assert_eq!(group["v"], 1);
    assert_eq!(
        (&group["group"], &group["order"], &group["method"]),
        (&"main".into(), &"total".into(), &"bb".into())
    );
    assert_eq!((&group["stage"], &group["leader"]), (&"running".into(), &"sequencer".into()));
    assert_eq!(group["members"].as_array().unwrap().len(), 4);
    for (id, role, leads) in [
        ("c1", "client", false),
        ("c2", "client", false),
        ("sequencer", "sequencer", true),
        ("standby", "standby", false),
    ] {
        let member = member(group, id);
        assert_eq!((&member["role"], &member["leads"]), (&role.into(), &leads.into()), "{group}");
        assert_eq!((&member["incarnation"], &member["stage"]), (&1.into(), &"running".into()), "{group}");
        assert!(member["heard_ms"].as_u64().is_some_and(|ago| ago < 30_000), "{group}");
        assert_eq!(member["held"].as_u64(), Some(0), "{group}");
    }

    let (text, _) = members(stage).args(["--group", "main"]).ends(0);
    assert!(text.starts_with(&format!("main: order total bb, running, view {}\n", group["view"])), "{text}");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[1],
        ["id", "role", "incarnation", "state", "heard", "view", "delivered", "held"],
        "{text}"
    );
    assert_eq!(lines[2][..4], ["c1", "client", "1", "running"], "{text}");
    assert_eq!(lines[4][..4], ["*", "sequencer", "sequencer", "1"], "{text}");
    assert!(text.contains("\n* numbers the multicasts\n"), "{text}");
}

#[test]
fn members_running_group_is_shown_with_view_and_sequencer() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).start();
    let router = stage.router().start();
    let mut sequencer = stage.sequencer().args(SUSPECT).start();
    let mut standby = stage.sequencer().arg("--standby").args(SUSPECT).start();
    standby.says("asking the forwarder");
    let client = |id: &str| stage.client(id, sleepy(id)).args(SUSPECT).start();
    let clients: Vec<Program> = ["c1", "c2"].map(client).into();

    let group = until("both clients have delivered everything", || {
        let group = look(&stage)?;
        let is_there = ["c1", "c2"].iter().all(|id| member(&group, id)["delivered"] == 6);
        // A standby may have joined after the start.
        let ids = ["c1", "c2", "sequencer", "standby"];
        let is_one = ids.iter().all(|id| member(&group, id)["view"] == group["view"]);
        (is_there && is_one).then_some(group)
    });
    shows_all(&stage, &group);

    sequencer.kill();
    standby.says("main: takes the place of sequencer in view");
    until("the next view is shown", || {
        let before = group["view"].as_u64();
        let group = look(&stage)?;
        let is_shown = group["view"].as_u64() > before && group["leader"] == "standby";
        (is_shown && member(&group, "standby")["leads"] == true).then_some(())
    });
    let (_, error) = members(&stage).args(["--group", "elsewhere", "--timeout", "1s"]).ends(69);
    assert!(error.contains("the forwarder has no group elsewhere"), "{error}");
    drop((clients, router));
    assert!(forwarder.is_running(), "a query leaves no trace");
}

#[test]
fn members_watch_continues_until_signal() {
    let stage = Stage::new();
    let _forwarder = stage.forwarder(2).start();
    let mut watch = members(&stage).arg("--watch").start();
    until("nobody is there", || watch.stdout().contains("no group").then_some(()));
    let _client = stage.client("c1", sleepy("c1")).args(["--order", "fifo"]).start();
    until("the group is shown twice", || {
        let shown = watch.stdout();
        (shown.matches("main: order fifo, gathering; waiting for ").count() >= 2
            && shown.contains("1 more client"))
        .then_some(())
    });
    assert!(!watch.stdout().contains('\x1b'), "a pipe is no terminal");
    watch.signal(Signal::INT);
    watch.ends(130);
}

#[test]
fn members_watch_ends_when_its_reader_closes() {
    let stage = Stage::new();
    let _forwarder = stage.forwarder(2).start();
    for flags in [&["--watch"][..], &["--watch", "--json"]] {
        let _client = stage.client("c1", sleepy("c1")).args(["--order", "fifo"]).start();
        let watch = members(&stage).args(flags).through_shell(r#""$@" | head -n 1"#);
        let (shown, _) = watch.ends(0);
        assert_eq!(shown.lines().count(), 1, "{shown}");
    }
}

#[test]
fn members_without_forwarder_or_group_is_an_error() {
    let stage = Stage::new();
    let (stdout, error) = members(&stage).args(["--timeout", "3s"]).ends(69);
    assert!(stdout.is_empty() && error.contains("waiting for the forwarder at "), "{error}");
    assert!(error.contains("does not answer (3.0 s)"), "{error}");
    let _forwarder = stage.forwarder(1).start();
    assert_eq!(members(&stage).ends(0).0, "no group yet\n");
    let (stdout, said) = members(&stage).arg("--json").ends(0);
    assert_eq!((&*stdout, &*said), ("", "groupcast: no group yet\n"));
    let (stdout, error) = members(&stage).args(["--json", "--group", "main", "--timeout", "3s"]).ends(69);
    assert!(
        stdout.is_empty() && error.contains("the forwarder has no group main; waiting for one (gives up in"),
        "{error}"
    );
    assert!(error.contains("error: the forwarder has no group main\n"), "{error}");
}
