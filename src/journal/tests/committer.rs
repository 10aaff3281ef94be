//! The thread that commits: it gathers, reports, and ends with the first failure.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{append, opened};
use crate::exit::{Exit, Failure};
use crate::journal::{Commit, Committer, InMemory, Journal};
use crate::lock::lock;
use crate::transport::wakeup::{Wakeup, wakeup};

const LIMIT: Duration = Duration::from_secs(20);

/// The outcome of a commit, for a journal that asks for it.
type Outcome = Box<dyn FnOnce() -> Result<(), Failure> + Send>;

/// A journal whose commits begin when they come and end when the test says how.
struct Slow {
    begun: Sender<Commit>,
    outcomes: Receiver<Outcome>,
    stored: Arc<Mutex<InMemory>>,
}

impl Journal for Slow {
    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.begun.send(commit.clone()).unwrap();
        self.outcomes.recv_timeout(LIMIT).unwrap()()?;
        lock(&self.stored).commit(commit)
    }

    fn size(&self) -> u64 {
        lock(&self.stored).size()
    }
}

/// The test's side of a slow journal and of its thread.
struct Stage {
    committer: Committer,
    wakeup: Wakeup,
    begun: Receiver<Commit>,
    outcomes: Sender<Outcome>,
    stored: Arc<Mutex<InMemory>>,
}

impl Stage {
    fn new() -> Self {
        let ((begins, begun), (outcomes, ends)) = (channel(), channel());
        let stored = Arc::new(Mutex::new(InMemory::default()));
        let journal = Slow { begun: begins, outcomes: ends, stored: stored.clone() };
        let (wakeup, waker) = wakeup().unwrap();
        let committer = Committer::start(journal, 1, waker).unwrap();
        Self { committer, wakeup, begun, outcomes, stored }
    }

    fn begun(&self) -> Commit {
        self.begun.recv_timeout(LIMIT).unwrap()
    }

    fn end(&self, outcome: impl FnOnce() -> Result<(), Failure> + Send + 'static) {
        self.outcomes.send(Box::new(outcome)).unwrap();
    }

    /// Waits until the thread wakes its owner.
    fn woken(&self) {
        let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
        let count = poll(&mut [PollFd::from_borrowed_fd(self.wakeup.fd(), PollFlags::IN)], Some(&limit));
        assert_eq!(count, Ok(1), "it is woken");
        self.wakeup.clear();
    }
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn committer_gathers_all_that_comes_during_a_commit() {
    let mut stage = Stage::new();
    assert_eq!(stage.committer.append(text("a")), 1);
    assert_eq!(stage.begun(), append(&["a"]));
    assert_eq!(stage.committer.append(text("bb")), 2);
    stage.committer.remove(1);
    let both = Commit { append: vec![text("ccc"), text("d")], remove: vec![2] };
    assert_eq!(stage.committer.change(both), 4);
    assert_eq!((stage.committer.stored(), stage.committer.size(), stage.committer.waiting()), (Ok(0), 7, 6));
    stage.end(|| Ok(()));
    let second = Commit { append: vec![text("bb"), text("ccc"), text("d")], remove: vec![1, 2] };
    assert_eq!(stage.begun(), second);
    stage.woken();
    assert_eq!((stage.committer.stored(), stage.committer.waiting()), (Ok(1), 0));
    stage.end(|| Ok(()));
    stage.woken();
    assert_eq!((stage.committer.stored(), stage.committer.size()), (Ok(4), 4));
    // The changes that are left at the end are committed, too.
    stage.committer.append(text("e"));
    stage.end(|| Ok(()));
    assert_eq!(stage.committer.finish(), Ok(5));
    let found = lock(&stage.stored).recovered();
    assert_eq!(found.records, [(3, text("ccc")), (4, text("d")), (5, text("e"))]);
}

#[test]
fn committer_ends_with_the_failure_and_stores_nothing_more() {
    let mut stage = Stage::new();
    stage.committer.append(text("a"));
    stage.begun();
    stage.committer.append(text("b"));
    stage.end(|| Ok(()));
    stage.begun();
    stage.committer.append(text("c"));
    let failure = Failure::new(Exit::Io, "cannot write: no disk");
    stage.end({
        let failure = failure.clone();
        || Err(failure)
    });
    while stage.committer.stored().is_ok() {
        stage.woken();
    }
    assert_eq!(stage.committer.stored(), Err(failure.clone()));
    stage.committer.append(text("d"));
    assert_eq!(stage.committer.finish(), Err(failure));
    assert!(stage.begun.recv_timeout(LIMIT).is_err(), "no commit after a failure");
    assert_eq!(lock(&stage.stored).recovered().records, [(1, text("a"))]);
}

#[test]
fn committer_tells_a_panic_as_a_failure() {
    let mut stage = Stage::new();
    stage.committer.append(text("a"));
    stage.end(|| panic!("on purpose"));
    while stage.committer.stored().is_ok() {
        stage.woken();
    }
    assert_eq!(stage.committer.finish().unwrap_err().exit, Exit::Bug);
}

#[test]
fn committer_of_a_file_stores_in_order_also_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let records = (1..=3_000_u64).map(|index| (index, Bytes::from(index.to_string()))).collect::<Vec<_>>();
    for part in records.chunks(1_000) {
        let (journal, recovered) = opened(dir.path());
        assert_eq!(recovered.records, records[..recovered.records.len()]);
        let (_wakeup, waker) = wakeup().unwrap();
        let mut committer = Committer::start(journal, recovered.next, waker).unwrap();
        for (index, record) in part {
            assert_eq!(committer.append(record.clone()), *index);
            assert!(committer.stored().unwrap() <= *index);
        }
        assert_eq!(committer.finish(), Ok(part[part.len() - 1].0));
    }
    assert_eq!(opened(dir.path()).1.records, records);
}
