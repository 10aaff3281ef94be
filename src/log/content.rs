//! The content of a log without its texts, found by reading all of its records once.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::record::{Base, Entry, Record, Step};
use super::table::Table;

/// The number of entries of which the place of one is kept in memory, to find others from there.
const MARK_EVERY: u64 = 64;

/// The content of a log, without its texts.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Its base; none only in a log that is being made.
    pub base: Option<Base>,
    /// Its last place, and its clients.
    pub table: Table,
    /// The index of some records by the first place of their entries.
    pub marks: BTreeMap<u64, u64>,
    /// The number of its entries.
    pub entries: u64,
}

impl Content {
    /// Returns the last place before the first entry: 0, unless earlier entries were removed.
    #[must_use]
    pub fn begins_after(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.place)
    }

    /// Takes in the next entry, which has this record.
    ///
    /// # Errors
    /// The reason why it cannot follow.
    pub fn add(&mut self, index: u64, entry: &Step) -> Result<(), String> {
        self.table.add(entry)?;
        if self.entries.is_multiple_of(MARK_EVERY) {
            self.marks.insert(entry.place, index);
        }
        self.entries += 1;
        Ok(())
    }
}

/// The records of a log, as they come.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The entries until the base is known, which is behind some of them if earlier ones were removed.
    early: Vec<(u64, Step)>,
    content: Content,
    flaw: Option<String>,
}

impl Reading {
    /// Takes in a record; returns its entry, if it has one.
    pub(super) fn take(&mut self, index: u64, bytes: Bytes) -> Option<Entry> {
        match Record::read(bytes) {
            Ok(Record::Base(base)) if self.content.base.is_none() => {
                self.content.table = Table::new(&base);
                self.content.base = Some(base);
                for (index, step) in std::mem::take(&mut self.early) {
                    self.add(index, &step);
                }
            }
            Ok(Record::Base(_)) => self.note(format!("record {index} is a second base")),
            Ok(Record::Entry(entry)) => {
                match self.content.base {
                    None => self.early.push((index, entry.step())),
                    Some(_) => self.add(index, &entry.step()),
                }
                return Some(entry);
            }
            Err(_) => self.note(format!("record {index} is no record of a log")),
        }
        None
    }

    fn add(&mut self, index: u64, step: &Step) {
        if let Err(flaw) = self.content.add(index, step) {
            self.note(flaw);
        }
    }

    fn note(&mut self, flaw: String) {
        self.flaw.get_or_insert(flaw);
    }

    /// Returns the content, once all records were taken in.
    ///
    /// # Errors
    /// The first flaw of the log.
    pub(super) fn finish(self) -> Result<Content, String> {
        let is_baseless = self.content.base.is_none() && !self.early.is_empty();
        let flaw = self.flaw.or_else(|| is_baseless.then(|| "its base is gone".to_owned()));
        flaw.map_or(Ok(self.content), Err)
    }
}
