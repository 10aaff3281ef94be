//! The wake-up pipe, by which another thread wakes the loop that waits for sockets and descriptors.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::exit::{Exit, Failure};

/// The end on which the loop waits.
#[derive(Debug)]
pub struct Wakeup(UnixStream);

/// The end by which other threads wake the loop.
#[derive(Clone, Debug)]
pub struct Waker(Arc<UnixStream>);

/// Returns the two ends of the wake-up pipe.
///
/// # Errors
/// [`Exit::Io`] if the process may not open any more files.
pub fn wakeup() -> Result<(Wakeup, Waker), Failure> {
    let pair = || {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        std::io::Result::Ok((Wakeup(reader), Waker(Arc::new(writer))))
    };
    pair().map_err(|error| Failure::new(Exit::Io, format!("cannot create the wake-up pipe: {error}")))
}

/// Waits for input at a descriptor, for no longer than `limit`. Returns whether there may be some.
pub fn wait<'a>(fds: impl IntoIterator<Item = BorrowedFd<'a>>, limit: Duration) -> bool {
    let watched = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut polled: Vec<PollFd<'_>> = fds.into_iter().map(watched).collect();
    // An error is a signal: its handler has written to one of the descriptors.
    poll(&mut polled, Some(&timespec(limit))).is_err() || polled.iter().any(|fd| !fd.revents().is_empty())
}

/// Waits until there is input at one of two descriptors. Returns for each whether there is.
pub(super) fn wait_for_either(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> [bool; 2] {
    let mut polled = [one, other].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    // An error is a signal, which is no concern of this thread.
    while poll(&mut polled, None).is_err() {}
    polled.map(|fd| !fd.revents().is_empty())
}

/// Returns a time limit as the system takes it.
pub(super) fn timespec(limit: Duration) -> Timespec {
    Timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos().into() }
}

impl Wakeup {
    /// Returns the descriptor to poll for reading.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Clears the wake-up: to be called after a wait, before looking for work.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while (&self.0).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

impl Waker {
    /// Wakes the loop now, or as soon as it waits.
    pub fn wake(&self) {
        // A full pipe: the loop is awake already. A closed one: it never will be.
        let _ = (&*self.0).write(&[0]);
    }
}
