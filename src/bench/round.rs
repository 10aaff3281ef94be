//! One round: starts and ends the processes of one system, and adds up the results of its members.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use rustix::process::Signal;

use super::baseline;
use super::delays::Delays;
use super::part::{Account, Baseline, Event, Part, Role};
use super::usage::Usage;
use super::workload::Workload;
use crate::driver::Clock;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::{Order, Promise};
use crate::run::ears::{self, Ears, Word};
use crate::run::end::End;
use crate::run::ports::Ports;
use crate::run::process::{Process, programs};

/// The longest silence of a round. Members report their progress twice a second.
const SILENCE: Duration = Duration::from_secs(65);
/// The time for the processes to end by themselves, after the end of all members or after the first failure.
const GRACE: Duration = Duration::from_secs(5);
/// The longest interval between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// A measured system.
#[derive(Clone, Copy, Debug)]
pub(super) enum System {
    /// Groupcast, in this order.
    Ours(&'static Order),
    Plain(Baseline),
}

/// The setting of a round.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) order: &'static Order,
    pub(super) workload: Workload,
    pub(super) port_base: Option<u16>,
    /// Whether the forwarder numbers multicasts, where the order allows it.
    pub(super) inside: bool,
    /// Whether members deliver only stable messages.
    pub(super) safe: bool,
    /// The address at which groupcast listens and connects, or a path after `ipc://`.
    pub(super) host: String,
    /// The folder for the members' result files, if they write any, and whether they write histories, too.
    pub(super) out: Option<PathBuf>,
    pub(super) history: bool,
    pub(super) known_bad: Option<String>,
}

/// The result of a round.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) system: System,
    /// Whether all members had all messages, so that the result counts.
    pub(super) is_whole: bool,
    /// The multicasts after the warm-up that the first members of the groups delivered, and the time of the slowest of
    /// these members.
    pub(super) multicasts: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) round_trips: Delays,
    pub(super) delays: Delays,
    /// The resources of the largest process of each kind, and the processor time of all.
    pub(super) member: Usage,
    pub(super) middle: Vec<(String, Usage)>,
    pub(super) cpu_ms: u64,
}

impl System {
    /// Returns the name of the system, as in the peers' results.
    pub(super) fn name(self) -> String {
        match self {
            Self::Ours(order) => format!("groupcast {}", order.title()),
            Self::Plain(Baseline::Proxy) => "zmq_proxy".to_owned(),
            Self::Plain(Baseline::Bound) => "packed bound".to_owned(),
        }
    }

    const fn promises(self) -> &'static [Promise] {
        match self {
            Self::Ours(order) => order.promises,
            Self::Plain(kind) => baseline::promises(kind),
        }
    }
}

/// Runs one round. Returns its result, and the exit code of an interruption.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order; any failure that keeps the processes from starting or from reaching the end.
pub(super) fn run(
    setting: &Setting,
    system: System,
    ears: &Ears,
) -> Result<(Outcome, Option<Exit>), Failure> {
    let ports = setting.port_base.map_or_else(Ports::free, |base| Ok(Ports::at(base)))?;
    let (sender, words) = ears.open();
    let mut round = Round {
        setting,
        system,
        ears,
        sender,
        words,
        clock: Clock::start(),
        children: Vec::new(),
        accounts: Vec::new(),
        ready: 0,
        interrupted: None,
        end_by: None,
    };
    round.start(ports.base)?;
    round.listen()?;
    let outcome = round.outcome()?;
    Ok((outcome, round.interrupted))
}

struct Running {
    name: String,
    is_member: bool,
    child: Child,
    input: Option<ChildStdin>,
    /// The last error that it reported.
    error: Option<String>,
    /// True if the round told it to end.
    was_told: bool,
    end: Option<End>,
    usage: Usage,
}

struct Round<'a> {
    setting: &'a Setting,
    system: System,
    ears: &'a Ears,
    sender: Sender<Word>,
    words: Receiver<Word>,
    clock: Clock,
    children: Vec<Running>,
    accounts: Vec<Account>,
    ready: usize,
    interrupted: Option<Exit>,
    /// The time at which the remaining processes are killed.
    end_by: Option<Time>,
}

impl Round<'_> {
    fn start(&mut self, port_base: u16) -> Result<(), Failure> {
        let folder = programs()?;
        let Setting { workload, .. } = self.setting;
        match self.system {
            System::Ours(order) => {
                let (host, base) = (self.setting.host.as_str(), port_base.to_string());
                let clients = workload.members.to_string();
                let listens = ["--bind", host, "--port-base", &base];
                let inside: &[&str] =
                    if self.setting.inside && !order.addressed { &["--sequencer"] } else { &[] };
                let connects = ["--connect", host, "--port-base", &base];
                self.spawn(
                    "forwarder",
                    folder.join("forwarder"),
                    &[&["--clients", &clients][..], &listens, inside].concat(),
                )?;
                if order.addressed {
                    self.spawn("router", folder.join("router"), &listens)?;
                }
                if order.sequencer && inside.is_empty() {
                    self.spawn("sequencer", folder.join("sequencer"), &connects)?;
                }
            }
            System::Plain(kind) => self.play(&self.part(Role::Middle(kind), port_base, 0, 0))?,
        }
        for group in 0..workload.groups {
            for me in 0..workload.members {
                let role = match self.system {
                    System::Ours(order) => Role::Member {
                        order: order.name.to_owned(),
                        method: order.method.map(str::to_owned),
                        out: self.setting.out.clone(),
                        history: self.setting.history,
                        safe: self.setting.safe,
                    },
                    System::Plain(kind) => Role::Plain(kind),
                };
                self.play(&self.part(role, port_base, me, group))?;
            }
        }
        Ok(())
    }

    fn part(&self, role: Role, port_base: u16, me: u16, group: u16) -> Part {
        let (host, workload) = (self.setting.host.clone(), self.setting.workload.clone());
        Part { role, host, port_base, me, group, workload }
    }

    /// Starts this program once more, to play this part.
    fn play(&mut self, part: &Part) -> Result<(), Failure> {
        let me = std::env::current_exe().map_err(|reason| {
            Failure::new(Exit::Unavailable, format!("cannot find the path of this program: {reason}"))
        })?;
        let text = serde_json::to_string(part).expect("numbers and names have a JSON form");
        self.spawn(&part.name(), me, &["bench", "--part", &text])
    }

    fn spawn(&mut self, name: &str, program: PathBuf, arguments: &[&str]) -> Result<(), Failure> {
        let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        if let (Some(known_bad), true) = (&self.setting.known_bad, !matches!(name, "forwarder" | "router")) {
            arguments.extend(["--known-bad".to_owned(), known_bad.clone()]);
        }
        let process = Process { name: name.to_owned(), program, arguments, operations: None };
        let mut child = ears::start(&process, Stdio::piped(), self.children.len(), &self.sender)
            .map_err(|reason| Failure::new(Exit::Unavailable, format!("cannot start {name}: {reason}")))?;
        self.children.push(Running {
            name: name.to_owned(),
            is_member: !matches!(name, "forwarder" | "router" | "sequencer" | "middle"),
            input: child.stdin.take(),
            child,
            error: None,
            was_told: false,
            end: None,
            usage: Usage::default(),
        });
        Ok(())
    }

    /// Handles the events of the processes until all have ended.
    fn listen(&mut self) -> Result<(), Failure> {
        let mut heard = self.clock.now();
        while self.children.iter().any(|child| child.end.is_none()) {
            let first = self.words.recv_timeout(TICK).ok();
            let now = self.clock.now();
            if first.is_some() {
                heard = now;
            }
            let rest: Vec<Word> = self.words.try_iter().collect();
            for word in first.into_iter().chain(rest) {
                self.take(word, now);
            }
            if now.since(heard) >= SILENCE {
                let waited = SILENCE.as_secs();
                return Err(Failure::new(
                    Exit::TimedOut,
                    format!("no process has said anything for {waited} s"),
                ));
            }
            if self.end_by.is_some_and(|at| now >= at) {
                self.end_all(Signal::KILL);
            }
        }
        Ok(())
    }

    fn take(&mut self, word: Word, now: Time) {
        match word {
            Word::Asked(exit) => {
                self.interrupted = Some(exit);
                self.end_by.get_or_insert(now.after(GRACE));
                // The members report their partial results and end, and then the others end.
                self.signal_members(Signal::INT);
            }
            Word::Said(who, line) => match Event::parse(&line) {
                Some(Event::Ready) => self.note_ready(),
                Some(Event::Account(account)) => {
                    self.accounts.push(*account);
                    self.look_at_the_middle();
                }
                Some(Event::Progress(_)) => {}
                None => self.note_complaint(who, &String::from_utf8_lossy(&line)),
            },
            Word::Closed(who) => self.closed(who, now),
        }
    }

    /// Lets the members start once each of them has heard all others.
    fn note_ready(&mut self) {
        self.ready += 1;
        if self.ready == self.members() {
            for input in self.children.iter_mut().filter_map(|child| child.input.as_mut()) {
                let _ = input.write_all(b"go\n");
            }
        }
    }

    fn note_complaint(&mut self, who: usize, line: &str) {
        let child = &mut self.children[who];
        let line = line.strip_prefix(&format!("{}: ", child.name)).unwrap_or(line);
        if let Some((_, error)) = line.split_once("error: ") {
            child.error = Some(error.to_owned());
        }
    }

    fn closed(&mut self, who: usize, now: Time) {
        let child = &mut self.children[who];
        child.end = Some(child.child.wait().map_or(End::Code(Exit::Io.code()), End::from));
        let is_over = child.end.is_some_and(|end| !end.is_good()) || self.members_left() == 0;
        if is_over {
            self.end_by.get_or_insert(now.after(GRACE));
        }
        // The process in the middle of a baseline does not end by itself.
        if self.members_left() == 0 && matches!(self.system, System::Plain(_)) {
            self.end_all(Signal::KILL);
        }
    }

    fn look_at_the_middle(&mut self) {
        for child in self.children.iter_mut().filter(|child| !child.is_member && child.end.is_none()) {
            child.usage = child.usage.max(Usage::of(&child.child.id().to_string()));
        }
    }

    fn members(&self) -> usize {
        usize::from(self.setting.workload.members) * usize::from(self.setting.workload.groups)
    }

    fn members_left(&self) -> usize {
        self.children.iter().filter(|child| child.is_member && child.end.is_none()).count()
    }

    fn signal_members(&self, signal: Signal) {
        for child in self.children.iter().filter(|child| child.is_member && child.end.is_none()) {
            child.signal(signal);
        }
    }

    fn end_all(&mut self, signal: Signal) {
        for child in self.children.iter_mut().filter(|child| child.end.is_none()) {
            child.was_told = true;
            child.signal(signal);
        }
    }

    /// Compares the results of the members, and adds them up.
    fn outcome(&self) -> Result<Outcome, Failure> {
        self.compare()?;
        let is_whole =
            self.accounts.len() == self.members() && self.accounts.iter().all(|told| told.is_whole);
        if !is_whole && self.interrupted.is_none() {
            return Err(self.failure());
        }
        let mut outcome = Outcome {
            system: self.system,
            is_whole,
            multicasts: 0,
            seconds: 0.0,
            per_second: 0.0,
            round_trips: Delays::default(),
            delays: Delays::default(),
            member: Usage::default(),
            middle: Vec::new(),
            cpu_ms: 0,
        };
        for account in &self.accounts {
            outcome.round_trips.add_all(&account.round_trips);
            outcome.delays.add_all(&account.delays);
            outcome.member = outcome.member.max(account.usage);
            outcome.cpu_ms += account.usage.cpu_ms;
            if account.me == 0 {
                let seconds = account.micros as f64 / 1e6;
                outcome.multicasts += account.timed;
                outcome.seconds = outcome.seconds.max(seconds);
                outcome.per_second += if account.micros > 0 { account.timed as f64 / seconds } else { 0.0 };
            }
        }
        for child in self.children.iter().filter(|child| !child.is_member) {
            outcome.cpu_ms += child.usage.cpu_ms;
            outcome.middle.push((child.name.clone(), child.usage));
        }
        Ok(outcome)
    }

    /// Checks that all members of a group delivered the same.
    fn compare(&self) -> Result<(), Failure> {
        for one in &self.accounts {
            let Some(first) = self.accounts.iter().find(|first| first.group == one.group) else { continue };
            let whole = one.is_whole && first.is_whole;
            if let Some(how) = first.witness.contradicts(&one.witness, self.system.promises(), whole) {
                let message =
                    format!("wrong order: members {} and {} disagree: {how}", first.me + 1, one.me + 1);
                return Err(Failure::new(Exit::Violated, message));
            }
        }
        Ok(())
    }

    /// Returns the reason why the round failed: a wrong order first, and a killed process before one that lost a peer.
    fn failure(&self) -> Failure {
        let ended =
            self.children.iter().filter_map(|child| Some((child, child.end.filter(|end| !end.is_good())?)));
        let violated = End::Code(Exit::Violated.code());
        let culprit = ended.min_by_key(|(_, end)| (*end != violated, end.suspicion()));
        let Some((child, end)) = culprit else {
            return Failure::new(Exit::Bug, "a member ended without an account");
        };
        let why = child.error.clone().unwrap_or_else(|| end.to_string());
        Failure::new(end.exit(), format!("{}: {why}", child.name))
    }
}

impl Drop for Round<'_> {
    /// Kills and waits for all processes that are left, whatever ended the round.
    fn drop(&mut self) {
        self.ears.close();
        self.end_all(Signal::KILL);
        for child in self.children.iter_mut().filter(|child| child.end.is_none()) {
            let _ = child.child.wait();
        }
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        ears::signal(&self.child, signal);
    }
}
