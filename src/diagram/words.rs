//! Wording shared by pictures and explanations: reasons, and texts that are cut.

use super::passages::Passages;
use crate::check::{EventKind, Member, Timeline};
use crate::results::Reason;
use crate::talk::list;
use crate::units::seconds;

/// Formats a reason to wait, to follow "waits for".
pub(super) fn reason(reason: &Reason) -> String {
    let Reason { r#for, place, messages, members } = reason;
    let (messages, members) = (list(messages), list(members));
    match (r#for.as_str(), place) {
        ("earlier", _) if reason.messages.is_empty() => format!("something that {members} said earlier"),
        ("earlier", _) => format!("{messages}, earlier by the same sender"),
        ("cause", _) => format!("{messages}, which happened before it"),
        ("number", _) => "its number from the sequencer".to_owned(),
        ("place", Some(place)) if reason.messages.is_empty() => format!("number {place}, which comes first"),
        ("place", Some(place)) => format!("number {place}, which is {messages}"),
        ("acknowledgement", _) => format!("an acknowledgement by {members}"),
        ("proposal", _) => format!("a proposal by {members}"),
        ("agreement", _) => "the agreed number from its sender".to_owned(),
        ("turn", _) => format!("{messages}, which may still come before it"),
        (other, _) => other.to_owned(),
    }
}

/// Formats the time and the position of an event.
pub(crate) fn place(member: &Member, event: usize) -> String {
    if member.events[event].is_again {
        return format!("an unknown time before its crash {}", member.source(event));
    }
    format!("{} {}", seconds(member.events[event].time_us), member.source(event))
}

/// Formats the confirmed numbers of `count` messages from `first` on: `3`, `3-5`.
pub(super) fn numbers(first: u64, count: usize) -> String {
    match count {
        0 | 1 => first.to_string(),
        _ => format!("{first}-{}", first.saturating_add(count as u64 - 1)),
    }
}

/// Two messages that two members of a cluster showed in different orders.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Differing {
    /// The message that comes first in the final order, and the other.
    pub(super) upper: usize,
    pub(super) lower: usize,
    /// A member that showed `lower` first, and one that showed `upper` first.
    pub(super) lower_first: usize,
    pub(super) upper_first: usize,
}

/// Finds the first insertion above a message that another member showed in the final order.
pub(super) fn differing(timeline: &Timeline, passages: &Passages) -> Option<Differing> {
    let mut first: Option<(u64, Differing)> = None;
    for (lane, member) in timeline.members.iter().enumerate() {
        for event in &member.events {
            let EventKind::Insert(inserted) = &event.kind else { continue };
            let (Some(upper), Some(lower)) = (event.message, inserted.over) else { continue };
            if first.is_some_and(|(time, _)| time <= event.time_us) {
                continue;
            }
            let shows_upper_first = |&other: &usize| {
                let shown = |message| passages.of_message(other, message).shown;
                shown(upper).is_some_and(|upper| shown(lower).is_some_and(|lower| upper < lower))
            };
            let upper_first = (0..timeline.members.len()).find(shows_upper_first);
            let found =
                upper_first.map(|upper_first| Differing { upper, lower, lower_first: lane, upper_first });
            first = found.map(|found| (event.time_us, found)).or(first);
        }
    }
    first.map(|(_, found)| found)
}

/// Cuts a text to at most `width` characters.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words() {
        let told = |what: &str, place, messages: &[&str], members: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
            reason(&Reason { r#for: what.into(), place, messages: owned(messages), members: owned(members) })
        };
        assert_eq!(told("earlier", None, &["c1/1/6"], &[]), "c1/1/6, earlier by the same sender");
        assert_eq!(told("earlier", None, &[], &["c2"]), "something that c2 said earlier");
        assert_eq!(told("cause", None, &["c2/1/3"], &[]), "c2/1/3, which happened before it");
        assert_eq!(told("place", Some(17), &[], &[]), "number 17, which comes first");
        assert_eq!(told("place", Some(17), &["c2/1/3"], &[]), "number 17, which is c2/1/3");
        assert_eq!(told("acknowledgement", None, &[], &["c2", "c4"]), "an acknowledgement by c2 and c4");
        assert_eq!(told("patience", None, &[], &[]), "patience");
    }

    #[test]
    fn cut_text_ends_with_an_ellipsis() {
        assert_eq!([cut("abc", 3), cut("abcd", 3), cut("ä", 0)], ["abc", "ab…", ""]);
    }
}
