//! The rules that the records of a journal keep among themselves, for `groupcast journal check` and the simulator.
//!
//! The checksums tell that the records are as they were written; the rules tell that they were right to write.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ids::MemberId;
use crate::replica::entry::{Content, Entry, Stamp};
use crate::replica::epoch::{Change, Request};
use crate::replica::record::{Confirmed, Forgotten, Record, Snapshot};

/// A record that breaks a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flaw {
    pub(super) index: u64,
    pub(super) says: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} {}", self.index, self.says)
    }
}

/// The content of a journal that keeps the rules.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Summary {
    /// The number of the last life.
    pub(super) life: u32,
    /// The number of entries.
    pub(super) entries: u64,
    /// The confirmed part of the order.
    pub(super) confirmed: Confirmed,
}

/// Checks the records of a journal.
///
/// # Errors
/// All records that break a rule, with the first rule that each breaks.
pub(super) fn audit(records: &[(u64, Bytes)]) -> Result<Summary, Vec<Flaw>> {
    let mut flaws = Vec::new();
    let mut parsed = Vec::with_capacity(records.len());
    for (index, bytes) in records {
        match Record::parse(bytes.clone()) {
            Ok(record) => parsed.push((*index, record)),
            Err(_) => flaws.push(Flaw { index: *index, says: "is no record".into() }),
        }
    }
    let audit = Audit::of(&parsed, &mut flaws);
    flaws.sort_by_key(|flaw| flaw.index);
    if flaws.is_empty() { Ok(audit.summary) } else { Err(flaws) }
}

/// Returns the first record that breaks a rule, and the rule, in words.
pub(crate) fn first_flaw(records: &[(u64, Record)]) -> Option<String> {
    let mut flaws = Vec::new();
    Audit::of(records, &mut flaws);
    flaws.first().map(ToString::to_string)
}

/// Returns the member that a change removes, with the number of its last entry.
fn removal(change: &Change) -> Option<(MemberId, u64)> {
    match change.request {
        Request::Remove(slot) => Some((slot, change.stored.get(usize::from(slot.0)).copied().unwrap_or(0))),
        Request::Add { .. } => None,
    }
}

/// The state after the records so far.
#[derive(Debug, Default)]
struct Audit {
    summary: Summary,
    /// The confirmed part that was forgotten.
    forgotten: Confirmed,
    /// The entries that are not confirmed, by their places: the digest, and the number of messages to everybody.
    tentative: BTreeMap<Stamp, (u64, u64)>,
    /// For each member, its last entry.
    last: BTreeMap<MemberId, Forgotten>,
    /// For each member, the number up to which its entries were forgotten.
    base: BTreeMap<MemberId, u64>,
    /// The times of the entries of each member, by their numbers.
    times: BTreeMap<(MemberId, u64), u64>,
    /// The last epoch; 0 if no change is known.
    epoch: u16,
    /// For each removed member, the number of its last entry.
    cuts: BTreeMap<MemberId, u64>,
}

impl Audit {
    /// Returns the state after all records; adds those that break a rule to the flaws.
    fn of(records: &[(u64, Record)], flaws: &mut Vec<Flaw>) -> Self {
        let mut audit = Self::from_snapshot(records.iter().rev().find_map(|(_, record)| match record {
            Record::Snapshot(snapshot) => Some(snapshot),
            _ => None,
        }));
        // Void entries may be gone from the journal, while others before the change still name them as causes.
        let changes = records.iter().filter_map(|(_, record)| match record {
            Record::Change(_, change) => removal(change),
            _ => None,
        });
        audit.cuts.extend(changes);
        for (index, record) in records {
            if let Err(says) = audit.record(record) {
                flaws.push(Flaw { index: *index, says });
            }
        }
        audit
    }

    fn from_snapshot(snapshot: Option<&Snapshot>) -> Self {
        let mut audit = Self::default();
        if let Some(snapshot) = snapshot {
            audit.forgotten = snapshot.confirmed;
            audit.summary.confirmed = snapshot.confirmed;
            for (slot, origin) in (0..).zip(&snapshot.origins) {
                audit.last.insert(MemberId(slot), *origin);
                audit.base.insert(MemberId(slot), origin.number);
            }
        }
        audit
    }

    fn record(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Life { number } => self.life(*number),
            Record::Entry(entry) if entry.id.number <= self.base(entry.id.origin) => Ok(()),
            Record::Entry(entry) => {
                let judged = self.entry(entry);
                self.take(entry);
                judged
            }
            // Of the forgotten part, only some records are left.
            Record::Confirmed(confirmed) if confirmed.entries <= self.forgotten.entries => Ok(()),
            Record::Confirmed(confirmed) => self.confirmed(*confirmed),
            Record::Snapshot(_) | Record::Vote(_) | Record::Began(_) | Record::Clock(_) | Record::Old(_) => {
                Ok(())
            }
            Record::Change(number, change) => self.change(*number, change),
        }
    }

    /// Takes the entries out that the removal of their member makes void.
    fn change(&mut self, number: u16, change: &Change) -> Result<(), String> {
        let last = std::mem::replace(&mut self.epoch, number).max(1);
        if let Some((slot, cut)) = removal(change) {
            let times = &self.times;
            let is_void = |stamp: &Stamp| {
                let mut void = times.range((slot, cut.saturating_add(1))..=(slot, u64::MAX));
                stamp.origin == slot && void.any(|(_, time)| *time == stamp.time)
            };
            self.tentative.retain(|stamp, _| !is_void(stamp));
        }
        if number == last + 1 { Ok(()) } else { Err(format!("is epoch {number}, after epoch {last}")) }
    }

    fn base(&self, origin: MemberId) -> u64 {
        self.base.get(&origin).copied().unwrap_or_default()
    }

    fn life(&mut self, number: u32) -> Result<(), String> {
        let last = std::mem::replace(&mut self.summary.life, number);
        if number > last { Ok(()) } else { Err(format!("is life {number}, after life {last}")) }
    }

    fn entry(&self, entry: &Entry) -> Result<(), String> {
        let name = name(entry.id.origin, entry.id.number);
        let last = self.last.get(&entry.id.origin).copied().unwrap_or_default();
        if entry.id.number != last.number + 1 {
            return Err(format!("is {name}, after number {} of this member", last.number));
        }
        if entry.previous != last.digest {
            let (found, expected) = (entry.previous, last.digest);
            return Err(format!(
                "is {name}, which follows digest {found:016x}, but the digest is {expected:016x}"
            ));
        }
        if last.finished {
            return Err(format!("is {name}, after the member had finished"));
        }
        if entry.time <= last.time {
            return Err(format!("is {name} at {}, after time {}", entry.time, last.time));
        }
        let upto = self.summary.confirmed.upto;
        if entry.stamp() <= upto {
            return Err(format!("is {name} at {}, below what is confirmed", place(entry.stamp())));
        }
        (0..).zip(&entry.causes).try_for_each(|(slot, &number)| self.cause(entry, MemberId(slot), number))
    }

    fn cause(&self, entry: &Entry, origin: MemberId, number: u64) -> Result<(), String> {
        let number = number.min(self.cuts.get(&origin).copied().unwrap_or(number));
        let (effect, cause) = (name(entry.id.origin, entry.id.number), name(origin, number));
        if number > self.last.get(&origin).map_or(0, |last| last.number) {
            return Err(format!("is {effect}, and its cause {cause} is not before it"));
        }
        match self.times.get(&(origin, number)) {
            Some(time) if *time >= entry.time => {
                Err(format!("is {effect} at {}, and its cause {cause} is at {time}", entry.time))
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, entry: &Entry) {
        let id = entry.id;
        let last = self.last.entry(id.origin).or_default();
        last.number = id.number;
        last.time = entry.time;
        last.digest = entry.digest();
        last.finished = entry.content == Content::Finished;
        let messages = match &entry.content {
            Content::Multicast(batch) => u64::from(batch.count()),
            Content::Direct(..) | Content::Finished => 0,
        };
        self.tentative.insert(entry.stamp(), (last.digest, messages));
        self.times.insert((id.origin, id.number), entry.time);
        self.summary.entries += 1;
    }

    fn confirmed(&mut self, told: Confirmed) -> Result<(), String> {
        let last = self.summary.confirmed;
        let mut found = last;
        while let Some(first) = self.tentative.first_entry().filter(|first| *first.key() <= told.upto) {
            let (upto, (digest, messages)) = first.remove_entry();
            found.upto = upto;
            found.entries += 1;
            found.count += messages;
            if messages > 0 {
                found.digest = xxh3_64_with_seed(&digest.to_le_bytes(), found.digest);
            }
        }
        self.summary.confirmed = told;
        if told.upto < last.upto || told.entries < last.entries {
            return Err(format!("confirms {}, after {}", prefix(told), prefix(last)));
        }
        if found == told {
            Ok(())
        } else {
            Err(format!("confirms {}, but here are {}", prefix(told), prefix(found)))
        }
    }
}

/// Returns a confirmed prefix in words.
pub(super) fn prefix(confirmed: Confirmed) -> String {
    let Confirmed { upto, entries, count, digest } = confirmed;
    format!("{entries} entries up to {}, {count} messages, digest {digest:016x}", place(upto))
}

/// Returns an entry in words: the slot of its member, and its number.
pub(super) fn name(origin: MemberId, number: u64) -> String {
    format!("entry {}/{number}", origin.0)
}

/// Returns a stamp in words: the time, and the slot.
pub(super) fn place(stamp: Stamp) -> String {
    format!("{}/{}", stamp.time, stamp.origin.0)
}
