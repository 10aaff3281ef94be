//! The contract between a [`Participant`] and its application: a command file, a program with the library, a benchmark.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Participant;
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::Failure;
use crate::member::Note;
use crate::member::replay::{Missed, Origin, Replay};
use crate::wire::{Author, BatchBuilder};

/// The state of an application at the beginning of a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It takes deliveries.
    Ready,
    /// It takes no more deliveries for now.
    Full,
    /// It leaves: what a newcomer still has to receive is not wanted any more.
    Leaving,
}

/// The next operation of an application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Multicast a message.
    Multicast,
    /// Send a message to one member.
    Send(MemberId),
    /// Wait until this time, or until input comes.
    Rest(Option<Time>),
    /// Leave the group as soon as the others have all messages of this member.
    Leave,
    /// Send nothing more.
    Finish,
}

/// A part of what was delivered before the first view of a newcomer.
#[derive(Debug)]
pub enum Past {
    /// Deliveries.
    Deliveries(Vec<Replayed>),
    /// The state that results from all of them.
    State(Bytes),
}

/// A delivery before the first view of a newcomer.
#[derive(Debug)]
pub struct Replayed {
    /// The message. Its sender is nobody in a replay of a log.
    pub origin: Origin,
    /// In a replay of a log, the id and the incarnation of the sender.
    pub life: Option<(Arc<str>, u32)>,
    /// The author of its text, if its sender multicast it for somebody else: the name, the key, and the number there.
    pub author: Option<(String, u64, u64)>,
    /// Its text.
    pub text: Bytes,
    /// It is a later copy of a text of an author that was delivered before.
    pub doubled: bool,
}

impl Replayed {
    /// Returns the id and the incarnation of the sender, if they are known here.
    pub fn sender<'a>(&'a self, endpoint: &'a impl Endpoint) -> Option<(&'a str, u32)> {
        match &self.life {
            Some((id, incarnation)) => Some((id, *incarnation)),
            None => endpoint.find_seat(self.origin.sender).map(|seat| (seat.id.as_str(), seat.incarnation)),
        }
    }

    /// Returns the global number, if the order has one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        (self.origin.number > 0).then_some(self.origin.number)
    }
}

/// A newcomer's request for its past.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The newcomer.
    pub by: MemberId,
    /// The content.
    pub what: Missed,
    /// The number of its first view.
    pub view: u64,
    /// The number of deliveries, or of pieces of the state, that it has.
    pub have: u64,
}

/// An application's answer to a request.
#[derive(Debug)]
pub enum Piece {
    /// The next piece, the end, or a refusal.
    Ready(Replay),
    /// The application is reading, and goes on at the next turn.
    Reading,
    /// The application has it later.
    NotYet,
}

/// The reason for which a participant does not go on.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// A newcomer lacks what was delivered before its first view.
    CatchUp,
    /// The send window has no room for the next message.
    Window,
    /// The others do not have all messages of this member, which leaves.
    Leave,
    /// This member has acknowledged nothing for so long.
    SlowMember(MemberId, Duration),
}

/// An application that takes part in a run.
pub trait Application<E: Endpoint> {
    /// Returns whether it takes deliveries now. Begins a turn.
    ///
    /// # Errors
    /// The reason to end, as for every method below.
    fn readiness(&mut self, _participant: &mut Participant<E>) -> Result<Readiness, Failure> {
        Ok(Readiness::Ready)
    }

    /// Returns the next operation; the same one until it is done.
    fn next(&mut self, participant: &mut Participant<E>, now: Time) -> Result<Next, Failure>;

    /// Moves the next messages to `to` into `batch`, as long as they are the next operation and the batch has room.
    fn fill(
        &mut self,
        participant: &mut Participant<E>,
        to: To,
        batch: &mut BatchBuilder,
    ) -> Result<(), Failure>;

    /// Takes note that the participant multicasts a text of an author, as its message with this number.
    ///
    /// # Errors
    /// As above.
    fn multicasts_for(
        &mut self,
        _participant: &Participant<E>,
        _own_number: u64,
        _author: Author<'_>,
        _text: &[u8],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes a delivery: multicasts, direct or undeliverable messages, a view after the first, a notice.
    fn deliver(&mut self, participant: &Participant<E>, delivery: Delivery) -> Result<(), Failure>;

    /// Takes a note about the hold-back queue.
    fn note(&mut self, _participant: &Participant<E>, _at_us: u64, _note: &Note) -> Result<(), Failure> {
        Ok(())
    }

    /// Begins the first view: all later deliveries are in it or after it.
    fn first_view(&mut self, _participant: &Participant<E>, _view: &View) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes a part of what was delivered before the first view.
    fn past(&mut self, _participant: &Participant<E>, _past: Past) -> Result<(), Failure> {
        Ok(())
    }

    /// Returns the next piece for a newcomer.
    fn piece(&mut self, _participant: &mut Participant<E>, _request: &Request) -> Result<Piece, Failure> {
        Ok(Piece::Ready(Replay::Cannot))
    }

    /// Takes note that the participant waits.
    fn waits(&mut self, _participant: &mut Participant<E>, _wait: Wait) {}

    /// Takes note that everything sent in this view has been delivered, before the others are told.
    fn completed(&mut self, _participant: &mut Participant<E>) -> Result<(), Failure> {
        Ok(())
    }

    /// Ends a turn, before the endpoint waits for input.
    fn before_wait(&mut self, _participant: &mut Participant<E>) -> Result<(), Failure> {
        Ok(())
    }
}
