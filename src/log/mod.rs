//! The log of a sequencer: every multicast of a group with its place in the order, durable, through all runs of the group.
//!
//! A folder has a folder for each group, and in it a journal ([`crate::journal`]), whose records `record.rs` describes.
//! [`Log`] appends: its thread makes durable together what has come meanwhile. `table.rs` and `content.rs` are what it knows
//! of its entries without reading them again; `piece.rs` is what newcomers are given, `tool.rs` is `groupcast log`.

mod content;
mod piece;
mod record;
mod retain;
mod table;
pub(crate) mod tool;

use std::collections::VecDeque;
use std::path::Path;

use crate::exit::{Exit, Failure};
use crate::journal::{self, Commit, Committer, Identity, Journal, RedbJournal, RedbReader};
use crate::transport::wakeup::Waker;
use crate::wire::Batch;
use crate::wire::control::{LogHead, run_as_text};
pub use content::Content;
use content::Reading;
pub use record::{Base, Entry, Life, Record, Sender, Step};
pub use retain::Retain;
pub use table::Table;

/// The slot in the head of a journal that is a log.
const SLOT: u16 = u16::MAX;
/// Most bytes of the names of its clients, with their incarnations, in the request by which the sequencer joins.
const MOST_NAMED: usize = 60_000;

/// A log that was opened, and is not written yet.
#[derive(Debug)]
pub struct Opened {
    journal: RedbJournal,
    next: u64,
    content: Content,
}

/// A log.
#[derive(Debug)]
pub struct Log {
    committer: Committer,
    content: Content,
    retain: Retain,
    reader: RedbReader,
    /// The entries that are not durable: the index of the record, and the last place.
    undurable: VecDeque<(u64, u64)>,
    /// The last place that is durable.
    durable: u64,
}

fn identity(group: &str) -> Identity {
    Identity { cluster: 0, member: group.to_owned(), slot: SLOT }
}

impl Opened {
    /// Opens the log of a group in a folder of logs; makes it if it is not there. `number` is that of a new one.
    ///
    /// # Errors
    /// Those of [`journal::open`]; [`Exit::BadData`] also if the entries contradict one another; [`Exit::Config`] if it
    /// has more clients than the request by which a sequencer joins can name.
    pub fn open(dir: &Path, group: &str, number: u64) -> Result<Self, Failure> {
        let dir = dir.join(group);
        let mut reading = Reading::default();
        let mut each = |index, bytes| drop(reading.take(index, bytes));
        let opened = journal::open_each(&dir, &identity(group), &mut each);
        let (mut journal, mut next) = opened.map_err(of_log)?;
        let mut content = reading.finish().map_err(|flaw| damaged(&dir, &flaw))?;
        if content.is_empty() {
            if next > 1 {
                return Err(damaged(&dir, "all of its records are gone"));
            }
            let base = Base { run: number, place: 0, senders: Vec::new() };
            let append = vec![Record::Base(base.clone()).bytes()];
            journal.commit(Commit { append, remove: Vec::new() }).map_err(of_log)?;
            content.begin(next, &base).map_err(|flaw| damaged(&dir, &flaw))?;
            next += 1;
        }
        let named =
            content.table.senders.keys().map(|id| id.len() + r#""":4294967295,"#.len()).sum::<usize>();
        if named > MOST_NAMED {
            let (count, dir) = (content.table.senders.len(), dir.display());
            let why = format!("the log in {dir} has too many clients for another run: {count}");
            return Err(Failure::new(Exit::Config, why).help("begin with another folder"));
        }
        Ok(Self { journal, next, content })
    }

    /// Returns what the forwarder has to know of it before the start.
    #[must_use]
    pub fn head(&self) -> LogHead {
        let Content { run, table, .. } = &self.content;
        LogHead {
            run: run_as_text(*run),
            place: table.place,
            lives: table.senders.iter().map(|(id, sender)| (id.clone(), sender.incarnation)).collect(),
        }
    }

    /// Begins to append, and keeps so much. The thread calls `waker` when something has become durable, or cannot be any more.
    ///
    /// # Errors
    /// [`Exit::Io`] if the process may have no more threads.
    pub fn begin(self, retain: Retain, waker: Waker) -> Result<Log, Failure> {
        let Self { journal, next, content } = self;
        let (reader, durable) = (journal.reader(), content.table.place);
        let committer = Committer::start(journal, next, waker)?;
        Ok(Log { committer, content, retain, reader, undurable: VecDeque::new(), durable })
    }
}

impl Log {
    /// Appends messages at this place. They are durable when [`Log::durable`] says so. Returns whether a section was full,
    /// so that there may be something to [forget](Log::forget).
    ///
    /// # Errors
    /// [`Exit::Bug`] if they are in the log already, or others are missing before them.
    pub fn append(&mut self, place: u64, sender: Life, batch: Batch, time_us: u64) -> Result<bool, Failure> {
        let cannot = |flaw| Failure::new(Exit::Bug, format!("cannot append to the log: {flaw}"));
        let is_full = self.content.is_full(&self.retain, time_us);
        if is_full {
            let base = self.content.base();
            let index = self.committer.append(Record::Base(base.clone()).bytes());
            self.content.begin(index, &base).map_err(cannot)?;
        }
        let entry = Entry { place, time_us, sender, batch };
        let step = entry.step();
        let bytes = Record::Entry(entry).bytes();
        self.content.add(self.committer.next(), bytes.len() as u64, &step).map_err(cannot)?;
        let index = self.committer.append(bytes);
        self.undurable.push_back((index, step.last()));
        Ok(is_full)
    }

    /// Removes the first sections that are not to be kept at this time, except those with places behind `needed`.
    pub fn forget(&mut self, time_us: u64, needed: u64) {
        let remove: Vec<u64> = self.content.forget(&self.retain, time_us, needed).collect();
        if !remove.is_empty() {
            self.committer.change(Commit { append: Vec::new(), remove });
        }
    }

    /// Returns the last place that is durable.
    ///
    /// # Errors
    /// The failure of the disk: nothing more will be durable.
    pub fn durable(&mut self) -> Result<u64, Failure> {
        let stored = self.committer.stored()?;
        while let Some(&(_, last)) = self.undurable.front().filter(|(index, _)| *index <= stored) {
            self.undurable.pop_front();
            self.durable = last;
        }
        Ok(self.durable)
    }

    /// Returns the last place that was appended, durable or not.
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.content.table.place
    }

    /// Returns the last place before the first entry: 0, unless earlier entries were removed.
    #[must_use]
    pub fn begins_after(&self) -> u64 {
        self.content.begins_after()
    }

    /// Passes on the durable entries with places behind this one, as long as `see` wants more.
    ///
    /// # Errors
    /// [`Exit::BadData`] if the log turns out to be damaged, [`Exit::Io`] if it cannot be read.
    pub fn read(&self, behind: u64, see: &mut dyn FnMut(Entry) -> bool) -> Result<(), Failure> {
        let mark = self.content.marks.range(..=behind.saturating_add(1)).next_back();
        let from = mark.map_or(0, |(_, &index)| index);
        let read = self.reader.read(from, &mut |_, bytes| match Record::read(bytes) {
            Ok(Record::Entry(entry)) if entry.last() > behind => see(entry),
            // An unreadable record has the right checksum: the next start finds it.
            _ => true,
        });
        read.map_err(of_log)
    }

    /// Makes durable what is left, and ends.
    ///
    /// # Errors
    /// The failure of the disk.
    pub fn finish(self) -> Result<(), Failure> {
        self.committer.finish().map(drop)
    }
}

/// Reads the log in the folder of a group and does not change it; passes its entries on. Returns the group and what else
/// is known.
///
/// # Errors
/// Those of [`journal::read`]; [`Exit::BadData`] also if the entries contradict one another; [`Exit::Config`] if it is
/// another journal.
pub fn read(dir: &Path, each: &mut dyn FnMut(Entry)) -> Result<(String, Content), Failure> {
    let mut reading = Reading::default();
    let mut take = |index, bytes| reading.take(index, bytes).into_iter().for_each(&mut *each);
    let (owner, _) = journal::read_each(dir, &mut take).map_err(of_log)?;
    if owner.slot != SLOT {
        let why = format!("{} has no log but the journal of {owner}", dir.display());
        return Err(Failure::new(Exit::Config, why).help("`groupcast journal` shows it"));
    }
    let content = reading.finish().map_err(|flaw| damaged(dir, &flaw))?;
    Ok((owner.member, content))
}

fn damaged(dir: &Path, flaw: &str) -> Failure {
    of_log(Failure::new(Exit::BadData, format!("the log in {} is damaged: {flaw}", dir.display())))
}

/// Returns a failure of the journal with the remedy for a log.
fn of_log(failure: Failure) -> Failure {
    let help = match failure.exit {
        Exit::BadData => {
            "it was left as it is. Put back a copy that is as new, or begin with another folder: the places that the \
             members have delivered would be given again"
        }
        Exit::Config => "give each group of each forwarder a log of its own",
        Exit::Unavailable => "wait until it has ended, or give each sequencer a folder of its own",
        _ => return failure,
    };
    failure.help(help)
}
