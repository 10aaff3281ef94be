//! A journal in a table of redb. `row.rs` has the form of its rows.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::redb::{Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition};
use bytes::Bytes;

use super::head::{self, Mark};
use super::lock::{self, Lock};
use super::row::Row;
use super::storage::{Disk, Head, Storage};
use super::{Commit, FILE, Identity, Journal, Recovered, damaged, failed};
use crate::exit::{Exit, Failure};

/// The rows by the indices of their first records.
pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// A lower bound of the next index, which counts when the last record was removed.
const NEXT: TableDefinition<'_, (), u64> = TableDefinition::new("next");
/// Most bytes of pages in memory. A journal appends, and is read once.
const CACHE: usize = 32 << 20;
/// The name of the file until it is complete.
const INCOMPLETE: &str = "journal.new";

/// A journal in a file.
#[derive(Debug)]
pub struct RedbJournal {
    shared: Arc<Shared>,
    storage: Storage,
    state: State,
    /// The failure after which nothing more is stored.
    failure: Option<Failure>,
}

/// The table of a journal, for the one that commits and those that read.
#[derive(Debug)]
struct Shared {
    db: Database,
    path: PathBuf,
    /// Released last.
    _lock: Option<Lock>,
}

/// Reads a journal while another thread commits to it.
#[derive(Clone, Debug)]
pub struct RedbReader(Arc<Shared>);

/// The state of a journal after its last commit.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The index of the next record.
    next: u64,
    /// The number of records.
    records: u64,
    /// The length of all records in bytes.
    size: u64,
}

/// Opens the journal in a folder for its owner. Folder and journal are made if they are not there.
///
/// # Errors
/// [`Exit::Unavailable`] if another process has the journal, [`Exit::Config`] if it is of another owner,
/// [`Exit::BadData`] if it is damaged, [`Exit::CannotCreate`] if it cannot be made or opened, [`Exit::Io`] if it cannot
/// be read or written.
pub fn open(dir: &Path, identity: &Identity) -> Result<(RedbJournal, Recovered), Failure> {
    let mut records = Vec::new();
    let (journal, next) = open_each(dir, identity, &mut |index, record| records.push((index, record)))?;
    Ok((journal, Recovered { records, next }))
}

/// Opens a journal as [`open`] does, and passes its records on, ascending, without keeping them. Returns the index of the
/// next one, too.
///
/// # Errors
/// As [`open`].
pub fn open_each(
    dir: &Path,
    identity: &Identity,
    each: &mut dyn FnMut(u64, Bytes),
) -> Result<(RedbJournal, u64), Failure> {
    lock::make_folder(dir).map_err(|error| failed(Exit::CannotCreate, "create", dir, &error))?;
    let lock = Lock::take(dir)?;
    let path = dir.join(FILE);
    let cannot_open = |error| failed(Exit::CannotCreate, "open", &path, &error);
    if !path.try_exists().map_err(cannot_open)? {
        create(dir, identity)?;
    }
    let file = File::options().read(true).write(true).open(&path).map_err(cannot_open)?;
    open_each_on(Box::new(file), &path, identity, Some(lock), each)
}

/// Reads the journal in a folder, and does not change it.
///
/// # Errors
/// [`Exit::NoInput`] if there is none, [`Exit::Unavailable`] if a process writes it, [`Exit::BadData`] if it is damaged,
/// [`Exit::Io`] if it cannot be read.
pub fn read(dir: &Path) -> Result<(Identity, Recovered), Failure> {
    let mut records = Vec::new();
    let (owner, next) = read_each(dir, &mut |index, record| records.push((index, record)))?;
    Ok((owner, Recovered { records, next }))
}

/// Reads a journal as [`read`] does, and passes its records on, ascending. Returns its owner and the index of the next one.
///
/// # Errors
/// As [`read`].
pub fn read_each(dir: &Path, each: &mut dyn FnMut(u64, Bytes)) -> Result<(Identity, u64), Failure> {
    let path = dir.join(FILE);
    let _lock = Lock::share(dir)?;
    let file = File::open(&path).map_err(|error| {
        let failure = failed(Exit::NoInput, "open", &path, &error);
        failure.help("a journal is in the folder that a member of a cluster has as --data")
    })?;
    let (storage, head) = on_trial(Box::new(file), &path)?;
    let (_, state) = recover(&storage, head.mark, &path, each)?;
    Ok((head.owner, state.next))
}

/// Makes the journal of a folder. It appears under its name when it is complete and durable.
fn create(dir: &Path, identity: &Identity) -> Result<(), Failure> {
    let owner = head::owner_to_bytes(identity)?;
    let incomplete = dir.join(INCOMPLETE);
    let make = || {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&incomplete)?;
        create_on(Box::new(file), &owner)?;
        fs::rename(&incomplete, dir.join(FILE))?;
        lock::sync_folder(dir)?;
        Ok(())
    };
    make().map_err(|error: ::redb::Error| {
        let _ = fs::remove_file(&incomplete);
        let error = match error {
            ::redb::Error::Io(error) => error,
            other => io::Error::other(other),
        };
        failed(Exit::CannotCreate, "create", &dir.join(FILE), &error)
    })
}

/// Makes a journal without records.
pub(super) fn create_on(disk: Box<dyn Disk>, owner: &[u8]) -> Result<(), ::redb::Error> {
    let storage = Storage::create(disk)?;
    let db = Builder::new().set_cache_size(CACHE).create_with_backend(storage.clone())?;
    let transaction = db.begin_write()?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(NEXT)?;
    transaction.commit()?;
    drop(db);
    storage.write_mark(1, 0)?;
    storage.write_owner(owner)?;
    Ok(())
}

/// Opens a journal on a disk that no other process has. It keeps the lock as long as it lives.
///
/// # Errors
/// As [`open`].
pub(super) fn open_each_on(
    disk: Box<dyn Disk>,
    path: &Path,
    identity: &Identity,
    lock: Option<Lock>,
    each: &mut dyn FnMut(u64, Bytes),
) -> Result<(RedbJournal, u64), Failure> {
    let (storage, head) = on_trial(disk, path)?;
    if head.owner != *identity {
        let owner = head.owner;
        return Err(Failure::new(
            Exit::Config,
            format!("the journal {} is of {owner}, not of {identity}", path.display()),
        )
        .help("give each member of each cluster a folder of its own"));
    }
    let (db, state) = recover(&storage, head.mark, path, each)?;
    let accept = || storage.accept().and_then(|()| storage.write_mark(state.next, state.records));
    accept().map_err(|error| {
        storage.close();
        failed(Exit::Io, "write", path, &error)
    })?;
    let shared = Arc::new(Shared { db, path: path.to_owned(), _lock: lock });
    Ok((RedbJournal { shared, storage, state, failure: None }, state.next))
}

fn on_trial(disk: Box<dyn Disk>, path: &Path) -> Result<(Storage, Head), Failure> {
    let opened = Storage::open(disk).map_err(|error| failed(Exit::Io, "read", path, &error))?;
    opened.map_err(|flaw| damaged(path, flaw))
}

/// Lets redb check and repair the file, and reads all records.
fn recover(
    storage: &Storage,
    mark: Option<Mark>,
    path: &Path,
    each: &mut dyn FnMut(u64, Bytes),
) -> Result<(Database, State), Failure> {
    let told = |error| failure(error, "read", path);
    let db = Builder::new().set_cache_size(CACHE).create_with_backend(storage.clone());
    let db = db.map_err(|error| told(error.into()))?;
    let mut state = State { next: 1, records: 0, size: 0 };
    let mut see = |index: u64, record: Bytes| {
        state.next = state.next.max(index.saturating_add(1));
        state.records += 1;
        state.size += record.len() as u64;
        each(index, record);
        true
    };
    let next = rows(&db, 0, &mut see).map_err(told)?;
    state.next = state.next.max(next);
    if let Some(mark) = mark.filter(|mark| !mark.may_become(state.next, state.records)) {
        let (records, next) = (mark.records, mark.next);
        let cause = format!(
            "its last commit is gone: it had {records} records and was to give index {next} next, and has {} and {}",
            state.records, state.next
        );
        return Err(damaged(path, cause));
    }
    Ok((db, state))
}

/// Passes on the records from the row of an index on, as long as more are wanted. Returns a lower bound of the next index.
fn rows(db: &Database, from: u64, see: &mut dyn FnMut(u64, Bytes) -> bool) -> Result<u64, ::redb::Error> {
    let transaction = db.begin_read()?;
    let next = transaction.open_table(NEXT)?.get(())?.map_or(1, |next| next.value());
    let table = transaction.open_table(RECORDS)?;
    let first = table.range(..=from)?.next_back().transpose()?.map_or(from, |(key, _)| key.value());
    for row in table.range(first..)? {
        let (key, row) = row?;
        let row = Row::parse(key.value(), row.value()).ok_or_else(|| wrong_sum(key.value()))?;
        if !row.0.into_iter().all(|(index, record)| see(index, record)) {
            break;
        }
    }
    Ok(next)
}

fn wrong_sum(key: u64) -> ::redb::Error {
    ::redb::Error::Corrupted(format!("the records from {key} on have a wrong checksum"))
}

/// Returns the failure of redb at a file: of the system, or of a damaged file.
fn failure(error: ::redb::Error, verb: &str, path: &Path) -> Failure {
    match error {
        ::redb::Error::Io(error)
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            failed(Exit::Io, verb, path, &error)
        }
        ::redb::Error::Corrupted(flaw) => damaged(path, flaw),
        other => damaged(path, other),
    }
}

impl RedbJournal {
    /// Returns a reader of what is committed.
    #[must_use]
    pub fn reader(&self) -> RedbReader {
        RedbReader(self.shared.clone())
    }

    /// Makes a change durable; returns the state after it.
    fn apply(&self, commit: &Commit) -> Result<State, ::redb::Error> {
        let mut state = self.state;
        let transaction = self.shared.db.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for row in Row::divide(state.next, &commit.append) {
                table.insert(row.key(), &*row.bytes())?;
                for (index, record) in row.0 {
                    state.next = index + 1;
                    state.records += 1;
                    state.size += record.len() as u64;
                }
            }
            if !commit.remove.is_empty() {
                remove(&mut table, &commit.remove, &mut state)?;
                transaction.open_table(NEXT)?.insert((), state.next)?;
            }
        }
        // Durable when it returns: that is redb's default, and nothing here asks for less.
        transaction.commit()?;
        self.storage.write_mark(state.next, state.records)?;
        Ok(state)
    }
}

/// Removes records from the rows that have them. A row without records is removed.
fn remove(
    table: &mut Table<'_, u64, &[u8]>,
    indices: &[u64],
    state: &mut State,
) -> Result<(), ::redb::Error> {
    let mut left: BTreeSet<u64> = indices.iter().copied().collect();
    while let Some(index) = left.pop_first() {
        let Some((key, row)) = row_of(table, index)? else { continue };
        let (kept, removed): (Vec<_>, Vec<_>) =
            row.0.into_iter().partition(|(at, _)| *at != index && !left.remove(at));
        if removed.is_empty() {
            continue;
        }
        state.records -= removed.len() as u64;
        state.size -= removed.iter().map(|(_, record)| record.len() as u64).sum::<u64>();
        table.remove(key)?;
        let kept = Row(kept);
        if !kept.0.is_empty() {
            table.insert(kept.key(), &*kept.bytes())?;
        }
    }
    Ok(())
}

/// Returns the row that would have the record of an index, with its key.
fn row_of(table: &Table<'_, u64, &[u8]>, index: u64) -> Result<Option<(u64, Row)>, ::redb::Error> {
    let Some(row) = table.range(..=index)?.next_back() else { return Ok(None) };
    let (key, row) = row?;
    let parsed = Row::parse(key.value(), row.value());
    Ok(Some((key.value(), parsed.ok_or_else(|| wrong_sum(key.value()))?)))
}

impl RedbReader {
    /// Passes on the committed records from an index on, ascending, as long as `see` wants more.
    ///
    /// # Errors
    /// [`Exit::BadData`] if the journal turns out to be damaged, [`Exit::Io`] if it cannot be read.
    pub fn read(&self, from: u64, see: &mut dyn FnMut(u64, Bytes) -> bool) -> Result<(), Failure> {
        let mut see = |index, record| index < from || see(index, record);
        rows(&self.0.db, from, &mut see).map(drop).map_err(|error| failure(error, "read", &self.0.path))
    }
}

impl Journal for RedbJournal {
    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if commit.is_empty() {
            return Ok(());
        }
        match self.apply(&commit) {
            Ok(state) => self.state = state,
            Err(error) => {
                // The pages of the system may be gone: another commit would build on what the disk does not have.
                self.storage.close();
                let failure = failure(error, "write", &self.shared.path);
                self.failure = Some(failure.clone());
                return Err(failure);
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.state.size
    }
}
