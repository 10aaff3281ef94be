//! No duplicate: no member delivers a message twice, and none shows a text of an author twice or not at all.

use std::collections::BTreeMap;

use super::history::{Event, Record};
use super::message_index::MessageIndex;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let violation = |member| repeated(index, member).or_else(|| doubled(index.record(member)));
    index.conclude(index.members().find_map(violation))
}

/// Finds a text of an author that a member delivered twice, as two messages, or dropped although it was the first copy.
fn doubled(record: &Record) -> Option<Witness> {
    let mut first: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    for (&event, authored) in &record.authored {
        if !matches!(record.events.get(event), Some(Event::Deliver { .. })) {
            continue;
        }
        let earlier = *first.entry(authored.post).or_insert(event);
        let (name, author) = (&record.name, &authored.name);
        let place = record.place(&if earlier == event { vec![event] } else { vec![earlier, event] });
        let story = match (earlier < event, authored.is_doubled) {
            (true, false) => format!("{name} delivered a text of {author} twice, as two messages {place}"),
            // A newcomer does not know what came before its first view.
            (false, true) if record.came_late().is_none() => {
                format!("{name} dropped a text of {author} that it had not delivered {place}")
            }
            _ => continue,
        };
        return Some(Witness::new(story, [place]));
    }
    None
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
