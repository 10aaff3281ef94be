//! `groupcast run`: every order passes, a process that dies is named, and no process is left behind after any end of a run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use groupcast::order::ORDERS;
use groupcast::prng::Prng;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ports, set_variables, side_by_side};

/// Longer than any run here may take, and shorter than a hang.
const LIMIT: Duration = Duration::from_secs(60);
/// How many runs go on at one time: they mostly wait.
const AT_A_TIME: usize = 10;

fn banks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/banks")
}

/// `groupcast run` in a folder of its own, which is where its `runs/` goes.
fn groupcast_run(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
    set_variables(&mut command);
    command.current_dir(folder).arg("run").args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn output(folder: &Path, arguments: &[&str]) -> Output {
    groupcast_run(folder, arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The folders of runs that are in a folder.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("runs")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| !path.is_symlink()).collect()
}

/// Does `work` for each of `items`, several at a time.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    side_by_side(items.len(), AT_A_TIME, |number| work(&items[number]));
}

/// A run that is watched from outside, by the JSON it prints.
struct Watched {
    child: Child,
    events: Receiver<Value>,
    /// The names and numbers of the processes it has started.
    started: Vec<(String, i32)>,
    _folder: TempDir,
}

impl Watched {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = groupcast_run(folder.path(), arguments);
        let mut child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, events) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect(&line));
            }
        });
        Self { child, events, started: Vec::new(), _folder: folder }
    }

    /// The next event that `wanted` wants.
    fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        while let Ok(event) = self.events.recv_timeout(LIMIT) {
            if event["event"] == "process" {
                let name = event["process"].as_str().unwrap().to_owned();
                self.started.push((name, event["pid"].as_i64().unwrap() as i32));
            }
            if wanted(&event) {
                return Some(event);
            }
        }
        None
    }

    /// Waits until a process is there, and all before it.
    fn wait_for_start_of(&mut self, name: &str) -> i32 {
        self.wait_for(|event| event["event"] == "process" && event["process"] == name).expect(name);
        self.started.last().unwrap().1
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end: the summary, if there is one, and the exit code.
    fn end(&mut self) -> (Option<Value>, Option<i32>) {
        let summary = self.wait_for(|event| event["event"] == "summary");
        (summary, self.child.wait().unwrap().code())
    }

    /// Waits until nothing is left of what was started.
    fn nothing_is_left(&self) {
        let is_there = |pid: i32| test_kill_process(Pid::from_raw(pid).unwrap()).is_ok();
        let (_keep, never) = channel::<()>();
        for _ in 0..200 {
            if !self.started.iter().any(|&(_, pid)| is_there(pid)) {
                return;
            }
            let _ = never.recv_timeout(Duration::from_millis(50));
        }
        panic!("left behind: {:?}", self.started);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn run_every_order_passes_with_the_banks() {
    each(&ORDERS, |order| {
        let folder = tempfile::tempdir().unwrap();
        let banks = banks().display().to_string();
        let mut arguments = vec![&*banks, "--speed", "50", "--order", order.name];
        arguments.extend(order.method.iter().flat_map(|method| ["--method", method]));
        let began = groupcast::driver::Clock::start();
        let output = output(folder.path(), &arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let title = order.title();
        assert_eq!(output.status.code(), Some(0), "{title}: {stdout}\n{stderr}");
        assert!(began.elapsed_micros() < 10_000_000, "{title} took too long");
        assert!(stdout.contains("PASS  26 multicasts, each delivered by all 4 clients"), "{title}: {stdout}");
        assert!(
            stderr.lines().any(|line| line.starts_with("c1        | 7 multicast, 26 delivered")),
            "{stderr}"
        );
        let latest = folder.path().join("runs/latest");
        for id in ["c1", "c2", "c3", "c4"] {
            for name in [format!("test_result_{id}_{}.txt", order.suffix), format!("history_{id}.jsonl")] {
                assert!(latest.join(&name).is_file(), "{title}: {name}");
            }
            assert!(fs::read_to_string(latest.join(format!("{id}.log"))).unwrap().contains("26 delivered"));
            assert!(latest.join(format!("commands/{id}.txt")).is_file());
        }
        assert_eq!(latest.join("sequencer.log").is_file(), order.sequencer, "{title}");
    });
}

/// A process is killed at a moment that the seed chooses: before, while or after the others need it.
#[test]
fn run_killed_process_is_named_and_run_ends() {
    const NAMES: [&str; 7] = ["forwarder", "router", "sequencer", "c1", "c2", "c3", "c4"];
    side_by_side(30, AT_A_TIME, |seed| {
        let mut draw = Prng::new(seed as u64);
        let victim = NAMES[draw.below(NAMES.len() as u64) as usize];
        let moment = Duration::from_millis(draw.below(1500));
        let mut run = Watched::start(&[&banks().display().to_string(), "--speed", "20"]);
        let pid = run.wait_for_start_of(victim);
        let (_keep, never) = channel::<()>();
        let _ = never.recv_timeout(moment);
        let killed = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).is_ok();
        let death = run.wait_for(|event| event["event"] == "exit" && event["process"] == victim).unwrap();
        let (summary, code) = run.end();
        let summary = summary.expect("a summary");
        let case = format!("{victim} after {moment:?}: {death} {summary}");
        if killed && death["signal"] == "SIGKILL" {
            assert_eq!(code, Some(69), "{case}");
            let why = format!("{victim} died: killed by SIGKILL");
            assert!(summary["why"].as_str().unwrap().starts_with(&why), "{case}");
        } else {
            assert_eq!(code, Some(0), "{case}");
        }
        run.nothing_is_left();
    });
}

#[test]
fn run_leaves_no_process_behind_however_it_ends() {
    let cases = [
        (&[Signal::INT][..], Some(130)),
        (&[Signal::TERM], Some(143)),
        (&[Signal::HUP], Some(129)),
        (&[Signal::HUP, Signal::HUP], Some(129)),
        (&[Signal::INT, Signal::INT], Some(130)),
        (&[Signal::KILL], None),
    ];
    each(&cases, |&(signals, expected)| {
        let mut run = Watched::start(&[&banks().display().to_string()]);
        run.wait_for(|event| event["event"] == "progress" && event["delivered"] != 0).unwrap();
        signals.iter().for_each(|&signal| run.signal(signal));
        let (summary, code) = run.end();
        assert_eq!(code, expected, "{signals:?}");
        assert_eq!(summary.is_some(), expected.is_some(), "{signals:?}");
        if let Some(summary) = summary {
            assert_eq!(summary["verdict"], "INTERRUPTED", "{summary}");
        }
        assert_eq!(run.started.len(), 7);
        run.nothing_is_left();
    });
}

#[test]
fn run_dry_run_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), &[&banks().display().to_string(), "--dry-run", "--order", "causal"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(runs(folder.path()).is_empty(), "no folder");
    let c4 = stdout.lines().find(|line| line.starts_with("c4 ")).expect(&stdout);
    assert!(c4.contains("/client --id c4 --order causal --speed 1 "), "{c4}");
    assert!(!stdout.lines().any(|line| line.starts_with("sequencer")), "{stdout}");
}

#[test]
fn run_json_is_alone_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), &["--members", "3", "--messages", "500", "--order", "fifo", "--json"]);
    let events = json_lines(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    assert_eq!(events[0]["event"], "start");
    assert_eq!(events.iter().filter(|event| event["event"] == "process").count(), 5);
    assert_eq!(events.iter().filter(|event| event["event"] == "exit" && event["code"] == 0).count(), 5);
    let last = |name| events.iter().rfind(|event| event["event"] == "progress" && event["process"] == name);
    for name in ["c1", "c2", "c3"] {
        let progress = last(name).unwrap();
        assert_eq!((&progress["done"], &progress["delivered"]), (&500.into(), &1500.into()), "{progress}");
    }
    let summary = events.last().unwrap();
    assert_eq!((&summary["event"], &summary["verdict"]), (&"summary".into(), &"PASS".into()));
    assert_eq!(summary["replay"], "groupcast run --order fifo --members 3 --messages 500");
}

#[test]
fn run_repeated_runs_keep_the_chosen_results() {
    each(&[false, true], |&keep| {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = vec!["--members", "2", "--messages", "10", "--repeat", "3"];
        arguments.extend(keep.then_some("--keep"));
        let output = output(folder.path(), &arguments);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        assert_eq!(stdout.matches("PASS  20 multicasts").count(), 3, "{stdout}");
        assert!(stdout.contains("3 runs, all passed"), "{stdout}");
        assert_eq!(runs(folder.path()).len(), if keep { 3 } else { 1 });
        assert!(folder.path().join("runs/latest/run.json").is_file());
    });
}

#[cfg(feature = "known-bad")]
#[test]
fn run_broken_engine_fails_with_the_violated_property() {
    let broken = [("total", "no-hold-back"), ("lamport", "not-all-acknowledged")];
    each(&broken, |&(order, defect)| {
        let folder = tempfile::tempdir().unwrap();
        let banks = banks().display().to_string();
        let output =
            output(folder.path(), &[&banks, "--speed", "50", "--order", order, "--known-bad", defect]);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        let story = stdout.lines().find(|line| line.starts_with("total ")).unwrap();
        assert!(story.contains("violated") && story.contains("(history_"), "{stdout}");
        assert!(stdout.contains("FAIL  violated: total"), "{stdout}");
        let mut diagram = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        let drawn =
            diagram.current_dir(folder.path()).args(["diagram", "runs/latest", "--around", "violation"]);
        let drawn = drawn.args(["--format", "svg", "-o", "-"]).output().unwrap();
        let picture = text(&drawn.stdout);
        assert_eq!(drawn.status.code(), Some(0), "{}", text(&drawn.stderr));
        assert!(picture.matches("class=\"ring\"").count() >= 4, "both sides are marked: {picture}");
    });
}

/// A folder with a scenario and two clients.
pub(crate) fn scenario(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), text).unwrap();
    for id in ["a", "b"] {
        fs::write(folder.path().join(format!("{id}.txt")), format!("Multicast,{id},x\nsleep,3\n")).unwrap();
    }
    folder
}

#[test]
fn run_expected_death_passes_unexpected_fails() {
    let fault = "[[faults]]\nkill = \"b\"\nafter = \"200ms\"\n";
    let cases = [
        ("expect = \"died:b\"\n", 0, "PASS  as expected: b died: killed by SIGKILL"),
        ("expect = \"died:a\"\n", 69, "FAIL  died:a was expected: b died"),
        ("", 69, "FAIL  b died: killed by SIGKILL"),
    ];
    each(&cases, |&(expect, code, line)| {
        let folder = scenario(&format!("commands = \".\"\norder = \"fifo\"\n{expect}{fault}"));
        let output = output(folder.path(), &["s.toml"]);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{stdout}");
        assert!(stdout.contains(line), "{stdout}");
        let stderr = text(&output.stderr);
        let lines =
            ["b         | died: killed by SIGKILL", "run       | the others have 5 s", "a         | "];
        lines.iter().for_each(|line| assert!(stderr.contains(line), "{stderr}"));
    });
}

#[test]
fn run_fault_that_never_acts_leaves_run_undecided() {
    let folder = scenario("commands = \".\"\nspeed = 100\n[[faults]]\nkill = \"b\"\nafter = \"1h\"\n");
    let output = output(folder.path(), &["s.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
}

#[test]
fn run_invalid_scenario_is_refused_before_the_start() {
    let folder = scenario("commands = \".\"\nordr = \"fifo\"\n");
    fs::write(folder.path().join("f.toml"), "commands = \".\"\n[[faults]]\nkill = \"aa\"\nafter = \"1s\"\n")
        .unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["s.toml"], 65, "s.toml:2:1: unknown key `ordr`"),
        (&["s.toml"], 65, "did you mean `order`?"),
        (&["f.toml"], 65, "no process of this run is called aa"),
        (&["none"], 66, "cannot read none"),
        (&["empty"], 66, "no command files"),
        (&[], 64, "nothing to run"),
        (&[".", "--members", "3"], 64, "3 members are asked for"),
        (&[".", "--order", "totl"], 64, "'total'"),
    ];
    each(&cases, |&(arguments, code, expected)| {
        let output = output(folder.path(), arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    });
    assert!(runs(folder.path()).is_empty());
}

#[test]
fn run_ignored_folder_entries_are_named() {
    let folder = scenario("");
    let file = |name: &str| fs::write(folder.path().join(name), "Multicast,c,x\n").unwrap();
    ["C2.TXT", "README", ".hidden.txt", "c3.txt~"].iter().for_each(|name| file(name));
    fs::create_dir(folder.path().join("c4.txt")).unwrap();
    let said = |arguments: &[&str]| {
        let output = output(folder.path(), arguments);
        (output.status.code(), text(&output.stderr))
    };
    let (code, stderr) = said(&[".", "--dry-run"]);
    for name in ["C2.TXT", "README", ".hidden.txt", "c3.txt~", "c4.txt"] {
        assert!(code == Some(0) && stderr.contains(name), "{name}: {stderr}");
    }
    assert!(!stderr.contains("s.toml"), "{stderr}");
    let (code, stderr) = said(&["a.txt"]);
    assert!(code == Some(66) && stderr.contains("cannot read a.txt: it is a file, not a folder"), "{stderr}");
    assert!(stderr.contains("client --id a --commands a.txt --out results"), "{stderr}");
    for name in ["c 5.txt", "router.txt"] {
        file(name);
        let (code, stderr) = said(&[".", "--dry-run"]);
        assert!(code == Some(65) && stderr.contains(name) && stderr.contains("rename it"), "{stderr}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

/// A port that is taken is the forwarder's failure, and nobody waits for it.
#[test]
fn run_server_that_cannot_start_ends_the_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", ports.first())).unwrap();
    let base = ports.first().to_string();
    let output = output(folder.path(), &["--members", "2", "--messages", "1", "--port-base", &base]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(69), "{stdout}");
    assert!(stdout.contains("FAIL  forwarder died: exit 69: cannot listen on"), "{stdout}");
    assert!(!text(&output.stderr).contains("c1 "), "no client was started");
}

#[test]
fn run_undeliverable_direct_message_fails_with_complete_results() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("files")).unwrap();
    for (name, text) in [
        ("c1", "Multicast,c1,a\nsleep,5\nc1,c2,late\n"),
        ("c2", "Multicast,c2,a\nleave\n"),
        ("c3", "Multicast,c3,a\nsleep,5.5\nMulticast,c3,b\n"),
    ] {
        fs::write(folder.path().join("files").join(format!("{name}.txt")), text).unwrap();
    }
    let output = output(folder.path(), &["files"]);
    let (said, warned) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(69), "{said}{warned}");
    assert!(said.contains("undeliverable: c1/1/1 to c2 (history_c1.jsonl:"), "{said}{warned}");
    assert!(said.contains("a message to one member is undeliverable") && !said.contains("died"), "{said}");
    let names = fs::read_dir(runs(folder.path())[0].clone()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.ends_with(".part")));
}
