//! The reader of history files.

use std::path::Path;

use bytes::Bytes;

use super::name_table::{ANY_INCARNATION, NameTable};
use super::read_file;
use crate::check::history::{
    Authored, Event, EventKind, Installed, MessageId, Record, Source as RecordSource,
};
use crate::exit::{Exit, Failure};
use crate::place::{Flaw, Source, unreadable};
use crate::results;
use crate::results::history::{Clock, HistoryEvent};
use crate::results::row::Row;

/// The contents of a history other than its messages.
#[derive(Debug, Default)]
pub(in crate::check) struct HistoryFile {
    /// The file's name.
    pub(in crate::check) file: String,
    pub(in crate::check) starts: Vec<Start>,
    pub(in crate::check) ends: Vec<End>,
    /// The time of each event of the record, in microseconds.
    pub(in crate::check) times: Vec<u64>,
    /// The arrivals and waits, which no property depends on.
    pub(in crate::check) traces: Vec<Trace>,
    /// The lines of the first and the last event.
    pub(in crate::check) lines: Option<(u32, u32)>,
    /// The line at which the file is cut off.
    pub(in crate::check) cut_off: Option<u32>,
    /// The line of the first receipt whose `from` is not the sender in its id.
    pub(in crate::check) misattributed: Option<u32>,
    /// In a cluster: the time at which the life began, by its own clock and by the calendar, in microseconds.
    pub(in crate::check) recovered: Option<(u64, Option<u64>)>,
    /// In a cluster: the line of the first message whose id cannot be that of this event.
    pub(in crate::check) borrowed: Option<u32>,
}

/// The start of a run at a member.
#[derive(Clone, Debug)]
pub(in crate::check) struct Start {
    pub(in crate::check) line: u32,
    pub(in crate::check) time_us: u64,
    pub(in crate::check) member: String,
    pub(in crate::check) incarnation: u32,
    pub(in crate::check) group: String,
    /// All groups of a member that is in several.
    pub(in crate::check) groups: Vec<String>,
    pub(in crate::check) order: String,
    pub(in crate::check) method: Option<String>,
    /// The names of the members, sorted, each once.
    pub(in crate::check) members: Vec<String>,
    /// The names of the members as they are listed: by slot, in a cluster.
    pub(in crate::check) roster: Vec<String>,
}

/// The end of a run at a member.
#[derive(Debug)]
pub(in crate::check) struct End {
    pub(in crate::check) line: u32,
    pub(in crate::check) time_us: u64,
    pub(in crate::check) reason: String,
    /// The counts of the member: multicast, delivered, sent, received, undeliverable.
    pub(in crate::check) counts: [Option<u64>; 5],
}

/// An event that `client --trace` adds: the arrival of a message, or a reason to wait. No property depends on it.
#[derive(Debug)]
pub(in crate::check) struct Trace {
    pub(in crate::check) line: u32,
    pub(in crate::check) time_us: u64,
    /// The sender, its incarnation, and the message number.
    pub(in crate::check) id: (String, u32, u64),
    pub(in crate::check) kind: EventKind,
}

/// The reason in the end event of a member that left as its commands told it.
const LEFT: &str = "left";

/// The history of a member in one group.
pub(super) type Read = (HistoryFile, Record, NameTable);

/// Reads the history of the member `id`: of one in several groups, the part of each. The records' message ids hold slots
/// of the name table.
pub(super) fn read(path: &Path, id: &str) -> Result<Vec<Read>, Failure> {
    let (name, text) = read_file(path)?;
    let source = Source { name, text };
    // With the name of the group, if the events have it.
    let mut readers: Vec<(Option<String>, Reader<'_>)> = Vec::new();
    let may_be_cut_off = source.name.ends_with(".part");
    let cut_off = events(&source, may_be_cut_off, |event, group, line| {
        let group = match &event {
            HistoryEvent::Start(start) if start.groups.is_empty() => None,
            _ => group,
        };
        let known = readers.iter().position(|(known, _)| known.as_deref() == group);
        let place = known.unwrap_or_else(|| {
            readers.push((group.map(str::to_owned), Reader::new(&source, id)));
            readers.len() - 1
        });
        readers[place].1.add(event, line)
    })?;
    if readers.is_empty() {
        readers.push((None, Reader::new(&source, id)));
    }
    Ok(readers.into_iter().map(|(_, reader)| finish(reader, &source.name, id, cut_off)).collect())
}

fn finish(reader: Reader<'_>, file: &str, id: &str, cut_off: Option<u32>) -> Read {
    let Reader { mut history_file, mut record, lines, names, .. } = reader;
    history_file.cut_off = cut_off;
    record.open = history_file.open(id);
    record.ended = record.open.is_none();
    record.left = record.ended && history_file.ends.last().is_some_and(|end| end.reason == LEFT);
    record.stopped = history_file.cut_off.is_none() && !history_file.ends.is_empty() && !record.ended;
    record.source = Some(RecordSource { file: file.to_owned(), lines, ..RecordSource::default() });
    (history_file, record, names)
}

/// Passes each event of a history to `add`, with the group that it names and its line. Returns the line at which the file is cut off, because its
/// writer failed or lives.
///
/// # Errors
/// Exit 65 if the file is no text or a line is no event; those of `add`.
pub(super) fn events(
    source: &Source,
    may_be_cut_off: bool,
    mut add: impl FnMut(HistoryEvent<'_>, Option<&str>, u32) -> Result<(), Failure>,
) -> Result<Option<u32>, Failure> {
    if let Some(flaw) = unreadable(&source.text) {
        return Err(source.failure(flaw));
    }
    let (mut next, mut cut_off) = (0, None);
    for (text, number) in source.text.split_inclusive(|&byte| byte == b'\n').zip(1..) {
        let start = next;
        next += text.len();
        let line = text.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let in_file = |flaw: Flaw| source.failure(flaw.moved(start));
        match Row::parse(line) {
            Ok(row) => add(row.event().map_err(in_file)?, row.group(), number)?,
            Err(_) if !text.ends_with(b"\n") && may_be_cut_off => cut_off = Some(number),
            Err(flaw) => return Err(in_file(flaw)),
        }
    }
    Ok(cut_off)
}

impl HistoryFile {
    /// Returns the reason why the rest of the member's run is unknown, if it is.
    fn open(&self, id: &str) -> Option<String> {
        match (self.cut_off, self.ends.last()) {
            (Some(line), _) => Some(format!("the history of {id} is cut off ({}:{line})", self.file)),
            (None, Some(end)) if end.reason == "done" || end.reason == LEFT => None,
            (None, Some(End { reason, line, .. })) => {
                Some(format!("{id} did not come to the end: {reason} ({}:{line})", self.file))
            }
            (None, None) => Some(format!("the history of {id} has no end ({})", self.file)),
        }
    }
}

/// Refuses an event that only members of clusters write.
fn of_cluster(file: &str, line: u32) -> Failure {
    let message = format!("{file}:{line}: this event belongs to a cluster, and the history to a group");
    Failure::new(Exit::BadData, message)
        .help("a history of a cluster begins with a start whose order is `tentative`")
}

/// A history while it is read.
struct Reader<'r> {
    content: &'r Bytes,
    history_file: HistoryFile,
    record: Record,
    /// The line of each event of the record.
    lines: Vec<u32>,
    names: NameTable,
}

impl<'r> Reader<'r> {
    fn new(source: &'r Source, id: &str) -> Self {
        Self {
            content: &source.text,
            history_file: HistoryFile { file: source.name.clone(), ..HistoryFile::default() },
            record: Record { name: id.to_owned(), ..Record::default() },
            lines: Vec::new(),
            names: NameTable::default(),
        }
    }

    fn add(&mut self, event: HistoryEvent<'_>, line: u32) -> Result<(), Failure> {
        self.history_file.lines.get_or_insert((line, 0)).1 = line;
        match event {
            HistoryEvent::Start(start) => {
                self.record.has_log |= start.log.is_some();
                self.history_file.starts.push(Start::new(&start, line));
            }
            HistoryEvent::View { number, members, .. } => {
                let (at, members) = (self.record.events.len(), names(&members));
                self.record.views.push(Installed { at, number, members, line: Some(line) });
            }
            HistoryEvent::End { reason, counts, time_us } => {
                self.history_file.ends.push(End { line, time_us, reason: reason.to_owned(), counts });
            }
            HistoryEvent::Arrive { id, time_us, number, clock } => {
                let kind = EventKind::Arrive { clock: clock.map(Clock::to_string), number };
                self.trace(id, kind, line, time_us);
            }
            HistoryEvent::Wait { id, reason, time_us } => {
                self.trace(id, EventKind::Wait(reason.into_owned()), line, time_us);
            }
            HistoryEvent::Multicast { id, text, time_us, author } => {
                self.author(author, false);
                let event = Event::Multicast { id: self.id(id)?, text: self.bytes(&text) };
                self.push(event, line, time_us);
            }
            HistoryEvent::Deliver { id, text, time_us, number, epoch, author, doubled } => {
                self.author(author, doubled);
                let (id, text, epoch) = (self.id(id)?, self.bytes(&text), epoch.unwrap_or(1));
                self.push(Event::Deliver { id, number, epoch, text }, line, time_us);
            }
            HistoryEvent::Send { id, to, text, time_us } => {
                let (id, text, to) = (self.id(id)?, self.bytes(&text), self.names.slot(to, ANY_INCARNATION)?);
                self.push(Event::Send { id, to, text }, line, time_us);
            }
            HistoryEvent::Receive { id, from, text, time_us } => {
                if from != id.member {
                    self.history_file.misattributed.get_or_insert(line);
                }
                let event = Event::Receive { id: self.id(id)?, text: self.bytes(&text) };
                self.push(event, line, time_us);
            }
            HistoryEvent::Undeliverable { id, to, reason, time_us } => {
                let (id, to) = (self.id(id)?, self.names.slot(to, ANY_INCARNATION)?);
                self.push(Event::Undeliverable { id, to, reason: reason.to_owned() }, line, time_us);
            }
            HistoryEvent::Stored { .. }
            | HistoryEvent::Insert { .. }
            | HistoryEvent::Confirm { .. }
            | HistoryEvent::Withdraw { .. }
            | HistoryEvent::Epoch { .. }
            | HistoryEvent::Recover { .. } => return Err(of_cluster(&self.history_file.file, line)),
        }
        Ok(())
    }

    /// Notes the author of the text of the next event.
    fn author(&mut self, author: Option<results::Authored<'_>>, is_doubled: bool) {
        if let Some(results::Authored { name, post }) = author {
            let authored = Authored { name: name.to_owned(), post, is_doubled };
            self.record.authored.insert(self.record.events.len(), authored);
        }
    }

    fn push(&mut self, event: Event, line: u32, time_us: u64) {
        self.record.events.push(event);
        self.lines.push(line);
        self.history_file.times.push(time_us);
    }

    fn trace(&mut self, id: results::MessageId<'_>, kind: EventKind, line: u32, time_us: u64) {
        let id = (id.member.to_owned(), id.incarnation, id.number);
        self.history_file.traces.push(Trace { line, time_us, id, kind });
    }

    fn id(&mut self, id: results::MessageId<'_>) -> Result<MessageId, Failure> {
        let results::MessageId { member, incarnation, number } = id;
        Ok(MessageId { member: self.names.slot(member, incarnation)?, incarnation, number })
    }

    fn bytes(&self, text: &[u8]) -> Bytes {
        part_of(self.content, text)
    }
}

/// Returns a text as a part of the file, unless it had to be decoded.
pub(super) fn part_of(content: &Bytes, text: &[u8]) -> Bytes {
    let is_part = content.as_ptr_range().contains(&text.as_ptr());
    if is_part { content.slice_ref(text) } else { Bytes::copy_from_slice(text) }
}

impl Start {
    pub(super) fn new(start: &results::Start<'_>, line: u32) -> Self {
        Self {
            line,
            time_us: start.time_us,
            member: start.member.to_owned(),
            incarnation: start.incarnation,
            group: start.group.to_owned(),
            groups: start.groups.iter().map(|&group| group.to_owned()).collect(),
            order: start.order.to_owned(),
            method: start.method.map(str::to_owned),
            members: names(&start.members),
            roster: start.members.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

fn names(members: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = members.iter().map(|&name| name.to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
