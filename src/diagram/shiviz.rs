//! The run as a log for ShiViz: each event with its member and a vector clock.
//!
//! The log begins with the regular expression that parses its events, and an empty line for the unused separator of
//! runs. Every event increments its member's own entry, from 1; a receipt merges the clock of the send event. A
//! change of the reason to wait is an event, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::sequence::{Place, causes};
use super::stays::Stays;
use super::words::reason;
use crate::check::{Chronicle, What};
use crate::talk::on_one_line;

/// Matches two lines per event: the event; then the host and its clock.
const EXPRESSION: &str = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})";

/// Writes the log.
pub(super) fn shiviz(chronicle: &Chronicle, stays: &Stays, shown: &[Place]) -> String {
    let causes = causes(stays);
    let mut clocks: Vec<BTreeMap<&str, u64>> = vec![BTreeMap::new(); chronicle.members.len()];
    let mut sent: BTreeMap<Place, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut out = format!("{EXPRESSION}\n\n");
    for &place in shown {
        let (lane, index) = place;
        let member = &chronicle.members[lane];
        let happening = &member.happenings[index];
        if let Some(cause) = causes.get(&place).and_then(|cause| sent.get(cause)) {
            for (&name, &count) in cause {
                let known = clocks[lane].entry(name).or_default();
                *known = count.max(*known);
            }
        }
        *clocks[lane].entry(&member.name).or_default() += 1;
        if matches!(happening.what, What::Multicast | What::Send) {
            sent.insert(place, clocks[lane].clone());
        }
        let clock = serde_json::to_string(&clocks[lane]).expect("names and numbers are JSON");
        let _ = writeln!(out, "{}\n{} {clock}", event(chronicle, place), member.name);
    }
    out
}

/// Describes an event on one line.
fn event(chronicle: &Chronicle, (lane, index): Place) -> String {
    let happening = &chronicle.members[lane].happenings[index];
    let word = &chronicle.messages[happening.message];
    let (id, text) = (word.id(), on_one_line(&word.text));
    match &happening.what {
        What::Multicast => format!("multicast {id}: {text}"),
        What::Arrive { .. } => format!("{id} arrives"),
        What::Wait(why) => format!("{id} waits for {}", reason(why)),
        What::Deliver(Some(number)) => format!("deliver {id} as number {number}: {text}"),
        What::Deliver(None) => format!("deliver {id}: {text}"),
        What::Send => format!("send {id} to {}: {text}", word.to.as_deref().unwrap_or("?")),
        What::Receive => format!("receive {id}: {text}"),
        What::Undeliverable(why) => {
            format!(
                "{id} to {} is undeliverable: {}",
                word.to.as_deref().unwrap_or("?"),
                on_one_line(why.as_bytes())
            )
        }
    }
}
