//! Between a program and the thread that takes part for it: what is to be sent lies here, and what was delivered.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Event;
use crate::exit::Failure;

/// Most bytes that wait in one direction; a single longer one waits alone. Each counts for [`EACH`] more than it has.
const FULL: usize = 4 << 20;
/// What a short text takes besides its bytes.
const EACH: usize = 64;

/// What the program wants sent.
#[derive(Debug)]
pub(super) enum Job {
    Multicast(Vec<u8>),
    Send(String, Vec<u8>),
}

/// How the program wants its part in the group to end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Wish {
    /// Not yet.
    #[default]
    Stay,
    /// When all have finished.
    Finish,
    /// When all have what it has sent.
    Leave,
    /// Now.
    Abandon,
}

/// Where the thread is.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    #[default]
    Joining,
    Running,
    Over(Result<(), Failure>),
}

/// What lies on the desk.
#[derive(Debug, Default)]
pub(super) struct Papers {
    jobs: VecDeque<Job>,
    jobs_bytes: usize,
    events: VecDeque<Event>,
    events_bytes: usize,
    /// States that were given, each with the number of its view; `None` for one that was not.
    pub(super) states: Vec<(u64, Option<Vec<u8>>)>,
    /// How many undeliverable messages the program will not be told of, because it leaves.
    pub(super) untold: u64,
    pub(super) wish: Wish,
    pub(super) phase: Phase,
}

/// The desk: one lock, and one bell for the program. The thread has its own bell: its wakeup.
#[derive(Debug, Default)]
pub(super) struct Desk {
    papers: Mutex<Papers>,
    bell: Condvar,
}

impl Desk {
    /// What lies on it. The guard is to be held shortly.
    pub(super) fn look(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the program that something has changed.
    pub(super) fn ring(&self) {
        self.bell.notify_all();
    }

    /// Waits until `has_come`, but no longer than `limit`.
    pub(super) fn wait(
        &self,
        limit: Duration,
        mut has_come: impl FnMut(&Papers) -> bool,
    ) -> MutexGuard<'_, Papers> {
        let waited = self.bell.wait_timeout_while(self.look(), limit, |papers| !has_come(papers));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Papers {
    /// Whether there is room for another job.
    pub(super) const fn has_room(&self) -> bool {
        self.jobs_bytes < FULL
    }

    /// Whether the program has so much to take that nothing more should come.
    pub(super) const fn is_full(&self) -> bool {
        self.events_bytes >= FULL
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub(super) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn put_job(&mut self, job: Job) {
        self.jobs_bytes += job.weight();
        self.jobs.push_back(job);
    }

    /// The job that is next.
    pub(super) fn job(&self) -> Option<&Job> {
        self.jobs.front()
    }

    pub(super) fn take_job(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        self.jobs_bytes -= job.weight();
        Some(job)
    }

    /// Who leaves takes nothing any more.
    pub(super) fn put_event(&mut self, event: Event) {
        if !matches!(self.wish, Wish::Leave | Wish::Abandon) {
            self.events_bytes += event.weight();
            self.events.push_back(event);
        } else if matches!(event, Event::Undeliverable(_)) {
            self.untold += 1;
        }
    }

    pub(super) fn take_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.events_bytes -= event.weight();
        Some(event)
    }

    /// Lets go of everything that the program has not taken.
    pub(super) fn clear_events(&mut self) {
        let undeliverable = self.events.iter().filter(|event| matches!(event, Event::Undeliverable(_)));
        self.untold += undeliverable.count() as u64;
        self.events.clear();
        self.events_bytes = 0;
    }
}

impl Job {
    const fn weight(&self) -> usize {
        let (Self::Multicast(text) | Self::Send(_, text)) = self;
        EACH + text.len()
    }
}

impl Event {
    const fn weight(&self) -> usize {
        match self {
            Self::Delivery(delivery) => EACH + delivery.text.len(),
            Self::Direct(direct) => EACH + direct.text.len(),
            Self::Undeliverable(lost) => EACH + lost.text.len(),
            Self::State(state) => EACH + state.len(),
            Self::View(_) | Self::StateWanted | Self::End => EACH,
        }
    }
}
