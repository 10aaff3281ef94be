//! The needs of an example beside its text: files, commands of other people, and the programs that take part in its
//! run.
//!
//! A script that starts a forwarder and clients brings all that it needs. To any other that starts one of our
//! programs come those that are missing: forwarder, router, sequencer, and as many clients with nothing to say as a
//! forwarder waits for. A proxy gets a middle behind it and a client before it. Each speaker of a transcript is a client.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::process::Signal;

use super::sources::Example;
#[cfg(feature = "web")]
use crate::harness::until;
use crate::harness::{Ports, Program, Stage, all_end};
use crate::tools::journal;

/// Commands that examples use in the place of the reader's own, and what they do here.
const STUBS: [(&str, &str); 6] = [
    ("producer", "printf 'one\\ntwo\\n'"),
    ("consumer", "cat"),
    // A log that is being written ends at some time, too.
    ("tail", "[ \"$1\" = -f ] || exec env PATH=\"${PATH#*:}\" tail \"$@\"; cat \"$2\""),
    // A server that has said where it serves is ended.
    (
        "chat-server",
        "PATH=\"${PATH#*:}\"; chat-server \"$@\" > served & \
         until grep -q http:// served; do sleep 0.1; done; kill $!; wait $! || [ $? = 143 ]",
    ),
    // Everything is built already, by a compiler that was new enough.
    ("cargo", "exit 0"),
    ("rustc", "echo rustc 9.0.0"),
];

/// Files that examples take for granted.
const FILES: [(&str, &str); 4] = [
    ("c1.txt", "Multicast,c1,hello\n"),
    ("c2.txt", "Multicast,c2,hello\n"),
    ("scenario.toml", "members = 2\nmessages = 3\n"),
    ("app.log", "all is well\nERROR the disk is full\n"),
];

const MIDDLE: [&str; 3] = ["forwarder", "router", "sequencer"];
const BANKS: [&str; 4] = ["c1", "c2", "c3", "c4"];

/// The files of a stage on which an example can run.
pub(super) fn furnish(stage: &Stage, example: &Example) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["testdata", "scripts", "Cargo.toml"] {
        symlink(root.join(name), stage.dir().join(name)).unwrap();
    }
    for (name, text) in FILES {
        stage.file(name, text);
    }
    let address = format!("127.0.0.1:{}", stage.port(0));
    stage.file(
        "cluster.toml",
        format!("name = \"chat\"\n[[server]]\nid = \"s1\"\nudp = \"{address}\"\nweb = \"{address}\"\n"),
    );
    fs::create_dir(stage.dir().join("stubs")).unwrap();
    for (name, script) in STUBS {
        let path = stage.file(&format!("stubs/{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let script = example.script();
    let has_log = script.contains(" orders");
    if has_log || script.contains(" results") && !script.contains("--out results") {
        play_the_banks(stage, if has_log { "log" } else { "bb" });
    }
    if has_log {
        fs::rename(stage.dir().join("log"), stage.dir().join("orders")).unwrap();
    }
    if script.contains("cluster status") {
        let run = ["run", "--order", "tentative", "--members", "2", "--messages", "2"];
        stage.bare("groupcast").args(run).ends(0);
    }
    if script.contains(" journal ") {
        drop(journal::make(&stage.dir().join("data/s1")));
    }
}

/// Leaves the results of a run by a method of `total` in the folder `results`.
fn play_the_banks(stage: &Stage, method: &str) {
    let mut programs = Vec::from(stage.middle(BANKS.len()));
    programs.extend(BANKS.map(|id| {
        let commands = format!("testdata/banks/{id}.txt");
        let client = stage.program("client").args(["--id", id, "--commands", &commands, "--speed", "100"]);
        client.args(["--out", "results", "--method", method]).start()
    }));
    all_end(&mut programs);
}

/// Waits until the forwarder knows of a process that stands by.
const AFTER_STANDBY: &str =
    r#"until grep -q 'standby .* is here' ./*-forwarder.stderr; do sleep 0.1; done; exec "$@""#;

/// A line of a transcript.
pub(super) struct Line {
    /// As it is shown.
    pub(super) shown: String,
    pub(super) who: String,
    pub(super) text: String,
    /// To the reader alone.
    is_direct: bool,
}

/// The lines of people in the transcript of an example.
pub(super) fn spoken(example: &Example) -> Vec<Line> {
    let steps = example.steps.iter().filter(|step| step.script.contains("--interactive"));
    let line = |shown: &String| {
        let (who, text) = shown.split_once("> ")?;
        let direct = who.strip_suffix(" (to you)");
        let (who, is_direct) = (direct.unwrap_or(who).to_owned(), direct.is_some());
        Some(Line { shown: shown.clone(), who, text: text.to_owned(), is_direct })
    };
    steps.flat_map(|step| &step.output).filter_map(line).collect()
}

/// The prompt that an example shows at a terminal; none if it needs no terminal.
pub(super) fn prompt(example: &Example) -> Option<&'static str> {
    let script = example.script();
    match split(&script).contains(&"chat") {
        true if !script.contains("--lines") => Some("ann@news> "),
        false if script.contains("--interactive") => Some("c1> "),
        _ => None,
    }
}

/// Starts the programs that an example needs and does not start itself.
pub(super) fn invite(stage: &Stage, proxy: &Ports, example: &Example) -> Vec<Program> {
    let script = example.script();
    // A cluster needs nobody else.
    if script.contains("--order tentative") {
        return Vec::new();
    }
    let words = split(&script);
    #[cfg(feature = "web")]
    if words.contains(&"chat") {
        return vec![serve(stage)];
    }
    let starts = |program: &str| words.contains(&program);
    let takes_part = |line: &str| split(line).contains(&"client") && !line.contains("--dry-run");
    let (own_forwarder, own_client) = (starts("forwarder"), script.lines().any(takes_part));
    if starts("proxy") && !own_client {
        let client = stage.client_at(proxy, "c1", "Multicast,c1,x\n").start();
        return stage.middle(1).into_iter().chain([client]).collect();
    }
    if starts("members") || starts("post") && !own_forwarder {
        let client = stage.client("c1", "Multicast,c1,x\nsleep,3\n").start();
        return stage.middle(1).into_iter().chain([client]).collect();
    }
    if (own_forwarder && own_client) || !(own_client || MIDDLE.iter().any(|program| starts(program))) {
        return Vec::new();
    }
    let after =
        |flag: &str| words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1]).collect::<Vec<_>>();
    let mine = after("--id");
    let mut spoken = spoken(example);
    spoken.retain(|line| !mine.contains(&&*line.who));
    let waits_for = after("--clients").first().map_or(1, |count| count.parse().unwrap());
    let silent = if own_client { 0 } else { waits_for - spoken.len() };

    let mut company = Vec::new();
    let clients = mine.len() * usize::from(own_client) + spoken.len() + silent;
    // A standby stands by for another member.
    let is_missing = |program: &&str| !starts(program) || (*program == "sequencer" && starts("--standby"));
    for program in MIDDLE.into_iter().filter(is_missing) {
        company.push(match program {
            "forwarder" => stage.forwarder(clients).start(),
            other => stage.program(other).start(),
        });
    }
    for Line { who, text, is_direct, .. } in spoken {
        let to = if is_direct { format!("{who},{}", mine[0]) } else { format!("Multicast,{who}") };
        company.push(stage.client(&who, format!("{to},{text}\n")).start());
    }
    for number in 1..=silent {
        let client = stage.client(&format!("silent{number}"), "");
        // With the last client the group starts, and a process that stands by is there before.
        let client = if starts("--standby") { client.through_shell(AFTER_STANDBY) } else { client };
        company.push(client.start());
    }
    company
}

/// Waits for the end of those that were invited, each by itself but a server of the chat.
pub(super) fn see_off(others: &mut [Program]) {
    for program in others {
        if program.name == "chat-server" {
            program.signal(Signal::TERM);
            program.ends(143);
        } else {
            program.ends(0);
        }
    }
}

/// A chat server that is all of its cluster.
#[cfg(feature = "web")]
fn serve(stage: &Stage) -> Program {
    let server =
        stage.bare("chat-server").args(["--id", "s1", "--cluster", "cluster.toml", "--data", "data/s1"]);
    let server = server.start();
    until("the chat is served", || server.stdout().contains("http://").then_some(()));
    server
}

/// The words of a script.
fn split(script: &str) -> Vec<&str> {
    script.split([' ', '\n', '|', '&', ';', '(', ')']).collect()
}
