//! The faults of the processes of a run, and of the machine.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;

use crate::units::exact_duration as time;

/// The signals that a scenario can name.
pub(crate) const SIGNALS: [(&str, Signal); 5] = [
    ("KILL", Signal::KILL),
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("STOP", Signal::STOP),
    ("CONT", Signal::CONT),
];

/// A fault with its time.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The time since the start of the clients.
    pub(crate) after: Duration,
    pub(crate) act: Act,
}

/// The kind of a fault.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A process gets a signal. If it `dies`, it ends because of the signal while the others go on.
    Signal { process: String, signal: Signal, dies: bool },
    /// A process is stopped for a while.
    Pause { process: String, lasts: Duration },
    /// A process is killed, and started again after a pause.
    Restart { process: String, pause: Duration },
    /// This many threads keep the processors busy.
    Starve { threads: u16, lasts: Duration },
}

impl Fault {
    /// Returns the process that the fault concerns.
    pub(crate) const fn process(&self) -> Option<&String> {
        match &self.act {
            Act::Signal { process, .. } | Act::Pause { process, .. } | Act::Restart { process, .. } => {
                Some(process)
            }
            Act::Starve { .. } => None,
        }
    }

    /// Returns the process that ends because of the fault while the others go on.
    pub(crate) fn victim(&self) -> Option<&str> {
        match &self.act {
            Act::Signal { process, dies: true, .. } => Some(process),
            _ => None,
        }
    }

    /// Returns the word for the kind of the fault.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.act {
            Act::Signal { .. } => "signal",
            Act::Pause { .. } => "pause",
            Act::Restart { .. } => "restart",
            Act::Starve { .. } => "starve",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", time(self.after))?;
        match &self.act {
            Act::Signal { process, signal, dies } => {
                let dies = if *dies { ", which dies" } else { "" };
                write!(f, "{} to {process}{dies}", name(*signal))
            }
            Act::Pause { process, lasts } => write!(f, "pause {process} for {}", time(*lasts)),
            Act::Restart { process, pause } => write!(f, "restart {process} within {}", time(*pause)),
            Act::Starve { threads, lasts } => write!(f, "starve with {threads} threads for {}", time(*lasts)),
        }
    }
}

/// Returns the name of a signal, without `SIG`.
pub(super) fn name(signal: Signal) -> &'static str {
    SIGNALS.into_iter().find(|(_, known)| *known == signal).map_or("a signal", |(name, _)| name)
}
