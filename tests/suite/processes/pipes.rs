//! Clients in pipes and at terminals: real processes that read what is produced and print what is delivered.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::{Program, Stage, set_variables};

/// No program that works takes this long for anything.
const LIMIT: Duration = Duration::from_secs(100);

/// A forwarder, a router and a sequencer; ended when the test lets go of them.
struct Middle {
    // Before their stage: they are ended in this order.
    _programs: [Program; 3],
    stage: Stage,
}

impl Middle {
    fn start(clients: usize) -> Self {
        let stage = Stage::new();
        let programs = stage.middle(clients);
        Self { _programs: programs, stage }
    }

    fn port_base(&self) -> String {
        self.stage.port(0).to_string()
    }

    /// A client, its three standard streams still to be connected.
    fn client(&self, id: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        set_variables(&mut command);
        command.args(["--id", id, "--port-base", &self.port_base()]).args(flags);
        command
    }

    /// A client in pipes, started.
    fn pipe(&self, id: &str) -> Child {
        let mut command = self.client(id, &["--lines"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Does `work` in a thread, and waits for it with a limit.
fn within_the_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || drop(sender.send(work())));
    receiver
}

/// Output and exit code of a program.
fn end_of(child: Child) -> Receiver<Output> {
    within_the_limit(move || child.wait_with_output().unwrap())
}

fn ended(output: &Receiver<Output>) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = output.recv_timeout(LIMIT).expect("a program that ends in time");
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Feeds a client from a thread of its own; the end of the text is the end of its input.
fn feed(child: &mut Child, text: impl Into<Vec<u8>>) {
    let (mut stdin, text) = (child.stdin.take().unwrap(), text.into());
    thread::spawn(move || drop(stdin.write_all(&text)));
}

fn numbered(id: &str, count: usize) -> String {
    (1..=count).map(|number| format!("{id} says {number}\n")).collect()
}

#[test]
fn pipes_consumers_of_all_clients_read_the_same() {
    let middle = Middle::start(3);
    let mut clients = ["c1", "c2", "c3"].map(|id| middle.pipe(id));
    feed(&mut clients[0], numbered("c1", 300));
    feed(&mut clients[1], format!("{}back\\slash, \"quoted\"\n\nwithout an end", numbered("c2", 300)));
    feed(&mut clients[2], "");
    let outputs = clients.map(end_of).map(|output| ended(&output));
    for (code, stdout, stderr) in &outputs {
        assert_eq!(*code, Some(0), "{stderr}");
        assert_eq!(*stdout, outputs[0].1);
    }
    let lines: Vec<&str> = outputs[0].1.lines().collect();
    assert_eq!(lines.len(), 603);
    for id in ["c1", "c2"] {
        let theirs: Vec<&&str> = lines.iter().filter(|line| line.starts_with(&format!("{id}###"))).collect();
        assert_eq!(*theirs[299], format!("{id}###{id} says 300"));
    }
    let last: Vec<&&str> = lines.iter().filter(|line| line.starts_with("c2###")).skip(300).collect();
    assert_eq!(
        last,
        [r#"c2###back\\slash, "quoted""#, "c2###", "c2###without an end"].iter().collect::<Vec<_>>()
    );
}

#[test]
fn pipes_empty_input_is_an_empty_run() {
    let middle = Middle::start(2);
    let mut clients = ["c1", "c2"].map(|id| middle.pipe(id));
    clients.iter_mut().for_each(|client| feed(client, ""));
    for (code, stdout, stderr) in clients.map(end_of).map(|output| ended(&output)) {
        assert_eq!((code, &*stdout), (Some(0), ""), "{stderr}");
    }
}

/// Eight megabytes: more than windows, queues and pipes hold together.
#[test]
fn pipes_slow_reader_delays_producer_and_loses_nothing() {
    const LINES: usize = 20_000;
    let middle = Middle::start(2);
    let (mut producer, mut consumer) = (middle.pipe("c1"), middle.pipe("c2"));
    feed(&mut producer, format!("{}\n", "x".repeat(400)).repeat(LINES));
    feed(&mut consumer, "");
    let mut talk = consumer.stderr.take().unwrap();
    let held_up = within_the_limit(move || {
        let (mut said, mut bytes) = (String::new(), [0; 1000]);
        while !said.contains("waiting for whoever reads standard output") {
            let count = talk.read(&mut bytes).unwrap();
            assert!(count > 0, "it never said that it waits: {said}");
            said += &String::from_utf8_lossy(&bytes[..count]);
        }
        talk
    });
    let producer = end_of(producer);
    let _talk = held_up.recv_timeout(LIMIT).unwrap();
    assert!(producer.try_recv().is_err(), "the producer waits for the reader, too");
    let outputs = [producer, end_of(consumer)].map(|output| ended(&output));
    assert_eq!(outputs[0].0, Some(0), "{}", outputs[0].2);
    assert_eq!(outputs[1].0, Some(0));
    assert_eq!(outputs[0].1.lines().count(), LINES);
    assert!(outputs[0].1 == outputs[1].1);
}

#[test]
fn pipes_closed_consumer_ends_its_client_others_continue() {
    let middle = Middle::start(2);
    let (mut one, mut other) = (middle.pipe("c1"), middle.pipe("c2"));
    drop(other.stdout.take());
    one.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    let _input = other.stdin.take();
    let (code, _, stderr) = ended(&end_of(other));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("error") && !stderr.contains("warning"), "{stderr}");
    drop(one.stdin.take());
    let (code, stdout, stderr) = ended(&end_of(one));
    assert_eq!((code, &*stdout), (Some(0), "c1###hello\n"), "{stderr}");
    assert!(stderr.contains("view 2: c1"), "{stderr}");
}

#[test]
fn pipes_too_long_line_is_named() {
    let middle = Middle::start(1);
    let mut client = middle.pipe("c1");
    feed(&mut client, format!("short\n{}\n", "x".repeat((1 << 20) + 1)));
    let (code, _, stderr) = ended(&end_of(client));
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("<stdin>:2: this line has more than 1048576 bytes"), "{stderr}");
}

#[test]
fn pipes_full_disk_is_an_error() {
    let middle = Middle::start(1);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = middle.client("c1", &["--lines"]);
    let mut client = command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    feed(&mut client, "hello\n");
    let (code, _, stderr) = ended(&end_of(client));
    assert_eq!(code, Some(74), "{stderr}");
    assert!(stderr.contains("cannot write to standard output"), "{stderr}");
}

#[test]
fn pipes_results_are_written_if_asked_for() {
    let middle = Middle::start(1);
    let dir = tempfile::tempdir().unwrap();
    let mut command = middle.client("c1", &["--lines", "--out", dir.path().to_str().unwrap()]);
    let mut client =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    feed(&mut client, "one\ntwo\n");
    let (code, stdout, stderr) = ended(&end_of(client));
    assert_eq!((code, &*stdout), (Some(0), "c1###one\nc1###two\n"), "{stderr}");
    let read = |name: &str| std::fs::read_to_string(Path::join(dir.path(), name)).unwrap();
    assert_eq!(read("test_result_c1_tom.txt"), stdout);
    assert_eq!(read("history_c1.jsonl").lines().count(), 7);
}

#[test]
fn pipes_client_with_two_sources_is_refused() {
    for (flags, said) in [
        (&[][..], "one of --commands FILE, --lines and --interactive is needed"),
        (&["--lines", "--interactive"], "only one of"),
        (&["--lines", "--commands", "c1.txt"], "only one of"),
        (&["--commands", "c1.txt"], "--commands needs --out"),
        (&["--lines", "--dry-run"], "it needs --commands"),
        (&["--interactive"], "--lines multicasts each line"),
    ] {
        let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
        set_variables(&mut client);
        let output = client.args(["--id", "c1"]).args(flags).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{flags:?}: {stderr}");
        assert!(stderr.contains(said), "{flags:?}: {stderr}");
    }
}

/// A client at a terminal of its own.
pub(super) struct Person {
    terminal: File,
    client: Option<Child>,
    shown: Receiver<Vec<u8>>,
    /// Everything that the client has sent to the terminal until now.
    pub(super) screen: String,
}

impl Person {
    fn sit_down(middle: &Middle, id: &str) -> Self {
        let flags = ["--id", id, "--port-base", &middle.port_base(), "--interactive"];
        Self::at(env!("CARGO_BIN_EXE_client"), &flags)
    }

    /// A program at a terminal.
    pub(super) fn at(program: &str, flags: &[&str]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let stream = || File::options().read(true).write(true).open(&path).unwrap();
        // In a session of its own, so that the terminal's Ctrl-C reaches the client.
        let mut command = Command::new("setsid");
        set_variables(&mut command);
        command.args(["--ctty", "--wait"]).arg(program).env("TERM", "xterm").env("NO_COLOR", "1");
        command.args(flags);
        let client = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        let (sender, shown) = channel();
        let mut reader = File::from(terminal.try_clone().unwrap());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { terminal: File::from(terminal), client: Some(client), shown, screen: String::new() }
    }

    pub(super) fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the terminal is sent this.
    pub(super) fn sees(&mut self, text: &str) {
        while !self.screen.contains(text) {
            let more = self.shown.recv_timeout(LIMIT);
            let more = more.unwrap_or_else(|_| panic!("{text:?} is never seen in {:?}", self.screen));
            self.screen += &String::from_utf8_lossy(&more);
        }
    }

    /// Whether the terminal edits and echoes lines by itself, as it did before.
    fn is_restored(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits for the end of the client.
    pub(super) fn gets_up(mut self) -> ExitStatus {
        let client = self.client.take().unwrap();
        let output = end_of(client).recv_timeout(LIMIT).expect("a client that ends in time");
        assert!(self.is_restored());
        output.status
    }
}

#[test]
fn terminal_chat_keeps_lines_whole() {
    let middle = Middle::start(2);
    let mut people = ["c1", "c2"].map(|id| Person::sit_down(&middle, id));
    let [one, other] = &mut people;
    one.sees("c1> ");
    assert!(!one.is_restored(), "keys come one by one");
    other.sees("c2> ");
    other.types("half a li");
    other.sees("c2> half a li");
    one.types("hello\r");
    other.sees("\r\u{1b}[Kc1> hello\r\nc2> half a li");
    other.types("ne\u{7f}\u{7f}ne\r");
    one.sees("c2> half a line\r\nc1> ");
    one.types("@c2 for you alone\r/who\r@c3 x\r");
    other.sees("c1 (to you)> for you alone\r\n");
    one.sees("c1 (to c2)> for you alone\r\n");
    one.sees("c1 (you) and c2\r\n");
    one.sees("c3 is not a member");
    one.types("/msg c2\r/help\r");
    one.sees("there is no command /msg; /help lists the commands\r\n");
    one.sees("lists the members\r\n/help ");
    one.types("\u{4}");
    one.sees("waiting for c2 to finish");
    other.types("/quit\r");
    other.sees("1 multicast, 2 delivered, 0 sent, 1 received");
    for person in people {
        assert_eq!(person.gets_up().code(), Some(0));
    }
}

#[test]
fn terminal_direct_message_to_member_that_left_is_undeliverable() {
    let middle = Middle::start(2);
    let mut people = ["c1", "c2"].map(|id| Person::sit_down(&middle, id));
    people.iter_mut().for_each(|person| person.sees("start of main"));
    let [mut one, mut other] = people;
    one.sees("\nc1> ");
    other.types("\u{3}");
    assert_eq!(other.gets_up().code(), Some(130));
    one.sees("c2 has left");
    one.types("@c2 hello\r");
    one.sees("c2 is not a member; here are c1 (you)\r\n");
    assert!(!one.screen.contains("(to c2)"), "{}", one.screen);
    one.types("\u{4}");
    assert_eq!(one.gets_up().code(), Some(0));
}

#[test]
fn terminal_control_characters_of_others_are_escaped() {
    let middle = Middle::start(2);
    let mut person = Person::sit_down(&middle, "c1");
    let mut client = middle.pipe("c2");
    feed(&mut client, "\u{1b}[2J\rc1> forged\u{202e}\n");
    person.sees("c2> \\u{1b}[2J\\rc1> forged\\u{202e}\r\n");
    person.types("\u{4}");
    assert_eq!(person.gets_up().code(), Some(0));
    assert_eq!(ended(&end_of(client)).0, Some(0));
}

#[test]
fn terminal_ctrl_c_leaves_and_restores_the_terminal() {
    let middle = Middle::start(2);
    let mut people = ["c1", "c2"].map(|id| Person::sit_down(&middle, id));
    people.iter_mut().for_each(|person| person.sees("start of main"));
    people[0].sees("\nc1> ");
    let [mut one, mut other] = people;
    other.types("in the middle of");
    other.sees("c2> in the middle of");
    one.types("\u{3}");
    one.sees("error: interrupted (Ctrl-C)");
    assert_eq!(one.gets_up().code(), Some(130));
    other.sees("c1 has left\r\n");
    other.types("\u{3}");
    assert_eq!(other.gets_up().code(), Some(130));
}

#[test]
fn terminal_signal_ends_client_and_restores_the_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let middle = Middle::start(1);
        let mut person = Person::sit_down(&middle, "c1");
        person.sees("\nc1> ");
        let client = Pid::from_child(person.client.as_ref().unwrap());
        kill_process(client, signal).unwrap();
        assert_eq!(person.gets_up().code(), Some(code));
    }
}
