//! Departures: the events up to which a lost member agrees with the members that went on without it.
//!
//! A member delivers at once and may die before any other member has the same messages. The others may deliver its
//! last messages in another order, or never. So order comparisons ignore the deliveries of a lost member from its
//! first departure on. (Uniform orders would have to compare them too.)

use super::catalogue::Catalogue;
use super::history::Record;

/// Returns, for each member that did not reach the end and that the last view of a survivor excludes, its first
/// event that departs from the survivor's record.
pub(super) fn find(catalogue: &Catalogue<'_>) -> Vec<Option<usize>> {
    catalogue.members().map(|member| departure(catalogue, member)).collect()
}

fn departure(catalogue: &Catalogue<'_>, member: usize) -> Option<usize> {
    let record = catalogue.record(member);
    let goes_on_without = |other: &usize| {
        let other = catalogue.record(*other);
        let last = other.views.last().filter(|_| other.ended && other.views.len() > 1);
        last.is_some_and(|view| view.members.binary_search(&record.name).is_err())
    };
    if record.ended {
        return None;
    }
    if record.replaced {
        return Some(0);
    }
    let other = catalogue.members().find(goes_on_without)?;
    Some(first_difference(catalogue, member, other))
}

/// Returns the first delivery in the last shared view that differs from the other's, or the end of that view.
fn first_difference(catalogue: &Catalogue<'_>, member: usize, other: usize) -> usize {
    let [one, two] = [member, other].map(|member| catalogue.record(member));
    let Some((here, there)) = last_shared(one, two) else { return 0 };
    let within = |member: usize, record: &Record, view: usize| {
        let events = record.within(view);
        let deliveries = catalogue.deliveries(member).filter(move |(event, _)| events.contains(event));
        deliveries.collect::<Vec<_>>()
    };
    let (own, others) = (within(member, one, here), within(other, two, there));
    let mut others = others.iter().map(|&(_, message)| message);
    let departs = own.iter().find(|&&(_, message)| others.next() != Some(message));
    departs.map_or(one.within(here).end, |&(event, _)| event)
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
