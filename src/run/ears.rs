//! The events that a supervisor waits for: output and ends of its processes, and signals. One thread per process reads
//! its output and sends an event for each line, so the supervisor does not poll.

use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use super::process::Process;
use crate::exit::Exit;
use crate::lock::lock;

/// An event.
pub(crate) enum Word {
    /// The process wrote a line.
    Said(usize, Vec<u8>),
    /// The process closed its output: it has ended, or is about to.
    Closed(usize),
    /// The user asked for the end of the run, with this exit code.
    Asked(Exit),
}

/// The target of signals that ask for an end: the current run, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Ears(Arc<Mutex<Option<Sender<Word>>>>);

impl Ears {
    /// Reports to the current run that the user asked for its end; returns false if there is none.
    pub(crate) fn hear(&self, exit: Exit) -> bool {
        let to = lock(&self.0);
        to.as_ref().is_some_and(|to| to.send(Word::Asked(exit)).is_ok())
    }

    /// Begins a run: returns both ends of its channel of events.
    pub(crate) fn open(&self) -> (Sender<Word>, Receiver<Word>) {
        let (sender, words) = channel();
        self.lead_to(Some(sender.clone()));
        (sender, words)
    }

    /// Ends the run.
    pub(crate) fn close(&self) {
        self.lead_to(None);
    }

    fn lead_to(&self, to: Option<Sender<Word>>) {
        *lock(&self.0) = to;
    }
}

/// Starts a process in a process group of its own, with output and errors in one pipe; its events carry the number
/// `who`.
pub(crate) fn start(process: &Process, input: Stdio, who: usize, words: &Sender<Word>) -> io::Result<Child> {
    let (reader, writer) = io::pipe()?;
    let child = process
        .command()
        .stdin(input)
        .stdout(writer.try_clone()?)
        .stderr(writer)
        // Ctrl-C on the terminal signals this process alone, which passes it on to the others once.
        .process_group(0)
        .spawn()?;
    let words = words.clone();
    std::thread::spawn(move || listen(who, reader, &words));
    Ok(child)
}

fn listen(who: usize, output: PipeReader, words: &Sender<Word>) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        if words.send(Word::Said(who, line)).is_err() {
            return;
        }
    }
    let _ = words.send(Word::Closed(who));
}

/// Sends a signal to a child process that has not been waited for.
pub(crate) fn signal(child: &Child, signal: Signal) {
    // A child that has just ended is a zombie until it is waited for, so its pid cannot belong to another process.
    let _ = kill_process(Pid::from_child(child), signal);
}
