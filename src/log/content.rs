//! The content of a log without its texts, found by reading all of its records once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::record::{Base, Entry, Record, Step};
use super::retain::Retain;
use super::table::Table;

/// The number of entries of which the place of one is kept in memory, to find others from there.
const MARK_EVERY: u64 = 64;

/// The content of a log, without its texts.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The number of the log.
    pub run: u64,
    /// Its last place, and its clients.
    pub table: Table,
    /// The index of some records by the first place of their entries.
    pub marks: BTreeMap<u64, u64>,
    sections: VecDeque<Section>,
}

/// The records of a log from a base up to the next one.
#[derive(Clone, Debug)]
struct Section {
    /// The index of its base.
    index: u64,
    /// The last place before it.
    place: u64,
    entries: u64,
    /// The bytes of its entries.
    bytes: u64,
    /// The times of its first and of its last entry, in microseconds since 1970.
    times: Option<(u64, u64)>,
}

impl Content {
    /// Returns whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Returns the last place before the first entry: 0, unless earlier entries were removed.
    #[must_use]
    pub fn begins_after(&self) -> u64 {
        self.sections.front().map_or(0, |first| first.place)
    }

    /// Returns the number of its entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.sections.iter().map(|section| section.entries).sum()
    }

    /// Returns the times of the first and of the last entry, in microseconds since 1970.
    #[must_use]
    pub fn times(&self) -> Option<(u64, u64)> {
        let mut all = self.sections.iter().filter_map(|section| section.times);
        let (first, last) = all.next()?;
        Some((first, all.next_back().map_or(last, |(_, last)| last)))
    }

    /// Returns the base of a section that begins now.
    #[must_use]
    pub fn base(&self) -> Base {
        let senders = self.table.senders.iter().map(|(id, sender)| (id.clone(), sender.clone())).collect();
        Base { run: self.run, place: self.table.place, senders }
    }

    /// Begins a section with the record of this index.
    ///
    /// # Errors
    /// The reason why its base cannot follow.
    pub fn begin(&mut self, index: u64, base: &Base) -> Result<(), String> {
        if self.is_empty() {
            self.table = Table::new(base);
            self.run = base.run;
        } else if *base != self.base() {
            return Err(format!("record {index} contradicts the entries before it"));
        }
        self.sections.push_back(Section { index, place: base.place, entries: 0, bytes: 0, times: None });
        Ok(())
    }

    /// Takes in the next entry, which has this record with so many bytes.
    ///
    /// # Errors
    /// The reason why it cannot follow.
    pub fn add(&mut self, index: u64, bytes: u64, entry: &Step) -> Result<(), String> {
        let Some(section) = self.sections.back_mut() else {
            return Err("its first record is gone".to_owned());
        };
        self.table.add(entry)?;
        if section.entries.is_multiple_of(MARK_EVERY) {
            self.marks.insert(entry.place, index);
        }
        section.entries += 1;
        section.bytes += bytes;
        section.times = Some((section.times.map_or(entry.time_us, |(first, _)| first), entry.time_us));
        Ok(())
    }

    /// Returns whether the next entry is to begin a section.
    #[must_use]
    pub fn is_full(&self, retain: &Retain, now_us: u64) -> bool {
        self.sections.back().is_some_and(|last| {
            last.times.is_some_and(|(first, _)| retain.is_full(last.bytes, age(first, now_us)))
        })
    }

    /// Gives up the first sections that need not be kept, and that have no place behind `needed`; returns the indices of
    /// their records. The last section is kept.
    pub fn forget(&mut self, retain: &Retain, now_us: u64, needed: u64) -> Range<u64> {
        let from = self.sections.front().map_or(0, |first| first.index);
        let mut behind: u64 = self.sections.iter().map(|section| section.bytes).sum();
        while let (Some(first), Some(next)) = (self.sections.front(), self.sections.get(1)) {
            behind -= first.bytes;
            let last_us = first.times.map_or(now_us, |(_, last)| last);
            if next.place > needed || !retain.is_over(behind, age(last_us, now_us)) {
                break;
            }
            self.sections.pop_front();
        }
        self.marks = self.marks.split_off(&(self.begins_after() + 1));
        from..self.sections.front().map_or(0, |first| first.index)
    }
}

/// The records of a log, as they come.
#[derive(Debug, Default)]
pub(super) struct Reading {
    content: Content,
    flaw: Option<String>,
}

impl Reading {
    /// Takes in a record; returns its entry, if it has one.
    pub(super) fn take(&mut self, index: u64, bytes: Bytes) -> Option<Entry> {
        let size = bytes.len() as u64;
        let (entry, fits) = match Record::read(bytes) {
            Ok(Record::Base(base)) => (None, self.content.begin(index, &base)),
            Ok(Record::Entry(entry)) => {
                let fits = self.content.add(index, size, &entry.step());
                (Some(entry), fits)
            }
            Err(_) => (None, Err(format!("record {index} is no record of a log"))),
        };
        if let Err(flaw) = fits {
            self.flaw.get_or_insert(flaw);
        }
        entry
    }

    /// Returns the content, once all records were taken in.
    ///
    /// # Errors
    /// The first flaw of the log.
    pub(super) fn finish(self) -> Result<Content, String> {
        self.flaw.map_or(Ok(self.content), Err)
    }
}

fn age(then_us: u64, now_us: u64) -> Duration {
    Duration::from_micros(now_us.saturating_sub(then_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of three sections of two entries each, of 10 bytes and one message; a second between two entries.
    fn log() -> Content {
        let mut content = Content::default();
        let mut index = 1;
        content.begin(index, &Base { run: 7, place: 0, senders: Vec::new() }).unwrap();
        for place in 1..=6 {
            if [3, 5].contains(&place) {
                index += 1;
                content.begin(index, &content.base()).unwrap();
            }
            index += 1;
            let entry =
                Step { place, time_us: place * 1_000_000, sender: ("c1".into(), 1), first: place, count: 1 };
            content.add(index, 10, &entry).unwrap();
        }
        content
    }

    #[test]
    fn sections_are_given_up_whole_and_only_if_nobody_needs_them() {
        let forgotten = |retain: &str, now: u64, needed| {
            let mut log = log();
            let range = log.forget(&Retain::parse(retain).unwrap(), now * 1_000_000, needed);
            (range, log.begins_after(), log.entries(), log.marks.len())
        };
        let all = (1..1, 0, 6, 3);
        assert_eq!(forgotten("all", 1000, u64::MAX), all);
        assert_eq!(forgotten("41B", 1000, u64::MAX), all, "40 bytes would be left");
        assert_eq!(forgotten("40B", 1000, u64::MAX), (1..4, 2, 4, 2));
        assert_eq!(forgotten("21B", 1000, u64::MAX), (1..4, 2, 4, 2));
        assert_eq!(forgotten("1B", 1000, u64::MAX), (1..7, 4, 2, 1), "the last one stays");
        assert_eq!(forgotten("1B", 1000, 1), all, "a reader has place 1");
        assert_eq!(forgotten("1B", 1000, 2), (1..4, 2, 4, 2));
        assert_eq!(forgotten("5s", 7, u64::MAX), all);
        assert_eq!(forgotten("5s", 8, u64::MAX), (1..4, 2, 4, 2));
        assert_eq!(forgotten("5s,1B", 7, u64::MAX), (1..7, 4, 2, 1), "either is enough");
    }

    #[test]
    fn base_must_be_the_state_at_its_place() {
        let mut log = log();
        let base = log.base();
        assert!(log.begin(9, &Base { place: 5, ..base.clone() }).is_err());
        assert!(log.begin(9, &Base { senders: Vec::new(), ..base.clone() }).is_err());
        assert_eq!(log.begin(9, &base), Ok(()));
        assert_eq!(log.times(), Some((1_000_000, 6_000_000)));
    }
}
