//! SIGINT and SIGTERM as something to poll: the first one asks the program to end, the second one ends it.
//!
//! A program that started others hears of every one, and the others end when it does.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::{Exit, Failure};

/// Tells when the program has been asked to end.
#[derive(Debug)]
pub struct Signals {
    int: UnixStream,
    term: UnixStream,
}

impl Signals {
    /// Catches the signals from now on. Once a process.
    ///
    /// # Errors
    /// [`Exit::Bug`] if the system refuses, which it has no reason to.
    pub fn catch() -> Result<Self, Failure> {
        Self::try_catch().map_err(|error| Failure::new(Exit::Bug, format!("cannot catch signals: {error}")))
    }

    fn try_catch() -> std::io::Result<Self> {
        let once = Arc::new(AtomicBool::new(false));
        let pipe = |signal: i32, code: i32| {
            // In this order: the first signal finds the flag unset and then sets it, the second one ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&once))?;
            signal_hook::flag::register(signal, Arc::clone(&once))?;
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            std::io::Result::Ok(reader)
        };
        Ok(Self { int: pipe(SIGINT, 130)?, term: pipe(SIGTERM, 143)? })
    }

    /// What to poll for reading.
    #[must_use]
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.int.as_fd(), self.term.as_fd()]
    }

    /// The end that was asked for.
    #[must_use]
    pub fn received(&self) -> Option<Exit> {
        let came = |mut stream: &UnixStream| stream.read(&mut [0]).is_ok_and(|bytes| bytes > 0);
        if came(&self.int) {
            Some(Exit::Interrupted)
        } else if came(&self.term) {
            Some(Exit::Terminated)
        } else {
            None
        }
    }
}

/// Tells `hear` of every SIGINT and SIGTERM from now on, from a thread of its own. One that it does not want to know
/// about (false) ends the program. Once a process, instead of [`Signals::catch`].
///
/// # Errors
/// [`Exit::Bug`] if the system refuses, which it has no reason to.
pub fn listen(hear: impl Fn(Exit) -> bool + Send + 'static) -> Result<(), Failure> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::new(Exit::Bug, format!("cannot catch signals: {error}")))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let exit = if signal == SIGTERM { Exit::Terminated } else { Exit::Interrupted };
            if !hear(exit) {
                std::process::exit(exit.code().into());
            }
        }
    });
    Ok(())
}

/// The environment variable that tells a program who started it and wants it to end with itself: a process number.
pub const PARENT: &str = "GROUPCAST_PARENT";

/// Lets this process be terminated when the one that [`PARENT`] names ends, whatever ends that one.
///
/// It takes a request to the system that only some have; elsewhere this does nothing.
pub fn end_with_parent() {
    #[cfg(target_os = "linux")]
    if let Some(parent) = std::env::var(PARENT).ok().and_then(|pid| pid.parse::<i32>().ok()) {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        let asked = set_parent_process_death_signal(Some(Signal::TERM));
        // It may have ended before we asked.
        if asked.is_ok() && getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
            std::process::exit(Exit::Terminated.code().into());
        }
    }
}

/// The failure that an interruption is.
#[must_use]
pub fn interruption(exit: Exit) -> Failure {
    let name = if exit == Exit::Terminated { "terminated (SIGTERM)" } else { "interrupted (Ctrl-C)" };
    Failure::new(exit, name)
}
