//! The layout of the picture: one lane per member from left to right, time downwards.
//!
//! Time is not to scale. Later events stand lower, effects below their causes, and labels of one lane never
//! overlap. A long idle time becomes a gap that grows only logarithmically.

use std::collections::BTreeMap;

use super::passages::{Passage, Passages};
use super::sequence::{Place, causes};
use crate::check::{EventKind, Timeline};

/// The width of the column of times at the left.
pub(super) const GUTTER: f64 = 78.0;
/// The distance between labels in one lane.
const LINE: f64 = 17.0;
/// The distance of an arrival, which has no label, from the event before it.
const TICK: f64 = 5.0;
/// The height by which a line between two lanes descends.
const SLOPE: f64 = 9.0;
/// Events closer in time than this stand at one height; members' clocks agree no better.
const BESIDE_US: u64 = 1_000;
/// The least distance between two times in the gutter.
const TIMES_APART: f64 = 34.0;
/// The distance between bars that overlap in time, and the most columns of bars.
const TRACK: f64 = 6.0;
const MAX_TRACKS: usize = 12;
/// The distance from a lane's axis to the bars at its left.
const MARGIN: f64 = 16.0;
/// The space between them for the arrows of insertions.
pub(super) const RISE: f64 = 14.0;

/// The positions of all parts of the picture.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) lanes: Vec<Lane>,
    /// The height of each shown event.
    pub(super) events: BTreeMap<Place, f64>,
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<Line>,
    pub(super) rises: Vec<Rise>,
    /// The times in the gutter, with their heights.
    pub(super) times: Vec<(f64, u64)>,
}

/// The horizontal extent of a member's lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) left: f64,
    pub(super) right: f64,
    /// The position of its events.
    pub(super) axis: f64,
}

/// A message in the hold-back queue.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) lane: usize,
    pub(super) message: usize,
    pub(super) x: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// True if the message is held back to the end.
    pub(super) is_open: bool,
}

/// A line from a message's sender to a receiver.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) message: usize,
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

/// In a cluster: a message takes its place above others that were shown before.
#[derive(Debug)]
pub(super) struct Rise {
    pub(super) message: usize,
    /// The position of the lane's events.
    pub(super) axis: f64,
    /// The heights of the insertion, and of the event that showed the message directly below.
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Layout {
    /// Lays out the events in `shown`, a contiguous part of the run.
    pub(super) fn new(timeline: &Timeline, passages: &Passages, shown: &[Place]) -> Self {
        let causes = causes(passages);
        let mut heights = Heights::new(timeline.members.len());
        for &place in shown {
            let event = &timeline.members[place.0].events[place.1];
            heights.add(place, event.time_us, Label::of(timeline, place), causes.get(&place));
        }
        let Heights { events, times, bottom, .. } = heights;
        let height = bottom + 2.0 * LINE;
        let bars = Bars { passages, events: &events, height }.all(timeline, shown);
        let tracks = bars.iter().map(|(_, track)| track + 1).max().unwrap_or(0).min(MAX_TRACKS);
        let margin = if timeline.slots.is_some() { MARGIN + RISE } else { MARGIN };
        let lanes = lanes(timeline.members.len(), margin, tracks);
        let bars: Vec<Bar> = bars.into_iter().map(|(bar, track)| bar.on(&lanes, margin, track)).collect();
        let lines = Lines { lanes: &lanes, bars: &bars, events: &events, passages }.all(&causes, timeline);
        let rises = rises(timeline, passages, &lanes, &events);
        let width = lanes.last().map_or(GUTTER, |lane| lane.right) + 8.0;
        Self { width, height, lanes, events, bars, lines, rises, times }
    }
}

/// Finds the insertions above messages whose showing is in the picture, too.
fn rises(
    timeline: &Timeline,
    passages: &Passages,
    lanes: &[Lane],
    events: &BTreeMap<Place, f64>,
) -> Vec<Rise> {
    let rise = |(&(lane, index), &from): (&Place, &f64)| {
        let event = &timeline.members[lane].events[index];
        let EventKind::Insert(inserted) = &event.kind else { return None };
        let Passage { sent, shown, .. } = passages.of_message(lane, inserted.over?);
        let is_own = timeline.is_own_at_the_end((lane, shown?));
        let shown = sent.filter(|_| is_own).or(shown)?;
        let (&to, message) = (events.get(&(lane, shown))?, event.message?);
        Some(Rise { message, axis: lanes[lane].axis, from, to })
    };
    events.iter().filter_map(rise).collect()
}

/// The space that an event takes beside the axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Label {
    /// The event has a mark and a text.
    Text,
    /// The event has at most a small mark.
    Tick,
    /// The event has no mark of its own.
    Nothing,
}

impl Label {
    fn of(timeline: &Timeline, (lane, index): Place) -> Self {
        let member = &timeline.members[lane];
        match member.events[index].kind {
            EventKind::Wait(_) => Self::Nothing,
            EventKind::Arrive { .. } => Self::Tick,
            // The multicast has a mark.
            _ if timeline.is_own_at_the_end((lane, index)) => Self::Nothing,
            _ => Self::Text,
        }
    }
}

/// Returns the lanes; more lanes are narrower.
fn lanes(count: usize, margin: f64, tracks: usize) -> Vec<Lane> {
    let labels = match count {
        0..=2 => 300.0,
        3..=4 => 190.0,
        5..=6 => 150.0,
        _ => 92.0,
    };
    let before = margin + tracks as f64 * TRACK;
    let lane = |index: usize| {
        let left = GUTTER + index as f64 * (before + labels);
        Lane { left, right: left + before + labels, axis: left + before }
    };
    (0..count).map(lane).collect()
}

/// Assigns heights to events, one after the other.
struct Heights {
    events: BTreeMap<Place, f64>,
    times: Vec<(f64, u64)>,
    /// For each lane: the heights of the last event and of the last labelled event.
    last: Vec<(f64, f64)>,
    /// The latest time so far.
    latest: u64,
    bottom: f64,
    /// The greatest height up to each time.
    passed: BTreeMap<u64, f64>,
}

impl Heights {
    fn new(lanes: usize) -> Self {
        Self {
            events: BTreeMap::new(),
            times: Vec::new(),
            last: vec![(0.0, 0.0); lanes],
            latest: 0,
            bottom: 0.0,
            passed: BTreeMap::new(),
        }
    }

    fn add(&mut self, place: Place, time_us: u64, label: Label, cause: Option<&Place>) {
        let (lane, _) = place;
        let (last, labelled) = self.last[lane];
        let y = match label {
            Label::Nothing => last,
            Label::Tick => self.least(time_us, cause).max(last + TICK),
            Label::Text => self.least(time_us, cause).max(last + 1.0).max(labelled + LINE),
        };
        let has_label = label == Label::Text;
        self.last[lane] = (y, if has_label { y } else { labelled });
        self.events.insert(place, y);
        self.bottom = self.bottom.max(y);
        if time_us >= self.latest {
            self.latest = time_us;
            self.passed.insert(time_us, self.bottom);
            if has_label && self.times.last().is_none_or(|(last, _)| y - last >= TIMES_APART) {
                self.times.push((y, time_us));
            }
        }
    }

    /// Returns the least height at this time: below all clearly earlier events and below the cause.
    fn least(&self, time_us: u64, cause: Option<&Place>) -> f64 {
        let clearly = time_us.saturating_sub(BESIDE_US);
        let earlier = self.passed.range(..=clearly).next_back().map_or(0.0, |(_, &y)| y);
        let idle = time_us.saturating_sub(self.latest);
        let gap = if idle > BESIDE_US {
            (5.0 * (idle as f64 / BESIDE_US as f64).log2() + 4.0).min(40.0)
        } else {
            0.0
        };
        let from = if gap > 0.0 { self.bottom } else { earlier };
        let below = cause.and_then(|cause| self.events.get(cause)).map_or(0.0, |y| y + SLOPE);
        (from + gap).max(below)
    }
}

/// Finds the messages that are held back.
struct Bars<'l> {
    passages: &'l Passages,
    events: &'l BTreeMap<Place, f64>,
    height: f64,
}

impl Bars<'_> {
    /// Returns all bars, each with a track that is free in its lane.
    fn all(&self, timeline: &Timeline, shown: &[Place]) -> Vec<(Bar, usize)> {
        let mut first = vec![usize::MAX; timeline.members.len()];
        for &(lane, index) in shown {
            first[lane] = first[lane].min(index);
        }
        let bars = self
            .passages
            .iter()
            .filter_map(|(lane, message, passage)| self.bar(lane, message, passage, first[lane]));
        let mut bars: Vec<Bar> = bars.collect();
        bars.sort_by(|one, other| {
            (one.lane, one.top).partial_cmp(&(other.lane, other.top)).expect("heights are numbers")
        });
        let mut busy: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let track = |bar: Bar| {
            let until = busy.entry(bar.lane).or_default();
            let free = until.iter().position(|&until| until <= bar.top).unwrap_or(until.len());
            let track = free.min(MAX_TRACKS - 1);
            if track == until.len() {
                until.push(0.0);
            }
            until[track] = until[track].max(bar.bottom);
            (bar, track)
        };
        bars.into_iter().map(track).collect()
    }

    fn bar(&self, lane: usize, message: usize, passage: &Passage, first: usize) -> Option<Bar> {
        let arrived = passage.waits_from()?;
        let top = match self.events.get(&(lane, arrived)) {
            Some(&y) => y,
            // The message arrived before the picture begins and is still held back.
            None if arrived < first && passage.delivered.is_none_or(|end| end >= first) => -LINE,
            None => return None,
        };
        let end = passage.delivered.and_then(|end| self.events.get(&(lane, end)).copied());
        let (bottom, is_open) = (end.unwrap_or(self.height), passage.delivered.is_none());
        Some(Bar { lane, message, x: 0.0, top, bottom, is_open })
    }
}

impl Bar {
    fn on(self, lanes: &[Lane], margin: f64, track: usize) -> Self {
        Self { x: lanes[self.lane].axis - margin + 3.0 - track as f64 * TRACK, ..self }
    }
}

/// Finds the lines between senders and receivers.
struct Lines<'l> {
    lanes: &'l [Lane],
    bars: &'l [Bar],
    events: &'l BTreeMap<Place, f64>,
    passages: &'l Passages,
}

impl Lines<'_> {
    fn all(&self, causes: &BTreeMap<Place, Place>, timeline: &Timeline) -> Vec<Line> {
        let is_held = |bar: &&Bar| self.passages.of_message(bar.lane, bar.message).is_held_back();
        let held = self.bars.iter().filter(is_held).map(|bar| ((bar.lane, bar.message), bar.x));
        let held: BTreeMap<_, _> = held.collect();
        let line = |(&(lane, index), cause): (&Place, &Place)| {
            let message = timeline.members[lane].events[index].message?;
            let bar = held.get(&(lane, message));
            // A line to a message that was not held back ends at its delivery; in a cluster, where it is shown.
            let passage = self.passages.of_message(lane, message);
            let delivered = passage.shown.or(passage.delivered).filter(|_| bar.is_none());
            let delivered = delivered.and_then(|index| self.events.get(&(lane, index)));
            let y = *delivered.or_else(|| self.events.get(&(lane, index)))?;
            let x = bar.copied().unwrap_or(self.lanes[lane].axis);
            // A line of a message sent before the picture begins comes from above.
            let sent = self.events.get(cause).copied().unwrap_or(-LINE);
            Some(Line { message, from: (self.lanes[cause.0].axis, sent), to: (x, y) })
        };
        causes.iter().filter_map(line).collect()
    }
}
