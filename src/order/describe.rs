//! Texts that describe hold-back queues, for scenarios, traces and reports about a stuck run.

use super::span::Span;
use crate::engine::MemberId;
use crate::waiting::Messages;

/// Formats the numbers from `first` up to but not including `next`: `3`, or `3-5`.
pub(super) fn numbers(first: u64, next: u64) -> String {
    if first + 1 == next { first.to_string() } else { format!("{first}-{}", next - 1) }
}

/// Formats messages of one sender: `p0/3-5`.
pub(super) fn messages(sender: MemberId, of: &impl Span) -> String {
    format!("{sender}/{}", numbers(of.first(), of.next()))
}

/// Returns the messages that an item covers.
pub(super) fn span(sender: MemberId, of: &impl Span) -> Messages {
    Messages { sender, first: of.first(), next: of.next() }
}

/// Formats held-back messages and the messages that must come first.
pub(super) fn holds(held: &[String], until: &[String]) -> String {
    match (held, until) {
        ([], []) => "holds nothing back".to_owned(),
        ([], until) => format!("waits for {}", until.join(", ")),
        (held, []) => format!("holds back {}", held.join(", ")),
        (held, until) => format!("holds back {} until {}", held.join(", "), until.join(", ")),
    }
}
