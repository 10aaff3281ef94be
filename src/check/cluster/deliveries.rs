//! The confirmed messages of a cluster as deliveries, for the oracles of groups.
//!
//! The lives of a member become one record. A message is delivered where its confirmation stands.

use std::collections::{BTreeMap, BTreeSet};

use super::super::history::{Event, History, MessageId, Record, Source};
use super::history::{Happening, Id, MemberStory, Moment};
use super::list::List;
use super::stories::{self, Stories};

/// Returns the history of a group whose members deliver what the members of this cluster confirm.
pub(in crate::check) fn deliveries(stories: &Stories<'_>) -> History {
    let records = stories.members().zip(0..).map(|((story, list), slot)| record(stories, story, list, slot));
    History { records: records.collect(), strangers: stories.history.strangers.clone(), across: None }
}

const fn message((member, number): Id) -> MessageId {
    MessageId { member, incarnation: 1, number }
}

fn record(stories: &Stories<'_>, story: &MemberStory, list: &List<'_>, slot: u16) -> Record {
    let mut events: Vec<(Event, Moment)> = Vec::new();
    let mut confirmed = list.confirmed.iter().peekable();
    let mut told: BTreeSet<u64> = BTreeSet::new();
    let sends = last_sends(story);
    let mut number = 0;
    for (moment, happening) in story.happenings() {
        while let Some((id, _)) = confirmed.next_if(|(_, confirm)| *confirm <= moment) {
            number += 1;
            let text = list.inserted[id].text.clone();
            let number = Some(number);
            events.push((Event::Deliver { id: message(*id), number, epoch: 1, text }, moment));
        }
        let event = match happening {
            Happening::Multicast { number, text } => {
                told.insert(*number);
                let counts = !stories.is_lost((slot, *number), moment);
                counts.then(|| Event::Multicast { id: message((slot, *number)), text: text.clone() })
            }
            // The last lines of a killed life may be lost; the journal gave the message back.
            Happening::Insert { id, text, .. }
                if id.0 == slot && story.crashed_before(moment.0) && told.insert(id.1) =>
            {
                Some(Event::Multicast { id: message(*id), text: text.clone() })
            }
            Happening::Send { to, number, text } => (sends[&(*to, *number)] == moment.0)
                .then(|| Event::Send { id: message((slot, *number)), to: *to, text: text.clone() }),
            Happening::Receive { from, number, text } => {
                Some(Event::Receive { id: message((*from, *number)), text: text.clone() })
            }
            Happening::Undeliverable { to, number, reason } => {
                Some(Event::Undeliverable { id: message((slot, *number)), to: *to, reason: reason.clone() })
            }
            _ => None,
        };
        events.extend(event.map(|event| (event, moment)));
    }
    finished(story, events, stories.removed.contains(&slot))
}

/// Returns the last life that sends each direct message: what an earlier one sent was lost before it was stored.
fn last_sends(story: &MemberStory) -> BTreeMap<(u16, u64), usize> {
    let of_send = |((life, _), happening): (Moment, &Happening)| match happening {
        Happening::Send { to, number, .. } => Some(((*to, *number), life)),
        _ => None,
    };
    story.happenings().filter_map(of_send).collect()
}

/// Returns the record with these events.
fn finished(story: &MemberStory, events: Vec<(Event, Moment)>, is_removed: bool) -> Record {
    // As a member of a group that went on without it: what it delivered last does not count.
    let open = if is_removed { None } else { stories::unsettled(story) };
    let is_whole = stories::unknown(story).is_none();
    let source = source(story, events.iter().map(|(_, moment)| *moment));
    Record {
        name: story.name.clone(),
        events: events.into_iter().map(|(event, _)| event).collect(),
        ended: open.is_none() && !is_removed,
        replaced: is_removed,
        stopped: open.is_some() && is_whole,
        open,
        source,
        ..Record::default()
    }
}

/// Returns the files and lines of these events, if the lives have files.
fn source(story: &MemberStory, moments: impl Iterator<Item = Moment>) -> Option<Source> {
    let mut source = Source::default();
    for (event, (life, position)) in moments.enumerate() {
        let told = story.lives[life].source.as_ref()?;
        if event == 0 {
            source.file.clone_from(&told.file);
        } else if source.last_file() != told.file {
            source.further.push((event, told.file.clone()));
        }
        source.lines.push(told.lines[position]);
    }
    if source.lines.is_empty() {
        source.file.clone_from(&story.lives.last()?.source.as_ref()?.file);
    }
    Some(source)
}
