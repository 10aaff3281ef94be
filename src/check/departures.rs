//! Departures: how far a lost member goes together with those that went on without it.
//!
//! A member delivers at once, and may die before anybody else could have what it has. So what it delivered last, the
//! others may deliver at another place, or never: from its first departure from them on, its deliveries count for nothing
//! where orders are compared. (Orders that are uniform would have to say more.)

use super::catalogue::Catalogue;
use super::history::Record;

/// Of each member that did not come to the end, and that the last view of one that did leaves out: its first event that
/// departs from what that one was given.
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

/// The first event in the last view that the two share that is not what the other has there; if there is none, the end
/// of that view.
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

/// The places of the last view of the first that the second was given too.
fn last_shared(one: &Record, two: &Record) -> Option<(usize, usize)> {
    let place = |number: u64| two.views.iter().position(|view| view.number == number);
    let shared = one.views.iter().enumerate().map_while(|(here, view)| {
        let there = place(view.number)?;
        (two.views[there].members == view.members).then_some((here, there))
    });
    shared.last()
}
