//! The times and the effects of faults. Pure: the caller passes the time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::dice::Dice;
use super::packets::{Fate, MOST_OVERTAKING};
use crate::fault::link::{Fault, Kind, Place};
use crate::prng::Prng;

/// A fault and its effects.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) fault: Fault,
    pub(super) tally: Tally,
}

/// The counts of a fault's effects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    /// Connections closed, reset or half closed.
    pub(super) connections: u64,
    /// New connections closed at once.
    pub(super) refused: u64,
    /// Bytes held, delayed or slowed down.
    pub(super) bytes: u64,
    /// Packets lost, duplicated or overtaken.
    pub(super) packets: u64,
}

impl Tally {
    pub(super) fn has_acted(self) -> bool {
        self != Self::default()
    }
}

/// A fault that has just begun, to be applied to connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Begun {
    /// The number of the fault.
    pub(super) number: usize,
    pub(super) fault: Fault,
}

/// The restrictions on one direction of a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Restrictions {
    /// Whether nothing moves.
    pub(super) is_still: bool,
    /// The most bytes per second.
    pub(super) rate: Option<u64>,
}

/// All faults: those to come, those that act now, and those that are over.
#[derive(Debug)]
pub(super) struct Timeline {
    entries: Vec<Entry>,
    changes: BTreeSet<(Duration, Change)>,
    active: Vec<usize>,
    dice: Option<Dice>,
    /// The last fault that was drawn; when it begins, the next one is drawn.
    drawn: Option<usize>,
    /// The faults that hold packets, each with a direction in which they hold no more.
    freed: BTreeSet<(usize, Place)>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Change {
    Begin(usize),
    End(usize),
}

impl Timeline {
    pub(super) fn new(faults: Vec<Fault>, dice: Option<Dice>) -> Self {
        let mut timeline = Self {
            entries: Vec::new(),
            changes: BTreeSet::new(),
            active: Vec::new(),
            dice,
            drawn: None,
            freed: BTreeSet::new(),
        };
        for fault in faults {
            timeline.add(fault);
        }
        timeline.draw();
        timeline
    }

    fn add(&mut self, fault: Fault) {
        let number = self.entries.len();
        self.changes.insert((fault.at, Change::Begin(number)));
        if let Some(lasts) = fault.lasts {
            self.changes.insert((fault.at + lasts, Change::End(number)));
        }
        self.entries.push(Entry { fault, tally: Tally::default() });
    }

    fn draw(&mut self) {
        if let Some(fault) = self.dice.as_mut().map(Dice::draw) {
            self.drawn = Some(self.entries.len());
            self.add(fault);
        }
    }

    /// Returns the time at which [`Timeline::advance`] is next due.
    pub(super) fn next_change(&self) -> Option<Duration> {
        self.changes.first().map(|&(at, _)| at)
    }

    /// Begins and ends faults up to the time `now`; returns those that began, in order.
    pub(super) fn advance(&mut self, now: Duration) -> Vec<Begun> {
        let mut begun = Vec::new();
        while let Some(&(at, change)) = self.changes.first().filter(|(at, _)| *at <= now) {
            self.changes.remove(&(at, change));
            match change {
                Change::End(number) => self.active.retain(|&active| active != number),
                Change::Begin(number) => {
                    let fault = self.entries[number].fault.clone();
                    if fault.kind.lasts() {
                        self.active.push(number);
                    }
                    begun.push(Begun { number, fault });
                    if self.drawn == Some(number) {
                        self.draw();
                    }
                }
            }
        }
        begun
    }

    /// Counts connections to which a fault was applied.
    pub(super) fn struck(&mut self, number: usize, connections: u64) {
        self.entries[number].tally.connections += connections;
    }

    /// Returns true if a new connection must be closed at once, and counts it.
    pub(super) fn refuses(&mut self, place: Place) -> bool {
        let entries = &mut self.entries;
        let cut =
            self.active.iter().copied().find(|&number| {
                entries[number].fault.kind == Kind::Cut && entries[number].fault.is_about(place)
            });
        if let Some(number) = cut {
            entries[number].tally.refused += 1;
        }
        cut.is_some()
    }

    /// Counts bytes that arrived here; returns their delay.
    pub(super) fn delay(&mut self, place: Place, bytes: u64, jitters: &mut Prng) -> Duration {
        let mut delay = Duration::ZERO;
        for &number in &self.active {
            let Entry { fault, tally } = &mut self.entries[number];
            if !fault.is_about(place) || !fault.kind.is_about_bytes() {
                continue;
            }
            tally.bytes += bytes;
            if let Kind::Delay { by, jitter } = fault.kind {
                delay += by + Duration::from_micros(jitters.between(0, jitter.as_micros() as u64));
            }
        }
        delay
    }

    /// Returns true if any fault, known or yet to be drawn, may concern packets.
    pub(super) fn is_about_packets(&self) -> bool {
        self.dice.is_some() || self.entries.iter().any(|entry| entry.fault.kind.is_about_packets())
    }

    /// Draws the fate of a packet that arrived here.
    pub(super) fn fate(&mut self, place: Place, packet: &[u8], chances: &mut Prng) -> Fate {
        let mut fate = Fate::NONE;
        for &number in &self.active {
            let Entry { fault, tally } = &mut self.entries[number];
            if fault.kind == Kind::Hold && fault.is_about(place) && !self.freed.contains(&(number, place)) {
                if contains(packet, &fault.texts.1) {
                    self.freed.insert((number, place));
                    fate.frees = Some(number);
                } else if contains(packet, &fault.texts.0) {
                    tally.packets += 1;
                    fate.held_by = Some(number);
                }
            }
            let (Kind::Loss { share } | Kind::Duplicate { share } | Kind::Reorder { share }) = fault.kind
            else {
                continue;
            };
            // A lost packet can be neither duplicated nor overtaken.
            if fate.copies == 0 || !fault.is_about(place) || !chances.chance(share) {
                continue;
            }
            tally.packets += 1;
            match fault.kind {
                Kind::Loss { .. } => fate.copies = 0,
                Kind::Duplicate { .. } => fate.copies = 2,
                _ => fate.overtaken_by = chances.between(1, MOST_OVERTAKING),
            }
        }
        fate
    }

    /// Returns the restrictions here.
    pub(super) fn restrictions(&self, place: Place) -> Restrictions {
        let mut restrictions = Restrictions::default();
        let active = self.active.iter().map(|&number| &self.entries[number].fault);
        for fault in active.filter(|fault| fault.is_about(place)) {
            match fault.kind {
                Kind::Stall => restrictions.is_still = true,
                Kind::Bandwidth { bytes } => {
                    restrictions.rate = Some(restrictions.rate.map_or(bytes, |rate| rate.min(bytes)));
                }
                _ => {}
            }
        }
        restrictions
    }

    /// Returns all faults with their effects, without a drawn one that has not begun.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let to_come = self
            .drawn
            .filter(|&number| self.changes.contains(&(self.entries[number].fault.at, Change::Begin(number))));
        self.entries
            .iter()
            .enumerate()
            .filter(move |&(number, _)| Some(number) != to_come)
            .map(|(_, entry)| entry)
    }
}

/// Returns true if a packet contains a text.
fn contains(packet: &[u8], text: &str) -> bool {
    packet.windows(text.len().max(1)).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::link::SYNC;
    use crate::fault::script;

    const UP: Place = Place { port: 1, connection: 2, is_up: true };
    const DOWN: Place = Place { is_up: false, ..UP };

    fn timeline(script: &str) -> Timeline {
        let faults = script::parse(script).unwrap_or_else(|_| panic!("{script}"));
        Timeline::new(faults, None)
    }

    fn seconds(number: f64) -> Duration {
        Duration::from_secs_f64(number)
    }

    fn numbers(begun: &[Begun]) -> Vec<usize> {
        begun.iter().map(|begun| begun.number).collect()
    }

    #[test]
    fn faults_begin_and_end_in_their_time() {
        let mut timeline =
            timeline("2s stall up for 1s\n1s reset\n0s bandwidth 1MB/s\n0s bandwidth 1kB/s on in");
        assert_eq!(numbers(&timeline.advance(seconds(0.0))), [2, 3]);
        assert_eq!(timeline.restrictions(UP), Restrictions { is_still: false, rate: Some(1_000_000) });
        assert_eq!(timeline.restrictions(Place { port: 0, ..UP }).rate, Some(1000));
        assert_eq!(timeline.next_change(), Some(seconds(1.0)));
        assert_eq!(numbers(&timeline.advance(seconds(1.5))), [1]);
        assert!(!timeline.restrictions(UP).is_still);
        assert_eq!(numbers(&timeline.advance(seconds(2.0))), [0]);
        assert!(timeline.restrictions(UP).is_still && !timeline.restrictions(DOWN).is_still);
        assert!(timeline.advance(seconds(3.0)).is_empty());
        assert!(!timeline.restrictions(UP).is_still);
        assert_eq!(timeline.next_change(), None);
    }

    #[test]
    fn a_fault_that_was_slept_through_has_begun_and_is_over() {
        let mut timeline = timeline("1s cut for 2s");
        assert_eq!(numbers(&timeline.advance(seconds(9.0))), [0]);
        assert!(!timeline.refuses(UP));
    }

    #[test]
    fn what_a_fault_did_is_counted_with_it_alone() {
        let mut timeline =
            timeline("0s cut on out connection 2\n0s delay 1s jitter 1s down\n0s stall on sync");
        timeline.advance(seconds(0.0));
        let mut jitters = Prng::new(1);
        assert!(timeline.refuses(UP) && !timeline.refuses(Place { connection: 3, ..UP }));
        assert_eq!(timeline.delay(UP, 5, &mut jitters), seconds(0.0));
        let delay = timeline.delay(DOWN, 7, &mut jitters);
        assert!(seconds(1.0) <= delay && delay <= seconds(2.0), "{delay:?}");
        timeline.struck(0, 3);
        let tallies: Vec<Tally> = timeline.entries().map(|entry| entry.tally).collect();
        let none = Tally::default();
        assert_eq!(tallies, [Tally { connections: 3, refused: 1, ..none }, Tally { bytes: 7, ..none }, none]);
        assert!(!tallies[2].has_acted());
    }

    #[test]
    fn the_fates_of_packets_come_from_the_seed_and_spare_the_port_without_packets() {
        let fates = |seed, place| -> Vec<Fate> {
            let mut timeline = timeline("0s loss 20%\n0s duplicate 30% up\n0s reorder 40%");
            timeline.advance(seconds(0.0));
            let mut chances = Prng::new(seed);
            let fates = (0..1000).map(|_| timeline.fate(place, b"", &mut chances)).collect();
            let packets: Vec<u64> = timeline.entries().map(|entry| entry.tally.packets).collect();
            let expected =
                if place.port == SYNC { [0..1, 0..1, 0..1] } else { [150..250, 180..300, 260..380] };
            assert!(packets.iter().zip(&expected).all(|(count, range)| range.contains(count)), "{packets:?}");
            fates
        };
        assert_eq!(fates(1, UP), fates(1, UP));
        assert_ne!(fates(1, UP), fates(2, UP));
        assert!(fates(1, Place { port: SYNC, ..UP }).iter().all(|fate| *fate == Fate::NONE));
    }

    #[test]
    fn packets_with_one_text_are_held_until_another_has_passed_there() {
        let mut timeline = timeline("0s hold question until answer down on out");
        timeline.advance(seconds(0.0));
        let mut chances = Prng::new(1);
        let mut fate = |place, packet: &str| timeline.fate(place, packet.as_bytes(), &mut chances);
        let (held, frees) = (Fate { held_by: Some(0), ..Fate::NONE }, Fate { frees: Some(0), ..Fate::NONE });
        assert_eq!(
            (fate(DOWN, "a question"), fate(DOWN, "other"), fate(UP, "a question")),
            (held, Fate::NONE, Fate::NONE)
        );
        assert_eq!((fate(DOWN, "answer to a question"), fate(DOWN, "a question")), (frees, Fate::NONE));
        assert_eq!(fate(Place { connection: 3, ..DOWN }, "a question"), held, "another connection");
    }

    #[test]
    fn drawn_faults_go_on_without_an_end_and_only_those_that_came_are_told() {
        let mut timeline = Timeline::new(Vec::new(), Some(Dice::new(1, 60)));
        let begun = timeline.advance(seconds(600.0)).len();
        assert!((400..800).contains(&begun), "{begun}");
        assert_eq!(timeline.entries().count(), begun);
        assert!(timeline.next_change().is_some());
    }
}
