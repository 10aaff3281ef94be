//! The words in which engines say what they hold back, and until what: for scenarios, traces and a run that is stuck.

use std::collections::BTreeMap;

use super::hold_back::{HoldBack, Span};
use crate::engine::MemberId;
use crate::waiting::{Messages, WaitsFor};

/// The numbers from `first` up to `next`: `3`, or `3-5`.
pub(super) fn numbers(first: u64, next: u64) -> String {
    if first + 1 == next { first.to_string() } else { format!("{first}-{}", next - 1) }
}

/// Messages of one sender: `p0/3-5`.
pub(super) fn messages(sender: MemberId, of: &impl Span) -> String {
    format!("{sender}/{}", numbers(of.first(), of.next()))
}

/// Messages of one sender, for those who ask what is held back.
pub(super) fn span(sender: MemberId, of: &impl Span) -> Messages {
    Messages { sender, first: of.first(), next: of.next() }
}

/// The messages of one sender that must come before this one of it.
pub(super) fn earlier<T: Span>(sender: MemberId, queue: &HoldBack<T>, first: u64) -> WaitsFor {
    let (first, next) = queue.missing_before(first);
    WaitsFor::Earlier(Messages { sender, first, next })
}

/// What waits in the queues of all senders.
pub(super) fn held<T: Span>(senders: &BTreeMap<MemberId, HoldBack<T>>) -> Vec<String> {
    senders.iter().flat_map(|(&sender, queue)| queue.iter().map(move |item| messages(sender, item))).collect()
}

/// What each sender's queue lacks before its first item.
pub(super) fn gaps<T: Span>(senders: &BTreeMap<MemberId, HoldBack<T>>) -> Vec<String> {
    let gap = |(&sender, queue): (&MemberId, &HoldBack<T>)| {
        let first = queue.iter().next()?.first();
        (first > queue.next()).then(|| format!("{sender}/{}", numbers(queue.next(), first)))
    };
    senders.iter().filter_map(gap).collect()
}

/// What is held back, and what must come first.
pub(super) fn holds(held: &[String], until: &[String]) -> String {
    match (held, until) {
        ([], []) => "holds nothing back".to_owned(),
        ([], until) => format!("waits for {}", until.join(", ")),
        (held, []) => format!("holds back {}", held.join(", ")),
        (held, until) => format!("holds back {} until {}", held.join(", "), until.join(", ")),
    }
}
