//! One order of all members' events: by time, but never an effect before its cause.
//!
//! Members' clocks are set at the start and not quite together. Regardless of clocks, each member's events keep
//! their order, and a receipt follows its multicast.

use std::collections::{BTreeMap, BTreeSet};

use super::passages::Passages;
use crate::check::Timeline;

/// An event: the member's index and the event's index at that member.
pub(super) type Place = (usize, usize);

/// Returns all events in causal order; if the histories contradict themselves, with as few violations as possible.
pub(super) fn sequence(timeline: &Timeline, passages: &Passages) -> Vec<Place> {
    let causes = causes(passages);
    let mut effects: BTreeMap<Place, Vec<Place>> = BTreeMap::new();
    for (&effect, &cause) in &causes {
        effects.entry(cause).or_default().push(effect);
    }
    let mut next = vec![0; timeline.members.len()];
    let mut done: BTreeSet<Place> = BTreeSet::new();
    // The next event of each member, sorted by time, if its cause is done.
    let mut ready: BTreeSet<(u64, Place)> = BTreeSet::new();
    let time = |(lane, index): Place| timeline.members[lane].events.get(index).map(|event| event.time_us);
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
        // All members wait for one another only in contradictory histories.
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

/// Maps each receipt of another member's message to its send event.
pub(super) fn causes(passages: &Passages) -> BTreeMap<Place, Place> {
    let mut senders = BTreeMap::new();
    for (lane, message, passage) in passages.iter() {
        if let Some(index) = passage.sent {
            senders.entry(message).or_insert((lane, index));
        }
    }
    let cause = |(lane, message, passage): (usize, usize, &super::Passage)| {
        let sender = *senders.get(&message)?;
        Some(((lane, passage.received()?), sender)).filter(|_| sender.0 != lane)
    };
    passages.iter().filter_map(cause).collect()
}
