//! `groupcast cluster up`: runs the chat servers of a folder until it is told to end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::errand::{self, Asked, Errand};
use super::faults::words;
use super::folder::{Folder, Process, Servers, web};
use super::health::Health;
use crate::cli;
use crate::cluster::faults::Faults;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::processes::{Event, Interrupts, Processes, Stop};
use crate::talk::{Color, Level, Talk};
use crate::transport::signals::{interruption, listen};
use crate::units;

/// The program of a server, beside `groupcast`.
const PROGRAM: &str = "chat-server";
/// The time that servers have to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
/// The lines of a server that are shown when it ends by itself.
const LAST_LINES: usize = 5;

/// Runs the servers of a folder; `keys` is the option `--keys`, with its file or without.
pub(super) fn run(
    dir: &Path,
    servers: Option<u16>,
    port_base: Option<u16>,
    keys: Option<Option<&Path>>,
    start_timeout: Duration,
) -> Result<Exit> {
    let talk = Talk::new("cluster", Level::Normal, Color::Auto);
    let program = program()?;
    let interrupts = Interrupts::default();
    let (heard, told) = (interrupts.clone(), talk.clone());
    listen(move |exit| {
        let is_running = heard.interrupt(exit);
        if !is_running {
            told.fail(&interruption(exit));
        }
        is_running
    })?;
    let (folder, _lock, _claims) = Folder::make(dir, servers, port_base)?;
    if let Some(faults) = Faults::read(&folder.faults()).ok().filter(|faults| *faults != Faults::default()) {
        let words = words(&faults, &folder.cluster.ids());
        talk.warn(format!(
            "faults are in force: {words}; `groupcast cluster heal {}` ends them",
            dir.display()
        ));
    }
    let keys = folder.key(keys)?;
    let mut up = Up {
        talk,
        program,
        keys,
        processes: Processes::new(&interrupts),
        folder: &folder,
        start_timeout,
        is_announced: false,
        asked: Vec::new(),
        end: None,
    };
    up.conduct()
}

/// Returns the program of a server.
///
/// # Errors
/// [`Exit::Unavailable`] if it is not there.
fn program() -> Result<PathBuf> {
    let me = std::env::current_exe();
    let me = me.with_context(|| Failure::new(Exit::Unavailable, format!("cannot find {PROGRAM}")))?;
    let program = me.with_file_name(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    let why = format!("cannot start {PROGRAM}: {} is not there", program.display());
    Err(Failure::new(Exit::Unavailable, why)
        .help("build it with `cargo build --release --bins --features web`, or use scripts/chat")
        .into())
}

/// The state of one server.
struct State {
    address: SocketAddr,
    health: Health,
    /// The time of its start; none once it has answered.
    since: Option<Time>,
    log: File,
    /// True once the log could not be written, and the user knows.
    is_log_lost: bool,
    last: VecDeque<String>,
}

/// The end of `up`.
enum End {
    /// The user asked for it; the second time, all were killed.
    Asked(Exit),
    Hurried(Exit),
    /// A server did not begin.
    Failed(Failure),
}

/// A running `up`.
struct Up<'a> {
    talk: Talk,
    program: PathBuf,
    /// The file of the cluster's key.
    keys: Option<PathBuf>,
    /// The servers by slot.
    processes: Processes<State>,
    folder: &'a Folder,
    /// The time that a server has to answer.
    start_timeout: Duration,
    /// True once all servers have answered and the user knows their addresses.
    is_announced: bool,
    /// The errands that wait for their outcome.
    asked: Vec<Asked>,
    end: Option<End>,
}

impl Up<'_> {
    fn conduct(&mut self) -> Result<Exit> {
        let count = self.folder.cluster.all().count();
        let s = if count == 1 { "" } else { "s" };
        self.talk.say(format!("starting {count} server{s} in {}", self.folder.dir.display()));
        if let Err(error) = (0..count).try_for_each(|slot| self.start(slot)) {
            let now = self.processes.now();
            self.fail(error.into(), now);
        }
        self.note();
        while self.end.is_none() || !self.processes.are_over() {
            let (events, now) = self.processes.events();
            for event in events {
                self.handle(event, now)?;
            }
            if self.end.is_none() {
                self.look_at_health(now);
                self.do_errands();
            }
            self.processes.stop_as_planned(now);
        }
        for asked in std::mem::take(&mut self.asked) {
            let failure = asked.errand.failure(Exit::Unavailable, "`groupcast cluster up` has ended");
            asked.reply(Err(failure));
        }
        match self.end.take() {
            Some(End::Failed(failure)) => Err(failure.into()),
            Some(End::Asked(exit) | End::Hurried(exit)) if !self.is_announced => {
                Err(interruption(exit).into())
            }
            Some(End::Hurried(exit)) => Err(interruption(exit).into()),
            Some(End::Asked(_)) | None => Ok(Exit::Ok),
        }
    }

    /// Starts the server of a slot, for the first time or again.
    fn start(&mut self, slot: usize) -> Result<()> {
        let Some(server) = self.folder.cluster.all().nth(slot) else { return Ok(()) };
        let (folder, id) = (self.folder, &server.id);
        let path = folder.log(id);
        let log =
            File::options().create(true).append(true).open(&path).with_context(|| {
                Failure::new(Exit::CannotCreate, format!("cannot create {}", path.display()))
            })?;
        let mut command = Command::new(&self.program);
        command.args(["--id", id]).arg("--cluster").arg(folder.file()).arg("--data").arg(folder.data(id));
        command.arg("--out").arg(folder.results()).arg("--faults").arg(folder.faults()).stdin(Stdio::null());
        if let Some(keys) = &self.keys {
            command.arg("--keys").arg(keys);
        }
        let address = web(server, &folder.file())?;
        let since = Some(self.processes.now());
        let state = State {
            address,
            health: Health::of(address),
            since,
            log,
            is_log_lost: false,
            last: VecDeque::new(),
        };
        self.processes.start(slot, id, command, state)?;
        Ok(())
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<()> {
        match event {
            Event::Line(slot, line) => self.take_line(slot, &line),
            Event::Closed(slot) => return self.closed(slot, now),
            Event::Interrupted(exit) => self.interrupt(exit, now),
        }
        Ok(())
    }

    /// Keeps a line of a server. A log that cannot be written is no reason to end the servers.
    fn take_line(&mut self, slot: usize, line: &[u8]) {
        let running = &mut self.processes.all[slot];
        let written = running.state.log.write_all(&[line, b"\n"].concat());
        if let Err(error) = written
            && !std::mem::replace(&mut running.state.is_log_lost, true)
        {
            let (id, log) = (&running.name, self.folder.log(&running.name));
            self.talk.warn(format!("cannot write {}: {error}; {id} goes on without it", log.display()));
        }
        let last = &mut running.state.last;
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(line).into_owned());
    }

    /// Handles the end of a server, which has closed its output.
    fn closed(&mut self, slot: usize, now: Time) -> Result<()> {
        let end = self.processes.wait(slot)?;
        let running = &mut self.processes.all[slot];
        running.state.since = None;
        let (id, pid, was_told) = (running.name.clone(), running.id(), running.was_told);
        let last: String = running.state.last.iter().map(|line| format!("\n  {line}")).collect();
        self.note();
        if was_told {
            self.killed(slot, &id, pid);
            return Ok(());
        }
        let how = format!("it has ended by itself: {end}");
        let log = self.folder.log(&id).display().to_string();
        self.reply(&id, |asked| {
            Some(Err(asked
                .failure(Exit::Unavailable, &format!("{how}{last}"))
                .help(format!("its log is {log}"))))
        });
        if !self.is_announced && self.end.is_none() {
            let exit = if end.is_good() { Exit::Unavailable } else { end.exit() };
            let why = format!("cannot start {id}: {how}{last}");
            self.fail(Failure::new(exit, why).help(format!("its log is {log}")), now);
        } else if self.end.is_none() {
            let dir = self.folder.dir.display();
            self.talk
                .warn(format!("{id} has ended by itself: {end}; `groupcast cluster start {dir} {id}`{last}"));
        }
        Ok(())
    }

    /// Handles the end of a server that was told to end.
    fn killed(&mut self, slot: usize, id: &str, pid: u32) {
        self.reply(id, |asked| match asked {
            Errand::Kill { .. } => Some(Ok(format!("{id} was killed (pid {pid})"))),
            Errand::Start { .. } => None,
        });
        if self.end.is_some() {
            return;
        }
        self.talk.say(format!("{id} was killed (pid {pid})"));
        // Those who asked before the kill have their reply.
        if self.asked.iter().any(|asked| asked.errand.id() == id) {
            self.start_again(slot);
        }
    }

    /// Starts a server for those who asked for it.
    fn start_again(&mut self, slot: usize) {
        if let Err(error) = self.start(slot) {
            let (id, failure) = (self.processes.all[slot].name.clone(), Failure::from(error));
            self.reply(&id, |_| Some(Err(failure.clone())));
        }
        self.note();
    }

    /// Ends all servers: gently the first time, with SIGKILL the second time.
    fn interrupt(&mut self, exit: Exit, now: Time) {
        if matches!(self.end, Some(End::Asked(_) | End::Hurried(_))) {
            self.talk.say("killing them all");
            self.end = Some(End::Hurried(exit));
            return self.processes.stop(Signal::KILL);
        }
        self.talk.say("ending; once more kills at once");
        self.end = Some(End::Asked(exit));
        self.stop(now);
    }

    /// Ends all servers gently, and then with this failure.
    fn fail(&mut self, failure: Failure, now: Time) {
        self.end = Some(End::Failed(failure));
        self.stop(now);
    }

    fn stop(&mut self, now: Time) {
        self.processes.stop(Signal::TERM);
        self.processes.planned = Some((now.after(GRACE), Stop::Kill));
    }

    /// Looks which servers answer.
    fn look_at_health(&mut self, now: Time) {
        for slot in 0..self.processes.all.len() {
            let running = &mut self.processes.all[slot];
            let Some(since) = running.state.since.filter(|_| running.end.is_none()) else { continue };
            let (id, pid, address) = (running.name.clone(), running.id(), running.state.address);
            if running.state.health.has_answered() {
                running.state.since = None;
                if self.is_announced {
                    self.talk.say(format!("{id} runs (pid {pid})"));
                }
                self.reply(&id, |asked| match asked {
                    Errand::Start { .. } => Some(Ok(format!("{id} runs (pid {pid}) at http://{address}"))),
                    Errand::Kill { .. } => None,
                });
            } else if now.since(since) >= self.start_timeout {
                running.state.since = None;
                self.late(slot, now);
            }
        }
        let is_ready = self.processes.all.iter().all(|running| running.state.since.is_none());
        if is_ready && !self.is_announced && self.end.is_none() {
            self.is_announced = true;
            if let Err(error) = self.announce() {
                self.fail(error.into(), now);
            }
        }
    }

    /// Handles a server that runs and does not answer.
    fn late(&mut self, slot: usize, now: Time) {
        let running = &self.processes.all[slot];
        let (id, state) = (running.name.clone(), &running.state);
        let limit = units::duration(self.start_timeout);
        let why =
            format!("it has not answered at http://{} within {limit}: {}", state.address, state.health.why);
        let help = format!("its log is {}", self.folder.log(&id).display());
        self.reply(&id, |asked| match asked {
            Errand::Start { .. } => Some(Err(asked.failure(Exit::TimedOut, &why).help(help.clone()))),
            Errand::Kill { .. } => None,
        });
        if !self.is_announced {
            let help = format!("{help}; --start-timeout gives it longer");
            self.fail(Failure::new(Exit::TimedOut, format!("cannot start {id}: {why}")).help(help), now);
        }
    }

    /// Prints the addresses.
    fn announce(&self) -> Result<()> {
        for running in &self.processes.all {
            cli::print(&format!("http://{}  {}", running.state.address, running.name))?;
        }
        let dir = self.folder.dir.display();
        let ids: Vec<&str> = self.processes.all.iter().map(|running| &*running.name).collect();
        let half = ids.len() / 2;
        self.talk.say(format!("open one of these addresses in a browser; Ctrl-C ends all {}", ids.len()));
        if half > 0 {
            let (few, many) = (ids[..half].join(","), ids[half..].join(","));
            self.talk.say(format!("to part them: groupcast cluster part {dir} {few}/{many}"));
            self.talk.say(format!("to join them again: groupcast cluster heal {dir}"));
        }
        Ok(())
    }

    /// Does what other commands ask for.
    fn do_errands(&mut self) {
        for asked in errand::take(&self.folder.dir) {
            if !self.is_announced {
                let failure = asked.errand.failure(Exit::Unavailable, "the servers are still starting");
                asked.reply(Err(failure.help("run this again when `up` has printed their addresses")));
                continue;
            }
            let found = self.processes.all.iter().position(|running| running.name == asked.errand.id());
            let Some(slot) = found else {
                let failure = asked.errand.failure(Exit::Usage, "there is no such server");
                asked.reply(Err(failure));
                continue;
            };
            let running = &mut self.processes.all[slot];
            let (id, pid, is_running) = (running.name.clone(), running.id(), running.end.is_none());
            match (&asked.errand, is_running) {
                (Errand::Kill { .. }, true) => {
                    running.stop(Signal::KILL);
                    self.reply(&id, |other| match other {
                        Errand::Start { .. } => Some(Err(other.failure(Exit::Unavailable, "it was killed"))),
                        Errand::Kill { .. } => None,
                    });
                    self.asked.push(asked);
                }
                (Errand::Kill { .. }, false) => {
                    let failure = asked.errand.failure(Exit::Unavailable, "it does not run");
                    asked.reply(Err(failure));
                }
                (Errand::Start { .. }, true) if running.state.since.is_none() && !running.was_told => {
                    asked.reply(Ok(format!("{id} runs already (pid {pid})")));
                }
                (Errand::Start { .. }, true) => self.asked.push(asked),
                (Errand::Start { .. }, false) => {
                    self.asked.push(asked);
                    self.start_again(slot);
                }
            }
        }
    }

    /// Replies to the errands about a server for which `outcome` has something.
    fn reply(&mut self, id: &str, outcome: impl Fn(&Errand) -> Option<Result<String, Failure>>) {
        for asked in std::mem::take(&mut self.asked) {
            match Some(&asked.errand).filter(|errand| errand.id() == id).and_then(&outcome) {
                Some(outcome) => asked.reply(outcome),
                None => self.asked.push(asked),
            }
        }
    }

    /// Notes which processes run, for `groupcast cluster status`.
    fn note(&self) {
        let process = |running: &crate::processes::Running<State>| Process {
            id: running.name.clone(),
            url: format!("http://{}", running.state.address),
            pid: running.end.is_none().then(|| running.id()),
        };
        let servers = Servers::new(self.start_timeout, self.processes.all.iter().map(process).collect());
        if let Err(failure) = servers.write(&self.folder.dir) {
            self.talk
                .warn(format!("{}; `groupcast cluster status` cannot show the servers", failure.message));
        }
    }
}
