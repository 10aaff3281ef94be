//! The supervisor starts the processes of a run, injects its faults, and watches it to the end.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::clients::is_proxy;
use super::plan::Plan;
use super::process::Death;
use super::show::Show;
use super::starve::Starvation;
use crate::client::{PROGRESS, Progress};
use crate::driver::meter::{SENT_AGAIN, UNDELIVERABLE};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::fault::process::{Act, Fault};
use crate::fault::report::Report;
use crate::processes::{End, Event, Interrupts, Processes, Running, Stop};

/// The time for the others to end by themselves after one has failed, or after an interruption.
const GRACE: Duration = Duration::from_secs(5);
/// The time for the servers to end after all clients have; a forwarder waits this long for a silent member.
const SERVERS_GRACE: Duration = Duration::from_secs(10);
/// The end of processes that did not end by themselves.
const STOP: Stop = Stop::Terminate(Duration::from_secs(2));
/// The time after which the clients start even if some server has written no line. A line shows that a server has its
/// ports.
const SERVERS_LIMIT: Duration = Duration::from_secs(5);

/// The end of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The exit code of an interruption by the user.
    pub(super) interrupted: Option<Exit>,
    /// The process that spoiled the run.
    pub(super) culprit: Option<Death>,
    /// The reports on the faults.
    pub(super) faults: Vec<Report>,
    /// The number of packets that members sent again.
    pub(super) sent_again: u64,
    /// The number of undeliverable direct messages.
    pub(super) undeliverable: u64,
    pub(super) took: Duration,
}

/// The state of one process.
struct State {
    log: File,
    has_spoken: bool,
    progress: Option<Progress>,
    sent_again: u64,
    undeliverable: u64,
    /// The time to start it again, after it was killed.
    restart: Option<Time>,
    /// True if a fault kills it while the others go on.
    dies: bool,
    /// The time to resume it, after it was stopped.
    resume: Option<Time>,
}

/// Runs the processes of `plan` to their end.
///
/// # Errors
/// If a process cannot be started, or a log cannot be written; the others have been ended then.
pub(super) fn watch(
    plan: &Plan,
    faults: &[Fault],
    interrupts: &Interrupts,
    show: &mut dyn Show,
) -> Result<Outcome> {
    let mut supervisor = Supervisor {
        plan,
        show,
        processes: Processes::new(interrupts),
        faults: faults.to_vec(),
        reports: Vec::new(),
        starvations: Vec::new(),
        began: None,
        deaths: Vec::new(),
        interrupted: None,
    };
    let watched = supervisor.watch();
    supervisor.show.close();
    watched.map(|()| supervisor.outcome())
}

struct Supervisor<'a> {
    plan: &'a Plan,
    show: &'a mut dyn Show,
    /// The started processes, in the order of the plan.
    processes: Processes<State>,
    /// The faults that are still to come.
    faults: Vec<Fault>,
    /// The reports on the others.
    reports: Vec<Report>,
    starvations: Vec<Starvation>,
    /// The time at which the clients were started.
    began: Option<Time>,
    /// The processes that failed without being told to end, in the order of their ends.
    deaths: Vec<Death>,
    interrupted: Option<Exit>,
}

impl Supervisor<'_> {
    fn watch(&mut self) -> Result<()> {
        (0..self.plan.servers).try_for_each(|server| self.start(server))?;
        while self.began.is_none() || self.processes.all.iter().any(is_at_work) {
            let (events, now) = self.processes.events();
            events.into_iter().try_for_each(|event| self.handle(event, now))?;
            self.start_clients(now)?;
            self.do_faults(now);
            self.undo_faults(now)?;
            self.end_proxies();
            self.processes.stop_as_planned(now);
            self.show.tick(now);
        }
        Ok(())
    }

    /// Starts the process with this number of the plan, or starts it again.
    fn start(&mut self, number: usize) -> Result<()> {
        let process = &self.plan.processes[number];
        let log = self.plan.log(process);
        // A process that is started again keeps its log.
        let log =
            File::options().create(true).append(true).open(&log).with_context(|| {
                Failure::new(Exit::CannotCreate, format!("cannot create {}", log.display()))
            })?;
        let state = State {
            log,
            has_spoken: false,
            progress: None,
            sent_again: 0,
            undeliverable: 0,
            restart: None,
            dies: false,
            resume: None,
        };
        let running = self.processes.start(number, &process.name, process.command(), state)?;
        self.show.started(process, running.id());
        Ok(())
    }

    /// Starts the clients once all servers have written a line, but not if the run has failed or was interrupted
    /// before.
    fn start_clients(&mut self, now: Time) -> Result<()> {
        let is_ready = |server: &Running<State>| server.state.has_spoken || server.end.is_some();
        let is_ready = self.processes.all.iter().all(is_ready);
        if self.began.is_some() || !(is_ready || now >= Time::ZERO.after(SERVERS_LIMIT)) {
            return Ok(());
        }
        self.began = Some(now);
        if self.deaths.is_empty() && self.interrupted.is_none() {
            let mut clients = self.plan.servers..self.plan.processes.len();
            return clients.try_for_each(|client| self.start(client));
        }
        Ok(())
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<()> {
        match event {
            Event::Line(number, line) => self.take_line(number, &line, now),
            Event::Closed(number) => self.closed(number, now),
            Event::Interrupted(exit) => {
                self.interrupt(exit, now);
                Ok(())
            }
        }
    }

    fn take_line(&mut self, number: usize, line: &[u8], now: Time) -> Result<()> {
        let (process, running) = (&self.plan.processes[number], &mut self.processes.all[number]);
        let state = &mut running.state;
        let text = String::from_utf8_lossy(line);
        if let Some(progress) = text.strip_prefix(PROGRESS).and_then(|json| serde_json::from_str(json).ok()) {
            state.progress = Some(progress);
            self.show.progressed(number, process, progress, now);
            return Ok(());
        }
        if let Some(count) = text.strip_prefix(SENT_AGAIN).and_then(|count| count.parse::<u64>().ok()) {
            state.sent_again += count;
            return Ok(());
        }
        if let Some(count) = text.strip_prefix(UNDELIVERABLE).and_then(|count| count.parse::<u64>().ok()) {
            state.undeliverable = count;
            return Ok(());
        }
        state.log.write_all(line).and_then(|()| state.log.write_all(b"\n")).with_context(|| {
            Failure::new(Exit::Io, format!("cannot write {}", self.plan.log(process).display()))
        })?;
        if is_proxy(&process.name) && text.starts_with('{') {
            self.reports.extend(Report::of_proxy(&text));
            return Ok(());
        }
        // The user need not see how the proxy ends.
        if is_proxy(&process.name) && running.was_told {
            return Ok(());
        }
        // Programs begin their lines with their name, which the report shows anyway.
        let text = text.strip_prefix(&format!("{}: ", process.name)).unwrap_or(&text);
        if let Some(error) = text.strip_prefix("error: ") {
            running.error = Some(error.to_owned());
        }
        // An error does not count: the process is about to end, and its end decides.
        state.has_spoken |= running.error.is_none();
        let folder = format!("{}/", self.plan.folder.display());
        self.show.said(number, process, &text.replace(&folder, ""));
        Ok(())
    }

    /// Handles the end of a process, which has closed its output.
    fn closed(&mut self, number: usize, now: Time) -> Result<()> {
        let end = self.processes.wait(number)?;
        let (process, running) = (&self.plan.processes[number], &self.processes.all[number]);
        let end = if is_proxy(&process.name) && running.was_told { End::Code(0) } else { end };
        let state = &running.state;
        let death = Death {
            name: process.name.clone(),
            end,
            error: running.error.clone(),
            delivered: state.progress.map(|progress| progress.delivered),
        };
        let was_told = running.was_told || state.restart.is_some() || state.dies;
        self.show.ended(number, process, &death, was_told);
        // The client reached the end of the run and reported its undeliverable messages.
        let is_complete = end == End::Code(Exit::Unavailable.code()) && state.undeliverable > 0;
        if !end.is_good() && !was_told && !is_complete {
            if self.deaths.is_empty() {
                self.fail(now);
            }
            self.deaths.push(death);
        } else if self.are_clients_done() {
            self.processes.plan_stop(now.after(SERVERS_GRACE), STOP);
        }
        Ok(())
    }

    /// Plans the end of the others after the first process has failed.
    fn fail(&mut self, now: Time) {
        // Without clients there is nothing to save.
        let grace = if self.began.is_some() { GRACE } else { Duration::ZERO };
        if !self.processes.are_over() && grace > Duration::ZERO {
            self.show.notice(&format!("the others have {} s to end by themselves", grace.as_secs()));
        }
        self.processes.plan_stop(now.after(grace), STOP);
    }

    fn are_clients_done(&self) -> bool {
        self.processes.all.len() == self.plan.processes.len()
            && self.processes.all[self.plan.servers..].iter().all(|client| client.end.is_some())
    }

    /// Ends all processes: gently the first time, with SIGKILL the second time.
    fn interrupt(&mut self, exit: Exit, now: Time) {
        if self.interrupted.is_some() {
            self.show.notice("killing them all");
            return self.processes.stop(Signal::KILL);
        }
        self.interrupted = Some(exit);
        self.show.notice("ending; once more kills at once");
        self.processes.stop(if exit == Exit::Interrupted { Signal::INT } else { Signal::TERM });
        self.processes.planned = Some((now.after(GRACE), Stop::Kill));
    }

    fn do_faults(&mut self, now: Time) {
        let Some(began) = self.began else { return };
        for fault in self.faults.extract_if(.., |fault| now >= began.after(fault.after)).collect::<Vec<_>>() {
            let has_acted = self.do_fault(&fault, now);
            if has_acted {
                self.show.notice(&format!("as the scenario says: {fault}"));
            }
            self.reports.push(Report::of_process(&fault, has_acted));
        }
    }

    /// Performs a fault; returns false if its process is not running.
    fn do_fault(&mut self, fault: &Fault, now: Time) -> bool {
        if let Act::Starve { threads, lasts } = fault.act {
            self.starvations.push(Starvation::start(threads, now.after(lasts)));
            return true;
        }
        let target = self.processes.all.iter_mut().find(|running| Some(&running.name) == fault.process());
        let Some(target) = target.filter(|running| running.end.is_none()) else { return false };
        match fault.act {
            Act::Signal { signal, dies, .. } => {
                target.state.dies = dies;
                target.signal(signal);
            }
            Act::Pause { lasts, .. } => {
                target.state.resume = target.state.resume.max(Some(now.after(lasts)));
                target.signal(Signal::STOP);
            }
            Act::Restart { pause, .. } => {
                target.state.restart = Some(now.after(pause));
                target.signal(Signal::KILL);
            }
            Act::Starve { .. } => {}
        }
        true
    }

    /// Resumes stopped processes and restarts killed ones when their time has come.
    fn undo_faults(&mut self, now: Time) -> Result<()> {
        let is_due = |at: &mut Time| now >= *at;
        self.starvations.retain(|starvation| now < starvation.until);
        let is_over = self.processes.planned.is_some() || self.interrupted.is_some();
        for number in 0..self.processes.all.len() {
            let running = &mut self.processes.all[number];
            if running.state.resume.take_if(is_due).is_some() {
                running.signal(Signal::CONT);
            }
            if is_over && running.end.is_some() {
                running.state.restart = None;
            } else if running.end.is_some() && running.state.restart.take_if(is_due).is_some() {
                self.start(number)?;
            }
        }
        Ok(())
    }

    /// Ends the proxies, which run until they are told to end, once all others have ended.
    fn end_proxies(&mut self) {
        let is_proxy = |running: &Running<State>| is_proxy(&running.name);
        let is_alone = self.processes.all.iter().all(|running| is_proxy(running) || !is_at_work(running));
        if self.began.is_some() && is_alone {
            let proxies =
                self.processes.all.iter_mut().filter(|running| is_proxy(running) && !running.was_told);
            proxies.for_each(|proxy| proxy.stop(Signal::TERM));
        }
    }

    fn outcome(&mut self) -> Outcome {
        let states = || self.processes.all.iter().map(|running| &running.state);
        let idle = self.faults.iter().map(|fault| Report::of_process(fault, false));
        Outcome {
            // An interruption may have arrived while the last process ended.
            interrupted: self.interrupted.or_else(|| self.processes.late_interruption()),
            culprit: self.deaths.iter().min_by_key(|death| death.end.suspicion()).cloned(),
            sent_again: states().map(|state| state.sent_again).sum(),
            undeliverable: states().map(|state| state.undeliverable).sum(),
            faults: self.reports.drain(..).chain(idle).collect(),
            took: self.began.map_or(Duration::ZERO, |began| self.processes.now().since(began)),
        }
    }
}

fn is_at_work(process: &Running<State>) -> bool {
    process.end.is_none() || process.state.restart.is_some()
}
