//! Faults of links and of the middle in `groupcast run`, and runs that seeds make of them: packets are lost, doubled
//! and reordered, and everybody delivers everything all the same, because packets are sent again.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use groupcast::order::ORDERS;
use serde_json::Value;

use crate::harness::{Ports, Stage, set_variables, side_by_side};
use crate::tools::run::{json_lines, output, scenario, text};

/// How many runs go on at one time: they mostly wait.
const AT_A_TIME: usize = 8;
const CLIENTS: [&str; 3] = ["c1", "c2", "c3"];

/// A scenario with three clients that have a packet to send every few milliseconds, for more than a second.
fn busy(settings: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), format!("commands = \".\"\n{settings}")).unwrap();
    for (index, id) in CLIENTS.into_iter().enumerate() {
        let next = CLIENTS[(index + 1) % CLIENTS.len()];
        let step = |number| format!("Multicast,{id},m{number}\n{id},{next},d{number}\nsleep,0.02\n");
        let commands: String = (0..60).map(step).collect();
        fs::write(folder.path().join(format!("{id}.txt")), commands).unwrap();
    }
    folder
}

/// The summary of a run, which must end with this exit code.
fn summary(folder: &Path, code: i32) -> Value {
    let output = output(folder, &["s.toml", "--json"]);
    let events = json_lines(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{}\n{events:#?}", text(&output.stderr));
    events.last().unwrap().clone()
}

#[test]
fn links_every_order_resends_lost_and_filters_duplicate_and_reordered_packets() {
    let losses = [1, 5, 30];
    side_by_side(ORDERS.len() * losses.len(), AT_A_TIME, |number| {
        let (order, loss) = (&ORDERS[number / losses.len()], losses[number % losses.len()]);
        let mut settings = format!("order = \"{}\"\nseed = {number}\n", order.name);
        if let Some(method) = order.method {
            let _ = writeln!(settings, "method = \"{method}\"");
        }
        for link in [format!("loss {loss}%"), "duplicate 5%".to_owned(), "reorder 10%".to_owned()] {
            let _ = write!(settings, "[[faults]]\nlink = \"0s {link}\"\n");
        }
        let summary = summary(busy(&settings).path(), 0);
        let case = format!("{}, {loss} %: {summary}", order.title());
        assert_eq!(summary["faults"].as_array().unwrap().len(), 3, "{case}");
        assert!(summary["faults"].as_array().unwrap().iter().all(|fault| fault["acted"] == true), "{case}");
        assert!(summary["sent_again"].as_u64().unwrap() > 0, "{case}");
    });
}

#[test]
fn links_run_reports_every_kind_of_fault() {
    let faults = "
        [[faults]]
        link = '1s cut for 500ms'
        [[faults]]
        kill = 'forwarder'
        after = '300ms'
        restart = '200ms'
        [[faults]]
        kill = 'router'
        after = '600ms'
        restart = '0s'
        [[faults]]
        kill = 'c2'
        after = '500ms'
        signal = 'STOP'
        for = '1s'
        [[faults]]
        starve = 2
        after = '100ms'
        for = '500ms'";
    let summary = summary(busy(faults).path(), 0);
    let faults = summary["faults"].as_array().unwrap();
    let kinds = ["cut", "restart", "restart", "pause", "starve"];
    for kind in kinds {
        assert!(
            faults.iter().any(|fault| fault["kind"] == kind && fault["acted"] == true),
            "{kind}: {summary}"
        );
    }
    assert_eq!(faults.len(), kinds.len(), "{summary}");
}

#[test]
fn links_fault_that_never_acts_leaves_run_undecided() {
    let folder = scenario("commands = \".\"\nspeed = 100\n[[faults]]\nlink = \"1h reset on out\"\n");
    let output = output(folder.path(), &["s.toml"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    assert!(stdout.contains("3600s reset on out  never acted"), "{stdout}");
    assert!(stdout.contains("UNDECIDED  never acted: 3600s reset on out; 2 multicasts"), "{stdout}");
}

#[test]
fn links_client_not_restarted_and_sequencer_killed_ends_the_run() {
    let restart =
        |name| format!("commands = \".\"\n[[faults]]\nkill = \"{name}\"\nafter = \"1s\"\nrestart = \"0s\"\n");
    let folder = scenario(&restart("a"));
    let refused = output(folder.path(), &["s.toml"]);
    assert_eq!(refused.status.code(), Some(65));
    assert!(text(&refused.stderr).contains("the client a cannot be started again"));
    let folder = scenario(&restart("sequencer"));
    let lost = output(folder.path(), &["s.toml"]);
    let stdout = text(&lost.stdout);
    assert_ne!(lost.status.code(), Some(0), "{stdout}");
    assert!(!stdout.contains("violated"), "{stdout}");
}

/// A connection without ZMTP has no packets that could be lost.
#[test]
fn links_foreign_bytes_pass_unchanged_and_are_reported() {
    let (stage, ports) = (Stage::new(), Ports::take());
    let middle = TcpListener::bind(("127.0.0.1", stage.port(0))).unwrap();
    let mut proxy = stage.proxy(&ports).args(["--loss", "100%", "--duplicate", "100%"]).start();
    proxy.says("listening");
    let mut member = TcpStream::connect(("127.0.0.1", ports.first())).unwrap();
    member.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    member.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    middle.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "GET / HTTP/1.1\r\n\r\n");
    drop(member);
    proxy.ends(0);
    assert!(proxy.stderr().contains("what goes up on in connection 1 is not ZMTP 3"), "{}", proxy.stderr());
    assert!(proxy.stdout().contains("\"strange\":1"), "{}", proxy.stdout());
}

/// Runs `groupcast chaos` in a folder of its own.
fn chaos(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
    set_variables(&mut command);
    command.current_dir(folder).arg("chaos").args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn chaos_passes_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = chaos(folder.path(), &["--runs", "4", "--jobs", "4", "--seed", "11"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("| all | 4 | 4 | 0 | 0 | "), "{stdout}");
    assert!(stdout.contains("PASS  4 runs, seeds 11 to 14"), "{stdout}");
    assert_eq!(fs::read_dir(folder.path().join("chaos")).unwrap().count(), 0);
}

#[cfg(feature = "known-bad")]
#[test]
fn chaos_finds_broken_engines_and_prints_the_replay_command() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--runs", "1", "--seed", "5", "--known-bad", "no-hold-back"];
    let output = chaos(folder.path(), &arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    let again = "groupcast chaos --runs 1 --seed 5 --known-bad no-hold-back";
    assert!(stderr.contains("seed 5: FAIL: ") && stderr.contains(again), "{stderr}");
    for name in ["scenario.toml", "run.jsonl", "runs/latest/run.json", "runs/latest/history_c1.jsonl"] {
        assert!(folder.path().join("chaos/5").join(name).is_file(), "{name}");
    }
}
