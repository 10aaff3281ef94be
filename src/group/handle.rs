//! The handles of a member: the group, and its two halves.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::builder::Builder;
use super::error::Error;
use super::event::{Event, StateRequest, View};
use super::shared::{Incoming, Outgoing, Phase, Queues, Shared, Shutdown};
use crate::lock::lock;
use crate::wire::batch::MAX_TEXT;

/// Longest wait of a group that is dropped until the others have been told.
const DROPPED: Duration = Duration::from_secs(2);

/// The access of handles and state requests to the worker.
pub(super) struct Access {
    pub(super) id: String,
    /// Longest wait of a call.
    pub(super) timeout: Duration,
    pub(super) shared: Arc<Shared>,
    /// Has the worker look at the queues.
    pub(super) waker: Box<dyn Fn() + Send + Sync>,
}

impl Access {
    /// Has the worker look at the queues. They must not be locked.
    pub(super) fn wake(&self) {
        (self.waker)();
    }

    fn answer_state(&self, view: u64, state: Option<Bytes>) {
        self.shared.change(|queues| queues.states.push((view, state)));
        self.wake();
    }

    fn shut_down(&self, shutdown: Shutdown) {
        self.shared.change(|queues| {
            queues.shutdown = queues.shutdown.max(shutdown);
            if shutdown >= Shutdown::Leave {
                queues.discard_all();
            }
        });
        self.wake();
    }
}

/// The membership itself: it ends with the last handle.
pub(super) struct Membership {
    pub(super) access: Arc<Access>,
    /// The thread of the worker, if it has one of its own.
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

impl Membership {
    /// Waits until the member is in the group.
    pub(super) fn join(self, timeout: Duration) -> Result<Group, Error> {
        let queues = self.access.shared.wait(Some(timeout), |queues| !matches!(queues.phase, Phase::Joining));
        // The membership of a newcomer that cannot catch up may be over already: its events say why.
        let (phase, is_admitted) = (queues.phase.clone(), queues.newest.is_some());
        drop(queues);
        match phase {
            Phase::Running => Ok(Group::new(self)),
            Phase::Over(_) if is_admitted => Ok(Group::new(self)),
            Phase::Over(outcome) => {
                self.end_thread();
                Err(outcome.err().unwrap_or(Error::Ended))
            }
            Phase::Joining => {
                self.abandon();
                let what = format!("cannot join the group: {} was not in it", self.access.id);
                Err(Error::timed_out(&what, self.access.timeout))
            }
        }
    }

    /// Lets the thread end by itself.
    fn abandon(&self) {
        self.access.shut_down(Shutdown::Abandon);
        drop(lock(&self.thread).take());
    }

    fn end_thread(&self) {
        lock(&self.thread).take().map(JoinHandle::join);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.access.shut_down(Shutdown::Abandon);
        if lock(&self.thread).is_some() {
            // A thread that takes longer ends later, by its own limits.
            let is_over = self.access.shared.wait(Some(DROPPED), Queues::is_over).is_over();
            if is_over {
                self.end_thread();
            }
        }
    }
}

/// The wait of a call that finds no room for its message.
#[derive(Clone, Copy)]
enum Wait {
    /// It does not wait.
    None,
    /// It waits until its timeout, unless events must be received first: its thread is the one that receives them.
    UnlessFull,
    /// It waits until its timeout.
    Timeout,
}

/// A member of a group.
///
/// [`split`](Self::split) makes two halves of it, for two threads. A member whose handles are all dropped is gone at once, and
/// the last messages that it has multicast may be lost; see [`leave`](Self::leave) and [`finish`](Self::finish).
#[derive(Debug)]
pub struct Group {
    sender: Sender,
    receiver: Receiver,
}

/// The sending half of a [`Group`]. Clones send for the same member.
#[derive(Clone)]
pub struct Sender {
    membership: Arc<Membership>,
}

/// The receiving half of a [`Group`].
///
/// Its descriptor ([`AsFd`]) is readable exactly while an event or the final error waits, so that it fits into a loop with `poll`,
/// or into `tokio` by way of `AsyncFd` (`examples/tokio.rs`). It is the same descriptor from the creation of the receiver until it is
/// dropped. Read nothing from it: take events with [`try_recv`](Self::try_recv) until none is left.
///
/// ```
/// use std::os::fd::AsFd;
///
/// use groupcast::{Error, Event, Group};
/// use rustix::event::{PollFd, PollFlags, poll};
///
/// let [a, b] = Group::in_memory(["a", "b"])?;
/// let (_sender, mut receiver) = b.split();
/// a.multicast("hello")?;
/// let payload = loop {
///     // Other descriptors may be polled, too.
///     poll(&mut [PollFd::new(&receiver.as_fd(), PollFlags::IN)], None).expect("a valid descriptor");
///     if let Some(Event::Delivery(it)) = receiver.try_recv()? {
///         break it.payload;
///     }
/// };
/// assert_eq!(payload, "hello");
/// # Ok::<(), Error>(())
/// ```
///
/// A receiver that is dropped while a [`Sender`] is left discards all later events, and refuses all state requests.
pub struct Receiver {
    membership: Arc<Membership>,
    view: Option<View>,
}

impl Group {
    fn new(membership: Membership) -> Self {
        let membership = Arc::new(membership);
        let sender = Sender { membership: Arc::clone(&membership) };
        Self { sender, receiver: Receiver { membership, view: None } }
    }

    /// Returns the settings of a member with this id, which no other member may have.
    #[must_use]
    pub fn builder(id: impl Into<String>) -> Builder {
        Builder::new(id.into())
    }

    /// Returns the sending and the receiving half.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Returns another sender of this member.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Returns the id of this member.
    #[must_use]
    pub fn id(&self) -> &str {
        self.sender.id()
    }

    /// Returns the last view received.
    #[must_use]
    pub const fn view(&self) -> Option<&View> {
        self.receiver.view()
    }

    /// As [`Sender::multicast`], but does not wait for room while events must be received first.
    ///
    /// # Errors
    /// As [`Sender::multicast`]; [`Error::Full`] if there is no room until events are received.
    pub fn multicast(&self, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.sender.put(Wait::UnlessFull, Outgoing::Multicast(payload.into()))
    }

    /// As [`Sender::send`], but does not wait for room while events must be received first.
    ///
    /// # Errors
    /// As [`Sender::send`]; [`Error::Full`] if there is no room until events are received.
    pub fn send(&self, to: &str, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.sender.put(Wait::UnlessFull, Outgoing::Direct(to.to_owned(), payload.into()))
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    /// The same.
    pub fn recv(&mut self) -> Result<Event, Error> {
        self.receiver.recv()
    }

    /// As [`Receiver::try_recv`].
    ///
    /// # Errors
    /// The same.
    pub fn try_recv(&mut self) -> Result<Option<Event>, Error> {
        self.receiver.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    ///
    /// # Errors
    /// The same.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        self.receiver.recv_timeout(timeout)
    }

    /// As [`Sender::finish`].
    pub fn finish(&self) {
        self.sender.finish();
    }

    /// As [`Sender::leave`].
    ///
    /// # Errors
    /// The same.
    pub fn leave(self) -> Result<(), Error> {
        self.sender.leave()
    }
}

impl Sender {
    fn access(&self) -> &Access {
        &self.membership.access
    }

    /// Returns the id of this member.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.access().id
    }

    /// Multicasts a payload to all members, this one included. Waits for room, at most for
    /// [`timeout`](Builder::timeout): the thread of the [`Receiver`] must go on meanwhile.
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::TimedOut`] if there is no room in time; [`Error::Finished`], or the reason why this member is
    /// not in the group any more.
    pub fn multicast(&self, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.put(Wait::Timeout, Outgoing::Multicast(payload.into()))
    }

    /// Multicasts a payload if there is room now.
    ///
    /// # Errors
    /// As [`multicast`](Self::multicast), but [`Error::Full`] if there is no room.
    pub fn try_multicast(&self, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.put(Wait::None, Outgoing::Multicast(payload.into()))
    }

    /// Sends a payload to one member. If that one leaves or is lost before it has acknowledged the message, this member receives
    /// [`Event::Undeliverable`]. Waits for room as [`multicast`](Self::multicast) does.
    ///
    /// # Errors
    /// As [`multicast`](Self::multicast); [`Error::NoSuchMember`] unless the receiver is in the last view received, or in the
    /// newest; [`Error::Invalid`] if the receiver is this member.
    pub fn send(&self, to: &str, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.put(Wait::Timeout, Outgoing::Direct(to.to_owned(), payload.into()))
    }

    /// Sends a payload to one member if there is room now.
    ///
    /// # Errors
    /// As [`send`](Self::send), but [`Error::Full`] if there is no room.
    pub fn try_send(&self, to: &str, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.put(Wait::None, Outgoing::Direct(to.to_owned(), payload.into()))
    }

    fn put(&self, wait: Wait, outgoing: Outgoing) -> Result<(), Error> {
        let (Outgoing::Multicast(payload) | Outgoing::Direct(_, payload)) = &outgoing;
        if payload.len() > MAX_TEXT {
            return Err(Error::TooLong { length: payload.len(), limit: MAX_TEXT });
        }
        let access = self.access();
        if matches!(&outgoing, Outgoing::Direct(to, _) if *to == access.id) {
            let text = format!("cannot send to {0}: {0} is the sender itself", access.id);
            return Err(Error::Invalid(text));
        }
        let gives_up = |queues: &Queues| match wait {
            Wait::None => true,
            Wait::UnlessFull => queues.is_full(),
            Wait::Timeout => false,
        };
        let sends_no_more = |queues: &Queues| queues.is_over() || queues.shutdown != Shutdown::None;
        let goes_on = |queues: &Queues| sends_no_more(queues) || queues.has_room() || gives_up(queues);
        let mut queues = access.shared.wait(Some(access.timeout), goes_on);
        if let Phase::Over(outcome) = &queues.phase {
            return Err(outcome.clone().err().unwrap_or(Error::Ended));
        }
        match queues.shutdown {
            Shutdown::None => {}
            Shutdown::Finish => return Err(Error::Finished),
            Shutdown::Leave | Shutdown::Abandon => return Err(Error::Ended),
        }
        if let Outgoing::Direct(to, _) = &outgoing
            && !queues.has_member(to)
        {
            return Err(Error::NoSuchMember(to.clone()));
        }
        if !queues.has_room() {
            return Err(if gives_up(&queues) {
                Error::Full
            } else {
                Error::timed_out("cannot send the message: there was no room", access.timeout)
            });
        }
        queues.put_outgoing(outgoing);
        drop(queues);
        access.wake();
        Ok(())
    }

    /// Announces that this member sends nothing more. It still receives; [`Event::End`] comes when all members have finished and
    /// delivered everything: then all have delivered the same.
    pub fn finish(&self) {
        self.access().shut_down(Shutdown::Finish);
    }

    /// Leaves the group: waits until all members have the messages of this one, and have gone on without it. Events that
    /// have not been received are discarded.
    ///
    /// # Errors
    /// The reason why this member was not in the group any more; [`Error::TimedOut`];
    /// [`Error::Undeliverable`] if direct messages are undeliverable for which no [`Event::Undeliverable`] was received.
    pub fn leave(self) -> Result<(), Error> {
        let access = self.access();
        access.shut_down(Shutdown::Leave);
        let queues = access.shared.wait(Some(access.timeout), Queues::is_over);
        let (phase, unreported) = (queues.phase.clone(), queues.unreported);
        drop(queues);
        let Phase::Over(outcome) = phase else {
            self.membership.abandon();
            let what = "cannot leave the group: the others did not have everything";
            return Err(Error::timed_out(what, self.access().timeout));
        };
        self.membership.end_thread();
        match unreported {
            0 => outcome,
            count => outcome.and(Err(Error::Undeliverable(count))),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Receiver {
    fn access(&self) -> &Arc<Access> {
        &self.membership.access
    }

    /// Returns the id of this member.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.access().id
    }

    /// Returns the last view received.
    #[must_use]
    pub const fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// After the last event: [`Error::Ended`] if this member has finished or left, or else the reason why it is not in the group any
    /// more. Every later call returns the same.
    pub fn recv(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.next(None)? {
                return Ok(event);
            }
        }
    }

    /// Returns the next event, if one waits.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Event>, Error> {
        self.next(Some(Duration::ZERO))
    }

    /// Waits for the next event, at most for `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        self.next(Some(timeout))
    }

    fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        let access = Arc::clone(self.access());
        let shared = &access.shared;
        let mut queues = shared.wait(timeout, |queues| queues.has_event() || queues.is_over());
        let was_full = queues.is_full();
        let incoming = queues.take_incoming();
        shared.signal(&mut queues);
        let has_room = was_full && !queues.is_full();
        let event = match incoming {
            Some(Incoming::Event(event)) => Some(event),
            Some(Incoming::StateRequest(view)) => {
                let access = Arc::clone(&access);
                let answer = move |state| access.answer_state(view, state);
                Some(Event::StateRequest(StateRequest::new(view, Box::new(answer))))
            }
            None => queues.outcome().transpose()?,
        };
        drop(queues);
        if has_room {
            access.wake();
        }
        if let Some(Event::View(view)) = &event {
            self.view = Some(view.clone());
        }
        Ok(event)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.access().shared.change(Queues::stop_receiving);
        self.access().wake();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("id", &self.id()).field("view", &self.view).finish_non_exhaustive()
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.access().shared.fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl AsRawFd for Group {
    fn as_raw_fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}
