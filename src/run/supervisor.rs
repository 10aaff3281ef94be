//! The supervisor starts the processes of a run, watches them to the end, and leaves none behind.
//!
//! It does not poll: lines, ends of processes and signals arrive as events (`ears.rs`). It handles one after the other
//! and reads the clock in between.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use rustix::process::Signal;

use super::clients::PROXY;
use super::ears::{self, Ears, Word};
use super::end::End;
use super::fault::{Act, Fault, Told};
use super::plan::Plan;
use super::process::Process;
use super::show::Show;
use super::starve::Starvation;
use crate::client::{PROGRESS, Progress};
use crate::driver::Clock;
use crate::driver::meter::{SENT_AGAIN, UNDELIVERABLE};
use crate::engine::Time;
use crate::exit::{Exit, Failure};

/// The time for the others to end by themselves after one has failed, or after an interruption.
const GRACE: Duration = Duration::from_secs(5);
/// The time for the servers to end after all clients have; a forwarder waits this long for a silent member.
const FAREWELL: Duration = Duration::from_secs(10);
/// The time for a process to end after SIGTERM, before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The time after which the clients start even if some server has written no line. A line shows that a server has its
/// ports.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest interval between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// The end of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The exit code of an interruption by the user.
    pub(super) interrupted: Option<Exit>,
    /// The process that spoiled the run.
    pub(super) culprit: Option<Death>,
    /// The reports on the faults.
    pub(super) faults: Vec<Told>,
    /// The number of packets that members sent again.
    pub(super) sent_again: u64,
    /// The number of undeliverable direct messages.
    pub(super) undeliverable: u64,
    pub(super) took: Duration,
}

/// The end of a process that spoiled a run.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) name: String,
    pub(super) end: End,
    /// The last error that it reported.
    pub(super) error: Option<String>,
    /// The number of its deliveries.
    pub(super) delivered: Option<u64>,
}

impl Death {
    /// Describes the end in words.
    pub(super) fn how(&self) -> String {
        let after = self.delivered.map_or_else(String::new, |count| format!(" after {count} deliveries"));
        match (&self.error, self.end) {
            (Some(error), End::Code(_)) => format!("{}: {error}", self.end),
            _ => format!("{}{after}", self.end),
        }
    }
}

/// A started process.
struct Running {
    child: Child,
    log: File,
    has_spoken: bool,
    error: Option<String>,
    progress: Option<Progress>,
    sent_again: u64,
    undeliverable: u64,
    /// True if the supervisor told it to end.
    was_told: bool,
    /// The time to start it again, after it was killed.
    restart: Option<Time>,
    /// True if a fault kills it while the others go on.
    dies: bool,
    /// The time to resume it, after it was stopped.
    resume: Option<Time>,
    end: Option<End>,
}

/// The next step against processes that have not ended.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Step {
    Tell,
    Kill,
}

/// Runs the processes of `plan` to their end.
///
/// # Errors
/// If a process cannot be started, or a log cannot be written; the others have been ended then.
pub(super) fn watch(
    plan: &Plan,
    faults: &[Fault],
    ears: &Ears,
    show: &mut dyn Show,
) -> Result<Outcome, Failure> {
    let (sender, events) = ears.open();
    let mut supervisor = Supervisor {
        plan,
        show,
        ears,
        sender,
        events,
        clock: Clock::start(),
        children: Vec::new(),
        faults: faults.to_vec(),
        told: Vec::new(),
        starvations: Vec::new(),
        began: None,
        deaths: Vec::new(),
        interrupted: None,
        next: None,
    };
    let watched = supervisor.watch();
    supervisor.show.close();
    watched.map(|()| supervisor.outcome())
}

struct Supervisor<'a> {
    plan: &'a Plan,
    show: &'a mut dyn Show,
    ears: &'a Ears,
    sender: Sender<Word>,
    events: Receiver<Word>,
    clock: Clock,
    /// The started processes, in the order of the plan.
    children: Vec<Running>,
    /// The faults that are still to come.
    faults: Vec<Fault>,
    /// The reports on the others.
    told: Vec<Told>,
    starvations: Vec<Starvation>,
    /// The time at which the clients were started.
    began: Option<Time>,
    /// The processes that failed without being told to end, in the order of their ends.
    deaths: Vec<Death>,
    interrupted: Option<Exit>,
    next: Option<(Time, Step)>,
}

impl Supervisor<'_> {
    fn watch(&mut self) -> Result<(), Failure> {
        let plan = self.plan;
        plan.processes[..plan.servers].iter().try_for_each(|process| self.start(process))?;
        while self.began.is_none() || self.children.iter().any(Running::is_at_work) {
            let first = self.events.recv_timeout(TICK).ok();
            let rest: Vec<Word> = self.events.try_iter().collect();
            let now = self.clock.now();
            first.into_iter().chain(rest).try_for_each(|event| self.handle(event, now))?;
            self.start_clients(now)?;
            self.do_faults(now);
            self.undo_faults(now)?;
            self.end_proxy();
            self.take_step(now);
            self.show.tick(now);
        }
        Ok(())
    }

    fn start(&mut self, process: &Process) -> Result<(), Failure> {
        let child = self.spawn(self.children.len(), process)?;
        self.children.push(child);
        Ok(())
    }

    fn spawn(&mut self, who: usize, process: &Process) -> Result<Running, Failure> {
        let log = self.plan.log(process);
        // A process that is started again keeps its log.
        let log = File::options().create(true).append(true).open(&log).map_err(|reason| {
            Failure::new(Exit::CannotCreate, format!("cannot create {}: {reason}", log.display()))
        })?;
        let child = ears::start(process, Stdio::null(), who, &self.sender).map_err(|reason| {
            Failure::new(Exit::Unavailable, format!("cannot start {}: {reason}", process.name))
        })?;
        self.show.started(process, child.id());
        Ok(Running {
            child,
            log,
            has_spoken: false,
            error: None,
            progress: None,
            sent_again: 0,
            undeliverable: 0,
            was_told: false,
            restart: None,
            dies: false,
            resume: None,
            end: None,
        })
    }

    /// Starts the clients once all servers have written a line, but not if the run has failed or was interrupted
    /// before.
    fn start_clients(&mut self, now: Time) -> Result<(), Failure> {
        let ready = self.children.iter().all(|child| child.has_spoken || child.end.is_some());
        if self.began.is_some() || !(ready || now >= Time::ZERO.after(PATIENCE)) {
            return Ok(());
        }
        self.began = Some(now);
        if self.deaths.is_empty() && self.interrupted.is_none() {
            let plan = self.plan;
            return plan.clients().iter().try_for_each(|process| self.start(process));
        }
        Ok(())
    }

    fn handle(&mut self, event: Word, now: Time) -> Result<(), Failure> {
        match event {
            Word::Said(who, line) => self.said(who, &line, now),
            Word::Closed(who) => self.closed(who, now),
            Word::Asked(exit) => {
                self.asked(exit, now);
                Ok(())
            }
        }
    }

    fn said(&mut self, who: usize, line: &[u8], now: Time) -> Result<(), Failure> {
        let (process, child) = (&self.plan.processes[who], &mut self.children[who]);
        let text = String::from_utf8_lossy(line);
        if let Some(progress) = text.strip_prefix(PROGRESS).and_then(|json| serde_json::from_str(json).ok()) {
            child.progress = Some(progress);
            self.show.progressed(who, process, progress, now);
            return Ok(());
        }
        if let Some(count) = text.strip_prefix(SENT_AGAIN).and_then(|count| count.parse::<u64>().ok()) {
            child.sent_again += count;
            return Ok(());
        }
        if let Some(count) = text.strip_prefix(UNDELIVERABLE).and_then(|count| count.parse::<u64>().ok()) {
            child.undeliverable = count;
            return Ok(());
        }
        child.log.write_all(line).and_then(|()| child.log.write_all(b"\n")).map_err(|reason| {
            Failure::new(Exit::Io, format!("cannot write {}: {reason}", self.plan.log(process).display()))
        })?;
        if process.name == PROXY && text.starts_with('{') {
            self.told.extend(Told::by_proxy(&text));
            return Ok(());
        }
        // The user need not see how the proxy ends.
        if process.name == PROXY && child.was_told {
            return Ok(());
        }
        // Programs begin their lines with their name, which the report shows anyway.
        let text = text.strip_prefix(&format!("{}: ", process.name)).unwrap_or(&text);
        if let Some(error) = text.strip_prefix("error: ") {
            child.error = Some(error.to_owned());
        }
        // An error does not count: the process is about to end, and its end decides.
        child.has_spoken |= child.error.is_none();
        let folder = format!("{}/", self.plan.folder.display());
        self.show.said(who, process, &text.replace(&folder, ""));
        Ok(())
    }

    /// Handles the end of a process, which has closed its output.
    fn closed(&mut self, who: usize, now: Time) -> Result<(), Failure> {
        let (process, child) = (&self.plan.processes[who], &mut self.children[who]);
        let end: End = child.child.wait().map(End::from).map_err(|reason| {
            Failure::new(Exit::Io, format!("cannot wait for {}: {reason}", process.name))
        })?;
        let end = if process.name == PROXY && child.was_told { End::Code(0) } else { end };
        child.end = Some(end);
        let death = Death {
            name: process.name.clone(),
            end,
            error: child.error.clone(),
            delivered: child.progress.map(|progress| progress.delivered),
        };
        let was_told = child.was_told || child.restart.is_some() || child.dies;
        self.show.ended(who, process, &death, was_told);
        // The client reached the end of the run and reported its undeliverable messages.
        let is_complete = end == End::Code(Exit::Unavailable.code()) && child.undeliverable > 0;
        if !end.is_good() && !was_told && !is_complete {
            if self.deaths.is_empty() {
                self.fail(now);
            }
            self.deaths.push(death);
        } else if self.are_clients_done() {
            self.plan_step(now.after(FAREWELL), Step::Tell);
        }
        Ok(())
    }

    /// Plans the end of the others after the first process has failed.
    fn fail(&mut self, now: Time) {
        // Without clients there is nothing to save.
        let grace = if self.began.is_some() { GRACE } else { Duration::ZERO };
        if self.children.iter().any(|child| child.end.is_none()) && grace > Duration::ZERO {
            self.show.notice(&format!("the others have {} s to end by themselves", grace.as_secs()));
        }
        self.plan_step(now.after(grace), Step::Tell);
    }

    fn are_clients_done(&self) -> bool {
        let clients = self.children.get(self.plan.servers..).unwrap_or_default();
        clients.len() == self.plan.clients().len() && clients.iter().all(|child| child.end.is_some())
    }

    /// Ends all processes: gently the first time, with SIGKILL the second time.
    fn asked(&mut self, exit: Exit, now: Time) {
        if self.interrupted.is_some() {
            self.show.notice("killing them all");
            return self.end_all(Signal::KILL);
        }
        self.interrupted = Some(exit);
        self.show.notice("ending; once more kills at once");
        self.end_all(if exit == Exit::Interrupted { Signal::INT } else { Signal::TERM });
        self.next = Some((now.after(GRACE), Step::Kill));
    }

    /// Plans a step, unless one is planned that comes sooner.
    fn plan_step(&mut self, at: Time, step: Step) {
        if self.next.is_none_or(|(planned, _)| planned > at) {
            self.next = Some((at, step));
        }
    }

    fn take_step(&mut self, now: Time) {
        let Some((_, step)) = self.next.filter(|(at, _)| now >= *at) else { return };
        match step {
            Step::Tell => {
                self.end_all(Signal::TERM);
                self.next = Some((now.after(LAST_WORDS), Step::Kill));
            }
            Step::Kill => {
                self.end_all(Signal::KILL);
                self.next = None;
            }
        }
    }

    fn end_all(&mut self, signal: Signal) {
        for child in self.children.iter_mut().filter(|child| child.end.is_none()) {
            child.was_told = true;
            child.signal(signal);
        }
    }

    fn do_faults(&mut self, now: Time) {
        let Some(began) = self.began else { return };
        for fault in self.faults.extract_if(.., |fault| now >= began.after(fault.after)).collect::<Vec<_>>() {
            let has_acted = self.do_fault(&fault, now);
            if has_acted {
                self.show.notice(&format!("as the scenario says: {fault}"));
            }
            self.told.push(fault.told(has_acted));
        }
    }

    /// Performs a fault; returns false if its process is not running.
    fn do_fault(&mut self, fault: &Fault, now: Time) -> bool {
        if let Act::Starve { threads, lasts } = fault.act {
            self.starvations.push(Starvation::start(threads, now.after(lasts)));
            return true;
        }
        let who = self.plan.processes.iter().position(|process| Some(&process.name) == fault.process());
        let Some(child) = who.and_then(|who| self.children.get_mut(who)).filter(|child| child.end.is_none())
        else {
            return false;
        };
        match fault.act {
            Act::Signal { signal, dies, .. } => {
                child.dies = dies;
                child.signal(signal);
            }
            Act::Pause { lasts, .. } => {
                child.resume = child.resume.max(Some(now.after(lasts)));
                child.signal(Signal::STOP);
            }
            Act::Restart { pause, .. } => {
                child.restart = Some(now.after(pause));
                child.signal(Signal::KILL);
            }
            Act::Starve { .. } => {}
        }
        true
    }

    /// Resumes stopped processes and restarts killed ones when their time has come.
    fn undo_faults(&mut self, now: Time) -> Result<(), Failure> {
        let is_due = |at: &mut Time| now >= *at;
        self.starvations.retain(|starvation| now < starvation.until);
        for child in &mut self.children {
            if child.resume.take_if(is_due).is_some() && child.end.is_none() {
                child.signal(Signal::CONT);
            }
        }
        let is_over = self.next.is_some() || self.interrupted.is_some();
        for who in 0..self.children.len() {
            let child = &mut self.children[who];
            if is_over && child.end.is_some() {
                child.restart = None;
            } else if child.end.is_some() && child.restart.take_if(is_due).is_some() {
                let plan = self.plan;
                self.children[who] = self.spawn(who, &plan.processes[who])?;
            }
        }
        Ok(())
    }

    /// Ends the proxy, which runs until it is told to end, once all others have ended.
    fn end_proxy(&mut self) {
        let proxy = self.plan.processes.iter().position(|process| process.name == PROXY);
        let Some(proxy) = proxy.filter(|_| self.began.is_some()) else { return };
        let is_alone =
            self.children.iter().enumerate().all(|(who, child)| who == proxy || !child.is_at_work());
        if let Some(child) = self.children.get_mut(proxy).filter(|child| is_alone && !child.was_told) {
            child.was_told = true;
            child.signal(Signal::TERM);
        }
    }

    fn outcome(&mut self) -> Outcome {
        // An interruption may have arrived while the last process ended.
        let late = self.events.try_iter().find_map(|event| match event {
            Word::Asked(exit) => Some(exit),
            _ => None,
        });
        Outcome {
            interrupted: self.interrupted.or(late),
            culprit: self.deaths.iter().min_by_key(|death| death.end.suspicion()).cloned(),
            faults: self.told.drain(..).chain(self.faults.iter().map(|fault| fault.told(false))).collect(),
            sent_again: self.children.iter().map(|child| child.sent_again).sum(),
            undeliverable: self.children.iter().map(|child| child.undeliverable).sum(),
            took: self.began.map_or(Duration::ZERO, |began| self.clock.now().since(began)),
        }
    }
}

impl Drop for Supervisor<'_> {
    /// Kills and waits for all processes that are left, whatever ended the run.
    fn drop(&mut self) {
        self.ears.close();
        self.end_all(Signal::KILL);
        for child in self.children.iter_mut().filter(|child| child.end.is_none()) {
            let _ = child.child.wait();
        }
    }
}

impl Running {
    const fn is_at_work(&self) -> bool {
        self.end.is_none() || self.restart.is_some()
    }

    fn signal(&self, signal: Signal) {
        ears::signal(&self.child, signal);
    }
}
