//! The reader of the histories of a cluster: one file for each life of a member.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::history_file::{self, End, HistoryFile, Start, part_of};
use super::name_table::{ANY_INCARNATION, NameTable};
use super::{cannot_read, read_file};
use crate::check::cluster::{Happening, Life};
use crate::check::history::Source as RecordSource;
use crate::exit::{Exit, Failure};
use crate::order::TENTATIVE;
use crate::place::Source;
use crate::results;
use crate::results::history::HistoryEvent;
use crate::results::row::Row;

/// The longest first line of a history that is looked at.
const LONGEST_START: u64 = 64 << 10;

/// The history of one life.
pub(super) struct LifeFile {
    /// The events. Slots in ids are those of the name table, and places in the order have those of the start.
    pub(super) life: Life,
    /// The contents other than the events.
    pub(super) file: HistoryFile,
    pub(super) names: NameTable,
}

/// The kind of a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Group,
    Cluster,
    /// The file has no whole line: the writer failed at once.
    Empty,
}

/// Returns the kind of a history, from its first line.
///
/// # Errors
/// Exit 66 if the file cannot be read.
pub(super) fn kind(path: &Path) -> Result<Kind, Failure> {
    let file = File::open(path).map_err(|reason| cannot_read(path, &reason))?;
    let mut line = Vec::new();
    let read = BufReader::new(file.take(LONGEST_START)).read_until(b'\n', &mut line);
    read.map_err(|reason| cannot_read(path, &reason))?;
    if !line.ends_with(b"\n") {
        return Ok(if line.len() as u64 == LONGEST_START { Kind::Group } else { Kind::Empty });
    }
    let is_of_cluster = Row::parse(line.trim_ascii_end())
        .is_ok_and(|row| matches!(row.event(), Ok(HistoryEvent::Start(start)) if start.order == TENTATIVE));
    Ok(if is_of_cluster { Kind::Cluster } else { Kind::Group })
}

impl LifeFile {
    /// Reads the history of one life of the member `id`.
    ///
    /// # Errors
    /// Exit 66 if it cannot be read, exit 65 if a line is no event of a cluster. The last line may be cut off.
    pub(super) fn read(path: &Path, id: &str) -> Result<Self, Failure> {
        let (name, text) = read_file(path)?;
        // A later life takes a line without its end for none, and tells its event again.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let is_cut_off = whole < text.len();
        let source = Source { name, text: text.slice(..whole) };
        let file = HistoryFile { file: source.name.clone(), ..HistoryFile::default() };
        let (life, names) = (Life::default(), NameTable::default());
        let read = Self { life, file, names };
        let mut reader = Reader { source: &source, own: id, lines: Vec::new(), read };
        history_file::events(&source, false, |event, _, line| reader.add(event, line))?;
        let Reader { lines: told, mut read, .. } = reader;
        let lines = source.text.iter().filter(|&&byte| byte == b'\n').count() as u32;
        read.file.cut_off = is_cut_off.then_some(lines + 1);
        read.life.source = Some(RecordSource { file: source.name, lines: told, ..RecordSource::default() });
        Ok(read)
    }

    /// Returns the lists of members with which epochs began in this life.
    pub(super) fn rosters(&self) -> impl Iterator<Item = Vec<String>> {
        let names: Vec<&str> = self.names.names().map(|(name, _)| name).collect();
        self.life.events.iter().filter_map(move |happening| match happening {
            Happening::Epoch { members, .. } => {
                Some(members.iter().map(|slot| names[usize::from(*slot)].to_owned()).collect())
            }
            _ => None,
        })
    }
}

/// A history while it is read.
struct Reader<'r> {
    source: &'r Source,
    own: &'r str,
    lines: Vec<u32>,
    read: LifeFile,
}

impl Reader<'_> {
    fn add(&mut self, event: HistoryEvent<'_>, line: u32) -> Result<(), Failure> {
        self.read.file.lines.get_or_insert((line, 0)).1 = line;
        let (happening, time_us) = match event {
            HistoryEvent::Start(start) => {
                self.read.file.starts.push(Start::new(&start, line));
                return Ok(());
            }
            HistoryEvent::End { reason, counts, time_us } => {
                self.read.file.ends.push(End { line, time_us, reason: reason.to_owned(), counts });
                self.read.life.end = Some(reason.to_owned());
                return Ok(());
            }
            HistoryEvent::Multicast { id, text, time_us, .. } => {
                let number = self.own(id, line);
                (Happening::Multicast { number, text: part_of(&self.source.text, &text) }, time_us)
            }
            HistoryEvent::Stored { id, time_us } => {
                (Happening::Stored { number: self.own(id, line) }, time_us)
            }
            HistoryEvent::Insert { id, text, at, deps, time_us } => {
                let (id, text) = (self.id(id, line)?, part_of(&self.source.text, &text));
                (Happening::Insert { id, at, deps: deps.into_owned(), text }, time_us)
            }
            HistoryEvent::Confirm { upto, number, count, digest, time_us } => {
                (Happening::Confirm { upto, number, count, digest: digest.0 }, time_us)
            }
            HistoryEvent::Withdraw { id, time_us } => {
                (Happening::Withdraw { id: self.id(id, line)? }, time_us)
            }
            HistoryEvent::Epoch { number, members, removed, time_us } => {
                let mut slot = |name: &str| self.read.names.slot(name, ANY_INCARNATION);
                let members = members.iter().map(|name| slot(name)).collect::<Result<_, _>>()?;
                let removed = removed.map(slot).transpose()?;
                (Happening::Epoch { number, members, removed }, time_us)
            }
            HistoryEvent::Recover { entries, confirmed, time_us, calendar_us } => {
                self.read.file.recovered = Some((time_us, calendar_us));
                (Happening::Recover { entries, confirmed }, time_us)
            }
            event => self.direct(event, line)?,
        };
        self.read.life.events.push(happening);
        self.read.file.times.push(time_us);
        self.lines.push(line);
        Ok(())
    }

    /// Returns the event of a direct message, with its time.
    fn direct(&mut self, event: HistoryEvent<'_>, line: u32) -> Result<(Happening, u64), Failure> {
        Ok(match event {
            HistoryEvent::Send { id, to, text, time_us } => {
                let (number, to) = (self.own(id, line), self.read.names.slot(to, ANY_INCARNATION)?);
                (Happening::Send { to, number, text: part_of(&self.source.text, &text) }, time_us)
            }
            HistoryEvent::Receive { id, from, text, time_us } => {
                if from != id.member {
                    self.read.file.misattributed.get_or_insert(line);
                }
                let (from, number) = self.id(id, line)?;
                (Happening::Receive { from, number, text: part_of(&self.source.text, &text) }, time_us)
            }
            HistoryEvent::Undeliverable { id, to, reason, time_us } => {
                let (number, to) = (self.own(id, line), self.read.names.slot(to, ANY_INCARNATION)?);
                (Happening::Undeliverable { to, number, reason: reason.to_owned() }, time_us)
            }
            _ => {
                let file = &self.source.name;
                let message =
                    format!("{file}:{line}: this event belongs to a group, and the history to a cluster");
                return Err(Failure::new(Exit::BadData, message).help(
                    "members of a cluster insert and confirm messages; they deliver none, and have no views",
                ));
            }
        })
    }

    /// Returns the number of the member's own message.
    fn own(&mut self, id: results::MessageId<'_>, line: u32) -> u64 {
        if id.member != self.own || id.incarnation != 1 {
            self.read.file.borrowed.get_or_insert(line);
        }
        id.number
    }

    fn id(&mut self, id: results::MessageId<'_>, line: u32) -> Result<(u16, u64), Failure> {
        if id.incarnation != 1 {
            self.read.file.borrowed.get_or_insert(line);
        }
        Ok((self.read.names.slot(id.member, ANY_INCARNATION)?, id.number))
    }
}
