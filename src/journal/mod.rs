//! Journals: the records that a member of a cluster has made durable, and finds again after a crash.
//!
//! A journal numbers its records 1, 2, 3, … and never gives an index again. [`Commit`] appends and removes records, both
//! or nothing; it is durable when [`Journal::commit`] returns. [`open`] finds everything that was durable, in order.
//!
//! The records are in the rows (`row.rs`) of a table of [redb](https://www.redb.org) (`redb.rs`) in the file
//! `journal.redb` of a folder.
//! `storage.rs` puts a head before redb's pages (`head.rs`), which names the owner and the last durable commit, and
//! lets redb repair the file in memory first: a damaged file is refused as it is, and never read in parts.
//! `committer.rs` is the thread that commits; `tool.rs` is `groupcast journal`, with `audit.rs` and `words.rs`.

mod audit;
mod committer;
mod head;
mod in_memory;
mod lock;
mod redb;
mod row;
mod storage;
pub(crate) mod tool;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;

use crate::exit::{Exit, Failure};

pub(crate) use audit::first_flaw;
pub use committer::Committer;
pub use in_memory::InMemory;
pub use lock::last_holder;
pub use redb::{RedbJournal, RedbReader, open, open_each, read, read_each};

/// The file of a journal in its folder.
pub(crate) const FILE: &str = "journal.redb";

/// A change of a journal: both parts happen, or none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Commit {
    /// The records to append. They get the next indices, in this order.
    pub append: Vec<Bytes>,
    /// The indices of the records to remove, also of those appended by this commit. An index without a record is ignored.
    pub remove: Vec<u64>,
}

impl Commit {
    /// Returns whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.append.is_empty() && self.remove.is_empty()
    }
}

/// A store of records.
pub trait Journal: Send {
    /// Makes a change durable. After a failure, every further commit fails in the same way and changes nothing.
    ///
    /// # Errors
    /// [`Exit::Io`] if the change cannot be written or synchronized: it may be in the journal after a restart or not.
    /// [`Exit::BadData`] if the journal turns out to be damaged.
    fn commit(&mut self, commit: Commit) -> Result<(), Failure>;

    /// Returns the length of all records in bytes, without what the store adds to each.
    fn size(&self) -> u64;
}

/// The content of a journal when it is opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovered {
    /// The records with their indices, ascending. Removed records leave gaps.
    pub records: Vec<(u64, Bytes)>,
    /// The index of the next record, from 1.
    pub next: u64,
}

/// The owner of a journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The number of the cluster, of 48 bits.
    pub cluster: u64,
    /// The id of the member.
    pub member: String,
    /// The slot of the member.
    pub slot: u16,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (slot {}) of cluster {:012x}", self.member, self.slot, self.cluster)
    }
}

/// Returns the failure of a damaged journal.
fn damaged(path: &Path, cause: impl fmt::Display) -> Failure {
    Failure::new(Exit::BadData, format!("the journal {} is damaged: {cause}", path.display())).help(
        "it was left as it is. Put back a copy that is as new, or start the cluster anew under another name: \
         with an empty or an older journal, this member would use numbers again that the others know",
    )
}

/// Returns the failure of an operation of the system on a file or folder of a journal.
fn failed(exit: Exit, verb: &str, path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(exit, format!("cannot {verb} {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.help("make room on the disk and start again: all that was promised is in the journal")
        }
        _ => failure,
    }
}
