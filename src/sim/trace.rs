//! The trace: one line per event, in fixed columns: time, member, event, peer and details.

use std::fmt;
use std::path::Path;

use super::cluster_files::Files;
use super::histories::Histories;
use crate::engine::Time;
use crate::exit::Failure;
use crate::member::App;
use crate::order::Order;
use crate::reliable::{Body, Received};
use crate::wire::{Batch, Kind, Malformed, Packet};

/// Keeps lines, histories, both or nothing.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Trace {
    lines: Option<String>,
    pub(super) histories: Option<Histories>,
    /// The files of a cluster, in place of histories.
    pub(super) cluster: Option<Files>,
    /// The descriptions of the network's outages that have not begun, latest first.
    outages: Vec<(Time, String)>,
}

impl Trace {
    /// Creates a trace that keeps its lines.
    #[must_use]
    pub fn kept() -> Self {
        Self { lines: Some(String::new()), ..Self::off() }
    }

    /// Creates a trace that keeps nothing and costs nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self { lines: None, histories: None, cluster: None, outages: Vec::new() }
    }

    /// Makes the trace also keep the clients' histories.
    #[must_use]
    pub fn with_histories(self) -> Self {
        Self { histories: Some(Histories::default()), ..self }
    }

    /// Writes the histories of a run with this order into a folder, if they were kept.
    ///
    /// # Errors
    /// Exit 73 or 74, as when a client writes.
    pub fn write_histories(&self, dir: &Path, order: &Order) -> Result<(), Failure> {
        self.histories.as_ref().map_or(Ok(()), |histories| histories.write(dir, order))
    }

    /// Writes the files of the members of a cluster into a folder, if they were kept.
    ///
    /// # Errors
    /// Exit 73 or 74, as when a member writes.
    pub fn write_cluster(&self, dir: &Path) -> Result<(), Failure> {
        self.cluster.as_ref().map_or(Ok(()), |files| files.write(dir))
    }

    /// Returns an empty trace that keeps lines if this one does.
    pub(super) fn alike(&self) -> Self {
        if self.lines.is_some() { Self::kept() } else { Self::off() }
    }

    /// Adds the lines of another trace under a heading.
    pub(super) fn append(&mut self, heading: &str, other: Self) {
        if let (Some(lines), Some(others)) = (&mut self.lines, other.lines) {
            lines.push_str(heading);
            lines.push('\n');
            lines.push_str(&others);
        }
    }

    /// Returns the lines; empty if the trace is off.
    #[must_use]
    pub fn text(&self) -> &str {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Adds lines for these outages, each at its time.
    pub(super) fn announce(&mut self, outages: impl FnOnce() -> Vec<(Time, String)>) {
        if self.lines.is_some() {
            self.outages = outages();
            self.outages.sort_by(|one, other| other.cmp(one));
        }
    }

    /// Adds a line. Its parts are formatted only if the lines are kept.
    pub(super) fn line(
        &mut self,
        now: Time,
        at: &dyn fmt::Display,
        verb: &str,
        peer: &dyn fmt::Display,
        what: fmt::Arguments<'_>,
    ) {
        while let Some((begin, outage)) = self.outages.pop_if(|(begin, _)| *begin <= now) {
            self.line(begin, &"", "outage", &"", format_args!("{outage}"));
        }
        if let Some(lines) = &mut self.lines {
            let [now, at, peer] = [now.to_string(), at.to_string(), peer.to_string()];
            let line = format!("{now:>11}  {at:<4} {verb:<9} {peer:<4} {what}");
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
    }
}

/// A packet, parsed when it is displayed.
pub(super) struct Words<'a>(pub(super) &'a Packet);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match words(self.0) {
            Ok(words) => f.write_str(&words),
            Err(Malformed) => f.write_str("malformed"),
        }
    }
}

fn words(packet: &Packet) -> Result<String, Malformed> {
    let mut from = packet.clone().reader();
    let bytes = packet.frames.header.len() + packet.frames.body.len();
    // The payload of a data packet depends on the order; the other kinds have none.
    Ok(match packet.header.kind {
        Kind::Data => format!("data {}, {bytes} bytes", from.u64()?),
        Kind::Status => body_words(&Body::read_status(&mut from)?),
        Kind::Nack => body_words(&Body::read_nack(&mut from)?),
        kind @ (Kind::Probe | Kind::Undeliverable | Kind::Membership | Kind::Outline) => format!("{kind:?}"),
    })
}

fn body_words(body: &Body<Batch>) -> String {
    match body {
        Body::Data { number, .. } => format!("data {number}"),
        Body::Status { sent, asks, received } => {
            let received: Vec<String> = received.iter().map(Received::to_string).collect();
            let asks = if *asks { ", asks" } else { "" };
            format!("status: sent {sent}, received {}{asks}", received.join(" "))
        }
        Body::Nack { sender, missing } => {
            let missing: Vec<String> = missing.iter().map(|&range| span(range)).collect();
            format!("nack: {sender} {}", missing.join(" "))
        }
    }
}

/// A submission or a delivery for display, with its global number if it has one.
pub(super) struct AppWords<'a>(pub(super) &'a App, pub(super) Option<u64>);

impl fmt::Display for AppWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            App::Multicast(batch) => write!(f, "multicast {}", span((batch.first(), batch.next() - 1))),
            App::Record(batch) => write!(f, "record {}", span((batch.first(), batch.next() - 1))),
            App::Direct(batch) => write!(f, "direct {}", span((batch.first(), batch.next() - 1))),
            App::Undeliverable(batch, _) => {
                write!(f, "undeliverable {}", span((batch.first(), batch.next() - 1)))
            }
            App::Replay(_) => f.write_str("replay"),
            App::Advance(number) => write!(f, "advance beyond number {number}"),
            App::View(view, _) => write!(f, "view {}", view.number),
            App::Fenced(why) => write!(f, "out of the group: {why:?}"),
            App::Notice(notice) => write!(f, "notice: {notice:?}"),
            App::Finished(tally) => write!(f, "finished, after {} multicasts", tally.multicasts),
        }?;
        self.1.map_or(Ok(()), |number| write!(f, ", number {number}"))
    }
}

fn span((first, last): (u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first}..{last}") }
}
