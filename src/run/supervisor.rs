//! Starts the processes of a run, watches them to the end, and leaves none behind.
//!
//! Nothing is polled: what processes say, their end included, and signals are words (`ears.rs`). The supervisor handles
//! one after the other and looks at the clock in between.

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

/// How long the others may take to end by themselves when one has failed, or after they were interrupted.
const GRACE: Duration = Duration::from_secs(5);
/// How long servers may take to end when all clients are done; a forwarder waits this long for a silent member.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a process that was told to end may take, before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Clients are started when the servers have spoken: then the ports are theirs. Or after this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The clock is looked at this often.
const TICK: Duration = Duration::from_millis(100);

/// How the processes of a run ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What the run was interrupted with.
    pub(super) interrupted: Option<Exit>,
    /// The process that spoiled the run.
    pub(super) culprit: Option<Death>,
    /// What came of the faults.
    pub(super) faults: Vec<Told>,
    /// How many packets members sent again.
    pub(super) sent_again: u64,
    /// How many messages to one member are undeliverable, by clients that are complete otherwise.
    pub(super) undeliverable: u64,
    pub(super) took: Duration,
}

/// How a process spoiled a run.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) name: String,
    pub(super) end: End,
    /// Its last complaint.
    pub(super) error: Option<String>,
    /// How much it had delivered.
    pub(super) delivered: Option<u64>,
}

impl Death {
    /// How it died, in words.
    pub(super) fn how(&self) -> String {
        let after = self.delivered.map_or_else(String::new, |count| format!(" after {count} deliveries"));
        match (&self.error, self.end) {
            (Some(error), End::Code(_)) => format!("{}: {error}", self.end),
            _ => format!("{}{after}", self.end),
        }
    }
}

/// A process that was started.
struct Running {
    child: Child,
    log: File,
    has_spoken: bool,
    error: Option<String>,
    progress: Option<Progress>,
    sent_again: u64,
    undeliverable: u64,
    /// We told it to end.
    was_told: bool,
    /// It was killed, to be started again.
    restart: Option<Time>,
    /// It was killed, and the others go on.
    dies: bool,
    /// It was stopped, to go on.
    resume: Option<Time>,
    end: Option<End>,
}

/// What is done next to those that are still there.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Step {
    Tell,
    Kill,
}

/// Runs the processes of `plan` to their end.
///
/// # Errors
/// A process that cannot be started, or a log that cannot be written; the others have been ended then.
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
    /// Those that were started, in the order of the plan.
    children: Vec<Running>,
    /// Those that are still to be done.
    faults: Vec<Fault>,
    /// What came of those that are done.
    told: Vec<Told>,
    starvations: Vec<Starvation>,
    /// When the clients were started.
    began: Option<Time>,
    /// Of those that failed without being told to end, in the order they did.
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
        // What it said before it was started again stays.
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

    /// Starts the clients once the servers have spoken, or not at all if something has gone wrong before.
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
        // That it was told to end, as the last one, is nobody's news.
        if process.name == PROXY && child.was_told {
            return Ok(());
        }
        // Each begins its lines with its name, which is shown anyway.
        let text = text.strip_prefix(&format!("{}: ", process.name)).unwrap_or(&text);
        if let Some(error) = text.strip_prefix("error: ") {
            child.error = Some(error.to_owned());
        }
        // Somebody who complains is about to end, which decides.
        child.has_spoken |= child.error.is_none();
        let folder = format!("{}/", self.plan.folder.display());
        self.show.said(who, process, &text.replace(&folder, ""));
        Ok(())
    }

    /// A process has closed its output: it has ended, or is about to.
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
        // It came to the end of the run, and has said what it could not deliver.
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

    /// The first process has failed.
    fn fail(&mut self, now: Time) {
        // Without clients nobody has anything to save.
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

    /// The first time everybody is told, the second time everybody is killed.
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

    /// What is planned already is kept if it comes sooner.
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

    /// Does it; false if there is nobody to do it to.
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

    /// Lets go on what was stopped for a while, and starts again what was killed for a while.
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

    /// A proxy serves until it is told to end: when all others have.
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
        // One that came while the last process ended.
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
    /// However this ends, nothing is left behind.
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
