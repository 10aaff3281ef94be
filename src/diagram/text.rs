//! The picture as text for a terminal: one column per member, time downwards.
//!
//! Unrelated events of several members share a line.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::sequence::{Place, causes};
use super::svg::Picture;
use crate::check::{EventKind, Message};
use crate::talk::on_one_line;

/// The width of the column of times.
const GUTTER: usize = 10;
/// Events that are further apart in time do not share a line.
const BESIDE_US: u64 = 1_000;

/// A line: its time, and events of different members.
struct Row {
    time_us: u64,
    places: Vec<Place>,
}

/// Draws the picture, at most `columns` wide.
pub(super) fn text(picture: &Picture<'_>, columns: usize) -> String {
    let members = &picture.timeline.members;
    let width = (columns.saturating_sub(GUTTER) / members.len().max(1)).max(3);
    let mut lines: Vec<String> = Vec::new();
    // A no-break space keeps a sign with its word.
    let mut say = |text: &str| {
        lines.extend(
            super::svg::wrapped(text, columns).iter().map(|line| line.trim_end().replace('\u{a0}', " ")),
        );
    };
    say(&picture.title());
    picture.violation().iter().chain(&picture.notes()).for_each(|text| say(text));
    say(match picture.timeline.slots {
        None => "● multicast  ◆ delivered  ○ arrived  ┃ held back  → sent  ← received",
        Some(_) => {
            "●\u{a0}multicast  ◇\u{a0}shown  ▲2\u{a0}shown\u{a0}above\u{a0}2\u{a0}others  ◆4-5\u{a0}final,\u{a0}4th\u{a0}and\u{a0}5th  \
             ┃\u{a0}not\u{a0}all\u{a0}is\u{a0}final  ✗\u{a0}crash  ▷\u{a0}life  \
             ↺\u{a0}lost\u{a0}in\u{a0}the\u{a0}crash,\u{a0}told\u{a0}by\u{a0}the\u{a0}next\u{a0}life  →\u{a0}sent  ←\u{a0}received"
        }
    });
    lines.push(String::new());
    let heads: String = members.iter().map(|member| fitted(&member.name, width)).collect();
    lines.push(format!("{:>GUTTER$}{heads}", "seconds  ").trim_end().to_owned());
    let mut held: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); members.len()];
    let mut is_down = vec![picture.timeline.slots.is_some(); members.len()];
    for row in rows(picture) {
        let mut cells = vec![None; members.len()];
        for &(lane, index) in &row.places {
            let event = &members[lane].events[index];
            match &event.kind {
                EventKind::Arrive { .. } | EventKind::Insert(_) => held[lane].extend(event.message),
                // Its showing has no line of its own.
                EventKind::Multicast if picture.timeline.slots.is_some() => held[lane].extend(event.message),
                EventKind::Deliver(_) => held[lane].retain(|&message| event.message != Some(message)),
                EventKind::Confirm { messages, .. } => {
                    messages.iter().for_each(|message| _ = held[lane].remove(message));
                }
                EventKind::Begin(_) => is_down[lane] = false,
                EventKind::End(_) => is_down[lane] = true,
                _ => {}
            }
            cells[lane] = Some(picture.cell((lane, index), width - 1));
        }
        let cells = cells.into_iter().enumerate().map(|(lane, cell)| {
            let axis = match (is_down[lane], held[lane].is_empty()) {
                (true, _) => " ",
                (false, true) => "│",
                (false, false) => "┃",
            };
            fitted(cell.as_deref().unwrap_or(axis), width)
        });
        let time = format!("{}.{:06}", row.time_us / 1_000_000, row.time_us % 1_000_000);
        let line = format!("{time:>width$}  {}", cells.collect::<String>(), width = GUTTER - 2);
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

/// Assigns each shown event to the first line below its predecessors.
fn rows(picture: &Picture<'_>) -> Vec<Row> {
    let causes = causes(picture.passages);
    let mut rows: Vec<Row> = Vec::new();
    // For each event, shown or not: the first line below it and all its predecessors.
    let mut below: BTreeMap<Place, usize> = BTreeMap::new();
    let mut last: Vec<usize> = vec![0; picture.timeline.members.len()];
    let mut earlier = Steps::default();
    for &place in picture.shown {
        let (lane, index) = place;
        let time_us = picture.timeline.members[lane].events[index].time_us;
        let cause = causes.get(&place).and_then(|cause| below.get(cause)).copied().unwrap_or(0);
        let after = cause.max(last[lane]);
        let end = if picture.is_told(place) {
            let at = after.max(earlier.up_to(time_us.checked_sub(BESIDE_US)));
            while rows.len() <= at {
                rows.push(Row { time_us, places: Vec::new() });
            }
            rows[at].places.push(place);
            earlier.add(time_us, at + 1);
            at + 1
        } else {
            after
        };
        below.insert(place, end);
        last[lane] = end;
    }
    rows
}

/// For each time, the first line below all events up to it; grows with time.
#[derive(Default)]
struct Steps(BTreeMap<u64, usize>);

impl Steps {
    /// Returns the first line below all events up to this time.
    fn up_to(&self, time_us: Option<u64>) -> usize {
        time_us.and_then(|time| self.0.range(..=time).next_back()).map_or(0, |(_, &end)| end)
    }

    fn add(&mut self, time_us: u64, end: usize) {
        if self.up_to(Some(time_us)) >= end {
            return;
        }
        let covered: Vec<u64> =
            self.0.range(time_us..).take_while(|&(_, &later)| later <= end).map(|(&time, _)| time).collect();
        covered.iter().for_each(|time| _ = self.0.remove(time));
        self.0.insert(time_us, end);
    }
}

impl Picture<'_> {
    fn is_told(&self, (lane, index): Place) -> bool {
        let event = &self.timeline.members[lane].events[index];
        match event.kind {
            EventKind::Wait(_) => false,
            EventKind::Arrive { .. } => {
                event.message.is_some_and(|message| self.passages.of_message(lane, message).is_held_back())
            }
            _ => !self.timeline.is_own_at_the_end((lane, index)),
        }
    }

    /// Formats an event for the given width.
    fn cell(&self, (lane, index): Place, room: usize) -> String {
        let event = &self.timeline.members[lane].events[index];
        let message = event.message.map(|message| &self.timeline.messages[message]);
        let text = message.map_or_else(String::new, |message| on_one_line(&message.text));
        let id = message.map_or_else(String::new, super::svg::short);
        if matches!(event.kind, EventKind::Arrive { .. } | EventKind::Wait(_)) {
            return if room > id.width() { format!("○ {id}") } else { "○".into() };
        }
        let of_cluster = self.cluster_cell((lane, index));
        let of_message = |message| cell(message, &event.kind, event.is_again);
        let Some((mark, name, least)) = of_cluster.or_else(|| message.map(of_message)) else {
            return String::new();
        };
        let mark = format!("{mark}{}", if self.is_fault((lane, index)) { "!" } else { "" });
        let all = [format!("{mark}{name} {text}"), format!("{mark}{name}"), format!("{mark}{least}"), mark];
        let best = (1..4).find(|&short| all[short].width() <= room).unwrap_or(3);
        // The text may be cut, the name may not.
        all[if best == 1 { 0 } else { best }].clone()
    }
}

/// Formats an event of a message: the mark, the name, and the least of it.
fn cell(message: &Message, kind: &EventKind, is_again: bool) -> (String, String, String) {
    let id = super::svg::short(message);
    let (mark, name, least) = match kind {
        EventKind::Deliver(Some(number)) => ("◆", format!("{number} {id}"), number.to_string()),
        EventKind::Deliver(None) => ("◆", format!(" {id}"), id),
        EventKind::Send => ("→", message.to.clone().unwrap_or_default(), String::new()),
        EventKind::Receive => ("←", message.sender.clone(), String::new()),
        EventKind::Undeliverable(_) => ("✗", message.to.clone().unwrap_or_default(), String::new()),
        _ => ("●", format!(" {id}"), message.number.to_string()),
    };
    (format!("{}{mark}", if is_again { "↺" } else { "" }), name, least)
}

/// Cuts or pads a text to exactly `width` columns, ending in a space.
fn fitted(text: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    let mut out = String::new();
    let mut used = 0;
    let is_whole = text.width() <= room;
    for character in text.chars() {
        let next = character.width().unwrap_or(0);
        if used + next > if is_whole { room } else { room.saturating_sub(1) } {
            break;
        }
        out.push(character);
        used += next;
    }
    if !is_whole && room > 0 {
        out.push('…');
        used += 1;
    }
    out + &" ".repeat(width - used)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::check::Timeline;
    use crate::diagram::passages::Passages;
    use crate::diagram::sequence::sequence;
    use crate::prng::Prng;

    /// Writes histories of three members with clocks up to 40 ms apart. All members deliver each multicast; some
    /// arrivals are traced, so some are shown.
    fn skewed(seed: u64) -> tempfile::TempDir {
        let (dir, mut dice) = (tempfile::tempdir().unwrap(), Prng::new(seed));
        let members = ["c1", "c2", "c3"];
        let skew = members.map(|_| dice.below(40_000));
        let mut files = members.map(|id| {
            format!(
                "{{\"v\":1,\"event\":\"start\",\"member\":\"{id}\",\"incarnation\":1,\"group\":\"main\",\"order\":\"fifo\",\
                 \"members\":[\"c1\",\"c2\",\"c3\"],\"time_us\":0}}\n"
            )
        });
        let mut now = 0;
        for number in 1..=8 {
            for (sender, id) in members.iter().enumerate() {
                let message = format!("\"id\":\"{id}/1/{number}\"");
                let mut tell = |lane: usize, event: &str, rest: &str| {
                    now += dice.below(700);
                    let time = now + skew[lane];
                    files[lane] +=
                        &format!("{{\"v\":1,\"event\":\"{event}\",{message},\"time_us\":{time}{rest}}}\n");
                };
                tell(sender, "multicast", ",\"text\":\"x\"");
                for lane in 0..members.len() {
                    let is_traced = lane != sender && !(number + lane as u64).is_multiple_of(3);
                    if is_traced {
                        tell(lane, "arrive", "");
                    }
                    if is_traced && number.is_multiple_of(2) {
                        tell(lane, "wait", ",\"for\":\"turn\"");
                    }
                    tell(lane, "deliver", ",\"text\":\"x\"");
                }
            }
        }
        for (id, file) in members.iter().zip(files) {
            fs::write(dir.path().join(format!("history_{id}.jsonl")), file).unwrap();
        }
        dir
    }

    #[test]
    fn diagram_with_skewed_clocks_draws_causes_above_effects() {
        for seed in 0..40 {
            let dir = skewed(seed);
            let timeline = Timeline::read(dir.path(), None, None).unwrap();
            let passages = Passages::of(&timeline);
            let all = sequence(&timeline, &passages);
            let picture = Picture::new(&timeline, &passages, &all, true);
            let rows = rows(&picture);
            let lines = rows
                .iter()
                .enumerate()
                .flat_map(|(row, cells)| cells.places.iter().map(move |&at| (at, row)));
            let lines: BTreeMap<Place, usize> = lines.collect();
            let causes = causes(&passages);
            for (lane, member) in timeline.members.iter().enumerate() {
                // The lowest line so far of the member's own earlier events and of their causes.
                let (mut above, mut height) = (None, None);
                for index in 0..member.events.len() {
                    let place = (lane, index);
                    let cause = causes.get(&place);
                    above = above.max(cause.and_then(|cause| lines.get(cause)).copied());
                    if let Some(&row) = lines.get(&place) {
                        assert!(
                            Some(row) > above,
                            "seed {seed}: {place:?} in line {row}, its cause in {above:?}"
                        );
                        above = Some(row);
                    }
                    let (svg, cause) = (picture.height(place), cause.map(|&cause| picture.height(cause)));
                    assert!(cause.is_none_or(|cause| cause < svg), "seed {seed}: {place:?}");
                    assert!(height.is_none_or(|before| before <= svg), "seed {seed}: {place:?}");
                    height = Some(svg);
                }
            }
            // Much later events stand lower, even by other clocks.
            let ends: Vec<usize> = timeline
                .members
                .iter()
                .enumerate()
                .map(|(lane, member)| lines[&(lane, member.events.len() - 1)])
                .collect();
            assert!(ends.iter().all(|end| end + 12 > rows.len()), "seed {seed}: {ends:?} of {}", rows.len());
        }
    }

    #[test]
    fn events_of_one_time_share_a_line() {
        let mut steps = Steps::default();
        steps.add(10, 1);
        steps.add(30, 5);
        steps.add(20, 3);
        steps.add(25, 2);
        let reach = [9, 10, 19, 20, 29, 30].map(|time| steps.up_to(Some(time)));
        assert_eq!((reach, steps.up_to(None)), ([0, 1, 1, 3, 3, 5], 0));
        steps.add(15, 6);
        assert_eq!([14, 15, 30].map(|time| steps.up_to(Some(time))), [1, 6, 6]);
    }
}
