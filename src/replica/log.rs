//! The log of a replica: the entries of all members, by sender for repair, and by stamp for confirmation.

use std::collections::{BTreeMap, VecDeque};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::{Content, Entry, EntryId, Stamp};
use super::record::{Confirmed, Forgotten, Snapshot};
use crate::ids::MemberId;

/// The entries of one member.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Origin {
    /// The last entry that was forgotten.
    forgotten: Forgotten,
    /// The entries after it, in order, each with the index of its record.
    entries: VecDeque<(Entry, u64)>,
    /// The number of the last entry that is stored and shown.
    stored: u64,
    /// The time and the digest of the last entry.
    last: (u64, u64),
}

/// The log.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Log {
    origins: Vec<Origin>,
    /// The numbers of the entries that are shown and not confirmed, by place.
    tentative: BTreeMap<Stamp, u64>,
    /// The entries that are confirmed and not forgotten, in order.
    confirmed: VecDeque<EntryId>,
    /// The confirmed prefix.
    prefix: Confirmed,
    /// The part of it that is forgotten.
    forgotten: Confirmed,
    /// The number of direct messages to this member among the forgotten entries.
    received: u64,
    /// For each member, the number of direct messages of this member to it among the forgotten entries.
    sent: Vec<u64>,
    /// Bytes of all entries that are kept.
    bytes: usize,
}

impl Log {
    /// Returns the log that a snapshot leaves.
    pub(super) fn from_snapshot(snapshot: &Snapshot) -> Self {
        let origin = |forgotten: &Forgotten| Origin {
            forgotten: *forgotten,
            entries: VecDeque::new(),
            stored: forgotten.number,
            last: (forgotten.time, forgotten.digest),
        };
        Self {
            origins: snapshot.origins.iter().map(origin).collect(),
            prefix: snapshot.confirmed,
            forgotten: snapshot.confirmed,
            received: snapshot.received,
            sent: snapshot.sent.clone(),
            ..Self::default()
        }
    }

    /// Makes room for so many slots.
    pub(super) fn widen(&mut self, slots: usize) {
        self.origins.resize(slots, Origin::default());
        self.sent.resize(slots, 0);
    }

    /// Takes the entries of `origin` after `cut` out, unless they are confirmed. All of them are stored. Returns them in
    /// order, each with the index of its record.
    pub(super) fn withdraw(&mut self, origin: usize, cut: u64) -> Vec<(Entry, u64)> {
        let mut withdrawn = Vec::new();
        while self.origins[origin].stored > cut {
            let state = &mut self.origins[origin];
            let Some((entry, index)) = state.entries.pop_back() else { break };
            if self.tentative.remove(&entry.stamp()).is_none() {
                state.entries.push_back((entry, index));
                break;
            }
            state.stored -= 1;
            self.bytes -= entry.bytes().len();
            withdrawn.push((entry, index));
        }
        let state = &mut self.origins[origin];
        let Forgotten { time, digest, .. } = state.forgotten;
        state.last = state.entries.back().map_or((time, digest), |(entry, _)| (entry.time, entry.digest()));
        withdrawn.reverse();
        withdrawn
    }

    /// Returns the number of the last entry of `origin`, stored or not.
    pub(super) fn received(&self, origin: usize) -> u64 {
        let origin = &self.origins[origin];
        origin.forgotten.number + origin.entries.len() as u64
    }

    /// Returns the number of the last entry of `origin` that is stored.
    pub(super) fn stored(&self, origin: usize) -> u64 {
        self.origins[origin].stored
    }

    /// Returns the number of the last entry of `origin` that is forgotten.
    pub(super) fn forgotten(&self, origin: usize) -> u64 {
        self.origins[origin].forgotten.number
    }

    /// Returns the time of the last entry of `origin`.
    pub(super) fn last_time(&self, origin: usize) -> u64 {
        self.origins[origin].last.0
    }

    /// Returns the digest of the last entry of `origin`.
    pub(super) fn last_digest(&self, origin: usize) -> u64 {
        self.origins[origin].last.1
    }

    /// Returns the time of the last entry of `origin` that is stored.
    pub(super) fn stored_time(&self, origin: usize) -> u64 {
        let Origin { forgotten, stored, .. } = self.origins[origin];
        self.entry(origin, stored).map_or(forgotten.time, |entry| entry.time)
    }

    /// Returns an entry, unless it is forgotten or not there yet.
    pub(super) fn entry(&self, origin: usize, number: u64) -> Option<&Entry> {
        let Origin { forgotten, entries, .. } = &self.origins[origin];
        let at = number.checked_sub(forgotten.number + 1)?;
        entries.get(usize::try_from(at).ok()?).map(|(entry, _)| entry)
    }

    /// Appends the next entry of its sender, whose record has this index.
    pub(super) fn append(&mut self, entry: Entry, index: u64) {
        self.bytes += entry.bytes().len();
        let origin = &mut self.origins[usize::from(entry.id.origin.0)];
        origin.last = (entry.time, entry.digest());
        origin.entries.push_back((entry, index));
    }

    /// Records that the next entry of `origin` is stored, and returns it: it takes its place among those shown.
    pub(super) fn show(&mut self, origin: usize) -> Entry {
        self.origins[origin].stored += 1;
        let number = self.origins[origin].stored;
        let entry = self.entry(origin, number).expect("an entry is appended before it is stored").clone();
        self.tentative.insert(entry.stamp(), number);
        entry
    }

    /// Returns the first entry that is shown and not confirmed.
    pub(super) fn first_tentative(&self) -> Option<(Stamp, u64)> {
        self.tentative.first_key_value().map(|(&stamp, &number)| (stamp, number))
    }

    /// Returns the number of entries that are shown and not confirmed.
    pub(super) fn tentative(&self) -> usize {
        self.tentative.len()
    }

    /// Confirms the first tentative entry.
    pub(super) fn confirm(&mut self) {
        let Some((stamp, number)) = self.tentative.pop_first() else { return };
        let id = EntryId { origin: stamp.origin, number };
        self.prefix = self.following(self.prefix, id);
        self.confirmed.push_back(id);
    }

    /// Returns the confirmed prefix.
    pub(super) const fn confirmed(&self) -> Confirmed {
        self.prefix
    }

    /// Returns the prefix that ends with the entry `id`, after `prefix`.
    fn following(&self, prefix: Confirmed, id: EntryId) -> Confirmed {
        let entry = self.entry(usize::from(id.origin.0), id.number).expect("confirmed entries are kept");
        let messages = messages(entry);
        let chained = || xxh3_64_with_seed(&entry.digest().to_le_bytes(), prefix.digest);
        Confirmed {
            upto: entry.stamp(),
            entries: prefix.entries + 1,
            count: prefix.count + messages,
            digest: if messages > 0 { chained() } else { prefix.digest },
        }
    }

    /// Returns the number of confirmed entries that are forgotten.
    pub(super) const fn forgotten_entries(&self) -> u64 {
        self.forgotten.entries
    }

    /// Returns the bytes of all entries that are kept.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the first confirmed entry, if `is_stored_by_all` says so of its sender and number. Returns the index of
    /// its record.
    pub(super) fn forget(
        &mut self,
        me: MemberId,
        is_stored_by_all: impl Fn(usize, u64) -> bool,
    ) -> Option<u64> {
        let id = *self.confirmed.front()?;
        let at = usize::from(id.origin.0);
        if !is_stored_by_all(at, id.number) {
            return None;
        }
        self.confirmed.pop_front();
        self.forgotten = self.following(self.forgotten, id);
        let origin = &mut self.origins[at];
        let (entry, index) = origin.entries.pop_front()?;
        self.bytes -= entry.bytes().len();
        let Forgotten { multicasts, finished, .. } = origin.forgotten;
        origin.forgotten = Forgotten {
            number: id.number,
            time: entry.time,
            digest: entry.digest(),
            multicasts: multicasts + messages(&entry),
            finished: finished || entry.content == Content::Finished,
        };
        if let Content::Direct(to, batch) = &entry.content {
            let count = u64::from(batch.count());
            self.received += if *to == me { count } else { 0 };
            let sent = self.sent.get_mut(usize::from(to.0)).filter(|_| id.origin == me);
            sent.into_iter().for_each(|sent| *sent += count);
        }
        Some(index)
    }

    /// Returns a snapshot of what is forgotten.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            confirmed: self.forgotten,
            origins: self.origins.iter().map(|origin| origin.forgotten).collect(),
            received: self.received,
            sent: self.sent.clone(),
        }
    }
}

/// Returns the number of messages to everybody in an entry.
fn messages(entry: &Entry) -> u64 {
    match &entry.content {
        Content::Multicast(batch) => u64::from(batch.count()),
        Content::Direct(..) | Content::Finished => 0,
    }
}
