//! The details of a message at a member, shown when the pointer is on it.

use super::passages::{Passage, Passages};
use super::words::{place, reason};
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
    lines.extend(hold_back(member, &passage));
    lines.extend(end(member, &passage));
    lines.join("\n")
}

/// Formats the message's id, its receiver if it is direct, and its text.
fn title(message: &Message) -> String {
    let to = message.to.as_ref().map_or_else(String::new, |to| format!(" to {to} alone"));
    format!("{}{to}: {}", message.id(), super::words::cut(&on_one_line(&message.text), TEXT))
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
