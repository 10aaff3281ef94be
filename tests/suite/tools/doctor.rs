//! `groupcast doctor` tells what works here and what does not, and whose fault that is.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Launch, Stage};

/// A doctor that knows the ports of the stage.
fn doctor(stage: &Stage) -> Launch<'_> {
    stage.bare("groupcast").args(["doctor", "--port-base", &stage.port(0).to_string()])
}

fn findings(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn doctor_working_machine_passes() {
    let stage = Stage::new();
    let (text, said) = doctor(&stage).ends(0);
    assert_eq!(said, "");
    for check in
        ["versions", "programs", "environment", "ports", "folders", "open files", "loopback", "udp", "clock"]
    {
        let line = text.lines().find(|line| line.contains(&format!(" {check} "))).expect(&text);
        assert!(line.starts_with("ok ") || line.starts_with("warn "), "{text}");
    }
    let (lines, _) = doctor(&stage).arg("--json").ends(0);
    let found = findings(&lines);
    assert_eq!(found.len(), text.lines().count());
    for finding in found {
        assert_eq!(finding["v"], 1);
        assert!(["ok", "warn"].contains(&finding["verdict"].as_str().unwrap()), "{finding}");
    }
}

#[test]
fn doctor_failed_check_names_cause_and_remedy() {
    let stage = Stage::new();
    let _busy = TcpListener::bind(("127.0.0.1", stage.port(2))).unwrap();
    stage.file("file", "");
    let doctor = doctor(&stage).args(["--out", "file/below", "--json"]);
    let (lines, _) = doctor.env("GROUPCAST_ODRER", "fifo").ends(69);
    let found = findings(&lines);
    let find = |check: &str, verdict: &str| {
        let mut wanted = found.iter().filter(|one| one["check"] == check && one["verdict"] == verdict);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let one = wanted.next().unwrap_or_else(|| panic!("{verdict} {check} in {lines}"));
        assert!(wanted.next().is_none(), "{lines}");
        (text(&one["says"]), text(&one["help"]))
    };
    let (says, help) = find("ports", "fail");
    assert!(says.starts_with(&format!("{} is held by ", stage.port(2))), "{says}");
    assert!(
        says.ends_with(&format!("(pid {})", std::process::id())) && help.contains("--port-base"),
        "{says}"
    );
    let (says, _) = find("folders", "fail");
    assert!(says.contains("file/below cannot be written"), "{says}");
    assert_eq!(find("environment", "warn").1, "did you mean GROUPCAST_ORDER?");
}

#[test]
fn doctor_address_of_another_machine_cannot_be_listened_on() {
    let stage = Stage::new();
    let (text, _) = doctor(&stage).args(["--bind", "192.0.2.1"]).ends(69);
    assert!(text.contains("nobody can listen on tcp://192.0.2.1:"), "{text}");
}
