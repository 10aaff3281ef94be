//! Child processes of one run: started, watched, signalled and ended, with none left behind.
//!
//! One thread for each process reads its output and sends an event for each line, so the owner of the processes does
//! not poll. It takes the events one after the other and looks at the clock in between.

use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) use end::End;
pub(crate) use ports::Ports;

use crate::driver::Clock;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::lock::lock;
use crate::transport::signals::PARENT;

mod end;
mod ports;

/// The longest interval between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// The programs of a run, beside `groupcast`.
pub(crate) const PROGRAMS: [&str; 4] = ["forwarder", "router", "sequencer", "client"];

/// An event.
pub(crate) enum Event {
    /// The process with this number wrote a line.
    Line(usize, Vec<u8>),
    /// The process closed its output: it has ended, or is about to.
    Closed(usize),
    /// The user asked for the end of all processes, with this exit code.
    Interrupted(Exit),
}

/// A way to end all processes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// SIGTERM, and SIGKILL after this time.
    Terminate(Duration),
    Kill,
}

/// A process, with the state that its owner keeps about it.
pub(crate) struct Running<T> {
    pub(crate) name: String,
    child: Child,
    /// The last error that it reported.
    pub(crate) error: Option<String>,
    /// True if it was told to end.
    pub(crate) was_told: bool,
    pub(crate) end: Option<End>,
    pub(crate) state: T,
}

impl<T> Running<T> {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the standard input of the process, if it is a pipe.
    pub(crate) const fn input(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Sends a signal to the process, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.end.is_none() {
            // A process that has just ended is a zombie until it is waited for, so no other has its number.
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Tells the process to end.
    pub(crate) fn stop(&mut self, signal: Signal) {
        self.was_told |= self.end.is_none();
        self.signal(signal);
    }
}

/// The processes of one run, numbered in the order in which they started.
pub(crate) struct Processes<T> {
    pub(crate) all: Vec<Running<T>>,
    /// The time and the way of the end of those that are left then.
    pub(crate) planned: Option<(Time, Stop)>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    interrupts: Interrupts,
    clock: Clock,
}

impl<T> Processes<T> {
    /// Prepares a run that `interrupts` can end.
    pub(crate) fn new(interrupts: &Interrupts) -> Self {
        let (sender, events) = channel();
        interrupts.connect(Some(sender.clone()));
        let (interrupts, clock) = (interrupts.clone(), Clock::start());
        Self { all: Vec::new(), planned: None, sender, events, interrupts, clock }
    }

    /// Starts a process under the next number, or again under the number of one that has ended. It has a process group
    /// of its own, output and errors in one pipe, and none of the environment variables that set options of this
    /// program.
    ///
    /// # Errors
    /// [`Exit::Unavailable`].
    pub(crate) fn start(
        &mut self,
        number: usize,
        name: &str,
        mut command: Command,
        state: T,
    ) -> Result<&Running<T>> {
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.as_encoded_bytes().starts_with(b"GROUPCAST_")) {
            command.env_remove(name);
        }
        command.env(PARENT, std::process::id().to_string());
        // Ctrl-C on the terminal signals this program alone, which passes it on to the processes once.
        command.process_group(0);
        let mut start = || {
            let (reader, writer) = io::pipe()?;
            let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
            let sender = self.sender.clone();
            std::thread::spawn(move || read(number, reader, &sender));
            io::Result::Ok(child)
        };
        let child =
            start().with_context(|| Failure::new(Exit::Unavailable, format!("cannot start {name}")))?;
        let process =
            Running { name: name.to_owned(), child, error: None, was_told: false, end: None, state };
        match self.all.get_mut(number) {
            Some(ended) => *ended = process,
            None => self.all.push(process),
        }
        Ok(&self.all[number])
    }

    /// Waits a short time for events; returns those that have arrived, and the time.
    pub(crate) fn events(&mut self) -> (Vec<Event>, Time) {
        let first = self.events.recv_timeout(TICK).ok();
        let events = first.into_iter().chain(self.events.try_iter()).collect();
        (events, self.clock.now())
    }

    /// Returns the exit code of an interruption that arrived after the last events were taken.
    pub(crate) fn late_interruption(&self) -> Option<Exit> {
        self.events.try_iter().find_map(|event| match event {
            Event::Interrupted(exit) => Some(exit),
            Event::Line(..) | Event::Closed(_) => None,
        })
    }

    pub(crate) fn now(&mut self) -> Time {
        self.clock.now()
    }

    /// Waits for the end of a process that has closed its output.
    ///
    /// # Errors
    /// [`Exit::Io`] if the system does not report it.
    pub(crate) fn wait(&mut self, number: usize) -> Result<End> {
        let process = &mut self.all[number];
        let status = process.child.wait();
        let end =
            status.with_context(|| Failure::new(Exit::Io, format!("cannot wait for {}", process.name)))?;
        Ok(*process.end.insert(end.into()))
    }

    pub(crate) fn are_over(&self) -> bool {
        self.all.iter().all(|process| process.end.is_some())
    }

    /// Plans the end of all processes, unless an earlier one is planned.
    pub(crate) fn plan_stop(&mut self, at: Time, how: Stop) {
        if self.planned.is_none_or(|(planned, _)| planned > at) {
            self.planned = Some((at, how));
        }
    }

    /// Ends the processes that are left when the planned time has come.
    pub(crate) fn stop_as_planned(&mut self, now: Time) {
        match self.planned.filter(|(at, _)| now >= *at) {
            Some((_, Stop::Terminate(grace))) => {
                self.stop(Signal::TERM);
                self.planned = Some((now.after(grace), Stop::Kill));
            }
            Some((_, Stop::Kill)) => {
                self.stop(Signal::KILL);
                self.planned = None;
            }
            None => {}
        }
    }

    /// Tells all processes that are left to end.
    pub(crate) fn stop(&mut self, signal: Signal) {
        self.all.iter_mut().for_each(|process| process.stop(signal));
    }
}

impl<T> Drop for Processes<T> {
    /// Kills and waits for all processes that are left, whatever ended the run.
    fn drop(&mut self) {
        self.interrupts.connect(None);
        self.stop(Signal::KILL);
        for process in self.all.iter_mut().filter(|process| process.end.is_none()) {
            let _ = process.child.wait();
        }
    }
}

/// Passes signals that ask for an end on to the current run, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Interrupts(Arc<Mutex<Option<Sender<Event>>>>);

impl Interrupts {
    /// Reports to the current run that the user asked for its end; returns false if there is none.
    pub(crate) fn interrupt(&self, exit: Exit) -> bool {
        lock(&self.0).as_ref().is_some_and(|run| run.send(Event::Interrupted(exit)).is_ok())
    }

    fn connect(&self, run: Option<Sender<Event>>) {
        *lock(&self.0) = run;
    }
}

/// Sends each line of a process, and the end of its output.
fn read(number: usize, output: PipeReader, events: &Sender<Event>) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        if events.send(Event::Line(number, line)).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Closed(number));
}

/// Returns the folder of the programs, which is the one of this program.
///
/// # Errors
/// [`Exit::Unavailable`] if one of them is missing.
pub(crate) fn folder_of_programs() -> Result<PathBuf> {
    let me = std::env::current_exe().context(Failure::new(Exit::Unavailable, "cannot find the programs"))?;
    let folder = me.parent().unwrap_or(Path::new("")).to_owned();
    match PROGRAMS.iter().find(|name| !folder.join(name).is_file()) {
        None => Ok(folder),
        Some(missing) => {
            let message = format!("there is no {missing} beside {}", me.display());
            bail!(
                Failure::new(Exit::Unavailable, message)
                    .help("the programs belong into one folder: cargo build --bins makes them all")
            )
        }
    }
}
