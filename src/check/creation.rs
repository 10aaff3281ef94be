//! No creation: each delivered message was multicast before, by its sender, with the same text.

use super::history::{Event, Record};
use super::message_index::MessageIndex;
use super::replay;
use super::verdict::{Place, Verdict, Witness};
use crate::place::quoted;

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let of_any = |find: fn(&MessageIndex<'_>, usize) -> Option<Witness>| {
        index.members().find_map(|member| find(index, member))
    };
    index.conclude_of_senders(
        of_any(created)
            .or_else(|| of_any(reused))
            .or_else(|| of_any(borrowed))
            .or_else(|| replay::stuck(index)),
    )
}

/// Finds the first delivery at a member that no multicast explains.
fn created(index: &MessageIndex<'_>, member: usize) -> Option<Witness> {
    index.deliveries(member).find_map(|(event, message)| {
        let record = index.record(member);
        let (story, origin) = unexplained(index, record, event, message)?;
        let (name, place) = (index.name(message), record.place(&[event]));
        let story = format!("{} delivered {name} {place}, {story}", record.name);
        Some(Witness::new(story, [place].into_iter().chain(origin).collect::<Vec<_>>()))
    })
}

/// Returns the reason why no multicast explains this delivery, if so. A sender with an incomplete record may have
/// multicast the message.
fn unexplained(
    index: &MessageIndex<'_>,
    record: &Record,
    event: usize,
    message: usize,
) -> Option<(String, Option<Place>)> {
    let Some(sender) = index.sender(message) else {
        // A log has messages of earlier runs, also of clients that are in none of these files.
        return (!record.has_log).then(|| ("whose sender is no member".to_owned(), None));
    };
    let Some(origin) = index.origin(message) else {
        let place = sender.place(&[]);
        return sender
            .is_whole()
            .then(|| (format!("which {} never multicast{}", sender.name, place.whole()), Some(place)));
    };
    let place = sender.place(&[origin]);
    let (given, sent) = (record.events[event].text(), sender.events[origin].text());
    if given != sent {
        let story = format!("as {}; {} multicast it {place} as {}", quoted(given), sender.name, quoted(sent));
        return Some((story, Some(place)));
    }
    let is_own = std::ptr::eq(record, sender);
    (is_own && event < origin).then(|| (format!("before it multicast it {place}"), Some(place)))
}

/// Finds two multicasts with one identity.
fn reused(index: &MessageIndex<'_>, member: usize) -> Option<Witness> {
    let record = index.record(member);
    let (event, message) =
        index.multicasts(member).find(|&(event, message)| index.origin(message) != Some(event))?;
    let place = record.place(&[index.origin(message)?, event]);
    let story = format!("{} multicast two messages as {} {place}", record.name, index.name(message));
    Some(Witness::new(story, [place]))
}

/// Finds a multicast under the name of another member, or of another incarnation.
fn borrowed(index: &MessageIndex<'_>, member: usize) -> Option<Witness> {
    let record = index.record(member);
    let is_borrowed =
        |event: &Event| matches!(event, Event::Multicast { id, .. } if usize::from(id.member) != member);
    let event = record.events.iter().position(is_borrowed)?;
    let (name, place) = (index.history.name(record.events[event].id()), record.place(&[event]));
    let story = format!("{} multicast {name} {place}, with an id that is not its own", record.name);
    Some(Witness::new(story, [place]))
}
