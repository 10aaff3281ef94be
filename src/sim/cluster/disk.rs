//! The simulated disk of a member: a sync takes a while, and a crash keeps any part of what was not synced.

use std::collections::BTreeMap;

use crate::engine::MemberId;
use crate::replica::entry::EntryId;
use crate::replica::record::Record;

/// A journal on a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// The synced records, with their indices, ascending.
    records: Vec<(u64, Record)>,
    /// The writes after them: records, and indices of records that they replace.
    written: Vec<Write>,
    /// The number of writes that the present sync covers.
    syncing: usize,
    /// The index of the last record, and of the last one that is synced.
    last: u64,
    last_synced: u64,
    /// For each sender, the number of its last entry that is synced.
    synced: BTreeMap<MemberId, u64>,
}

#[derive(Clone, Debug)]
enum Write {
    Append(u64, Record),
    Remove(Vec<u64>),
}

impl Disk {
    /// Writes a record. Returns true if a sync begins now.
    pub(super) fn append(&mut self, record: Record) -> bool {
        self.last += 1;
        self.written.push(Write::Append(self.last, record));
        self.begin_sync()
    }

    /// Removes records.
    pub(super) fn remove(&mut self, indices: Vec<u64>) {
        self.written.push(Write::Remove(indices));
    }

    /// Writes and syncs the first records of a new member, all at once.
    pub(super) fn begin(&mut self, records: Vec<Record>) {
        for record in records {
            if let Record::Snapshot(snapshot) = &record {
                let numbers = (0..).map(MemberId).zip(snapshot.origins.iter().map(|origin| origin.number));
                self.synced.extend(numbers);
            }
            self.last += 1;
            self.written.push(Write::Append(self.last, record));
        }
        self.keep(self.written.len());
    }

    fn begin_sync(&mut self) -> bool {
        let begins = self.syncing == 0;
        if begins {
            self.syncing = self.written.len();
        }
        begins
    }

    /// Ends the present sync. Returns the index up to which all is synced, and whether the next sync begins.
    pub(super) fn end_sync(&mut self) -> (u64, bool) {
        self.keep(self.syncing);
        self.syncing = 0;
        let upto = self.written.iter().find_map(|write| match write {
            Write::Append(index, _) => Some(index - 1),
            Write::Remove(_) => None,
        });
        let begins = !self.written.is_empty() && self.begin_sync();
        (upto.unwrap_or(self.last), begins)
    }

    /// Makes the first `count` writes permanent.
    fn keep(&mut self, count: usize) {
        for write in self.written.drain(..count) {
            match write {
                Write::Append(index, record) => {
                    if let Record::Entry(entry) = &record {
                        self.synced.insert(entry.id.origin, entry.id.number);
                    }
                    self.records.push((index, record));
                    self.last_synced = index;
                }
                Write::Remove(indices) => self.records.retain(|(index, _)| !indices.contains(index)),
            }
        }
    }

    /// Returns the number of writes that are not synced.
    pub(super) fn unsynced(&self) -> usize {
        self.written.len()
    }

    /// Crashes: the first `kept` writes that were not synced are there all the same, the others are lost.
    pub(super) fn crash(&mut self, kept: usize) {
        self.keep(kept);
        self.written.clear();
        self.syncing = 0;
        // Indices that were never synced are given again.
        self.last = self.last_synced;
    }

    /// Returns whether the synced part has an entry, or has forgotten it because every member has it.
    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.synced.get(&id.origin).is_some_and(|&last| id.number <= last)
    }

    /// Returns the records, and the index of the next one.
    pub(super) fn recovered(&self) -> (&[(u64, Record)], u64) {
        (&self.records, self.last + 1)
    }
}
