//! Standard input and output that never block the loop of a member: the other end may be slow, and the group excludes a
//! member that falls silent.
//!
//! Each has a thread of its own that wakes the loop. Both are bounded: reading stops until the last chunk is taken, and
//! a writer asks [`Output::is_full`] first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::wakeup::{Waker, Wakeup, wait_for_either, wakeup};
use crate::exit::{Exit, Failure};
use crate::lock::{lock, unpoisoned};

/// Most bytes read at one time.
const CHUNK: usize = 64 << 10;
/// Waiting bytes at which an output is full.
const FULL: usize = 1 << 20;

/// Standard input, read ahead by two chunks.
#[derive(Debug)]
pub struct Input {
    chunks: Receiver<io::Result<Bytes>>,
    stop: Waker,
    is_over: bool,
}

impl Input {
    /// Begins to read standard input.
    ///
    /// # Errors
    /// [`Exit::Io`] if this process may not open any more files.
    pub fn stdin(waker: Waker) -> Result<Self, Failure> {
        // Not through the buffer of `io::stdin`, in which some of the bytes could stay behind.
        let from = io::stdin().as_fd().try_clone_to_owned().map_err(|reason| cannot_read(&reason))?;
        Self::read(File::from(from), waker)
    }

    fn read(from: impl Read + AsFd + Send + 'static, waker: Waker) -> Result<Self, Failure> {
        let (sender, chunks) = sync_channel(1);
        let (stopped, stop) = wakeup()?;
        thread::spawn(move || {
            read_all(from, &stopped, &sender, &waker);
            drop(sender);
            waker.wake();
        });
        Ok(Self { chunks, stop, is_over: false })
    }

    /// Returns the next chunk, if one has come; an empty one is the end.
    ///
    /// # Errors
    /// [`Exit::Io`] if it cannot be read.
    pub fn take(&mut self) -> Result<Option<Bytes>, Failure> {
        let taken = self.chunks.try_recv();
        self.is_over = matches!(taken, Err(TryRecvError::Disconnected));
        taken.ok().transpose().map_err(|reason| cannot_read(&reason))
    }

    /// Reads no more. The chunks that have been read are still to be taken, until [`Self::is_over`]; the loop is woken then.
    pub fn stop(&self) {
        self.stop.wake();
    }

    /// Returns whether [`Self::take`] has returned everything that was or will be read.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }
}

/// Reads until the end, a failure, or a stop. A read takes bytes away from other readers, so none begins before there are
/// some: it could not be called off.
fn read_all(
    mut from: impl Read + AsFd,
    stopped: &Wakeup,
    sender: &SyncSender<io::Result<Bytes>>,
    waker: &Waker,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let [_, is_stopped] = wait_for_either(from.as_fd(), stopped.fd());
        if is_stopped {
            return;
        }
        let read = match from.read(&mut chunk) {
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map(|length| Bytes::copy_from_slice(&chunk[..length])),
        };
        let is_last = !read.as_ref().is_ok_and(|chunk| !chunk.is_empty());
        if sender.send(read).is_err() || is_last {
            return;
        }
        waker.wake();
    }
}

fn cannot_read(reason: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot read standard input: {reason}"))
}

/// Standard output, written by a thread of its own.
#[derive(Debug)]
pub struct Output {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes to be written.
    waiting: Vec<u8>,
    /// The number of bytes that are being written.
    in_hand: usize,
    /// Whether to wake the loop when something has been written.
    is_watched: bool,
    is_closed: bool,
    failure: Option<Failure>,
}

impl State {
    fn unwritten(&self) -> usize {
        self.waiting.len() + self.in_hand
    }

    fn is_idle(&self) -> bool {
        self.failure.is_some() || self.unwritten() == 0
    }
}

impl Output {
    /// Takes over standard output.
    ///
    /// # Errors
    /// [`Exit::Io`] if this process may not open any more files.
    pub fn stdout(waker: Waker) -> Result<Self, Failure> {
        let to = io::stdout().as_fd().try_clone_to_owned().map_err(|reason| cannot_write(&reason))?;
        Ok(Self::write_to(File::from(to), waker))
    }

    fn write_to(to: impl Write + Send + 'static, waker: Waker) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || theirs.write_all(to, &waker));
        Self { shared }
    }

    /// Queues `bytes`, to be written as fast as the reader takes them.
    pub fn write(&self, bytes: &[u8]) {
        self.shared.lock().waiting.extend_from_slice(bytes);
        self.shared.changed.notify_all();
    }

    /// Returns whether the queue is full. The loop is woken when that changes.
    ///
    /// # Errors
    /// [`Exit::Io`] if standard output cannot be written; [`Exit::Ok`], which is a quiet end, if its reader has gone.
    pub fn is_full(&self) -> Result<bool, Failure> {
        self.watch(|state| state.unwritten() >= FULL)
    }

    /// Returns whether bytes are still to be written. The loop is woken when that changes.
    ///
    /// # Errors
    /// As [`Output::is_full`].
    pub fn is_busy(&self) -> Result<bool, Failure> {
        self.watch(|state| !state.is_idle())
    }

    fn watch(&self, is_so: impl FnOnce(&State) -> bool) -> Result<bool, Failure> {
        let mut state = self.shared.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.is_watched = is_so(&state);
        Ok(state.is_watched)
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub fn settle(&self, limit: Duration) {
        let state = self.shared.lock();
        drop(self.shared.changed.wait_timeout_while(state, limit, |state| !state.is_idle()));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn write_all(&self, mut to: impl Write, waker: &Waker) {
        while let Some(bytes) = self.next() {
            let written = to.write_all(&bytes).and_then(|()| to.flush());
            let mut state = self.lock();
            state.in_hand = 0;
            state.failure = written.err().map(|reason| cannot_write(&reason));
            if std::mem::take(&mut state.is_watched) || state.failure.is_some() {
                waker.wake();
            }
            self.changed.notify_all();
            if state.failure.is_some() {
                return;
            }
        }
    }

    /// Waits for the bytes to write next; returns nothing once the output is closed and everything is written.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.is_closed {
            state = unpoisoned(self.changed.wait(state));
        }
        let next = std::mem::take(&mut state.waiting);
        state.in_hand = next.len();
        (!next.is_empty()).then_some(next)
    }
}

fn cannot_write(reason: &io::Error) -> Failure {
    if reason.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(Exit::Ok, "nobody reads its output any more");
    }
    Failure::new(Exit::Io, format!("cannot write to standard output: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::transport::wakeup::wait;

    const LONG: Duration = Duration::from_secs(60);

    fn rest(wakeup: &Wakeup) {
        wait([wakeup.fd()], LONG);
        wakeup.clear();
    }

    /// Takes chunks until `is_last`, or until everything was taken.
    fn taken(input: &mut Input, wakeup: &Wakeup, is_last: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut all = Vec::new();
        while !input.is_over() && !is_last(&all) {
            match input.take().unwrap() {
                Some(chunk) => all.extend_from_slice(&chunk),
                None if input.is_over() => {}
                None => rest(wakeup),
            }
        }
        all
    }

    #[test]
    fn input_comes_in_chunks_and_wakes() {
        let (wakeup, waker) = wakeup().unwrap();
        let (from, mut to) = UnixStream::pair().unwrap();
        let mut input = Input::read(from, waker).unwrap();
        to.write_all(b"one two").unwrap();
        drop(to);
        assert_eq!(taken(&mut input, &wakeup, |_| false), b"one two");
    }

    #[test]
    fn a_stopped_input_gives_all_that_it_has_read_and_leaves_the_rest() {
        for round in 0..200 {
            let (wakeup, waker) = wakeup().unwrap();
            let (from, mut to) = UnixStream::pair().unwrap();
            let mut rest = from.try_clone().unwrap();
            let mut input = Input::read(from, waker).unwrap();
            to.write_all(b"one ").unwrap();
            let mut all = taken(&mut input, &wakeup, |all| !all.is_empty());
            // Perhaps it has read these, perhaps not.
            for number in 0..round % 8 {
                to.write_all(&[b'a' + number]).unwrap();
            }
            input.stop();
            all.append(&mut taken(&mut input, &wakeup, |_| false));
            to.write_all(b" two").unwrap();
            drop(to);
            rest.read_to_end(&mut all).unwrap();
            let expected = [&b"one "[..], &b"abcdefg"[..usize::from(round % 8)], b" two"].concat();
            assert_eq!(all, expected, "round {round}");
        }
    }

    #[test]
    fn a_failure_to_read_is_told() {
        struct Broken(File);
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::IsADirectory.into())
            }
        }
        impl AsFd for Broken {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
        let (wakeup, waker) = wakeup().unwrap();
        let null = Broken(File::open("/dev/null").unwrap());
        let mut input = Input::read(null, waker).unwrap();
        rest(&wakeup);
        assert_eq!(input.take().unwrap_err().exit, Exit::Io);
    }

    #[test]
    fn output_is_full_while_nobody_reads_and_wakes_when_it_is_read() {
        let (wakeup, waker) = wakeup().unwrap();
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let output = Output::write_to(writer, waker);
        output.write(&vec![b'x'; 8 * FULL]);
        assert!(output.is_full().unwrap(), "nobody reads");
        let reading = thread::spawn(move || {
            let mut read = vec![0; 8 * FULL];
            reader.read_exact(&mut read).unwrap();
        });
        while output.is_busy().unwrap() {
            rest(&wakeup);
        }
        assert!(!output.is_full().unwrap());
        reading.join().unwrap();
    }

    #[test]
    fn a_reader_that_has_gone_is_a_quiet_end() {
        let (wakeup, waker) = wakeup().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Output::write_to(writer, waker);
        output.write(b"x");
        rest(&wakeup);
        assert_eq!(output.is_full().unwrap_err().exit, Exit::Ok);
        output.settle(LONG);
    }

    #[test]
    fn a_full_disk_is_a_failure() {
        let (wakeup, waker) = wakeup().unwrap();
        let output = Output::write_to(File::options().write(true).open("/dev/full").unwrap(), waker);
        output.write(b"x");
        rest(&wakeup);
        assert_eq!(output.is_busy().unwrap_err().exit, Exit::Io);
    }
}
