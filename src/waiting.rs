//! Beside the path: what a member holds back, and what each of its messages waits for.
//!
//! An order tells it as a pure function of its state ([`crate::engine::OrderEngine::waiting`]); nobody pays for it who does
//! not ask. [`crate::member::Watch`] asks after every step.

use crate::clock::VectorClock;
use crate::engine::MemberId;

/// Consecutive messages of one sender: from number `first` up to, and without, `next`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Messages {
    /// Who multicast them.
    pub sender: MemberId,
    /// The sender's number of the first.
    pub first: u64,
    /// The number after that of the last.
    pub next: u64,
}

/// What must come before a message can be delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WaitsFor {
    /// Earlier messages of the same sender.
    Earlier(Messages),
    /// Something that this member said earlier, be it a message or an acknowledgement.
    EarlierWord(MemberId),
    /// Messages of others that happened before it.
    Causes(Vec<Messages>),
    /// Its number, which the sequencer gives.
    Number,
    /// An earlier place in the total order: its number, and the message that has it, where that is known.
    Place(u64, Option<Messages>),
    /// A word of each of these members that is no earlier than the message.
    Acknowledgements(Vec<MemberId>),
    /// The numbers that these members propose.
    Proposals(Vec<MemberId>),
    /// The number that its sender will announce as agreed.
    Agreement,
    /// A message that may still come before it.
    Turn(Messages),
}

/// Messages that were received and are not delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// Which.
    pub messages: Messages,
    /// The place of the first in the total order, if it is known already.
    pub number: Option<u64>,
    /// What they wait for.
    pub waits_for: WaitsFor,
}

/// The clock of a member, where its order has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Clock {
    /// Of each member, how many of its messages have been delivered here.
    Vector(VectorClock),
    /// Counts what may have happened before.
    Lamport(u64),
}
