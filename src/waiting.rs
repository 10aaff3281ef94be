//! The messages that a member holds back, each with the reason.
//!
//! An order computes them as a pure function of its state ([`crate::engine::OrderEngine::waiting`]), and only
//! on request. [`crate::member::Watch`] requests them after every step.

use crate::clock::VectorClock;
use crate::ids::MemberId;

/// Consecutive messages of one sender: from number `first` up to but not including `next`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Messages {
    /// The member that multicast them.
    pub sender: MemberId,
    /// The message number of the first.
    pub first: u64,
    /// The message number after the last.
    pub next: u64,
}

/// The reason why a message is held back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WaitsFor {
    /// Earlier messages of the same sender.
    Earlier(Messages),
    /// An earlier packet of this member: a batch or an acknowledgement.
    EarlierWord(MemberId),
    /// Messages of other members that happened before it.
    Causes(Vec<Messages>),
    /// Its global number, from the sequencer.
    Number,
    /// An earlier global number, and the message that has it if known.
    Place(u64, Option<Messages>),
    /// An acknowledgement by each of these members, with a timestamp not before that of the message.
    Acknowledgements(Vec<MemberId>),
    /// The proposals of these members.
    Proposals(Vec<MemberId>),
    /// The agreed number, from its sender.
    Agreement,
    /// A message that may still precede it.
    Turn(Messages),
}

/// Messages that have been received and not delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// The messages.
    pub messages: Messages,
    /// The global number of the first, if known.
    pub number: Option<u64>,
    /// The reason.
    pub waits_for: WaitsFor,
}

/// The logical clock of a member, in an order that has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Clock {
    /// The number of delivered messages of each member.
    Vector(VectorClock),
    /// A Lamport clock.
    Lamport(u64),
}
