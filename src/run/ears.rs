//! What the processes of a run say, and what its user asks for. A thread per process turns its output into words, its
//! end included, and signals become words too, so that whoever waits for them polls nothing.

use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use super::process::Process;
use crate::exit::Exit;
use crate::lock::lock;

/// Something that happened.
pub(crate) enum Word {
    /// This process has said a line.
    Said(usize, Vec<u8>),
    /// It has closed its output: it has ended, or is about to.
    Closed(usize),
    /// The user wants an end.
    Asked(Exit),
}

/// The receiver of the signals that ask for an end: the run that is going on, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Ears(Arc<Mutex<Option<Sender<Word>>>>);

impl Ears {
    /// Passes on that the user wants an end; false if nothing is going on that would have to be ended.
    pub(crate) fn hear(&self, exit: Exit) -> bool {
        let to = lock(&self.0);
        to.as_ref().is_some_and(|to| to.send(Word::Asked(exit)).is_ok())
    }

    /// A run begins: where the words go in, and where they come out.
    pub(crate) fn open(&self) -> (Sender<Word>, Receiver<Word>) {
        let (sender, words) = channel();
        self.lead_to(Some(sender.clone()));
        (sender, words)
    }

    /// It is over.
    pub(crate) fn close(&self) {
        self.lead_to(None);
    }

    fn lead_to(&self, to: Option<Sender<Word>>) {
        *lock(&self.0) = to;
    }
}

/// Starts a process in a group of its own, with its output and its complaints in one pipe; they are words of `who`.
pub(crate) fn start(process: &Process, input: Stdio, who: usize, words: &Sender<Word>) -> io::Result<Child> {
    let (reader, writer) = io::pipe()?;
    let child = process
        .command()
        .stdin(input)
        .stdout(writer.try_clone()?)
        .stderr(writer)
        // Ctrl-C on the terminal is for us; they hear of it once, from us.
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

/// Sends a signal to a process that we have not waited for.
pub(crate) fn signal(child: &Child, signal: Signal) {
    // It may have ended just now, and then it is a process of its own kind until we have waited for it.
    let _ = kill_process(Pid::from_child(child), signal);
}
