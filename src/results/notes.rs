//! Station 10, on request: the arrivals and waits of multicasts, as lines of the history.
//!
//! An order knows members by slot; a history has ids and messages.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Event, MessageId, Results};
use crate::engine::MemberId;
use crate::exit::Failure;
use crate::member::Note;
use crate::waiting::{Clock, Messages, WaitsFor};

/// The lookup of a member's id and incarnation.
pub(super) type Who<'n> = dyn Fn(MemberId) -> (&'n str, u32) + 'n;

/// A clock as a history has it: a number, or a count of messages for each member.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Reading<'n> {
    Lamport(u64),
    Vector(BTreeMap<&'n str, u64>),
}

/// The reason for which a message is held back: a word, and its details.
#[derive(Debug, Default, Serialize)]
pub(super) struct Reason<'n> {
    r#for: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Range<'n>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<&'n str>,
}

/// Messages of one sender: `c1/1/7`, or `c1/1/7-9`.
#[derive(Debug)]
struct Range<'n> {
    first: MessageId<'n>,
    last: u64,
}

impl Serialize for Range<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first.number == self.last {
            return serializer.collect_str(&self.first);
        }
        serializer.collect_str(&format_args!("{}-{}", self.first, self.last))
    }
}

impl Results {
    /// Records an arrival or a new wait: an event for each message.
    ///
    /// # Errors
    /// Exit 74.
    pub fn note<'n>(&mut self, note: &Note, who: &Who<'n>, time_us: u64) -> Result<(), Failure> {
        match note {
            Note::Arrived { messages, number, clock } => {
                let clock = clock.as_ref().map(|clock| Reading::new(clock, who));
                for (place, id) in (0..).zip(ids(*messages, who)) {
                    let number = number.map(|first| first + place);
                    self.record(|| Event::Arrive { id, time_us, number, clock: clock.as_ref() })?;
                }
            }
            Note::Waits(messages, waits_for) => {
                let reason = Reason::new(waits_for, who);
                for id in ids(*messages, who) {
                    self.record(|| Event::Wait { id, reason: &reason, time_us })?;
                }
            }
        }
        Ok(())
    }
}

fn ids<'n>(messages: Messages, who: &Who<'n>) -> impl Iterator<Item = MessageId<'n>> {
    let (member, incarnation) = who(messages.sender);
    (messages.first..messages.next).map(move |number| MessageId { member, incarnation, number })
}

impl<'n> Reading<'n> {
    fn new(clock: &Clock, who: &Who<'n>) -> Self {
        match clock {
            Clock::Lamport(time) => Self::Lamport(*time),
            Clock::Vector(vector) => {
                Self::Vector(vector.iter().map(|(member, count)| (who(member).0, count)).collect())
            }
        }
    }
}

impl<'n> Reason<'n> {
    fn new(waits_for: &WaitsFor, who: &Who<'n>) -> Self {
        let range = |messages: &Messages| {
            let (member, incarnation) = who(messages.sender);
            let first = MessageId { member, incarnation, number: messages.first };
            Range { first, last: messages.next - 1 }
        };
        let names = |members: &[MemberId]| {
            let mut names: Vec<&str> = members.iter().map(|&member| who(member).0).collect();
            names.sort_unstable();
            names
        };
        let reason = |r#for| Self { r#for, ..Self::default() };
        match waits_for {
            WaitsFor::Earlier(messages) => Self { messages: vec![range(messages)], ..reason("earlier") },
            WaitsFor::EarlierWord(member) => Self { members: names(&[*member]), ..reason("earlier") },
            WaitsFor::Causes(causes) => {
                Self { messages: causes.iter().map(range).collect(), ..reason("cause") }
            }
            WaitsFor::Number => reason("number"),
            WaitsFor::Place(place, next) => {
                Self { place: Some(*place), messages: next.iter().map(range).collect(), ..reason("place") }
            }
            WaitsFor::Acknowledgements(members) => {
                Self { members: names(members), ..reason("acknowledgement") }
            }
            WaitsFor::Proposals(members) => Self { members: names(members), ..reason("proposal") },
            WaitsFor::Agreement => reason("agreement"),
            WaitsFor::Turn(messages) => Self { messages: vec![range(messages)], ..reason("turn") },
        }
    }
}
