//! Departures: the events up to which a lost member agrees with the members that went on without it.
//!
//! A member delivers at once and may die before any other member has the same messages. The others may deliver its
//! last messages in another order, or never. So order comparisons ignore the deliveries of a lost member from its
//! first departure on. (Uniform orders would have to compare them too.)

use super::history::{Event, MessageId, Record};

/// Returns, for each member that did not reach the end and that the last view of a survivor excludes, its first
/// event that departs from the survivor's record.
pub(super) fn find(records: &[Record]) -> Vec<Option<usize>> {
    records.iter().map(|record| departure(record, records)).collect()
}

fn departure(record: &Record, records: &[Record]) -> Option<usize> {
    if record.ended {
        return None;
    }
    if record.replaced {
        return Some(0);
    }
    let goes_on_without = |other: &&Record| {
        let last = other.views.last().filter(|_| other.ended && other.views.len() > 1);
        last.is_some_and(|view| view.members.binary_search(&record.name).is_err())
    };
    Some(first_difference(record, records.iter().find(goes_on_without)?))
}

/// Returns the first delivery in the last shared view that differs from the other's, or the end of that view.
fn first_difference(one: &Record, two: &Record) -> usize {
    let Some((here, there)) = last_shared(one, two) else { return 0 };
    let mut others = deliveries(two, there).map(|(_, id)| id);
    let departs = deliveries(one, here).find(|(_, id)| others.next() != Some(*id));
    departs.map_or(one.within(here).end, |(event, _)| event)
}

/// Returns the deliveries in a view: the events and their messages.
fn deliveries(record: &Record, view: usize) -> impl Iterator<Item = (usize, MessageId)> + '_ {
    record.within(view).filter_map(|event| match &record.events[event] {
        Event::Deliver { id, .. } => Some((event, *id)),
        _ => None,
    })
}

/// Returns the positions, in each record, of the last view that both installed.
fn last_shared(one: &Record, two: &Record) -> Option<(usize, usize)> {
    let place = |number: u64| two.views.iter().position(|view| view.number == number);
    let shared = one.views.iter().enumerate().map_while(|(here, view)| {
        let there = place(view.number)?;
        (two.views[there].members == view.members).then_some((here, there))
    });
    shared.last()
}
