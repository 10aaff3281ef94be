//! A journal in a table of redb. `row.rs` has the form of its rows.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ::redb::{Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition};

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
    db: Database,
    storage: Storage,
    path: PathBuf,
    state: State,
    /// The failure after which nothing more is stored.
    failure: Option<Failure>,
    /// Released last.
    _lock: Option<Lock>,
}

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
    lock::make_folder(dir).map_err(|error| failed(Exit::CannotCreate, "create", dir, &error))?;
    let lock = Lock::take(dir)?;
    let path = dir.join(FILE);
    let cannot_open = |error| failed(Exit::CannotCreate, "open", &path, &error);
    if !path.try_exists().map_err(cannot_open)? {
        create(dir, identity)?;
    }
    let file = File::options().read(true).write(true).open(&path).map_err(cannot_open)?;
    open_on(Box::new(file), &path, identity, Some(lock))
}

/// Reads the journal in a folder, and does not change it.
///
/// # Errors
/// [`Exit::NoInput`] if there is none, [`Exit::Unavailable`] if a process writes it, [`Exit::BadData`] if it is damaged,
/// [`Exit::Io`] if it cannot be read.
pub fn read(dir: &Path) -> Result<(Identity, Recovered), Failure> {
    let path = dir.join(FILE);
    let _lock = Lock::share(dir)?;
    let file = File::open(&path).map_err(|error| {
        let failure = failed(Exit::NoInput, "open", &path, &error);
        failure.help("a journal is in the folder that a member of a cluster has as --data")
    })?;
    let (storage, head) = on_trial(Box::new(file), &path)?;
    let (_, recovered, _) = recover(&storage, head.mark, &path)?;
    Ok((head.owner, recovered))
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
pub(super) fn open_on(
    disk: Box<dyn Disk>,
    path: &Path,
    identity: &Identity,
    lock: Option<Lock>,
) -> Result<(RedbJournal, Recovered), Failure> {
    let (storage, head) = on_trial(disk, path)?;
    if head.owner != *identity {
        let owner = head.owner;
        return Err(Failure::new(
            Exit::Config,
            format!("the journal {} is of {owner}, not of {identity}", path.display()),
        )
        .help("give each member of each cluster a folder of its own"));
    }
    let (db, recovered, state) = recover(&storage, head.mark, path)?;
    let accept = || storage.accept().and_then(|()| storage.write_mark(state.next, state.records));
    accept().map_err(|error| {
        storage.close();
        failed(Exit::Io, "write", path, &error)
    })?;
    let path = path.to_owned();
    Ok((RedbJournal { db, storage, path, state, failure: None, _lock: lock }, recovered))
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
) -> Result<(Database, Recovered, State), Failure> {
    let told = |error| failure(error, "read", path);
    let db = Builder::new().set_cache_size(CACHE).create_with_backend(storage.clone());
    let db = db.map_err(|error| told(error.into()))?;
    let found = rows(&db).map_err(told)?;
    let mut state = State { next: found.next, records: 0, size: 0 };
    let mut records = Vec::new();
    for (key, row) in found.rows {
        let row =
            row.ok_or_else(|| damaged(path, format!("the records from {key} on have a wrong checksum")))?;
        records.extend(row.0);
    }
    for (index, record) in &records {
        state.next = state.next.max(index.saturating_add(1));
        state.records += 1;
        state.size += record.len() as u64;
    }
    if let Some(mark) = mark.filter(|mark| !mark.may_become(state.next, state.records)) {
        let (records, next) = (mark.records, mark.next);
        let cause = format!(
            "its last commit is gone: it had {records} records and was to give index {next} next, and has {} and {}",
            state.records, state.next
        );
        return Err(damaged(path, cause));
    }
    Ok((db, Recovered { records, next: state.next }, state))
}

/// The rows of a journal with their keys, and a lower bound of the next index. A damaged row is absent.
struct Rows {
    rows: Vec<(u64, Option<Row>)>,
    next: u64,
}

fn rows(db: &Database) -> Result<Rows, ::redb::Error> {
    let transaction = db.begin_read()?;
    let next = transaction.open_table(NEXT)?.get(())?.map_or(1, |next| next.value());
    let mut rows = Vec::new();
    for row in transaction.open_table(RECORDS)?.iter()? {
        let (key, row) = row?;
        rows.push((key.value(), Row::parse(key.value(), row.value())));
    }
    Ok(Rows { rows, next })
}

/// Returns the failure of redb at a file: of the system, or of a damaged file.
fn failure(error: ::redb::Error, verb: &str, path: &Path) -> Failure {
    match error {
        ::redb::Error::Io(error)
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            failed(Exit::Io, verb, path, &error)
        }
        other => damaged(path, other),
    }
}

impl RedbJournal {
    /// Makes a change durable; returns the state after it.
    fn apply(&self, commit: &Commit) -> Result<State, ::redb::Error> {
        let mut state = self.state;
        let transaction = self.db.begin_write()?;
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
    let damaged =
        || ::redb::Error::Corrupted(format!("the records from {} on have a wrong checksum", key.value()));
    Ok(Some((key.value(), parsed.ok_or_else(damaged)?)))
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
                let failure = failure(error, "write", &self.path);
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
