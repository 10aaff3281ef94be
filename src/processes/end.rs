//! The end of a process, and its consequence for the run.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
use signal_hook::low_level::signal_name;

use crate::exit::Exit;

/// The end of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Code(u8),
    Signal(i32),
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code as u8),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl End {
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// Returns the exit code; `None` if a signal killed the process.
    pub(crate) const fn code(self) -> Option<u8> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }

    /// Returns the name of the signal that killed the process.
    pub(crate) fn signal(self) -> Option<&'static str> {
        match self {
            Self::Signal(signal) => Some(signal_name(signal).unwrap_or("a signal")),
            Self::Code(_) => None,
        }
    }

    /// Returns the exit code of a run that this process spoiled. A process that was stopped or killed counts as a lost
    /// peer, because 129, 130 and 143 mean that the run itself was interrupted.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Signal(SIGABRT | SIGBUS | SIGFPE | SIGILL | SIGSEGV | SIGTRAP) => Exit::Bug,
            Self::Signal(_) => Exit::Unavailable,
            Self::Code(code) => match Exit::from_code(code) {
                Some(exit) if exit.is_asked_for() => Exit::Unavailable,
                exit => exit.unwrap_or(Exit::Bug),
            },
        }
    }

    /// Returns a rank, smallest first, by which this end is likely the cause of the others: a killed process reports no
    /// error, and a process that lost a peer ended because of another.
    pub(crate) fn suspicion(self) -> u8 {
        match self {
            Self::Signal(_) => 0,
            Self::Code(code) if code == Exit::Unavailable.code() => 2,
            Self::Code(_) => 1,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(_) => write!(f, "killed by {}", self.signal().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_process_a_crash_and_an_exit_code_are_told_apart() {
        for (end, exit, shown) in [
            (End::Signal(9), Exit::Unavailable, "killed by SIGKILL"),
            (End::Signal(11), Exit::Bug, "killed by SIGSEGV"),
            (End::Code(129), Exit::Unavailable, "exit 129"),
            (End::Code(143), Exit::Unavailable, "exit 143"),
            (End::Code(65), Exit::BadData, "exit 65"),
            (End::Code(101), Exit::Bug, "exit 101"),
        ] {
            assert_eq!((end.exit(), &*end.to_string()), (exit, shown));
        }
        let mut ends = [End::Code(69), End::Code(65), End::Signal(9)];
        ends.sort_by_key(|end| end.suspicion());
        assert_eq!(ends, [End::Signal(9), End::Code(65), End::Code(69)]);
    }
}
