//! The queues between the handles of a group and the worker that takes part for them.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::event::{Event, View};
use crate::lock::{lock, unpoisoned};
use crate::transport::wakeup::{Waker, Wakeup, wakeup};

/// Most bytes queued in one direction; a single longer payload is queued alone. Each entry counts for [`EACH`] more.
const FULL: usize = 4 << 20;
/// The cost of an entry besides its payload.
const EACH: usize = 64;

/// A message to be sent.
#[derive(Debug)]
pub(super) enum Outgoing {
    Multicast(Bytes),
    Direct(String, Bytes),
}

/// A received event. A state request becomes a token only when the application takes it.
#[derive(Debug)]
pub(super) enum Incoming {
    Event(Event),
    /// A request for the state at the beginning of this view.
    StateRequest(u64),
}

/// The way in which the application ends its membership.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Shutdown {
    /// It goes on.
    #[default]
    None,
    /// It sends nothing more, and ends when all members have finished.
    Finish,
    /// It leaves when all members have its messages.
    Leave,
    /// It leaves now.
    Abandon,
}

/// The progress of the worker.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    #[default]
    Joining,
    Running,
    Over(Result<(), Error>),
}

/// The content of [`Shared`], behind its lock.
#[derive(Debug, Default)]
pub(super) struct Queues {
    outgoing: VecDeque<Outgoing>,
    outgoing_bytes: usize,
    incoming: VecDeque<Incoming>,
    incoming_bytes: usize,
    /// Answers to state requests, each with the number of its view; `None` for a refusal.
    pub(super) states: Vec<(u64, Option<Bytes>)>,
    /// The number of undeliverable messages that were not reported because the application takes no events.
    pub(super) unreported: u64,
    pub(super) shutdown: Shutdown,
    pub(super) phase: Phase,
    /// The newest view, and the last view that the application has taken.
    pub(super) newest: Option<View>,
    pub(super) taken: Option<View>,
    /// The receiver has been dropped.
    is_deaf: bool,
    /// [`Event::End`] has been taken.
    has_ended: bool,
    /// The descriptor of the receiver is readable.
    is_readable: bool,
}

/// One lock, a condition for the handles, and a descriptor that is readable while an event waits.
#[derive(Debug)]
pub(super) struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
    reader: Wakeup,
    writer: Waker,
}

impl Shared {
    /// Creates empty queues.
    pub(super) fn new() -> Result<Self, Error> {
        let (reader, writer) = wakeup().map_err(Error::of_joining)?;
        Ok(Self { queues: Mutex::default(), changed: Condvar::new(), reader, writer })
    }

    /// Returns the descriptor that is readable while an event waits.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.fd()
    }

    /// Changes the queues and notifies the handles.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Queues) -> R) -> R {
        let mut queues = lock(&self.queues);
        let result = change(&mut queues);
        self.signal(&mut queues);
        drop(queues);
        self.changed.notify_all();
        result
    }

    /// Locks the queues to look at them.
    pub(super) fn look(&self) -> MutexGuard<'_, Queues> {
        lock(&self.queues)
    }

    /// Waits until `has_come`, at most for `timeout`; without one, for ever.
    pub(super) fn wait(
        &self,
        timeout: Option<Duration>,
        has_come: impl Fn(&Queues) -> bool,
    ) -> MutexGuard<'_, Queues> {
        let queues = self.look();
        match timeout {
            Some(timeout) => {
                let waited = self.changed.wait_timeout_while(queues, timeout, |queues| !has_come(queues));
                unpoisoned(waited).0
            }
            None => unpoisoned(self.changed.wait_while(queues, |queues| !has_come(queues))),
        }
    }

    /// Makes the descriptor readable if an event waits, and unreadable if not.
    pub(super) fn signal(&self, queues: &mut Queues) {
        let is_readable = queues.has_event() || queues.is_over();
        if is_readable == queues.is_readable {
            return;
        }
        queues.is_readable = is_readable;
        if is_readable {
            self.writer.wake();
        } else {
            self.reader.clear();
        }
    }
}

impl Queues {
    /// Returns whether another message can be queued.
    pub(super) const fn has_room(&self) -> bool {
        self.outgoing_bytes < FULL
    }

    /// Returns whether so many events wait that no more packets should be received.
    pub(super) const fn is_full(&self) -> bool {
        self.incoming_bytes >= FULL
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub(super) fn has_event(&self) -> bool {
        !self.incoming.is_empty()
    }

    pub(super) fn put_outgoing(&mut self, outgoing: Outgoing) {
        self.outgoing_bytes += outgoing.weight();
        self.outgoing.push_back(outgoing);
    }

    /// Returns the next message to be sent.
    pub(super) fn outgoing(&self) -> Option<&Outgoing> {
        self.outgoing.front()
    }

    pub(super) fn take_outgoing(&mut self) -> Option<Outgoing> {
        let outgoing = self.outgoing.pop_front()?;
        self.outgoing_bytes -= outgoing.weight();
        Some(outgoing)
    }

    /// Queues an event, unless the application takes no more.
    pub(super) fn put_incoming(&mut self, incoming: Incoming) {
        if let Incoming::Event(Event::View(view)) = &incoming {
            self.newest = Some(view.clone());
        }
        if self.is_deaf || matches!(self.shutdown, Shutdown::Leave | Shutdown::Abandon) {
            self.discard(&incoming);
        } else {
            self.incoming_bytes += incoming.weight();
            self.incoming.push_back(incoming);
        }
    }

    /// Queues an event.
    pub(super) fn put_event(&mut self, event: Event) {
        self.put_incoming(Incoming::Event(event));
    }

    pub(super) fn take_incoming(&mut self) -> Option<Incoming> {
        let incoming = self.incoming.pop_front()?;
        self.incoming_bytes -= incoming.weight();
        if let Incoming::Event(Event::View(view)) = &incoming {
            self.taken = Some(view.clone());
        }
        Some(incoming)
    }

    /// Returns the outcome once no event is left: the end once, and after it the reason why nothing more comes.
    pub(super) fn outcome(&mut self) -> Option<Result<Event, Error>> {
        match &self.phase {
            Phase::Over(Ok(())) if self.has_ended || self.shutdown != Shutdown::Finish => {
                Some(Err(Error::Ended))
            }
            Phase::Over(Ok(())) => {
                self.has_ended = true;
                Some(Ok(Event::End))
            }
            Phase::Over(Err(error)) => Some(Err(error.clone())),
            Phase::Joining | Phase::Running => None,
        }
    }

    /// Discards all events; the application takes no more.
    pub(super) fn stop_receiving(&mut self) {
        self.is_deaf = true;
        self.discard_all();
    }

    /// Discards all events.
    pub(super) fn discard_all(&mut self) {
        for incoming in std::mem::take(&mut self.incoming) {
            self.discard(&incoming);
        }
        self.incoming_bytes = 0;
    }

    fn discard(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Event(Event::Undeliverable(_)) => self.unreported += 1,
            Incoming::StateRequest(view) => self.states.push((*view, None)),
            Incoming::Event(_) => {}
        }
    }

    /// Returns whether `id` is a member, as far as the application or this member knows.
    pub(super) fn has_member(&self, id: &str) -> bool {
        let has = |view: &View| view.members.iter().any(|member| member == id);
        [&self.taken, &self.newest].into_iter().flatten().any(has)
    }
}

impl Outgoing {
    const fn weight(&self) -> usize {
        let (Self::Multicast(payload) | Self::Direct(_, payload)) = self;
        EACH + payload.len()
    }
}

impl Incoming {
    const fn weight(&self) -> usize {
        let payload = match self {
            Self::Event(Event::Delivery(delivery)) => delivery.payload.len(),
            Self::Event(Event::Direct(direct)) => direct.payload.len(),
            Self::Event(Event::Undeliverable(lost)) => lost.payload.len(),
            Self::Event(Event::State(state)) => state.len(),
            _ => 0,
        };
        EACH + payload
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(shared: &Shared) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&shared.fd(), PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    #[test]
    fn descriptor_is_readable_exactly_while_an_event_waits() {
        let shared = Shared::new().unwrap();
        assert!(!is_readable(&shared));
        for _ in 0..2 {
            shared.change(|queues| {
                queues.put_event(Event::State(Bytes::new()));
                queues.put_incoming(Incoming::StateRequest(2));
            });
            assert!(is_readable(&shared));
            shared.change(Queues::take_incoming).unwrap();
            assert!(is_readable(&shared), "one more waits");
            shared.change(Queues::take_incoming).unwrap();
            assert!(!is_readable(&shared));
        }
        shared.change(|queues| queues.phase = Phase::Over(Err(Error::Ended)));
        assert!(is_readable(&shared), "the end waits, too");
    }

    #[test]
    fn discarded_state_requests_are_refused_and_undeliverable_messages_counted() {
        let mut queues = Queues::default();
        queues.put_incoming(Incoming::StateRequest(2));
        queues.stop_receiving();
        queues.put_incoming(Incoming::StateRequest(3));
        assert_eq!(queues.states, [(2, None), (3, None)]);
        assert!(!queues.has_event() && !queues.is_full());
    }
}
