//! The thread that commits, so that the loop of a member never waits for a disk. All changes that came during a commit
//! go into the next one (group commit): the more there is to store, the fewer times the disk is waited for.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::{Commit, Journal};
use crate::exit::{Exit, Failure};
use crate::lock::{lock, unpoisoned};
use crate::transport::wakeup::Waker;

/// A journal on a thread of its own.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
    /// Absent once it has been waited for.
    thread: Option<JoinHandle<()>>,
    /// The index of the next record.
    next: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to commit, or nothing more will come.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The changes of the next commit.
    waiting: Commit,
    /// The bytes of the records of the next commit.
    waiting_bytes: u64,
    /// All records up to this one are durable.
    stored: u64,
    /// The bytes of all records of the journal.
    size: u64,
    /// Nothing more will come.
    is_closing: bool,
    /// The failure with which the thread ended.
    failure: Option<Failure>,
}

impl Committer {
    /// Starts the thread. It calls `waker` after each commit and when it fails. `next` is the index of the journal's next
    /// record.
    ///
    /// # Errors
    /// [`Exit::Io`] if the process may have no more threads.
    pub fn start(journal: impl Journal + 'static, next: u64, waker: Waker) -> Result<Self, Failure> {
        let state = State {
            waiting: Commit::default(),
            waiting_bytes: 0,
            stored: next - 1,
            size: journal.size(),
            is_closing: false,
            failure: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let thread = thread::Builder::new().name("journal".into()).spawn({
            let shared = shared.clone();
            move || {
                let end = End { shared, waker };
                if let Err(failure) = run(journal, &end) {
                    lock(&end.shared.state).failure = Some(failure);
                }
            }
        });
        let cannot =
            |error| Failure::new(Exit::Io, format!("cannot start the thread of the journal: {error}"));
        Ok(Self { shared, thread: Some(thread.map_err(cannot)?), next })
    }

    /// Returns the index of the next record.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Appends a record; returns its index. It is durable when [`Committer::stored`] says so.
    pub fn append(&mut self, record: Bytes) -> u64 {
        self.change(Commit { append: vec![record], remove: Vec::new() })
    }

    /// Removes a record. Records that were appended before are durable first, or at the same time.
    pub fn remove(&mut self, index: u64) {
        self.change(Commit { append: Vec::new(), remove: vec![index] });
    }

    /// Makes a change, all of it in one commit; returns the index of the last record that was ever appended.
    pub fn change(&mut self, change: Commit) -> u64 {
        self.next += change.append.len() as u64;
        let mut state = lock(&self.shared.state);
        // A thread that has ended takes nothing more.
        if state.failure.is_none() {
            state.waiting_bytes += change.append.iter().map(|record| record.len() as u64).sum::<u64>();
            state.waiting.append.extend(change.append);
            state.waiting.remove.extend(change.remove);
            self.shared.changed.notify_one();
        }
        self.next - 1
    }

    /// Returns the index up to which all records are durable.
    ///
    /// # Errors
    /// The failure of the journal: nothing more will be stored.
    pub fn stored(&self) -> Result<u64, Failure> {
        let state = lock(&self.shared.state);
        state.failure.clone().map_or(Ok(state.stored), Err)
    }

    /// Returns the bytes of all records, those included that are not durable yet.
    #[must_use]
    pub fn size(&self) -> u64 {
        let state = lock(&self.shared.state);
        state.size + state.waiting_bytes
    }

    /// Returns the bytes of the records that wait for the next commit. The caller bounds them: it takes nothing more in
    /// while they are many.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        lock(&self.shared.state).waiting_bytes
    }

    /// Commits what is left, and ends. Returns the index of the last record.
    ///
    /// # Errors
    /// The failure of the journal.
    pub fn finish(mut self) -> Result<u64, Failure> {
        self.join();
        self.stored()
    }

    fn join(&mut self) {
        lock(&self.shared.state).is_closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic has left its failure.
            let _ = thread.join();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.join();
    }
}

/// Tells the owner how the thread ended, also of a panic.
struct End {
    shared: Arc<Shared>,
    waker: Waker,
}

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            let failure = Failure::new(Exit::Bug, "the thread of the journal panicked");
            lock(&self.shared.state).failure = Some(failure);
        }
        self.waker.wake();
    }
}

/// Commits whatever waits, until nothing more comes.
fn run(mut journal: impl Journal, end: &End) -> Result<(), Failure> {
    while let Some(commit) = next_commit(&end.shared) {
        let appended = commit.append.len() as u64;
        journal.commit(commit)?;
        let mut state = lock(&end.shared.state);
        state.stored += appended;
        state.size = journal.size();
        drop(state);
        end.waker.wake();
    }
    Ok(())
}

/// Waits for changes; returns nothing after the last one.
fn next_commit(shared: &Shared) -> Option<Commit> {
    let mut state = lock(&shared.state);
    while state.waiting.is_empty() {
        if state.is_closing {
            return None;
        }
        state = unpoisoned(shared.changed.wait(state));
    }
    let commit = std::mem::take(&mut state.waiting);
    // Until it is durable, it counts as if it were.
    state.size += std::mem::take(&mut state.waiting_bytes);
    Some(commit)
}
