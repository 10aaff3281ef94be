//! Station 10 in a cluster: the files of a member, which starts again after a crash and goes on in them.
//!
//! Result files have their final names from the beginning and only grow: `test_result_<id>_tom.txt` has the confirmed
//! texts, so that at any moment the files of two members are prefixes of one another, and `test_result_<id>_uno.txt` the
//! direct messages. Each life has a history of its own, `history_<id>.<life>.jsonl`. A later life writes
//! again, from the beginning, all that its journal gives back; lines that the files have already are passed over.

mod grown;
mod told;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::history::{Digest, HistoryEvent};
use super::output::{cannot_create, exists, part, remove};
use super::{Counts, MessageId, Start, read_result, undelivered, write_result};
use crate::exit::{Exit, Failure};
use crate::member::Undelivered;
use crate::replica::entry::Stamp;
use grown::Grown;
use told::Told;

/// The suffix of the file with the confirmed texts.
const CONFIRMED: &str = "tom";

/// The way in which the files of a member are opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The life of the member, from 1.
    pub life: u32,
    /// True if the life writes a history.
    pub history: bool,
    /// True if the member has no journal of earlier lives: then files that are there are of another run.
    pub fresh: bool,
    /// True if the files of another run give way.
    pub force: bool,
}

/// The result files and the histories of one member of a cluster.
///
/// After a restart, the member calls [`ClusterResults::confirm`] and [`ClusterResults::receive`], and the events of
/// insertions, confirmations and direct messages, for all that its journal gives back, from the beginning; then
/// [`ClusterResults::recovered`]. A drop leaves all written lines in the files.
#[derive(Debug)]
pub struct ClusterResults {
    files: Option<Files>,
    history: Option<Grown>,
    /// The events of earlier lives, while the journal gives them back.
    told: Option<Told>,
}

/// The result files.
#[derive(Debug)]
struct Files {
    dir: PathBuf,
    id: String,
    confirmed: Grown,
    received: Grown,
}

impl ClusterResults {
    /// Creates `dir` if needed, and creates the files of the member `id` in it or opens those of its earlier lives.
    ///
    /// # Errors
    /// Exit 73 if a file cannot be created, or belongs to another run and has to stay; exit 65 if an earlier history is
    /// malformed; exit 74 if a file cannot be read.
    pub fn open(dir: &Path, id: &str, opening: Opening) -> Result<Self, Failure> {
        let [confirmed, received, now] =
            [CONFIRMED, "uno", "now"].map(|suffix| dir.join(format!("test_result_{id}_{suffix}.txt")));
        let histories = histories(dir, id);
        if opening.fresh {
            let earlier = [&confirmed, &received, &now].into_iter().chain(histories.values());
            let of_group = dir.join(format!("history_{id}.jsonl"));
            give_way(earlier.chain([&of_group]), opening.force)?;
        }
        fs::create_dir_all(dir).map_err(|reason| cannot_create(dir, &reason))?;
        let open = |path: PathBuf| {
            if opening.fresh { Grown::create(path, !opening.force) } else { Grown::go_on(path) }
        };
        let mut told = Told::default();
        if opening.history && !opening.fresh {
            // A device never ends.
            histories.values().filter(|path| path.is_file()).try_for_each(|path| told.read(path))?;
        }
        let history = dir.join(format!("history_{id}.{}.jsonl", opening.life));
        let files = Files {
            dir: dir.to_owned(),
            id: id.to_owned(),
            confirmed: open(confirmed)?,
            received: open(received)?,
        };
        let history = opening.history.then(|| open(history)).transpose()?;
        files.sync_names();
        Ok(Self { files: Some(files), history, told: (!opening.fresh).then_some(told) })
    }

    /// Returns results that write nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { files: None, history: None, told: None }
    }

    /// Returns the number of confirmed texts that were in the file when it was opened.
    #[must_use]
    pub fn confirmed_lines(&self) -> u64 {
        self.files.as_ref().map_or(0, |files| files.confirmed.there())
    }

    /// Returns the path of the file with the confirmed texts; none if nothing is written.
    #[must_use]
    pub fn confirmed_path(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.confirmed.path())
    }

    /// Returns the number of direct messages that were in the file when it was opened.
    #[must_use]
    pub fn received_lines(&self) -> u64 {
        self.files.as_ref().map_or(0, |files| files.received.there())
    }

    /// Passes over the first texts, which the journal has forgotten, so that they will not come again. Hands each confirmed
    /// one, and its sender, to `see`.
    ///
    /// # Errors
    /// Exit 65 if the files have fewer; exit 74 if they cannot be read.
    pub fn forgotten(
        &mut self,
        confirmed: u64,
        received: u64,
        mut see: impl FnMut(&str, &[u8]),
    ) -> Result<(), Failure> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.confirmed.pass_over(confirmed, |line| {
            let (from, text) = read_result(line);
            see(&from, &text);
        })?;
        files.received.pass_over(received, |_| {})
    }

    /// Hands each confirmed text that is in the file, and its sender, to `see`.
    ///
    /// # Errors
    /// Exit 74 if the file cannot be written or read.
    pub fn confirmed_texts(&mut self, mut see: impl FnMut(&str, &[u8])) -> Result<(), Failure> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.confirmed.flush()?;
        files.confirmed.read(|line| {
            let (from, text) = read_result(line);
            see(&from, &text);
        })
    }

    /// Says that everything that the journal gave back has been written. Later events are new.
    pub fn recovered(&mut self) {
        self.told = None;
    }

    /// Writes a confirmed text, unless it is there from an earlier life.
    ///
    /// # Errors
    /// Exit 65 if the file has another text there; exit 74 if a file cannot be read or written, as for every method
    /// below. Earlier lines stay valid.
    pub fn confirm(&mut self, from: &str, text: &[u8]) -> Result<(), Failure> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.confirmed.line(|line| write_result(line, from, text))
    }

    /// Writes the text of a direct message, unless it is there from an earlier life.
    ///
    /// # Errors
    /// As [`Self::confirm`].
    pub fn receive(&mut self, from: &str, text: &[u8]) -> Result<(), Failure> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.received.line(|line| write_result(line, from, text))
    }

    /// Writes the whole list to `test_result_<id>_now.txt`, in place of an earlier one: the confirmed texts, then these,
    /// with `~ ` before them.
    ///
    /// # Errors
    /// Exit 73 if the file cannot be created; exit 74 if it cannot be written.
    pub fn now<'m>(&mut self, tentative: impl Iterator<Item = (&'m str, &'m [u8])>) -> Result<(), Failure> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.confirmed.flush()?;
        let path = files.dir.join(format!("test_result_{}_now.txt", files.id));
        let new = part(&path);
        let confirmed = files.confirmed.path();
        let write = || {
            fs::copy(confirmed, &new)?;
            let mut out = BufWriter::new(File::options().append(true).open(&new)?);
            for (from, text) in tentative {
                let mut line = b"~ ".to_vec();
                write_result(&mut line, from, text);
                line.push(b'\n');
                out.write_all(&line)?;
            }
            out.flush()?;
            fs::rename(&new, &path)
        };
        write().map_err(|reason| Failure::new(Exit::Io, format!("cannot write {}: {reason}", new.display())))
    }

    /// Records the start of the life.
    ///
    /// # Errors
    /// Exit 74.
    pub fn start(&mut self, start: &Start<'_>) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Start(start.clone()))
    }

    /// Records how many entries and confirmed messages the journal gave back, and when the life began: by its own clock,
    /// and by the calendar, in microseconds. Events that have the same time by its clock are told again.
    ///
    /// # Errors
    /// Exit 74.
    pub fn recover(
        &mut self,
        entries: u64,
        confirmed: u64,
        time_us: u64,
        calendar_us: u64,
    ) -> Result<(), Failure> {
        let calendar_us = Some(calendar_us);
        self.record(|| HistoryEvent::Recover { entries, confirmed, time_us, calendar_us })
    }

    /// Records a multicast of this member, before its journal has it.
    ///
    /// # Errors
    /// Exit 74.
    pub fn multicast(&mut self, id: MessageId<'_>, text: &[u8], time_us: u64) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Multicast { id, text: text.into(), time_us, author: None })
    }

    /// Records a multicast of this member that its journal gives back, unless an earlier life did.
    ///
    /// # Errors
    /// Exit 74.
    pub fn multicast_again(&mut self, id: MessageId<'_>, text: &[u8], time_us: u64) -> Result<(), Failure> {
        match &self.told {
            Some(told) if id.number > told.multicast => self.multicast(id, text, time_us),
            _ => Ok(()),
        }
    }

    /// Records that the journal has a message of this member, unless an earlier life did.
    ///
    /// # Errors
    /// Exit 74.
    pub fn stored(&mut self, id: MessageId<'_>, time_us: u64) -> Result<(), Failure> {
        if self.told.as_ref().is_some_and(|told| id.number <= told.stored) {
            return Ok(());
        }
        self.record(|| HistoryEvent::Stored { id, time_us })
    }

    /// Records that this member shows a message at `at`, unless an earlier life did. `deps` has the number of messages
    /// that the sender had shown of each member, by slot.
    ///
    /// # Errors
    /// Exit 74.
    pub fn insert(
        &mut self,
        id: MessageId<'_>,
        at: Stamp,
        deps: &[u64],
        text: &[u8],
        time_us: u64,
    ) -> Result<(), Failure> {
        if self.told.as_ref().is_some_and(|told| is_told(&told.inserted, id.member, id.number)) {
            return Ok(());
        }
        let at = written(at);
        self.record(|| HistoryEvent::Insert { id, text: text.into(), at, deps: deps.into(), time_us })
    }

    /// Records that the next `count` messages of the list, from the confirmed number `number` on, are final up to
    /// `upto`; only those that no earlier life confirmed.
    ///
    /// # Errors
    /// Exit 74.
    pub fn confirmed(
        &mut self,
        upto: Stamp,
        number: u64,
        count: u64,
        digest: u64,
        time_us: u64,
    ) -> Result<(), Failure> {
        let told = self.told.as_ref().map_or(0, |told| told.confirmed);
        let skipped = (told + 1).saturating_sub(number);
        if skipped > 0 && skipped >= count {
            return Ok(());
        }
        let (number, count, upto, digest) =
            (number + skipped, count - skipped, written(upto), Digest(digest));
        self.record(|| HistoryEvent::Confirm { upto, number, count, digest, time_us })
    }

    /// Records that a message of a removed member will never be confirmed.
    ///
    /// # Errors
    /// Exit 74.
    pub fn withdraw(&mut self, id: MessageId<'_>, time_us: u64) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Withdraw { id, time_us })
    }

    /// Records a new list of members, by slot. The last one was added, if none was removed.
    ///
    /// # Errors
    /// Exit 74.
    pub fn epoch(
        &mut self,
        number: u64,
        members: &[&str],
        removed: Option<&str>,
        time_us: u64,
    ) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Epoch { number, members: members.into(), removed, time_us })
    }

    /// Records a direct message of this member, unless an earlier life did.
    ///
    /// # Errors
    /// Exit 74.
    pub fn sent(&mut self, id: MessageId<'_>, to: &str, text: &[u8], time_us: u64) -> Result<(), Failure> {
        if self.told.as_ref().is_some_and(|told| is_told(&told.sent, to, id.number)) {
            return Ok(());
        }
        self.record(|| HistoryEvent::Send { id, to, text: text.into(), time_us })
    }

    /// Records the receipt of a direct message, unless an earlier life did.
    ///
    /// # Errors
    /// Exit 74.
    pub fn received(&mut self, id: MessageId<'_>, text: &[u8], time_us: u64) -> Result<(), Failure> {
        if self.told.as_ref().is_some_and(|told| is_told(&told.received, id.member, id.number)) {
            return Ok(());
        }
        self.record(|| HistoryEvent::Receive { id, from: id.member, text: text.into(), time_us })
    }

    /// Records that a direct message of this member is undeliverable.
    ///
    /// # Errors
    /// Exit 74.
    pub fn undeliverable(
        &mut self,
        id: MessageId<'_>,
        to: &str,
        reason: Undelivered,
        time_us: u64,
    ) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Undeliverable { id, to, reason: undelivered(reason), time_us })
    }

    /// Records the end of the life, with the counts of this life. `reason` is `settled` if everything is confirmed
    /// everywhere, `interrupted`, or the reason of a failure.
    ///
    /// # Errors
    /// Exit 74.
    pub fn end(&mut self, reason: &str, counts: &Counts, time_us: u64) -> Result<(), Failure> {
        let Counts { multicasts, delivered, sent, received, undeliverable } = *counts;
        let counts = [multicasts, delivered, sent, received, undeliverable].map(Some);
        self.record(|| HistoryEvent::End { reason, counts, time_us })
    }

    /// Hands every line to the operating system.
    ///
    /// # Errors
    /// Exit 74 with the first file that could not be written; the others are written all the same.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.outputs().map(Grown::flush).fold(Ok(()), Result::and)
    }

    /// Makes every result durable, and hands the history to the operating system: it is for people and checkers, and a
    /// member does without it.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn keep(&mut self) -> Result<(), Failure> {
        self.flush()?;
        results(&mut self.files).map(Grown::sync).fold(Ok(()), Result::and)
    }

    /// Makes every line durable.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn sync(&mut self) -> Result<(), Failure> {
        self.outputs().map(Grown::sync).fold(Ok(()), Result::and)
    }

    /// Makes the files durable and returns their names: confirmed texts, direct messages, and the history if there is
    /// one.
    ///
    /// # Errors
    /// Exit 74.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, Failure> {
        self.sync()?;
        if let Some(files) = &self.files {
            files.sync_names();
        }
        Ok(self.outputs().map(|output| output.path().to_owned()).collect())
    }

    fn record<'a>(&mut self, event: impl FnOnce() -> HistoryEvent<'a>) -> Result<(), Failure> {
        let Some(history) = &mut self.history else { return Ok(()) };
        history.append(|line| event().write(line, None))
    }

    fn outputs(&mut self) -> impl Iterator<Item = &mut Grown> {
        results(&mut self.files).chain(&mut self.history)
    }
}

/// Returns the result files.
fn results(files: &mut Option<Files>) -> impl Iterator<Item = &mut Grown> {
    files.iter_mut().flat_map(|files| [&mut files.confirmed, &mut files.received])
}

impl Files {
    /// Makes the names of the files durable, where the file system can.
    fn sync_names(&self) {
        let _ = File::open(&self.dir).and_then(|dir| dir.sync_all());
    }
}

fn is_told(told: &BTreeMap<String, u64>, member: &str, number: u64) -> bool {
    told.get(member).is_some_and(|last| number <= *last)
}

/// Returns a place as a history has it.
const fn written(Stamp { time, origin }: Stamp) -> (u64, u16) {
    (time, origin.0)
}

/// Returns the histories of a member that are in a folder, by life.
fn histories(dir: &Path, id: &str) -> BTreeMap<u32, PathBuf> {
    let prefix = format!("history_{id}.");
    let life = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let life = name.strip_prefix(&prefix)?.strip_suffix(".jsonl")?;
        life.bytes().all(|byte| byte.is_ascii_digit()).then(|| life.parse().ok())?
    };
    // A folder that is not there has none.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter_map(|path| Some((life(&path)?, path))).collect()
}

/// Removes the files of another run, or refuses to. A group may have run here: then its files may be incomplete. An
/// empty file is of nobody: a member that is killed in its start leaves some.
fn give_way<'p>(paths: impl Iterator<Item = &'p PathBuf>, force: bool) -> Result<(), Failure> {
    let both = paths.flat_map(|path| [path.clone(), part(path)]);
    // A broken link counts, too.
    for path in both {
        let Ok(there) = path.symlink_metadata() else { continue };
        let is_empty = there.is_file() && there.len() == 0;
        if !force && !is_empty {
            return Err(exists(&path).help(
                "and the journal in --data is new. If this member has run before, bring its journal back. For a new \
                 run, name another directory with --out, or replace these results with --force",
            ));
        }
        if there.is_file() {
            remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
