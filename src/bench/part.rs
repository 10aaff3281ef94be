//! One process of a round: its parameters from the command line, and its events on standard output.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use serde::{Deserialize, Serialize};

use super::delays::Counted;
use super::ledger::Witness;
use super::threads::Work;
use super::usage::Usage;
use super::workload::Workload;
use crate::cost::ByKind;
use crate::exit::{Exit, Failure};

/// The interval of progress reports to the parent, in microseconds.
pub(super) const REPORT_EVERY: u64 = 500_000;

/// The parameters of one process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Part {
    pub(super) role: Role,
    /// The address at which the process in the middle listens, and its first port.
    pub(super) host: String,
    pub(super) port_base: u16,
    /// The member's number in its group and the group's number, from 0.
    pub(super) me: u16,
    pub(super) group: u16,
    pub(super) workload: Workload,
    /// If the work of threads is counted: the processes whose work this one tells beside its own, by role and number.
    pub(super) watched: Option<Vec<(String, u32)>>,
}

/// The role of a process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Role {
    /// A groupcast member.
    Member {
        order: String,
        method: Option<String>,
        out: Option<PathBuf>,
        history: bool,
        safe: bool,
        keys: Option<PathBuf>,
    },
    /// A member of a cluster: its cluster file, the folder of the journals, whether it uses no IP multicast, and the file of
    /// its key.
    Cluster { file: PathBuf, data: PathBuf, unicast: bool, keys: Option<PathBuf> },
    /// The process in the middle of a baseline.
    Middle(Baseline),
    /// A member of a baseline.
    Plain(Baseline),
}

/// A system with which groupcast is compared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
pub(super) enum Baseline {
    /// Plain multicast through `zmq_proxy`: one packet a message, no order
    Proxy,
    /// Packed messages that a sequencer stamps and nobody repairs
    Bound,
}

/// An event of a process.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Event {
    /// All members have been heard; the process waits for a line from the parent.
    Ready,
    /// The process is at work, and has delivered this many messages.
    Progress(u64),
    /// The process has all messages, or was interrupted.
    Account(Box<Account>),
}

/// The results of a member.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Account {
    pub(super) me: u16,
    pub(super) group: u16,
    /// Whether it has all messages.
    pub(super) is_whole: bool,
    pub(super) multicasts: u64,
    /// The deliveries after the warm-up, and their duration.
    pub(super) timed: u64,
    pub(super) micros: u64,
    pub(super) witness: Witness,
    /// The delays of its own multicasts, from the time at which they were due to their delivery here.
    pub(super) round_trips: Counted,
    /// The delays of all members' multicasts.
    pub(super) delays: Counted,
    pub(super) usage: Usage,
    /// If it was counted: the work of the threads of processes, by role, since this one began to send.
    pub(super) work: Vec<(String, Vec<Work>)>,
    /// The packets of a groupcast member in a group.
    pub(super) packets: Option<Packets>,
}

/// The packets that a member sent and received.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Packets {
    pub(super) sent: ByKind,
    pub(super) received: ByKind,
}

impl Part {
    /// Returns the name of its group.
    pub(super) fn group_name(&self) -> String {
        group_name(self.group)
    }

    /// Returns the name of the process, which is also that of the member.
    pub(super) fn name(&self) -> String {
        match self.role {
            Role::Middle(_) => "middle".to_owned(),
            _ => member_name(self.workload.groups, self.group, self.me),
        }
    }
}

/// Returns the name of a member, where there are so many groups.
pub(super) fn member_name(groups: u16, group: u16, me: u16) -> String {
    match groups {
        1 => format!("c{}", me + 1),
        _ => format!("{}-c{}", group_name(group), me + 1),
    }
}

fn group_name(group: u16) -> String {
    format!("g{}", group + 1)
}

impl Event {
    /// Writes the event for the parent.
    ///
    /// # Errors
    /// [`Exit::Io`] if the parent no longer reads.
    pub(super) fn send(&self) -> Result<(), Failure> {
        let line = serde_json::to_string(self).expect("numbers and names have a JSON form");
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(Exit::Io, format!("cannot tell the parent: {error}")))
    }

    /// Parses a line of output; `None` for a line for people.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// The reports of the progress of a process at work.
pub(super) struct Reports {
    /// The time of the last one.
    last: u64,
}

impl Reports {
    /// Returns the reports of a process that begins now.
    pub(super) const fn begin(now: u64) -> Self {
        Self { last: now }
    }

    /// Reports the number of deliveries, if it is time to.
    ///
    /// # Errors
    /// As [`Event::send`].
    pub(super) fn report(&mut self, now: u64, delivered: u64) -> Result<(), Failure> {
        if now - self.last < REPORT_EVERY {
            return Ok(());
        }
        self.last = now;
        Event::Progress(delivered).send()
    }
}

/// Returns a channel that receives when the parent reports that all members are ready.
pub(super) fn go() -> Receiver<()> {
    let (sender, word) = channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        let _ = sender.send(());
    });
    word
}
