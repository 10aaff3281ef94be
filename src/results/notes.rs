//! Station 10, on request: the arrivals and waits of multicasts, as lines of the history.
//!
//! An order knows members by slot; a history has ids and messages.

use std::borrow::Cow;

use super::history::{Clock, HistoryEvent, Reason};
use super::{MessageId, Results};
use crate::engine::MemberId;
use crate::exit::Failure;
use crate::member::Note;
use crate::waiting::{self, Messages, WaitsFor};

/// The lookup of a member's id and incarnation.
pub(super) type Who<'n> = dyn Fn(MemberId) -> (&'n str, u32) + 'n;

impl Results {
    /// Records an arrival or a new wait: an event for each message.
    ///
    /// # Errors
    /// Exit 74.
    pub fn note<'n>(&mut self, note: &Note, who: &Who<'n>, time_us: u64) -> Result<(), Failure> {
        match note {
            Note::Arrived { messages, number, clock } => {
                let clock = clock.as_ref().map(|clock| written(clock, who));
                for (offset, id) in (0..).zip(ids(*messages, who)) {
                    let number = number.map(|first| first + offset);
                    self.record(|| HistoryEvent::Arrive { id, time_us, number, clock: clock.as_ref() })?;
                }
            }
            Note::Waits(messages, waits_for) => {
                let reason = reason(waits_for, who);
                for id in ids(*messages, who) {
                    self.record(|| HistoryEvent::Wait { id, reason: Cow::Borrowed(&reason), time_us })?;
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

/// Returns a clock as a history has it.
fn written(clock: &waiting::Clock, who: &Who<'_>) -> Clock {
    match clock {
        waiting::Clock::Lamport(time) => Clock::Lamport(*time),
        waiting::Clock::Vector(vector) => {
            Clock::Vector(vector.iter().map(|(member, count)| (who(member).0.to_owned(), count)).collect())
        }
    }
}

/// Returns the reason to wait as a history has it.
fn reason(waits_for: &WaitsFor, who: &Who<'_>) -> Reason {
    let range = |messages: &Messages| {
        let (member, incarnation) = who(messages.sender);
        let (first, last) = (messages.first, messages.next - 1);
        let first_id = MessageId { member, incarnation, number: first };
        if first == last { first_id.to_string() } else { format!("{first_id}-{last}") }
    };
    let names = |members: &[MemberId]| {
        let mut names: Vec<String> = members.iter().map(|&member| who(member).0.to_owned()).collect();
        names.sort_unstable();
        names
    };
    let reason = |word: &str| Reason { r#for: word.to_owned(), ..Reason::default() };
    let messages = |word: &str, messages: &[Messages]| Reason {
        messages: messages.iter().map(range).collect(),
        ..reason(word)
    };
    let members = |word: &str, members: &[MemberId]| Reason { members: names(members), ..reason(word) };
    match waits_for {
        WaitsFor::Earlier(earlier) => messages("earlier", &[*earlier]),
        WaitsFor::EarlierWord(member) => members("earlier", &[*member]),
        WaitsFor::Causes(causes) => messages("cause", causes),
        WaitsFor::Number => reason("number"),
        WaitsFor::Place(place, next) => Reason { place: Some(*place), ..messages("place", next.as_slice()) },
        WaitsFor::Acknowledgements(missing) => members("acknowledgement", missing),
        WaitsFor::Proposals(missing) => members("proposal", missing),
        WaitsFor::Agreement => reason("agreement"),
        WaitsFor::Turn(earlier) => messages("turn", &[*earlier]),
    }
}
