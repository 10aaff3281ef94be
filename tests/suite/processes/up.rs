//! `groupcast cluster up` and the commands beside it: servers are started, watched, killed, started again and ended, and
//! none is left behind.
//!
//! The servers are this test program again, which answers as a chat server does that is well.

use std::env;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use groupcast::cluster::file::Cluster;
use groupcast::transport::signals::end_with_parent;
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;

use crate::harness::{Launch, Ports, Program, Stage, pause, until};

/// The variable with the arguments of a server of a test.
const ARGUMENTS: &str = "SERVER_OF_A_TEST";

/// A server, if the variable says so. It ends when it is asked for /end, with exit code 65.
#[test]
fn up_server_of_a_test() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    end_with_parent();
    let words: Vec<&str> = arguments.split(' ').collect();
    let value = |flag: &str| words[words.iter().position(|word| *word == flag).unwrap() + 1];
    let cluster = Cluster::read(Path::new(value("--cluster")), None).unwrap();
    assert!(Path::new(value("--data")).is_dir() && Path::new(value("--out")).is_dir());
    let slot = cluster.slot(value("--id")).unwrap();
    let web = cluster.servers[usize::from(slot.0)].web.as_ref().unwrap();
    let listener = TcpListener::bind(web).unwrap();
    println!("{} listens with {}", value("--id"), value("--faults"));
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        let count = stream.read(&mut request).unwrap_or_default();
        if request[..count].starts_with(b"GET /end") {
            println!("the disk is on fire");
            std::process::exit(65);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}

/// A stage with `groupcast` and servers in a folder of their own.
struct Place {
    stage: Stage,
}

impl Place {
    /// The servers are what this shell script makes of its arguments.
    fn with(script: &str) -> Self {
        let place = Self { stage: Stage::new() };
        let programs = place.stage.dir().join("programs");
        fs::create_dir(&programs).unwrap();
        // The servers are looked for beside the program.
        fs::copy(env!("CARGO_BIN_EXE_groupcast"), programs.join("groupcast")).unwrap();
        let path = place.stage.file("programs/chat-server", format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn new() -> Self {
        Self::after(":")
    }

    /// The servers are those of tests, and each begins with this part of a shell script.
    fn after(script: &str) -> Self {
        let me = env::current_exe().unwrap();
        Self::with(&format!(
            "{script}; export {ARGUMENTS}=\"$*\"; exec {} --exact processes::up::up_server_of_a_test --nocapture",
            me.display()
        ))
    }

    /// `groupcast cluster` beside these servers.
    fn cluster(&self, words: &[&str]) -> Launch<'_> {
        let launch = self.stage.bare("groupcast").arg("cluster").args(words);
        launch.through_shell("shift; exec programs/groupcast \"$@\"")
    }

    /// `up` with all servers running.
    fn up(&self, words: &[&str]) -> Program {
        let mut up = self.cluster(&[&["up", "c"], words].concat()).start();
        until("all servers answer", || {
            assert!(up.is_running(), "{}", up.stderr());
            up.stderr().contains("Ctrl-C ends all").then_some(())
        });
        up
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.cluster(&["status", "c", "--json"]).ends(0).0).unwrap()
    }

    /// The process of each server.
    fn processes(&self) -> Vec<Option<i32>> {
        let status = self.status();
        let servers = status["up"]["servers"].as_array().cloned().unwrap_or_default();
        servers.iter().map(|server| server["pid"].as_i64().map(|pid| pid as i32)).collect()
    }
}

fn is_there(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

fn are_gone(pids: &[Option<i32>]) {
    assert!(!pids.is_empty());
    until("the servers have ended", || pids.iter().flatten().all(|pid| !is_there(*pid)).then_some(()));
}

/// The addresses that `up` has printed, in the first field of each line.
fn addresses(up: &Program) -> Vec<String> {
    up.stdout().lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn up_runs_servers_and_ends_them_with_itself() {
    let place = Place::new();
    let mut up = place.up(&["--servers", "3"]);
    let printed = up.stdout();
    let fields: Vec<Vec<&str>> = printed.lines().map(|line| line.split("  ").collect()).collect();
    let ids: Vec<&str> = fields.iter().map(|fields| fields[1]).collect();
    assert_eq!(ids, ["s1", "s2", "s3"], "{printed}");
    assert!(fields.iter().all(|fields| fields[0].starts_with("http://127.0.0.1:")), "{printed}");
    let before = place.processes();
    assert!(before.iter().flatten().count() == 3 && before.iter().flatten().all(|pid| is_there(*pid)));
    let log = fs::read_to_string(place.stage.dir().join("c/log/s2.txt")).unwrap();
    assert!(log.contains("s2 listens with c/faults.json"), "{log}");
    up.signal(Signal::INT);
    up.ends(0);
    are_gone(&before);
    assert_eq!(place.status()["up"], Value::Null);

    // The same folder has the same ports, and what was given before may be given again.
    let mut again = place.up(&["--servers", "3"]);
    assert_eq!(again.stdout(), printed);
    let after = place.processes();
    again.signal(Signal::KILL);
    assert_eq!(again.wait(), 137);
    are_gone(&after);
    let mut third = place.up(&[]);
    assert_eq!(third.stdout(), printed);
    third.signal(Signal::TERM);
    third.ends(0);
}

#[test]
fn up_kills_and_starts_servers_and_tells_of_those_that_end() {
    let place = Place::new();
    let mut up = place.up(&["--servers", "2"]);
    let addresses = addresses(&up);
    let pid = |at: usize| place.processes()[at];
    let old = pid(1).unwrap();
    assert_eq!(place.cluster(&["kill", "c", "s2"]).ends(0).0, format!("s2 was killed (pid {old})\n"));
    assert!(!is_there(old) && pid(1).is_none());
    let (_, said) = place.cluster(&["kill", "c", "s2"]).ends(69);
    assert!(said.contains("s2: it does not run"), "{said}");
    let (told, _) = place.cluster(&["start", "c", "s2"]).ends(0);
    let new = pid(1).unwrap();
    assert_eq!(told, format!("s2 runs (pid {new}) at {}\n", addresses[1]));
    assert_eq!(place.cluster(&["start", "c", "s2"]).ends(0).0, format!("s2 runs already (pid {new})\n"));

    // Several at once.
    let mut kills = ["s1", "s2"].map(|id| place.cluster(&["kill", "c", id]).start());
    kills.iter_mut().for_each(|kill| kill.ends(0));
    assert_eq!(place.processes(), [None, None]);
    let mut starts = ["s1", "s2"].map(|id| place.cluster(&["start", "c", id]).start());
    starts.iter_mut().for_each(|start| start.ends(0));

    let mut stream = TcpStream::connect(addresses[0].trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /end HTTP/1.1\r\n\r\n").unwrap();
    up.says("s1 has ended by itself: exit 65");
    up.says("the disk is on fire");
    pause(Duration::from_millis(300));
    assert!(pid(0).is_none() && pid(1).is_some() && up.is_running(), "it stays dead until it is started");
    place.cluster(&["start", "c", "s1"]).ends(0);
    up.signal(Signal::INT);
    up.ends(0);
    let (_, said) = place.cluster(&["start", "c", "s1"]).ends(69);
    assert!(said.contains("no `groupcast cluster up` runs in c"), "{said}");
}

#[test]
fn up_refuses_what_it_cannot_do() {
    let place = Place::new();
    fs::create_dir(place.stage.dir().join("other")).unwrap();
    place.stage.file("other/letter.txt", "dear all");
    let (_, said) = place.cluster(&["up", "other"]).ends(73);
    assert!(said.contains("letter.txt"), "{said}");
    assert_eq!(fs::read_dir(place.stage.dir().join("other")).unwrap().count(), 1);
    let (_, said) = place.cluster(&["part", "nowhere", "s1/s2"]).ends(66);
    assert!(said.contains("nowhere/cluster.toml"), "{said}");

    let ports = Ports::take();
    let base = ports.first().to_string();
    let mut up = place.up(&["--servers", "2", "--port-base", &base]);
    let pid = place.status()["up"]["pid"].clone();
    assert_eq!(addresses(&up)[1], format!("http://127.0.0.1:{}", ports.first() + 1));
    let (_, said) = place.cluster(&["up", "c"]).ends(69);
    assert!(said.contains(&format!("process {pid} runs it already")), "{said}");
    for (words, code, why) in [
        (&["kill", "c", "s9"][..], 64, "s9 is no server"),
        (&["part", "c", "s1,s1/s2"], 64, "s1 is named twice"),
        (&["part", "c", "s1/s9"], 64, "no server s9"),
        (&["part", "c", "s1,s2"], 64, "all are on one side"),
        (&["loss", "c", "110%"], 64, "10"),
    ] {
        let (_, said) = place.cluster(words).ends(code);
        assert!(said.contains(why), "{said}");
    }
    up.signal(Signal::INT);
    up.ends(0);
    let (_, said) = place.cluster(&["up", "c", "--servers", "3"]).ends(64);
    assert!(said.contains("has 2 servers"), "{said}");
    let _taken = TcpListener::bind(("127.0.0.1", ports.first())).unwrap();
    let (_, said) = place.cluster(&["up", "c"]).ends(69);
    assert!(said.contains(&format!("tcp://127.0.0.1:{base}: ")), "{said}");
    assert!(
        cfg!(not(target_os = "linux")) || said.contains(&format!("(pid {})", std::process::id())),
        "{said}"
    );
}

#[test]
fn up_without_servers_says_how_to_get_them() {
    let place = Place::new();
    fs::remove_file(place.stage.dir().join("programs/chat-server")).unwrap();
    let (_, said) = place.cluster(&["up", "c"]).ends(69);
    assert!(said.contains("cannot start chat-server: ") && said.contains("scripts/chat"), "{said}");
    assert!(!place.stage.dir().join("c").exists());
}

#[test]
fn up_fails_with_a_server_that_does_not_begin() {
    let place = Place::with("[ $2 = s1 ] && exec sleep 60; echo 'error: no journal'; exit 78");
    let (printed, said) = place.cluster(&["up", "c", "--servers", "2"]).ends(78);
    assert_eq!(printed, "");
    assert!(said.contains("cannot start s2: it has ended by itself: exit 78\n  error: no journal"), "{said}");
    // Another attempt goes on with the same folder.
    let (_, said) = place.cluster(&["up", "c"]).ends(78);
    assert!(said.contains("c/log/s2.txt"), "{said}");
}

#[test]
fn up_that_still_starts_refuses_errands_and_goes_on() {
    let place = Place::after("[ $2 = s1 ] || until [ -e go ]; do sleep 0.05; done");
    let mut up = place.cluster(&["up", "c", "--servers", "2"]).start();
    until("s1 runs", || place.stage.dir().join("c/up.json").is_file().then_some(()));
    for words in [["kill", "c", "s1"], ["start", "c", "s2"]] {
        let (_, said) = place.cluster(&words).ends(69);
        assert!(said.contains("the servers are still starting"), "{said}");
    }
    place.stage.file("go", "");
    up.says("Ctrl-C ends all 2");
    assert_eq!(place.processes().iter().flatten().count(), 2);
    place.cluster(&["kill", "c", "s1"]).ends(0);
    up.signal(Signal::INT);
    up.ends(0);
}

#[test]
fn up_gives_servers_as_long_as_it_is_told() {
    let place = Place::with("exec sleep 60");
    let (_, said) = place.cluster(&["up", "c", "--servers", "1", "--start-timeout", "300ms"]).ends(75);
    assert!(said.contains("cannot start s1: it has not answered"), "{said}");
    assert!(said.contains("within 300 ms") && said.contains("--start-timeout gives it longer"), "{said}");
}

/// A full disk takes the log of a server, and the list of the processes: the servers go on.
#[test]
#[cfg(target_os = "linux")]
fn up_goes_on_without_the_files_that_it_cannot_write() {
    let place = Place::new();
    let folder = place.stage.dir().join("c");
    fs::create_dir_all(folder.join("log")).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("log/s1.txt")).unwrap();
    let mut up = place.up(&["--servers", "2"]);
    up.says("cannot write c/log/s1.txt: No space left");
    let before = place.processes();
    fs::remove_file(folder.join("up.json")).unwrap();
    fs::create_dir(folder.join("up.json")).unwrap();
    place.cluster(&["kill", "c", "s1"]).ends(0);
    up.says("cannot write c/up.json: ");
    place.cluster(&["start", "c", "s1"]).ends(0);
    // A server whose log cannot even be opened stays down.
    fs::remove_file(folder.join("log/s2.txt")).unwrap();
    fs::create_dir(folder.join("log/s2.txt")).unwrap();
    place.cluster(&["kill", "c", "s2"]).ends(0);
    let (_, said) = place.cluster(&["start", "c", "s2"]).ends(73);
    assert!(said.contains("cannot create c/log/s2.txt"), "{said}");
    assert!(up.is_running());
    up.signal(Signal::INT);
    up.ends(0);
    are_gone(&before);
}
