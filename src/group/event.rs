//! The events that a member receives.

use std::fmt;

use bytes::Bytes;

use super::error::Error;
use super::{MAX_STATE, Undelivered};

/// An event, in the order in which it happened at this member.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A multicast message, perhaps of this member itself.
    Delivery(Delivery),
    /// A direct message to this member.
    Direct(Direct),
    /// The group has these members from here on. The first event of a member that starts with the group.
    View(View),
    /// A direct message of this member is undeliverable, because its receiver is not in the group any more.
    Undeliverable(Undeliverable),
    /// Newcomers joined with the last view, and this member [gives its state](super::Builder::gives_state) to them.
    StateRequest(StateRequest),
    /// The state at the beginning of the view that follows. The first event of a newcomer that starts
    /// [with the state](super::Start::WithState).
    State(Bytes),
    /// All members have finished and delivered everything. The last event.
    End,
}

/// A multicast message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// The id of the sender.
    pub from: String,
    /// The payload.
    pub payload: Bytes,
    /// The global number, if the order has one: 1, 2, 3 …, the same at every member.
    pub number: Option<u64>,
    /// The message number among the multicasts of the sender: 1, 2, 3 …
    pub own_number: u64,
    /// The name of the author, if `from` multicast it for somebody who is no member (`groupcast post`). A text that two
    /// members multicast for their author is delivered once.
    pub author: Option<String>,
}

/// A direct message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Direct {
    /// The id of the sender.
    pub from: String,
    /// The payload.
    pub payload: Bytes,
    /// The message number among the messages of the sender to this member: 1, 2, 3 …
    pub own_number: u64,
}

/// A direct message that is undeliverable.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Undeliverable {
    /// The id of the receiver.
    pub to: String,
    /// The payload.
    pub payload: Bytes,
    /// The message number among the messages of this member to that receiver: 1, 2, 3 …
    pub own_number: u64,
    /// Why it is undeliverable.
    pub reason: Undelivered,
}

/// The members of the group from one place of the order on.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// The number of the view; the group starts with 1.
    pub number: u64,
    /// The ids of the members, sorted.
    pub members: Vec<String>,
    /// The new members. Empty in the first view of this member.
    pub joined: Vec<String>,
    /// The members of the view before that are not in this one. Empty in the first view of this member.
    pub gone: Vec<String>,
    /// The member that assigns global numbers, if the order needs one.
    pub sequencer: Option<String>,
}

/// A request for the state at this place of the order: for the result of all events received before it, and none after it.
///
/// A request that is dropped is refused, and the newcomer asks another member.
pub struct StateRequest {
    view: u64,
    /// Takes the state, or the refusal; `None` once it has.
    answer: Option<Answer>,
}

type Answer = Box<dyn FnOnce(Option<Bytes>) + Send + Sync>;

impl StateRequest {
    pub(super) fn new(view: u64, answer: Answer) -> Self {
        Self { view, answer: Some(answer) }
    }

    /// Returns the number of the view at whose beginning the state is wanted.
    #[must_use]
    pub const fn view(&self) -> u64 {
        self.view
    }

    /// Gives the state. Take the snapshot before the next event is applied; the reply itself may come later, and from any
    /// thread.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the state is longer than [`MAX_STATE`]; then it is refused.
    pub fn reply(mut self, state: impl Into<Bytes>) -> Result<(), Error> {
        let state = state.into();
        if state.len() > MAX_STATE {
            return Err(Error::TooLong { length: state.len(), limit: MAX_STATE });
        }
        self.answer(Some(state));
        Ok(())
    }

    fn answer(&mut self, state: Option<Bytes>) {
        if let Some(answer) = self.answer.take() {
            answer(state);
        }
    }
}

impl Drop for StateRequest {
    fn drop(&mut self) {
        self.answer(None);
    }
}

impl fmt::Debug for StateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateRequest").field("view", &self.view).finish_non_exhaustive()
    }
}
