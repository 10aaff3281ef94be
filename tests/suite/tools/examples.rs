//! Every example is run: those of all helps, manual pages, topics and the README. The README's excerpts of their
//! output is what they print. An example that cannot be run as `examples/company.rs` knows to run it fails.

mod company;
mod compare;
mod sources;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::harness::{Launch, Ports, Stage, side_by_side, until};
use company::Line;
use compare::is_as_shown;
use sources::{Example, in_readme, in_topics};
pub(crate) use sources::{commands, in_help, programs};

/// Scripts that are shown because they do not end with 0.
const CODES: [(&str, i32); 1] = [("groupcast check testdata/check/swapped", 1)];

/// Ends a step on standard output, followed by its exit code.
const MARK: &str = "=== exit code ";
/// Seconds; only a hang takes as long.
const LIMIT: u32 = 90;
/// Examples wait more than they work.
const AT_ONCE: usize = 4;

#[test]
fn examples_in_every_help_run() {
    let commands = commands();
    assert!(commands.len() >= 11, "{commands:?}");
    let mut examples = Vec::new();
    for command in &commands {
        let found = in_help(command);
        assert!(!found.is_empty(), "{command} --help has no example");
        for example in &found {
            assert!(example.script().contains(command), "an example of {command} has it: {example:?}");
        }
        examples.extend(found);
    }
    run_all(&examples);
}

#[test]
fn examples_of_every_topic_run() {
    let topics = in_topics();
    assert!(topics.len() >= 7, "{topics:?}");
    run_all(&topics);
}

#[test]
fn examples_in_readme_show_the_real_output() {
    let examples = in_readme();
    assert!(examples.len() >= 6, "{examples:?}");
    run_all(&examples);
}

fn run_all(examples: &[Example]) {
    side_by_side(examples.len(), AT_ONCE, |number| run(&examples[number]));
}

fn run(example: &Example) {
    let (stage, proxy) = (Stage::new(), Ports::take());
    company::furnish(&stage, example);
    let mut others = company::invite(&stage, &proxy, example);
    let prompt = company::prompt(example);
    let printed = match prompt {
        Some(prompt) => at_a_terminal(&stage, &proxy, example, prompt),
        None => in_a_shell(&stage, &proxy, example),
    };
    company::see_off(&mut others);
    if prompt.is_some() {
        return;
    }
    let mut rest = &*printed;
    for step in &example.steps {
        let (output, after) = rest.split_once(MARK).unwrap();
        let (code, after) = after.split_once('\n').unwrap();
        rest = after;
        let place = format!("{}: {}", example.source, step.script);
        assert_eq!(code, code_of(&step.script).to_string(), "{place}\nprinted {output}");
        let lines: Vec<&str> = output.trim_end().lines().collect();
        assert!(
            step.output.is_empty() || is_as_shown(&step.output, &lines),
            "{place}\nis shown to print\n{}\nand prints\n{output}",
            step.output.join("\n")
        );
    }
}

fn code_of(script: &str) -> i32 {
    CODES.iter().find(|(known, _)| *known == script).map_or(0, |(_, code)| *code)
}

/// The shell that runs an example in the folder of the stage. Nothing that it starts outlives it.
fn shell<'a>(stage: &'a Stage, proxy: &Ports, example: &Example) -> Launch<'a> {
    let mut script = String::new();
    for step in &example.steps {
        let commands = on_ports_of(stage, proxy, &step.script);
        script += "(set -eu; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
        script += &format!("{commands}\n)\nprintf '\\n{MARK}%s\\n' $?\n");
    }
    stage.file("example.sh", script);
    let programs = Path::new(env!("CARGO_BIN_EXE_client")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}/stubs:{}:{path}", stage.dir().display(), programs.display());
    let shell = stage.bare("groupcast").env("PATH", path).env("HOME", stage.dir());
    // Where scripts look for what they have built.
    symlink(programs, stage.dir().join("release")).unwrap();
    let shell = shell.env("CARGO_TARGET_DIR", stage.dir());
    let shell = shell.env("GROUPCAST_PORT_BASE", stage.port(0).to_string());
    shell.through_shell(&format!("exec timeout --kill-after 5 {LIMIT} bash example.sh"))
}

/// The script with our ports where it names some: 5559 and what follows `--port-base` are those of the middle, but 6000
/// those of a proxy in front of it, 5659 those of a second forwarder, 5601 to 5603 those of a cluster, and 8081 that of a chat
/// server.
fn on_ports_of(stage: &Stage, proxy: &Ports, script: &str) -> String {
    let address = |port: u16| format!("127.0.0.1:{port}");
    let script = script.replace(&address(5559), &address(stage.port(0)));
    let script = script.replace(&address(5659), &address(proxy.first()));
    let script = script.replace(&address(8081), &address(stage.port(0)));
    let own = |script: String, at| script.replace(&address(5601 + at), &address(stage.port(at)));
    let script = (0..3).fold(script, own);
    let mut words: Vec<String> = script.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let port = match (&*words[at - 1], &*words[at]) {
            (_, "6000" | "5659") => proxy.first(),
            ("--port-base" | "--to", _) => stage.port(0),
            _ => continue,
        };
        let rest = words[at].trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        words[at] = format!("{port}{rest}");
    }
    words.join(" ")
}

/// Runs an example; what it printed.
fn in_a_shell(stage: &Stage, proxy: &Ports, example: &Example) -> String {
    let (printed, said) = shell(stage, proxy, example).ends(0);
    let is_wrong = said.contains("error: ") || said.contains("command not found");
    assert!(!is_wrong, "{}: {}\n{said}", example.source, example.script());
    printed
}

/// Runs an example at a terminal, types what it shows as typed, and expects to see all that it shows; what was seen.
fn at_a_terminal(stage: &Stage, proxy: &Ports, example: &Example, prompt: &str) -> String {
    let (mut keys, screen, terminal) = open_terminal();
    let shell = shell(stage, proxy, example).env("TERM", "xterm").stdin(terminal.try_clone().unwrap());
    let mut shell = shell.stdout(terminal).start();
    let seen = || String::from_utf8_lossy(&screen.lock().unwrap()).into_owned();
    let sees = |words: &str| {
        until(&format!("{}: {words:?} is seen", example.source), || seen().contains(words).then_some(()));
    };
    sees(prompt);
    for Line { shown, who, text, .. } in company::spoken(example) {
        if example.script().contains(&format!("--id {who} ")) {
            keys.write_all(format!("{text}\r").as_bytes()).unwrap();
        }
        sees(&format!("{shown}\r\n"));
    }
    keys.write_all(b"/quit\r").unwrap();
    shell.ends(0);
    // The last that is printed comes after the last that the client says.
    sees(MARK);
    seen()
}

/// The output to a terminal so far.
type Screen = Arc<Mutex<Vec<u8>>>;

/// A terminal: its keys, its screen, and where a program reads and writes.
fn open_terminal() -> (File, Screen, File) {
    let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keys).unwrap();
    unlockpt(&keys).unwrap();
    let path = ptsname(&keys, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    let (screen, keys) = (Screen::default(), File::from(keys));
    let (mut reader, writer) = (keys.try_clone().unwrap(), Arc::clone(&screen));
    // It ends with the last program at the terminal.
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = reader.read(&mut bytes) {
            writer.lock().unwrap().extend(&bytes[..count]);
        }
    });
    (keys, screen, terminal)
}
