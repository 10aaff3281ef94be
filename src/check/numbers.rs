//! Numbers: every member delivers global numbers 1, 2, 3, …, and a number names the same message everywhere.
//!
//! A number belongs to an epoch. In a later epoch the numbers continue or begin again at 1; a member never returns
//! to an earlier epoch. So the n-th delivery has the same number at all members. If a member is in several groups, some
//! numbers name no message, the same at all members.

use super::history::Event;
use super::message_index::MessageIndex;
use super::verdict::{Place, Verdict, Witness};

/// A delivery: the member, the event, the message.
type Delivery = (usize, usize, usize);

/// An epoch and the global number in it.
type Number = (u64, u64);

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let numbered = |event: &Event| matches!(event, Event::Deliver { number: Some(_), .. });
    if !index.history.records.iter().flat_map(|record| &record.events).any(numbered) {
        return Verdict::Undecided("no delivery has a number".to_owned());
    }
    let mut named = Vec::new();
    // Members present from the start define the numbers; newcomers are compared with them.
    let mut members: Vec<usize> = index.members().collect();
    members.sort_by_key(|&member| index.record(member).came_late());
    index.conclude(members.into_iter().find_map(|member| wrong(index, member, &mut named)))
}

/// Returns the first delivery of `member` with a number that is not the next, or that another member gave to
/// another message. `named` holds the number and one delivery for each position so far, and grows.
fn wrong(index: &MessageIndex<'_>, member: usize, named: &mut Vec<(Number, Delivery)>) -> Option<Witness> {
    let (skipped, mut before) = skipped(index, member, named);
    for (position, (event, message)) in index.common_deliveries(member).enumerate() {
        let (position, this) = (skipped + position, (member, event, message));
        let number = match next(before, number(index, this), index.history.across.is_some()) {
            Ok(number) => number,
            Err(story) => {
                let (told, place) = tell(index, this);
                return Some(Witness::new(format!("{told} has {story}"), [place]));
            }
        };
        match named.get(position) {
            Some(&(known, other)) if (known, other.2) != (number, message) => {
                let ((one, at), (two, and_at)) = (tell(index, other), tell(index, this));
                let story = if known == number {
                    format!("{} is {one} and {two}", words(number))
                } else {
                    format!("{one} has {} where {two} has {}", words(known), words(number))
                };
                return Some(Witness::new(story, [at, and_at]));
            }
            Some(_) => {}
            None => named.push((number, this)),
        }
        before = Some(number);
    }
    None
}

/// Returns the number of deliveries before a newcomer joined, which may be in no record, and the number of the last.
fn skipped(index: &MessageIndex<'_>, member: usize, named: &[(Number, Delivery)]) -> (usize, Option<Number>) {
    if index.record(member).came_late().is_none() {
        return (0, None);
    }
    let first = index.deliveries(member).next();
    let first = first.and_then(|(event, message)| number(index, (member, event, message)));
    let known = named.iter().position(|(number, _)| Some(*number) == first);
    (known.unwrap_or(named.len()), first.and_then(|(epoch, number)| Some((epoch, number.checked_sub(1)?))))
}

/// Returns the number of a delivery, if it has one.
fn number(index: &MessageIndex<'_>, (member, event, _): Delivery) -> Option<Number> {
    match index.record(member).events[event] {
        Event::Deliver { number, epoch, .. } => number.map(|number| (epoch, number)),
        _ => None,
    }
}

/// Returns the delivery's number if it may follow `before`, some numbers later if they may be `skipped`; otherwise a
/// description of both.
fn next(before: Option<Number>, given: Option<Number>, skipped: bool) -> Result<Number, String> {
    let (epoch, last) = before.unwrap_or_default();
    let next = last.saturating_add(1);
    let follows = |number: u64| number == next || skipped && number > next;
    match given {
        Some((same, number)) if same == epoch && follows(number) => Ok((same, number)),
        Some((later, number)) if later > epoch && (number == 1 || follows(number)) => Ok((later, number)),
        _ => {
            let given = given.map_or_else(|| "no number".to_owned(), words);
            Err(format!("{given} where {} was next", words((epoch, next))))
        }
    }
}

fn words((epoch, number): Number) -> String {
    if epoch <= 1 { format!("number {number}") } else { format!("number {number} of epoch {epoch}") }
}

fn tell(index: &MessageIndex<'_>, (member, event, message): Delivery) -> (String, Place) {
    let record = index.record(member);
    let place = record.place(&[event]);
    (format!("{} at {} {place}", index.name(message), record.name), place)
}
