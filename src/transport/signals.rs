//! SIGINT, SIGTERM and SIGHUP as something to poll: the first one asks the program to end, the second one ends it.
//!
//! A program that started others is told of every signal, and the others end with it. SIGHUP stays ignored if the
//! program was started with it ignored, as by `nohup`, and never counts as the second signal: a closed terminal may
//! send it twice, and a service manager right after SIGTERM. SIGQUIT keeps the system's action: it ends a hanging
//! program at once. A forwarder or a router with keys reads them again at SIGHUP, and goes on. SIGPIPE is ignored by Rust's runtime: a write to a closed pipe is an error that is handled.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::exit::{Exit, Failure};

/// The signals that ask a program to end, each with the end that it means.
const ASKS: [(i32, Exit); 3] =
    [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated), (SIGHUP, Exit::HungUp)];

/// The signals that ask the program to end.
#[derive(Debug)]
pub struct Signals(Vec<(UnixStream, Exit)>);

impl Signals {
    /// Catches the signals from now on. To be called once in a process.
    ///
    /// # Errors
    /// [`Exit::Bug`] if the system refuses, which it has no reason to.
    pub fn catch() -> Result<Self, Failure> {
        Self::try_catch(asks()).map_err(|error| cannot_catch(&error))
    }

    /// Catches the signals except SIGHUP, for a program to which that means something else. To be called once in a
    /// process.
    ///
    /// # Errors
    /// As [`Signals::catch`].
    pub fn catch_others() -> Result<Self, Failure> {
        Self::try_catch(asks().filter(|&(signal, _)| signal != SIGHUP)).map_err(|error| cannot_catch(&error))
    }

    fn try_catch(asks: impl Iterator<Item = (i32, Exit)>) -> std::io::Result<Self> {
        let once = Arc::new(AtomicBool::new(false));
        let pipe = |(signal, exit): (i32, Exit)| {
            if signal != SIGHUP {
                // In this order: the first signal finds the flag unset and sets it, the second one ends the process.
                let code = exit.code().into();
                signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&once))?;
                signal_hook::flag::register(signal, Arc::clone(&once))?;
            }
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            std::io::Result::Ok((reader, exit))
        };
        asks.map(pipe).collect::<std::io::Result<_>>().map(Self)
    }

    /// Returns signals that never come, for a thread whose process catches them elsewhere.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Returns the descriptors to poll for reading.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|(stream, _)| stream.as_fd())
    }

    /// Returns the end that was asked for.
    #[must_use]
    pub fn received(&self) -> Option<Exit> {
        let came = |mut stream: &UnixStream| stream.read(&mut [0]).is_ok_and(|bytes| bytes > 0);
        self.0.iter().find(|(stream, _)| came(stream)).map(|&(_, exit)| exit)
    }
}

/// Returns the signals that this process obeys.
fn asks() -> impl Iterator<Item = (i32, Exit)> {
    ASKS.into_iter().filter(|&(signal, _)| signal != SIGHUP || !was_ignored(SIGHUP))
}

/// Returns whether the process ignores `signal`, mostly because it was started so. Only Linux shows that without
/// `unsafe` code; elsewhere the answer is no.
fn was_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// Calls `hear`, in a thread of its own, for every signal that asks the program to end. If it returns false, the
/// program ends. To be called once in a process, instead of [`Signals::catch`].
///
/// # Errors
/// [`Exit::Bug`] if the system refuses, which it has no reason to.
pub fn listen(hear: impl Fn(Exit) -> bool + Send + 'static) -> Result<(), Failure> {
    let mut signals = signal_hook::iterator::Signals::new(asks().map(|(signal, _)| signal))
        .map_err(|error| cannot_catch(&error))?;
    std::thread::spawn(move || {
        let mut was_asked = false;
        for signal in signals.forever() {
            if std::mem::replace(&mut was_asked, true) && signal == SIGHUP {
                continue;
            }
            let asked = ASKS.into_iter().find(|&(known, _)| known == signal);
            let exit = asked.map_or(Exit::Terminated, |(_, exit)| exit);
            if !hear(exit) {
                std::process::exit(exit.code().into());
            }
        }
    });
    Ok(())
}

/// Returns a flag that each SIGUSR1 sets from now on: a request for a report.
///
/// # Errors
/// [`Exit::Bug`] if the system refuses, which it has no reason to.
pub fn on_request() -> Result<Arc<AtomicBool>, Failure> {
    flag(SIGUSR1)
}

/// Returns a flag that each SIGHUP sets from now on, also if it was ignored: a request to read files again. Beside
/// [`Signals::catch_others`].
///
/// # Errors
/// [`Exit::Bug`] if the system refuses, which it has no reason to.
pub fn on_hangup() -> Result<Arc<AtomicBool>, Failure> {
    flag(SIGHUP)
}

fn flag(signal: i32) -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, flag.clone()).map_err(|error| cannot_catch(&error))?;
    Ok(flag)
}

fn cannot_catch(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Bug, format!("cannot catch signals: {error}"))
}

/// The environment variable with the process number of a parent that wants this program to end with itself.
pub const PARENT: &str = "GROUPCAST_PARENT";

/// Lets the system terminate this process when the one that [`PARENT`] names ends, for any reason.
///
/// Only Linux can do that; elsewhere this does nothing.
pub fn end_with_parent() {
    #[cfg(target_os = "linux")]
    if let Some(parent) = std::env::var(PARENT).ok().and_then(|pid| pid.parse::<i32>().ok()) {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        let asked = set_parent_process_death_signal(Some(Signal::TERM));
        // The parent may have ended before.
        if asked.is_ok() && getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
            std::process::exit(Exit::Terminated.code().into());
        }
    }
}

/// Returns the failure of an interruption.
#[must_use]
pub fn interruption(exit: Exit) -> Failure {
    let name = match exit {
        Exit::Terminated => "terminated (SIGTERM)",
        Exit::HungUp => "hung up (SIGHUP)",
        _ => "interrupted (Ctrl-C)",
    };
    Failure::new(exit, name)
}
