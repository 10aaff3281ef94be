//! The list of a member of a cluster: the entries that are shown and not confirmed, in their places.

use std::collections::BTreeMap;

use crate::replica::entry::{Entry, Stamp};

/// The entries that are shown and not confirmed.
#[derive(Debug, Default)]
pub struct List(BTreeMap<Stamp, Entry>);

impl List {
    /// Inserts an entry in its place.
    pub fn insert(&mut self, entry: Entry) {
        self.0.insert(entry.stamp(), entry);
    }

    /// Takes an entry out that is withdrawn.
    pub fn remove(&mut self, stamp: Stamp) {
        self.0.remove(&stamp);
    }

    /// Takes the first entry, if its place is not above `upto`: the confirmed ones, in their order.
    pub fn take_first(&mut self, upto: Stamp) -> Option<Entry> {
        let first = self.0.first_entry().filter(|first| *first.key() <= upto)?;
        Some(first.remove())
    }

    /// Returns the entries in the order of their places.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether all that was shown is confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
