//! The limits of the system for a process: the number of open files, and the size of a file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

use crate::exit::{Exit, Failure};

/// Files that a program of a run opens beside those of its peers.
pub const OWN_FILES: u64 = 32;
/// Connections of a client to the forwarder.
pub const FILES_A_CLIENT: u64 = 3;

/// Raises the limit of open files as far as possible, and turns the limit of a file's size into an error like a full
/// disk, where SIGXFSZ would end the process.
pub fn prepare() {
    let limit = getrlimit(Resource::Nofile);
    // On failure the old limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let _ = caught(SIGXFSZ);
}

/// Catches a signal and ignores it; unlike an ignored one, it is not inherited by programs that this one starts.
fn caught(signal: i32) -> io::Result<()> {
    signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).map(|_| ())
}

/// Refuses to work with so few open files that ZeroMQ would abort the process.
///
/// # Errors
/// Exit 74.
pub fn suffice(clients: usize) -> Result<(), Failure> {
    let needed = OWN_FILES.saturating_add(FILES_A_CLIENT.saturating_mul(clients as u64));
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => {
            let message = format!("this process may open only {limit} files, and needs {needed}");
            Err(Failure::new(Exit::Io, message).help("`ulimit -n 4096` before it starts allows more"))
        }
        _ => Ok(()),
    }
}
