//! View synchrony: members that go on from one view to the next have delivered the same messages in the first, and a
//! view has the same members everywhere.
//!
//! Agreement judges the deliveries of a member in its last view. The last view of a lost member is not judged.

use std::collections::BTreeMap;

use super::history::Record;
use super::message_index::MessageIndex;
use super::verdict::{Verdict, Witness};
use crate::talk::list;

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let of_record =
        |record: &Record| without_itself(record).or_else(|| skipped(record, |one, next| one + 1 == next));
    let one_list = || index.history.records.iter().find_map(of_record);
    index.conclude(lists_differ(index).or_else(one_list).or_else(|| deliveries_differ(index)))
}

/// Finds a view that its member is not in.
pub(super) fn without_itself(record: &Record) -> Option<Witness> {
    let view = record.views.iter().position(|view| view.members.binary_search(&record.name).is_err())?;
    let place = record.place_of(&[view]);
    let number = record.views[view].number;
    let story = format!("{} was given view {number} without itself{}", record.name, place.or_nothing());
    Some(Witness::new(story, [place]))
}

/// Finds a view whose number does not follow that of the view before.
pub(super) fn skipped(record: &Record, follows: fn(u64, u64) -> bool) -> Option<Witness> {
    let view = record.views.windows(2).position(|pair| !follows(pair[0].number, pair[1].number))?;
    let place = record.place_of(&[view, view + 1]);
    let [first, then] = [view, view + 1].map(|view| record.views[view].number);
    let story = format!("{} was given view {first} and then view {then}{}", record.name, place.or_nothing());
    Some(Witness::new(story, [place]))
}

/// Finds a view number with different members at two members.
pub(super) fn lists_differ(index: &MessageIndex<'_>) -> Option<Witness> {
    let mut known: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for member in index.members() {
        for (at, view) in index.record(member).views.iter().enumerate() {
            let (other, there) = *known.entry(view.number).or_insert((member, at));
            let (one, two) = (index.record(other), index.record(member));
            let theirs = &one.views[there];
            if theirs.members != view.members {
                let places = [one.place_of(&[there]), two.place_of(&[at])];
                let story = format!(
                    "view {} is {} at {}{} and {} at {}{}",
                    view.number,
                    list(&theirs.members),
                    one.name,
                    places[0].or_nothing(),
                    list(&view.members),
                    two.name,
                    places[1].or_nothing()
                );
                return Some(Witness::new(story, places));
            }
        }
    }
    None
}

/// The deliveries of a member in a view from which it went on: the member, the position of the view, and the messages,
/// sorted, each with its event.
type Passed = (usize, usize, Vec<(usize, usize)>);

/// Finds two members that went on from one view with different deliveries in it.
fn deliveries_differ(index: &MessageIndex<'_>) -> Option<Witness> {
    let mut known: BTreeMap<u64, Passed> = BTreeMap::new();
    for member in index.members() {
        let record = index.record(member);
        let done = record.views.len().saturating_sub(1);
        let mut deliveries = index.deliveries(member).peekable();
        for (at, view) in record.views.iter().enumerate().take(done) {
            let events = record.within(at);
            while deliveries.next_if(|(event, _)| *event < events.start).is_some() {}
            let mut here = Vec::new();
            while let Some((event, message)) = deliveries.next_if(|(event, _)| events.contains(event)) {
                here.push((message, event));
            }
            here.sort_unstable();
            here.dedup_by_key(|(message, _)| *message);
            let this = (member, at, here);
            match known.get(&view.number) {
                None => drop(known.insert(view.number, this)),
                Some(other) => {
                    if let Some(witness) =
                        only_one(index, &this, other).or_else(|| only_one(index, other, &this))
                    {
                        return Some(witness);
                    }
                }
            }
        }
    }
    None
}

/// Finds the first message that `one` delivered in the view and `other` did not.
fn only_one(index: &MessageIndex<'_>, one: &Passed, other: &Passed) -> Option<Witness> {
    let has = |message: &usize| other.2.binary_search_by_key(message, |(known, _)| *known).is_ok();
    let &(message, event) =
        one.2.iter().filter(|(message, _)| !has(message)).min_by_key(|(_, event)| *event)?;
    let [record, lacking] = [one.0, other.0].map(|member| index.record(member));
    let (delivered, went_on) = (record.place(&[event]), lacking.place_of(&[other.1, other.1 + 1]));
    let story = format!(
        "{} delivered {} {delivered} in view {}, from which {} went on too, and did not deliver it there{}",
        record.name,
        index.name(message),
        record.views[one.1].number,
        lacking.name,
        went_on.or_nothing()
    );
    Some(Witness::new(story, [delivered, went_on]))
}
