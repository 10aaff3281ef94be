//! One process of a round: what it is told on its command line, and what it tells on standard output.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use serde::{Deserialize, Serialize};

use super::delays::Counted;
use super::ledger::Witness;
use super::usage::Usage;
use super::workload::Workload;
use super::{baseline, member};
use crate::cli::KnownBad;
use crate::exit::{Exit, Failure};
use crate::talk::Talk;

/// What one process is to be.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Part {
    pub(super) role: Role,
    /// Where what is in the middle listens.
    pub(super) host: String,
    pub(super) port_base: u16,
    /// Which of its group, from 0, and which group.
    pub(super) me: u16,
    pub(super) group: u16,
    pub(super) workload: Workload,
}

/// The parts there are.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Role {
    /// A member of ours.
    Member { order: String, method: Option<String>, out: Option<PathBuf>, history: bool, safe: bool },
    /// What stands in the middle of a baseline.
    Middle(Baseline),
    /// A member of a baseline.
    Plain(Baseline),
}

/// What ours is compared with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
pub(super) enum Baseline {
    /// Plain multicast through `zmq_proxy`: one packet a message, no order
    Proxy,
    /// Packed messages that a sequencer stamps and nobody repairs
    Bound,
}

/// What a process tells.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Event {
    /// Everybody can be heard; it waits for a line that says go.
    Ready,
    /// It is still at work, and has delivered so many.
    Progress(u64),
    /// It has everything, or was interrupted.
    Account(Box<Account>),
}

/// What a member has done and seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Account {
    pub(super) me: u16,
    pub(super) group: u16,
    /// Whether it has everything.
    pub(super) is_whole: bool,
    pub(super) multicasts: u64,
    /// Deliveries after the warm-up, and how long they took.
    pub(super) timed: u64,
    pub(super) micros: u64,
    pub(super) witness: Witness,
    /// From when its own multicasts were to be sent to their delivery here.
    pub(super) round_trips: Counted,
    /// The same for everybody's.
    pub(super) delays: Counted,
    pub(super) usage: Usage,
}

/// Plays the part that the parent has written down.
///
/// # Errors
/// What ended it before its end; [`Exit::Violated`] for an order that is not kept.
pub(super) fn play(text: &str, known_bad: &KnownBad, talk: &Talk) -> Result<Exit, Failure> {
    let part: Part = serde_json::from_str(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("--part is for our own use: {error}")))?;
    match &part.role {
        Role::Member { .. } => member::run(&part, known_bad, talk),
        Role::Middle(kind) => baseline::stand_in_the_middle(*kind, &part),
        Role::Plain(kind) => baseline::run(*kind, &part),
    }
}

impl Part {
    /// The name of its group.
    pub(super) fn group_name(&self) -> String {
        format!("g{}", self.group + 1)
    }

    /// Its own name; also that of its process.
    pub(super) fn name(&self) -> String {
        match self.role {
            Role::Middle(_) => "middle".to_owned(),
            _ if self.workload.groups == 1 => format!("c{}", self.me + 1),
            _ => format!("{}-c{}", self.group_name(), self.me + 1),
        }
    }
}

impl Event {
    /// Tells the parent.
    ///
    /// # Errors
    /// [`Exit::Io`] if it does not listen any more.
    pub(super) fn tell(&self) -> Result<(), Failure> {
        let line = serde_json::to_string(self).expect("numbers and names have a JSON form");
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(Exit::Io, format!("cannot tell the parent: {error}")))
    }

    /// What a line of output tells; nothing if it is one for people.
    pub(super) fn heard(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Where the word of the parent comes that everybody is ready.
pub(super) fn go() -> Receiver<()> {
    let (sender, word) = channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        let _ = sender.send(());
    });
    word
}
