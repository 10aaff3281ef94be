//! Numbers: every member delivers 1, 2, 3, …, and a number is the same message everywhere.
//!
//! A number belongs to an epoch. In a later epoch the numbers may go on or begin again; a member never goes back to
//! an earlier one. So the first delivery has the same number everywhere, and the second, and so on.

use super::catalogue::Catalogue;
use super::history::Event;
use super::verdict::{Place, Verdict, Witness};

/// A delivery: the member, its event, the message.
type Delivery = (usize, usize, usize);

/// A place in the total order: the epoch, and the number in it.
type Number = (u64, u64);

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let numbered = |event: &Event| matches!(event, Event::Deliver { number: Some(_), .. });
    if !catalogue.history.records.iter().flat_map(|record| &record.events).any(numbered) {
        return Verdict::Undecided("no delivery has a number".to_owned());
    }
    let mut named = Vec::new();
    // Those who were there from the start say what the numbers are; those who came later go on where they came.
    let mut members: Vec<usize> = catalogue.members().collect();
    members.sort_by_key(|&member| catalogue.record(member).came_late());
    catalogue.conclude(members.into_iter().find_map(|member| wrong(catalogue, member, &mut named)))
}

/// The first delivery of `member` whose number is not the next, or not that of this message at another member.
/// `named` has, for each place so far, its number and a delivery under it.
fn wrong(catalogue: &Catalogue<'_>, member: usize, named: &mut Vec<(Number, Delivery)>) -> Option<Witness> {
    let (skipped, mut before) = skipped(catalogue, member, named);
    for (index, (event, message)) in catalogue.common_deliveries(member).enumerate() {
        let (index, this) = (skipped + index, (member, event, message));
        let number = match next(before, number(catalogue, this)) {
            Ok(number) => number,
            Err(story) => {
                let (told, place) = tell(catalogue, this);
                return Some(Witness::new(format!("{told} has {story}"), [place]));
            }
        };
        match named.get(index) {
            Some(&(known, other)) if (known, other.2) != (number, message) => {
                let ((one, at), (two, and_at)) = (tell(catalogue, other), tell(catalogue, this));
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

/// How many deliveries were before a member came, and the number of the last of them. Those who had them may be lost.
fn skipped(
    catalogue: &Catalogue<'_>,
    member: usize,
    named: &[(Number, Delivery)],
) -> (usize, Option<Number>) {
    if catalogue.record(member).came_late().is_none() {
        return (0, None);
    }
    let first = catalogue.deliveries(member).next();
    let first = first.and_then(|(event, message)| number(catalogue, (member, event, message)));
    let known = named.iter().position(|(number, _)| Some(*number) == first);
    (known.unwrap_or(named.len()), first.and_then(|(epoch, number)| Some((epoch, number.checked_sub(1)?))))
}

/// The number of a delivery, if it has one.
fn number(catalogue: &Catalogue<'_>, (member, event, _): Delivery) -> Option<Number> {
    match catalogue.record(member).events[event] {
        Event::Deliver { number, epoch, .. } => number.map(|number| (epoch, number)),
        _ => None,
    }
}

/// The number of a delivery, if it may come after this one; or what it has, and what was next.
fn next(before: Option<Number>, given: Option<Number>) -> Result<Number, String> {
    let (epoch, last) = before.unwrap_or_default();
    let next = last.saturating_add(1);
    match given {
        Some((same, number)) if same == epoch && number == next => Ok((same, number)),
        Some((later, number)) if later > epoch && (number == next || number == 1) => Ok((later, number)),
        _ => {
            let given = given.map_or_else(|| "no number".to_owned(), words);
            Err(format!("{given} where {} was next", words((epoch, next))))
        }
    }
}

fn words((epoch, number): Number) -> String {
    if epoch <= 1 { format!("number {number}") } else { format!("number {number} of epoch {epoch}") }
}

fn tell(catalogue: &Catalogue<'_>, (member, event, message): Delivery) -> (String, Place) {
    let record = catalogue.record(member);
    let place = record.place(&[event]);
    (format!("{} at {} {place}", catalogue.name(message), record.name), place)
}
