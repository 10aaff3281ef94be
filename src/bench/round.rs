//! One round: starts and ends the processes of one system, and adds up the results of its members.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::baseline;
use super::delays::Delays;
use super::folder::Folder;
use super::part::{self, Account, Baseline, Packets, Part, Role};
use super::threads::{MEMBERS, Work, together};
use super::usage::Usage;
use super::workload::Workload;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::way::Way;
use crate::order::{Order, Promise};
use crate::processes::{End, Event, Interrupts, Ports, Processes, Running, Stop, folder_of_programs};

/// The longest silence of a round. Members report their progress twice a second.
const SILENCE: Duration = Duration::from_secs(65);
/// The time for the processes to end by themselves, after the end of all members or after the first failure.
const GRACE: Duration = Duration::from_secs(5);

/// A measured system.
#[derive(Clone, Copy, Debug)]
pub(super) enum System {
    /// Groupcast, in this way.
    Ours(Way),
    Plain(Baseline),
}

/// The setting of a round.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) way: Way,
    /// The folder of the journals, and whether members use no IP multicast and have a key, in a cluster.
    pub(super) data: PathBuf,
    pub(super) unicast: bool,
    pub(super) keys: bool,
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
    /// Whether the work of the threads is counted.
    pub(super) profile: bool,
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
    /// All multicasts, those of the warm-up included.
    pub(super) sent: u64,
    /// The packets of all members, of groupcast in a group.
    pub(super) packets: Option<Packets>,
    /// The work of the threads of each role, if it was counted: the processes in the middle, then the members together.
    pub(super) work: Vec<(String, Vec<Work>)>,
}

impl System {
    /// Returns the name of the system, as in the peers' results.
    pub(super) fn name(self) -> String {
        match self {
            Self::Ours(way) => format!("groupcast {}", way.title()),
            Self::Plain(Baseline::Proxy) => "zmq_proxy".to_owned(),
            Self::Plain(Baseline::Bound) => "packed bound".to_owned(),
        }
    }

    const fn promises(self) -> &'static [Promise] {
        match self {
            Self::Ours(way) => way.promises(),
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
    interrupts: &Interrupts,
) -> Result<(Outcome, Option<Exit>)> {
    let ports = setting.port_base.map_or_else(Ports::free, |base| Ok(Ports::at(base)))?;
    let mut round = Round {
        setting,
        system,
        programs: folder_of_programs()?,
        processes: Processes::new(interrupts),
        accounts: Vec::new(),
        ready: 0,
        interrupted: None,
        folder: None,
        logs: None,
    };
    round.start(ports.base)?;
    round.watch()?;
    let outcome = round.outcome()?;
    Ok((outcome, round.interrupted))
}

/// The state of one process.
struct State {
    is_member: bool,
    usage: Usage,
}

struct Round<'a> {
    setting: &'a Setting,
    system: System,
    /// The folder of the programs.
    programs: PathBuf,
    processes: Processes<State>,
    accounts: Vec<Account>,
    ready: usize,
    interrupted: Option<Exit>,
    /// The folder of the cluster or of the keys, if there is one.
    folder: Option<Folder>,
    /// The folder of the logs, if the order has one.
    logs: Option<Folder>,
}

impl Round<'_> {
    fn start(&mut self, port_base: u16) -> Result<()> {
        let Setting { workload, host, .. } = self.setting;
        match self.system {
            System::Ours(Way::Cluster) => {}
            System::Ours(Way::Group(order)) => {
                let (base, clients) = (port_base.to_string(), workload.members.to_string());
                let keys = self.make_keys()?;
                let keys: Vec<&str> = keys.iter().flat_map(|folder| ["--keys", folder]).collect();
                let listens = [&["--bind", host, "--port-base", &base], &keys[..]].concat();
                let inside: &[&str] =
                    if self.setting.inside && !order.addressed { &["--sequencer"] } else { &[] };
                self.spawn(
                    "forwarder",
                    "forwarder",
                    &[&["--clients", &clients][..], &listens[..], inside].concat(),
                )?;
                if order.addressed {
                    self.spawn("router", "router", &listens)?;
                }
                if order.sequencer && inside.is_empty() {
                    let logs = self.make_logs(order)?;
                    let log: Vec<&str> = logs.iter().flat_map(|folder| ["--log", folder]).collect();
                    let connects = [&["--connect", host, "--port-base", &base], &keys[..], &log[..]].concat();
                    self.spawn("sequencer", "sequencer", &connects)?;
                }
            }
            System::Plain(kind) => self.play(&self.part(Role::Middle(kind), port_base, 0, 0))?,
        }
        let role = self.role()?;
        for group in 0..workload.groups {
            for me in 0..workload.members {
                self.play(&self.part(role.clone(), port_base, me, group))?;
            }
        }
        Ok(())
    }

    /// Makes the keys of groups, if they have any. Returns their folder.
    fn make_keys(&mut self) -> Result<Option<String>> {
        let Setting { data, keys: true, workload, .. } = self.setting else { return Ok(None) };
        let ids: Vec<String> = (0..workload.groups)
            .flat_map(|group| {
                (0..workload.members).map(move |me| part::member_name(workload.groups, group, me))
            })
            .collect();
        let folder = Folder::of_keys(data, ids.iter().map(String::as_str))?;
        Ok(Some(self.folder.insert(folder).path().display().to_string()))
    }

    /// Makes a folder for logs, if the order has one. Returns it.
    fn make_logs(&mut self, order: &Order) -> Result<Option<String>> {
        if !order.is_logged() {
            return Ok(None);
        }
        let folder = Folder::of_logs(&self.setting.data)?;
        Ok(Some(self.logs.insert(folder).path().display().to_string()))
    }

    /// Returns the role of each member. A cluster gets its folder.
    fn role(&mut self) -> Result<Role> {
        let Setting { data, unicast, keys, workload, out, history, safe, .. } = self.setting;
        Ok(match self.system {
            System::Ours(Way::Group(order)) => Role::Member {
                order: order.name.to_owned(),
                method: order.method.map(str::to_owned),
                out: out.clone(),
                history: *history,
                safe: *safe,
                keys: self.folder.as_ref().map(|folder| folder.path().to_owned()),
            },
            System::Ours(Way::Cluster) => {
                let (folder, role) = Folder::of_cluster(data, workload.members, (*unicast, *keys))?;
                self.folder = Some(folder);
                role
            }
            System::Plain(kind) => Role::Plain(kind),
        })
    }

    fn part(&self, role: Role, port_base: u16, me: u16, group: u16) -> Part {
        let (host, workload) = (self.setting.host.clone(), self.setting.workload.clone());
        // The clock runs at the first member.
        let is_first = me == 0 && group == 0;
        let watched =
            self.setting.profile.then(|| if is_first { self.middle().collect() } else { Vec::new() });
        Part { role, host, port_base, me, group, workload, watched }
    }

    /// Starts this program once more, to play this part.
    fn play(&mut self, part: &Part) -> Result<()> {
        let text = serde_json::to_string(part).expect("numbers and names have a JSON form");
        let me = std::env::current_exe()
            .context(Failure::new(Exit::Unavailable, "cannot find the path of this program"))?;
        self.start_program(&part.name(), &me, &["bench", "--part", &text])
    }

    fn spawn(&mut self, name: &str, program: &str, arguments: &[&str]) -> Result<()> {
        self.start_program(name, &self.programs.join(program), arguments)
    }

    fn start_program(&mut self, name: &str, program: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped());
        if let (Some(known_bad), true) = (&self.setting.known_bad, !matches!(name, "forwarder" | "router")) {
            command.args(["--known-bad", known_bad]);
        }
        let is_member = !matches!(name, "forwarder" | "router" | "sequencer" | "middle");
        let state = State { is_member, usage: Usage::default() };
        self.processes.start(self.processes.all.len(), name, command, state).map(drop)
    }

    /// Handles the events of the processes until all have ended.
    fn watch(&mut self) -> Result<()> {
        let mut heard = self.processes.now();
        while !self.processes.are_over() {
            let (events, now) = self.processes.events();
            if !events.is_empty() {
                heard = now;
            }
            events.into_iter().try_for_each(|event| self.handle(event, now))?;
            if now.since(heard) >= SILENCE {
                let waited = SILENCE.as_secs();
                let message = format!("no process has said anything for {waited} s");
                bail!(Failure::new(Exit::TimedOut, message));
            }
            self.processes.stop_as_planned(now);
        }
        Ok(())
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<()> {
        match event {
            Event::Interrupted(exit) => {
                self.interrupted = Some(exit);
                self.processes.plan_stop(now.after(GRACE), Stop::Kill);
                // The members report their partial results and end, and then the others end.
                let members = self.processes.all.iter().filter(|process| process.state.is_member);
                members.for_each(|member| member.signal(Signal::INT));
            }
            Event::Line(number, line) => match part::Event::parse(&line) {
                Some(part::Event::Ready) => self.note_ready(),
                Some(part::Event::Account(account)) => {
                    self.accounts.push(*account);
                    self.measure_servers();
                }
                Some(part::Event::Progress(_)) => {}
                None => {
                    if let Some((_, error)) = String::from_utf8_lossy(&line).split_once("error: ") {
                        self.processes.all[number].error = Some(error.to_owned());
                    }
                }
            },
            Event::Closed(number) => return self.closed(number, now),
        }
        Ok(())
    }

    /// Lets the members start once each of them has heard all others.
    fn note_ready(&mut self) {
        self.ready += 1;
        if self.ready == self.members() {
            for input in self.processes.all.iter_mut().filter_map(Running::input) {
                let _ = input.write_all(b"go\n");
            }
        }
    }

    fn closed(&mut self, number: usize, now: Time) -> Result<()> {
        let end = self.processes.wait(number)?;
        let is_left = |process: &Running<State>| process.state.is_member && process.end.is_none();
        let are_members_done = !self.processes.all.iter().any(is_left);
        if !end.is_good() || are_members_done {
            self.processes.plan_stop(now.after(GRACE), Stop::Kill);
        }
        // The process in the middle of a baseline does not end by itself.
        if are_members_done && matches!(self.system, System::Plain(_)) {
            self.processes.stop(Signal::KILL);
        }
        Ok(())
    }

    fn measure_servers(&mut self) {
        let is_server = |process: &&mut Running<State>| !process.state.is_member && process.end.is_none();
        for process in self.processes.all.iter_mut().filter(is_server) {
            process.state.usage = process.state.usage.max(Usage::of(&process.id().to_string()));
        }
    }

    fn members(&self) -> usize {
        usize::from(self.setting.workload.members) * usize::from(self.setting.workload.groups)
    }

    /// Compares the results of the members, and adds them up.
    fn outcome(&self) -> Result<Outcome> {
        self.compare()?;
        let is_whole =
            self.accounts.len() == self.members() && self.accounts.iter().all(|told| told.is_whole);
        if !is_whole && self.interrupted.is_none() {
            bail!(self.failure());
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
            sent: 0,
            packets: None,
            work: Vec::new(),
        };
        for account in &self.accounts {
            outcome.round_trips.add_all(&account.round_trips);
            outcome.delays.add_all(&account.delays);
            outcome.member = outcome.member.max(account.usage);
            outcome.cpu_ms += account.usage.cpu_ms;
            outcome.sent += account.multicasts;
            if let Some(Packets { sent, received }) = account.packets {
                let packets = outcome.packets.get_or_insert_default();
                packets.sent += sent;
                packets.received += received;
            }
            if account.me == 0 {
                let seconds = account.micros as f64 / 1e6;
                outcome.multicasts += account.timed;
                outcome.seconds = outcome.seconds.max(seconds);
                outcome.per_second += if account.micros > 0 { account.timed as f64 / seconds } else { 0.0 };
            }
        }
        for server in self.processes.all.iter().filter(|process| !process.state.is_member) {
            outcome.cpu_ms += server.state.usage.cpu_ms;
            outcome.middle.push((server.name.clone(), server.state.usage));
        }
        outcome.work = self.work();
        Ok(outcome)
    }

    /// Returns the work of the threads of each role, as the members have told it.
    fn work(&self) -> Vec<(String, Vec<Work>)> {
        let roles = self.middle().map(|(role, _)| role).chain([MEMBERS.to_owned()]);
        let told = |role: &String| {
            let works = self.accounts.iter().flat_map(|account| &account.work);
            together(works.filter(|(of, _)| of == role).flat_map(|(_, works)| works.iter().copied()))
        };
        roles.map(|role| (role.clone(), told(&role))).collect()
    }

    /// Returns the processes in the middle, by role and number.
    fn middle(&self) -> impl Iterator<Item = (String, u32)> {
        let middle = self.processes.all.iter().filter(|process| !process.state.is_member);
        middle.map(|process| {
            let role = match self.system {
                System::Ours(_) => &process.name,
                System::Plain(Baseline::Proxy) => "zmq_proxy",
                System::Plain(Baseline::Bound) => "packed sequencer",
            };
            (role.to_owned(), process.id())
        })
    }

    /// Checks that all members of a group delivered the same.
    fn compare(&self) -> Result<()> {
        for one in &self.accounts {
            let Some(first) = self.accounts.iter().find(|first| first.group == one.group) else { continue };
            let whole = one.is_whole && first.is_whole;
            if let Some(how) = first.witness.contradicts(&one.witness, self.system.promises(), whole) {
                let message =
                    format!("wrong order: members {} and {} disagree: {how}", first.me + 1, one.me + 1);
                bail!(Failure::new(Exit::Violated, message));
            }
        }
        Ok(())
    }

    /// Returns the reason why the round failed: a wrong order first, and a killed process before one that lost a peer.
    fn failure(&self) -> Failure {
        let ends = self.processes.all.iter().filter_map(|process| Some((process, process.end?)));
        let ended = ends.filter(|(_, end)| !end.is_good());
        let violated = End::Code(Exit::Violated.code());
        let culprit = ended.min_by_key(|(_, end)| (*end != violated, end.suspicion()));
        let Some((process, end)) = culprit else {
            return Failure::new(Exit::Bug, "a member ended without an account");
        };
        let why = process.error.clone().unwrap_or_else(|| end.to_string());
        Failure::new(end.exit(), format!("{}: {why}", process.name))
    }
}
