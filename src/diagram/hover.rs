//! The details of a message at a member, shown when the pointer is on it.

use super::passages::{Passage, Passages};
use super::words::{cut, numbers, place, reason};
use crate::check::{EventKind, Member, Message, Timeline};
use crate::talk::on_one_line;
use crate::units::short_duration;

/// The longest text that is shown in full, in columns.
const TEXT: usize = 200;
/// The most reasons to wait that are shown.
const REASONS: usize = 6;

/// Describes a message at a member, one fact per line.
pub(super) fn about(timeline: &Timeline, passages: &Passages, lane: usize, message: usize) -> String {
    let member = &timeline.members[lane];
    let passage = passages.of_message(lane, message);
    let mut lines = vec![title(&timeline.messages[message])];
    let sender = origin(timeline, passages, message);
    lines.extend(sender.map(|(sender, index)| sent(timeline, passages, sender, message, index)));
    lines.extend(sender.and_then(|(sender, _)| undeliverable(timeline, passages, sender, message)));
    if timeline.slots.is_some() && timeline.messages[message].to.is_none() {
        lines.extend(shown(timeline, member, &passage));
        lines.push(confirmed(member, &passage, message));
    } else {
        lines.extend(hold_back(member, &passage));
        lines.extend(end(member, &passage));
    }
    lines.join("\n")
}

/// Describes how a member of a cluster showed a message.
pub(crate) fn shown(timeline: &Timeline, member: &Member, passage: &Passage) -> Option<String> {
    let index = passage.shown?;
    let EventKind::Insert(inserted) = member.events[index].kind else { return None };
    let (name, at) = (&member.name, place(member, index));
    let over = inserted.over.map(|over| timeline.messages[over].id());
    let above = match (inserted.above, over) {
        (0, _) | (_, None) => "below all others".to_owned(),
        (1, Some(over)) => format!("above {over}, which was there before"),
        (above, Some(over)) => format!("above {over} and {} more, which were there before", above - 1),
    };
    Some(format!("{name} showed it at {at}, {above}"))
}

/// Describes how a member of a cluster confirmed a message.
pub(crate) fn confirmed(member: &Member, passage: &Passage, message: usize) -> String {
    let name = &member.name;
    let confirm = passage.delivered.map(|index| (index, &member.events[index]));
    let Some((index, event)) = confirm else { return format!("{name} never confirmed it") };
    let EventKind::Confirm { number, messages } = &event.kind else {
        return format!("{name} never confirmed it");
    };
    let before = messages.iter().position(|&known| known == message).unwrap_or_default();
    let number = number.saturating_add(before as u64);
    let shown = passage.shown.map(|shown| &member.events[shown]);
    let is_timed = !event.is_again && shown.is_some_and(|shown| !shown.is_again);
    let later = shown.filter(|_| is_timed).map_or_else(String::new, |shown| {
        format!(", {} later", short_duration(event.time_us.saturating_sub(shown.time_us)))
    });
    format!("{name} confirmed it as number {number} at {}{later}", place(member, index))
}

/// Describes an event of a cluster that concerns no message, or several.
pub(super) fn about_event(timeline: &Timeline, (lane, index): (usize, usize)) -> String {
    let member = &timeline.members[lane];
    let (name, at) = (&member.name, place(member, index));
    match &member.events[index].kind {
        EventKind::Confirm { number, messages } => {
            let numbers = numbers(*number, messages.len());
            let mut lines = vec![format!("{name} confirmed {numbers} at {at}: they are final")];
            let told = |(before, &message): (u64, &usize)| {
                format!("  {}: {}", number.saturating_add(before), title(&timeline.messages[message]))
            };
            lines.extend((0..).zip(messages).take(REASONS).map(told));
            if messages.len() > REASONS {
                lines.push(format!("  and {} more", messages.len() - REASONS));
            }
            lines.join("\n")
        }
        EventKind::Begin(life) => format!("life {life} of {name} begins at {at}"),
        EventKind::End(Some(reason)) => {
            format!("{name} ends at {at}: {}", on_one_line(reason.as_bytes()))
        }
        EventKind::End(None) if index + 1 < member.events.len() => {
            format!("{name} crashed: this life has no end; its last event is at {at}")
        }
        _ => format!("the history of {name} has no end; its last event is at {at}"),
    }
}

/// Formats the message's id, its receiver if it is direct, and its text.
fn title(message: &Message) -> String {
    let to = message.to.as_ref().map_or_else(String::new, |to| format!(" to {to} alone"));
    format!("{}{to}: {}", message.id(), cut(&on_one_line(&message.text), TEXT))
}

fn end(member: &Member, passage: &Passage) -> Option<String> {
    let (name, at) = (&member.name, |index| place(member, index));
    match (passage.delivered, passage.arrived) {
        (Some(end), _) => Some(match member.events[end].kind {
            EventKind::Deliver(Some(number)) => {
                format!("{name} delivered it as number {number} at {}", at(end))
            }
            EventKind::Receive => format!("{name} received it at {}", at(end)),
            _ => format!("{name} delivered it at {}", at(end)),
        }),
        (None, Some(_)) => Some(format!("{name} never delivered it")),
        (None, None) => None,
    }
}

fn hold_back(member: &Member, passage: &Passage) -> Vec<String> {
    let Some(arrived) = passage.arrived else { return Vec::new() };
    let what = match passage.length(member) {
        _ if !passage.is_held_back() => ", nothing held it back".to_owned(),
        Some(micros) => format!(", held back for {}:", short_duration(micros)),
        None => ", held back to the end:".to_owned(),
    };
    let mut lines = vec![format!("it arrived at {} at {}{what}", member.name, place(member, arrived))];
    let reasons = reasons(member, passage);
    lines.extend(reasons.iter().take(REASONS).map(|(reason, micros)| match micros {
        Some(micros) => format!("  {} for {reason}", short_duration(*micros)),
        None => format!("  for {reason}"),
    }));
    if reasons.len() > REASONS {
        let more = reasons.len() - REASONS;
        lines.push(format!("  and for {more} more; `groupcast explain` tells all"));
    }
    if let EventKind::Arrive { clock: Some(clock), .. } = &member.events[arrived].kind {
        lines.push(format!("  clock of {} by then: {clock}", member.name));
    }
    lines
}

/// Returns each reason to wait, and its duration in microseconds if it ended.
pub(crate) fn reasons(member: &Member, passage: &Passage) -> Vec<(String, Option<u64>)> {
    let time = |index: usize| member.events[index].time_us;
    let ends = passage.waits.iter().skip(1).copied().map(Some).chain([passage.delivered]);
    let told = |(&from, until): (&usize, Option<usize>)| match &member.events[from].kind {
        EventKind::Wait(why) => {
            Some((reason(why), until.map(|until| time(until).saturating_sub(time(from)))))
        }
        _ => None,
    };
    passage.waits.iter().zip(ends).filter_map(told).collect()
}

fn sent(timeline: &Timeline, passages: &Passages, sender: usize, message: usize, index: usize) -> String {
    let member = &timeline.members[sender];
    let what = if timeline.messages[message].to.is_some() { "sent" } else { "multicast" };
    let clock = clock(member, &passages.of_message(sender, message));
    let clock = clock.map_or_else(String::new, |clock| format!(", its clock {clock}"));
    format!("{} {what} it at {}{clock}", member.name, place(member, index))
}

/// Describes the sender's report that a message is undeliverable.
pub(crate) fn undeliverable(
    timeline: &Timeline,
    passages: &Passages,
    sender: usize,
    message: usize,
) -> Option<String> {
    let member = &timeline.members[sender];
    let index = passages.of_message(sender, message).undeliverable?;
    let EventKind::Undeliverable(why) = &member.events[index].kind else { return None };
    let why = on_one_line(why.as_bytes());
    Some(format!("{} counts it as undeliverable at {}: {why}", member.name, place(member, index)))
}

/// Returns the clock of a message: the sender's clock after the multicast.
pub(crate) fn clock(member: &Member, passage: &Passage) -> Option<String> {
    match &member.events[passage.sent.and(passage.arrived)?].kind {
        EventKind::Arrive { clock, .. } => clock.clone(),
        _ => None,
    }
}

/// Returns the sender of a message and its send event.
pub(crate) fn origin(timeline: &Timeline, passages: &Passages, message: usize) -> Option<(usize, usize)> {
    let sender = &timeline.messages[message].sender;
    let lane = timeline.members.iter().position(|member| member.name == *sender)?;
    Some((lane, passages.of_message(lane, message).sent?))
}
