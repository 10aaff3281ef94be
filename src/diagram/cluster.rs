//! Pictures of clusters: marks, labels and notes for what only members of clusters do.
//!
//! An empty pill is a message that is shown, with an arrow and a number if it took its place above so many others, and
//! filled pills are what is final.

use std::fmt::Write as _;

use super::layout::RISE;
use super::sequence::Place;
use super::svg::{LETTER, Picture, pill, short};
use super::words::{differing, numbers};
use crate::check::{EventKind, Inserted};
use crate::talk::on_one_line;

/// A mark: its shape, the class of its text, and the text.
pub(super) type Mark = (String, &'static str, String);

const CROSS: &str = "<path class=\"hollow\" d=\"M-4 -4L4 4M4 -4L-4 4\"/>";
const CRASH: &str = "<path class=\"crash\" d=\"M-6 -6L6 6M6 -6L-6 6\"/>";
const BEGIN: &str = "<path class=\"hollow\" d=\"M-4 -5L5 0L-4 5Z\"/>";
const END: &str = "<rect class=\"hollow\" x=\"-4\" y=\"-4\" width=\"8\" height=\"8\"/>";

impl Picture<'_> {
    /// Returns the mark of an event that only members of clusters have.
    pub(super) fn cluster_mark(&self, (lane, index): Place) -> Option<Mark> {
        let event = &self.timeline.members[lane].events[index];
        let id = || event.message.map_or_else(String::new, |message| short(&self.timeline.messages[message]));
        let (shape, class, label) = match &event.kind {
            EventKind::Lost => (CROSS.to_owned(), "pale", format!("{} is lost", id())),
            EventKind::Withdraw => (CROSS.to_owned(), "pale", format!("{} is withdrawn", id())),
            EventKind::Insert(inserted) => (empty(inserted), "", self.label(event.message?)),
            EventKind::Confirm { number, messages } => {
                let label = match event.message {
                    Some(message) => self.label(message),
                    None => self.in_order(messages),
                };
                (pill(Some(&numbers(*number, messages.len()))), "", label)
            }
            EventKind::Begin(life) => (BEGIN.to_owned(), "pale", format!("life {life}")),
            EventKind::End(None) => (CRASH.to_owned(), "own", self.crash((lane, index)).to_owned()),
            EventKind::End(Some(reason)) => (END.to_owned(), "pale", on_one_line(reason.as_bytes())),
            _ => return None,
        };
        Some((shape, class, if event.is_again { format!("↺ {label}") } else { label }))
    }

    /// Returns the word for a life without an end.
    fn crash(&self, (lane, index): Place) -> &'static str {
        if index + 1 < self.timeline.members[lane].events.len() { "crash" } else { "no end" }
    }

    /// Returns the short ids of messages in their order.
    fn in_order(&self, messages: &[usize]) -> String {
        let ids: Vec<String> =
            messages.iter().map(|&message| short(&self.timeline.messages[message])).collect();
        ids.join(" ")
    }

    /// Draws an arrow from each insertion up to the message that it took its place above.
    pub(super) fn rises(&self, out: &mut String) {
        for rise in &self.layout.rises {
            let (x, side) = (rise.axis - 10.0, rise.axis - 10.0 - RISE);
            let (from, to) = (rise.from, rise.to - 3.0);
            let _ = writeln!(
                out,
                "<path class=\"rise {}\" data-m=\"{}\" d=\"M{x:.1} {from:.1}C{side:.1} {from:.1} {side:.1} {to:.1} {x:.1} \
                 {to:.1}m-5 -3l5 3l-4 4\"/>",
                self.colour(rise.message),
                rise.message,
            );
        }
    }

    /// Returns the numbers of events in a cluster, for the title.
    pub(super) fn cluster_counts(&self) -> String {
        let (mut multicasts, mut shown, mut above, mut confirmed) = (0, 0, 0, 0);
        for event in self.timeline.members.iter().flat_map(|member| &member.events) {
            match &event.kind {
                EventKind::Multicast => multicasts += 1,
                EventKind::Insert(inserted) => {
                    shown += 1;
                    above += usize::from(inserted.above > 0);
                }
                EventKind::Confirm { messages, .. } => confirmed += messages.len(),
                _ => {}
            }
        }
        format!("{multicasts} multicast, {shown} shown, {above} above others, {confirmed} final")
    }

    /// Names two messages that two members showed in different orders, if there are any.
    pub(super) fn differing(&self) -> Option<String> {
        let timeline = self.timeline;
        let found = differing(timeline, self.passages)?;
        let id = |message: usize| short(&timeline.messages[message]);
        let (upper, lower) = (id(found.upper), id(found.lower));
        let (one, other) =
            (&timeline.members[found.lower_first].name, &timeline.members[found.upper_first].name);
        Some(format!(
            "Before it was final, the order differed: {one} showed {lower} before {upper}, {other} showed {upper} before \
             {lower}. In the final order, {upper} comes first."
        ))
    }

    /// Formats an event that only members of clusters have for a terminal: the mark, the name, and the least of it.
    pub(super) fn cluster_cell(&self, (lane, index): Place) -> Option<(String, String, String)> {
        let event = &self.timeline.members[lane].events[index];
        let id = || event.message.map_or_else(String::new, |message| short(&self.timeline.messages[message]));
        let (mark, name, least) = match &event.kind {
            EventKind::Lost => ("✗".to_owned(), format!(" {} is lost", id()), id()),
            EventKind::Withdraw => ("✗".to_owned(), format!(" {} is withdrawn", id()), id()),
            EventKind::Insert(Inserted { above: 0, .. }) => ("◇".to_owned(), format!(" {}", id()), id()),
            EventKind::Insert(Inserted { above, .. }) => {
                ("▲".to_owned(), format!("{above} {}", id()), format!("{above}"))
            }
            EventKind::Confirm { number, messages } => {
                let numbers = numbers(*number, messages.len());
                ("◆".to_owned(), format!("{numbers} {}", self.in_order(messages)), numbers)
            }
            EventKind::Begin(life) => ("▷".to_owned(), format!(" life {life}"), life.to_string()),
            EventKind::End(None) => {
                ("✗".to_owned(), format!(" {}", self.crash((lane, index))), String::new())
            }
            EventKind::End(Some(reason)) => {
                ("■".to_owned(), format!(" {}", on_one_line(reason.as_bytes())), String::new())
            }
            _ => return None,
        };
        Some((if event.is_again { format!("↺{mark}") } else { mark }, name, least))
    }

    /// Returns the heights between which a member of a cluster is down: from a crash or an end to the next life.
    pub(super) fn gaps(&self, lane: usize) -> Vec<(f64, f64)> {
        let events = &self.timeline.members[lane].events;
        let mut gaps = Vec::new();
        let mut ended = None;
        for (index, event) in events.iter().enumerate() {
            let Some(&y) = self.layout.events.get(&(lane, index)) else { continue };
            match event.kind {
                EventKind::End(_) => ended = Some(y),
                EventKind::Begin(_) => gaps.extend(ended.take().map(|from| (from, y))),
                _ => {}
            }
        }
        gaps.extend(ended.map(|from| (from, self.layout.height)));
        gaps
    }
}

/// Draws an empty pill, with the number of messages above which the message took its place.
fn empty(inserted: &Inserted) -> String {
    let Inserted { above, .. } = inserted;
    if *above == 0 {
        return "<rect class=\"hollow\" x=\"-10\" y=\"-6\" width=\"20\" height=\"12\" rx=\"6\"/>".to_owned();
    }
    let text = format!("↑{above}");
    let width = (text.chars().count() as f64).mul_add(LETTER, 9.0).max(20.0);
    format!(
        "<rect class=\"hollow\" x=\"{:.1}\" y=\"-7.5\" width=\"{width:.1}\" height=\"15\" rx=\"7.5\"/>\
         <text class=\"up\" y=\"4\">{text}</text>",
        -width / 2.0
    )
}
