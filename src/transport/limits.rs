//! The limits that a system sets to a process: how many files it may open, and how large a file may become.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

use crate::exit::{Exit, Failure};

/// Files that a program of a run opens beside those of its peers.
pub const OWN_FILES: u64 = 32;
/// Connections that a client has to the forwarder.
pub const FILES_A_CLIENT: u64 = 3;

/// Makes the best of the limits: as many open files as may be had, and a file that has reached its limit is an error
/// like a full disk, not the death that SIGXFSZ would be.
pub fn prepare() {
    let limit = getrlimit(Resource::Nofile);
    // Who is refused has what it had.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let _ = caught(SIGXFSZ);
}

/// A signal that is caught and forgotten; unlike one that is ignored, it is not inherited by programs we start.
fn caught(signal: i32) -> io::Result<()> {
    signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).map(|_| ())
}

/// Refuses to work with so few open files that ZeroMQ, which has no other answer, would abort the process.
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
