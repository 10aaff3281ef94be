//! The events of all members in one order: by time as far as that goes, but never an effect before its cause.
//!
//! Members have clocks of their own, which are set at the start and not quite together. What each did stays in its
//! order, and a message is received after it was multicast, whatever the clocks say.

use std::collections::{BTreeMap, BTreeSet};

use super::stays::Stays;
use crate::check::Chronicle;

/// An event: of which member, and which of that member's.
pub(super) type Place = (usize, usize);

/// All events in an order that no cause contradicts; if the histories contradict themselves, as little as can be.
pub(super) fn sequence(chronicle: &Chronicle, stays: &Stays) -> Vec<Place> {
    let causes = causes(stays);
    let mut effects: BTreeMap<Place, Vec<Place>> = BTreeMap::new();
    for (&effect, &cause) in &causes {
        effects.entry(cause).or_default().push(effect);
    }
    let mut next = vec![0; chronicle.members.len()];
    let mut done: BTreeSet<Place> = BTreeSet::new();
    // Of each member whose next event has its cause behind it: that event, by time.
    let mut ready: BTreeSet<(u64, Place)> = BTreeSet::new();
    let time = |(lane, index): Place| {
        chronicle.members[lane].happenings.get(index).map(|happening| happening.time_us)
    };
    let is_ready =
        |place: Place, done: &BTreeSet<Place>| causes.get(&place).is_none_or(|cause| done.contains(cause));
    let heads = |next: &[usize]| next.iter().copied().enumerate().collect::<Vec<Place>>();
    ready.extend(
        heads(&next)
            .into_iter()
            .filter(|&head| is_ready(head, &done))
            .filter_map(|head| Some((time(head)?, head))),
    );
    let mut sequence = Vec::new();
    loop {
        // Only in histories that contradict themselves does everybody wait for somebody.
        let stuck = || heads(&next).into_iter().filter_map(|head| Some((time(head)?, head))).min();
        let Some((_, place)) = ready.pop_first().or_else(stuck) else { return sequence };
        sequence.push(place);
        done.insert(place);
        next[place.0] = place.1 + 1;
        let released = effects.get(&place).into_iter().flatten().copied();
        for head in released.filter(|&(lane, index)| next[lane] == index).chain([(place.0, place.1 + 1)]) {
            if let Some(time) = time(head).filter(|_| is_ready(head, &done)) {
                ready.insert((time, head));
            }
        }
    }
}

/// Of each event that is the receipt of a message from another member: the event that sent it.
pub(super) fn causes(stays: &Stays) -> BTreeMap<Place, Place> {
    let mut senders = BTreeMap::new();
    for (lane, message, stay) in stays.iter() {
        if let Some(index) = stay.sent {
            senders.entry(message).or_insert((lane, index));
        }
    }
    let cause = |(lane, message, stay): (usize, usize, &super::Stay)| {
        let sender = *senders.get(&message)?;
        Some(((lane, stay.received()?), sender)).filter(|_| sender.0 != lane)
    };
    stays.iter().filter_map(cause).collect()
}
