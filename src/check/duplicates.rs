//! No duplicate: no member delivers a message twice.

use super::message_index::MessageIndex;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    index.conclude(index.members().find_map(|member| repeated(index, member)))
}

fn repeated(index: &MessageIndex<'_>, member: usize) -> Option<Witness> {
    let first = index.first_deliveries(member);
    let again = |&(event, message): &(usize, usize)| first[message].is_some_and(|first| first < event);
    let (event, message) = index.deliveries(member).find(again)?;
    let record = index.record(member);
    let place = record.place(&[first[message]?, event]);
    let story = format!("{} delivered {} twice {place}", record.name, index.name(message));
    Some(Witness::new(story, [place]))
}
