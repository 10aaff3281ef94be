//! The run as a log for ShiViz: each event with its member and a vector clock.
//!
//! The log begins with the regular expression that parses its events, and an empty line for the unused separator of
//! runs. Every event increments its member's own entry, from 1; a receipt merges the clock of the send event. A
//! change of the reason to wait is an event, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::hover;
use super::passages::Passages;
use super::sequence::{Place, causes};
use super::words::reason;
use crate::check::{EventKind, Inserted, Message, Timeline};
use crate::talk::on_one_line;

/// Matches two lines per event: the event; then the host and its clock.
const EXPRESSION: &str = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})";

/// Writes the log.
pub(super) fn shiviz(timeline: &Timeline, passages: &Passages, shown: &[Place]) -> String {
    let causes = causes(passages);
    let mut clocks: Vec<BTreeMap<&str, u64>> = vec![BTreeMap::new(); timeline.members.len()];
    let mut sent: BTreeMap<Place, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut out = format!("{EXPRESSION}\n\n");
    for &place in shown {
        let (lane, index) = place;
        let member = &timeline.members[lane];
        let event = &member.events[index];
        if let Some(cause) = causes.get(&place).and_then(|cause| sent.get(cause)) {
            for (&name, &count) in cause {
                let known = clocks[lane].entry(name).or_default();
                *known = count.max(*known);
            }
        }
        *clocks[lane].entry(&member.name).or_default() += 1;
        if matches!(event.kind, EventKind::Multicast | EventKind::Send) {
            sent.insert(place, clocks[lane].clone());
        }
        let clock = serde_json::to_string(&clocks[lane]).expect("names and numbers are JSON");
        let _ = writeln!(out, "{}\n{} {clock}", describe(timeline, place), member.name);
    }
    out
}

/// Describes an event on one line.
fn describe(timeline: &Timeline, (lane, index): Place) -> String {
    let event = &timeline.members[lane].events[index];
    let Some(message) = event.message.map(|message| &timeline.messages[message]) else {
        return hover::about_event(timeline, (lane, index)).replace('\n', "; ");
    };
    let (id, text) = (message.id(), on_one_line(&message.text));
    let told = describe_message(&event.kind, message, &id, &text);
    if event.is_again { format!("{told} (before the crash; told after it)") } else { told }
}

/// Describes an event of one message.
fn describe_message(kind: &EventKind, message: &Message, id: &str, text: &str) -> String {
    match kind {
        EventKind::Multicast => format!("multicast {id}: {text}"),
        EventKind::Arrive { .. } => format!("{id} arrives"),
        EventKind::Wait(why) => format!("{id} waits for {}", reason(why)),
        EventKind::Deliver(Some(number)) => format!("deliver {id} as number {number}: {text}"),
        EventKind::Deliver(None) => format!("deliver {id}: {text}"),
        EventKind::Send => format!("send {id} to {}: {text}", message.to.as_deref().unwrap_or("?")),
        EventKind::Receive => format!("receive {id}: {text}"),
        EventKind::Undeliverable(why) => {
            format!(
                "{id} to {} is undeliverable: {}",
                message.to.as_deref().unwrap_or("?"),
                on_one_line(why.as_bytes())
            )
        }
        EventKind::Lost => format!("{id} is lost in a crash: {text}"),
        EventKind::Insert(Inserted { above: 0, .. }) => format!("show {id}: {text}"),
        EventKind::Insert(Inserted { above, .. }) => format!("show {id} above {above} others: {text}"),
        EventKind::Confirm { number, .. } => format!("confirm {id} as number {number}: {text}"),
        EventKind::Withdraw => format!("withdraw {id}"),
        EventKind::Begin(_) | EventKind::End(_) => String::new(),
    }
}
