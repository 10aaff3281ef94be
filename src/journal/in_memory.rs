//! A journal in memory, for tests and simulations.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Commit, Journal, Recovered};
use crate::exit::Failure;

/// A journal that ends with the process. A clone is a copy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InMemory {
    records: BTreeMap<u64, Bytes>,
    /// The index of the last record.
    last: u64,
}

impl InMemory {
    /// Returns the content, as it would be after a restart.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        let records = self.records.iter().map(|(&index, record)| (index, record.clone())).collect();
        Recovered { records, next: self.last + 1 }
    }
}

impl Journal for InMemory {
    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        for record in commit.append {
            self.last += 1;
            self.records.insert(self.last, record);
        }
        commit.remove.iter().for_each(|index| drop(self.records.remove(index)));
        Ok(())
    }

    fn size(&self) -> u64 {
        self.records.values().map(|record| record.len() as u64).sum()
    }
}
