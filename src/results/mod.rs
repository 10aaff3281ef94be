//! Station 10: deliveries, as result files that `diff` compares and a history that checkers judge.
//!
//! The last station of the path, and the only place that writes result files. Every file is `*.part` until the run is
//! complete. Only whole lines are written, so the files of a broken run can be read. [`cluster`] writes the files of a
//! cluster's member, which grow under their final names.

mod authored;
pub mod cluster;
mod earlier;
pub(crate) mod history;
mod lines;
mod notes;
mod output;
pub mod past;
pub(crate) mod row;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};
use crate::member::Undelivered;
pub use authored::Authored;
pub use earlier::{Earlier, earlier_history};
use history::HistoryEvent;
pub(crate) use history::Reason;
pub use history::{MessageId, Start};
use output::{Output, cannot_create, exists, part, remove};
use past::Past;

/// The messages of one client in a whole run, counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Messages that it multicast.
    pub multicasts: u64,
    /// Multicasts that it delivered.
    pub delivered: u64,
    /// Direct messages that it sent.
    pub sent: u64,
    /// Direct messages that it received.
    pub received: u64,
    /// Direct messages that it sent and that are undeliverable.
    pub undeliverable: u64,
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            multicasts: sum.multicasts + one.multicasts,
            delivered: sum.delivered + one.delivered,
            sent: sum.sent + one.sent,
            received: sum.received + one.received,
            undeliverable: sum.undeliverable + one.undeliverable,
        })
    }
}

/// The result files and the history of one client.
///
/// Without [`Results::finish`], a drop leaves all written lines under the `.part` names; a run that never started
/// leaves no files.
#[derive(Debug)]
pub struct Results {
    dir: PathBuf,
    delivered: Option<Output>,
    received: Option<Output>,
    history: Option<Output>,
    /// The history of an earlier run, removed at the start of one without a history.
    forgotten: Option<PathBuf>,
    /// Files of an earlier run that are kept under other names when this one starts.
    kept: Vec<PathBuf>,
    /// The groups of a client that has several, and the index of the one that the next events are of.
    groups: Vec<String>,
    group: usize,
}

impl Results {
    /// Creates `dir` if needed, and in it the files of the client `id`, empty and with `.part` behind their names:
    /// `test_result_<id>_<suffix>.txt`, `test_result_<id>_uno.txt` and, if `history`, `history_<id>.jsonl`.
    /// The files of an earlier run give way as `earlier` says, but only when this one starts: a refused client changes
    /// nothing. Its history gives way even to none.
    ///
    /// # Errors
    /// Exit 73 if something cannot be created, or if one of the files exists and has to stay.
    pub fn create(
        dir: &Path,
        id: &str,
        suffix: &str,
        history: bool,
        earlier: impl Into<Earlier>,
    ) -> Result<Self, Failure> {
        let earlier = earlier.into();
        let force = earlier != Earlier::Refuse;
        let multicasts = dir.join(format!("test_result_{id}_{suffix}.txt"));
        let messages = dir.join(format!("test_result_{id}_uno.txt"));
        let events = dir.join(format!("history_{id}.jsonl"));
        let old = [&multicasts, &messages, &events];
        if !force {
            earlier::refuse_to_overwrite(old)?;
        }
        fs::create_dir_all(dir).map_err(|reason| cannot_create(dir, &reason))?;
        let results = Self {
            dir: dir.into(),
            delivered: Some(Output::create(multicasts.clone(), force)?),
            received: Some(Output::create(messages.clone(), force)?),
            history: history.then(|| Output::create(events.clone(), force)).transpose()?,
            forgotten: (force && !history).then(|| events.clone()),
            kept: if earlier == Earlier::Keep { vec![multicasts, messages, events] } else { Vec::new() },
            groups: Vec::new(),
            group: 0,
        };
        Ok(results)
    }

    /// Names the groups of a client in several: then lines of result files begin with `<sender>@<group>`, and events name
    /// their group. A client in one group names none.
    #[must_use]
    pub fn in_groups(mut self, groups: &[String]) -> Self {
        self.groups = if groups.len() > 1 { groups.to_vec() } else { Vec::new() };
        self
    }

    /// Turns to the group of this index: the next events are of that group.
    pub fn turn_to(&mut self, group: usize) {
        self.group = group;
    }

    /// Returns results that write nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            dir: PathBuf::new(),
            delivered: None,
            received: None,
            history: None,
            forgotten: None,
            kept: Vec::new(),
            groups: Vec::new(),
            group: 0,
        }
    }

    /// Records the start, once for each group: from now on the files are kept. Returns the suffix of the kept files of an earlier run.
    ///
    /// # Errors
    /// Exit 73 if a file of an earlier run cannot be replaced; exit 74 if a file cannot be written, as for every method
    /// below. Earlier lines stay valid.
    pub fn start(&mut self, start: &Start<'_>) -> Result<Option<String>, Failure> {
        let kept = earlier::keep(&std::mem::take(&mut self.kept))?;
        if let Some(events) = self.forgotten.take() {
            remove(&events)?;
            remove(&part(&events))?;
        }
        self.outputs().try_for_each(Output::start)?;
        self.record(|| HistoryEvent::Start(start.clone()))?;
        Ok(kept)
    }

    /// Records a view.
    ///
    /// # Errors
    /// Exit 74.
    pub fn view(&mut self, number: u64, members: &[&str], time_us: u64) -> Result<(), Failure> {
        self.record(|| HistoryEvent::View { number, members: members.into(), time_us })
    }

    /// Records a multicast of this client.
    ///
    /// # Errors
    /// Exit 74.
    pub fn multicast(&mut self, id: MessageId<'_>, text: &[u8], time_us: u64) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Multicast { id, text: text.into(), time_us, author: None })
    }

    /// Records that this client multicast a text of an author.
    ///
    /// # Errors
    /// Exit 74.
    pub fn multicast_for(
        &mut self,
        author: Authored<'_>,
        id: MessageId<'_>,
        text: &[u8],
        time_us: u64,
    ) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Multicast { id, text: text.into(), time_us, author: Some(author) })
    }

    /// Records the delivery of a multicast, with its global number if the order has one.
    ///
    /// # Errors
    /// Exit 74.
    #[inline]
    pub fn deliver(
        &mut self,
        from: &str,
        id: MessageId<'_>,
        text: &[u8],
        number: Option<u64>,
        time_us: u64,
    ) -> Result<(), Failure> {
        // Without files, skip this quickly: there are millions.
        if self.delivered.is_none() && self.history.is_none() {
            return Ok(());
        }
        self.write_delivery(from, id, text, number, time_us)
    }

    /// Writes a delivery into the result file; of a client in several groups, with the group.
    fn write_line(&mut self, from: &str, text: &[u8]) -> Result<(), Failure> {
        let Some(delivered) = &mut self.delivered else { return Ok(()) };
        delivered.line(|line| match self.groups.get(self.group) {
            Some(group) => write_result(line, &format!("{from}@{group}"), text),
            None => write_result(line, from, text),
        })
    }

    /// Writes a delivery into both files.
    fn write_delivery(
        &mut self,
        from: &str,
        id: MessageId<'_>,
        text: &[u8],
        number: Option<u64>,
        time_us: u64,
    ) -> Result<(), Failure> {
        self.write_line(from, text)?;
        let text = text.into();
        let (epoch, author, doubled) = (None, None, false);
        self.record(|| HistoryEvent::Deliver { id, text, time_us, number, epoch, author, doubled })
    }

    /// Records the delivery of a text of an author, with its global number. If it is `doubled`, its text was delivered
    /// before, and the result files have no line of it.
    ///
    /// # Errors
    /// Exit 74.
    pub fn deliver_for(
        &mut self,
        author: Authored<'_>,
        id: MessageId<'_>,
        text: &[u8],
        number: Option<u64>,
        doubled: bool,
        time_us: u64,
    ) -> Result<(), Failure> {
        if !doubled {
            self.write_line(author.name, text)?;
        }
        let text = text.into();
        let (epoch, author) = (None, Some(author));
        self.record(|| HistoryEvent::Deliver { id, text, time_us, number, epoch, author, doubled })
    }

    /// Records a direct message of this client.
    ///
    /// # Errors
    /// Exit 74.
    pub fn send(&mut self, id: MessageId<'_>, to: &str, text: &[u8], time_us: u64) -> Result<(), Failure> {
        self.record(|| HistoryEvent::Send { id, to, text: text.into(), time_us })
    }

    /// Records the receipt of a direct message.
    ///
    /// # Errors
    /// Exit 74.
    pub fn receive(
        &mut self,
        id: MessageId<'_>,
        from: &str,
        text: &[u8],
        time_us: u64,
    ) -> Result<(), Failure> {
        if let Some(received) = &mut self.received {
            received.line(|line| write_result(line, from, text))?;
        }
        self.record(|| HistoryEvent::Receive { id, from, text: text.into(), time_us })
    }

    /// Records that a direct message of this client is undeliverable.
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

    /// Records the end. `reason` is `done`, `interrupted`, or the reason of a failure.
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
        self.outputs().map(Output::flush).fold(Ok(()), Result::and)
    }

    /// Makes the files durable, gives them their final names and returns these: multicasts, direct messages, and the
    /// history if there is one.
    ///
    /// # Errors
    /// Exit 74; the file it names, and those after it, keep their `.part` names.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, Failure> {
        self.flush()?;
        self.outputs().try_for_each(|output| output.sync())?;
        let paths = self.outputs().map(Output::rename).collect::<Result<_, _>>()?;
        // Some file systems cannot do this for a directory; the names are in place all the same.
        let _ = File::open(&self.dir).and_then(|dir| dir.sync_all());
        Ok(paths)
    }

    /// Returns the length of the history, if there is one.
    #[must_use]
    pub fn history_length(&self) -> Option<u64> {
        self.history.as_ref().map(|history| history.lines.length + history.lines.buffer.len() as u64)
    }

    /// Returns the deliveries of the present group in the first `length` bytes of the history, if there is one.
    ///
    /// # Errors
    /// Exit 74.
    pub fn past(&mut self, length: u64) -> Result<Option<Past>, Failure> {
        let Some(history) = &mut self.history else { return Ok(None) };
        history.flush()?;
        let path = part(&history.path);
        let past = Past::open(&path, length, self.groups.get(self.group).cloned())
            .map_err(|reason| Failure::new(Exit::Io, format!("cannot read {}: {reason}", path.display())))?;
        Ok(Some(past))
    }

    #[inline]
    fn record<'a>(&mut self, event: impl FnOnce() -> HistoryEvent<'a>) -> Result<(), Failure> {
        let Some(history) = &mut self.history else { return Ok(()) };
        let group = self.groups.get(self.group).map(String::as_str);
        history.line(|line| event().write(line, group))
    }

    fn outputs(&mut self) -> impl Iterator<Item = &mut Output> {
        [&mut self.delivered, &mut self.received, &mut self.history].into_iter().flatten()
    }
}

/// Words the reason for which a message is undeliverable, for histories and people.
#[must_use]
pub const fn undelivered(reason: Undelivered) -> &'static str {
    match reason {
        Undelivered::NotSent => "not sent: the receiver is no longer in the group",
        Undelivered::NotAcknowledged => {
            "not acknowledged: the receiver is no longer in the group, and may have received it"
        }
    }
}

/// Returns a delivery as a line of a result file, without its end.
pub(crate) fn result_line(from: &str, text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(from.len() + 3 + text.len());
    write_result(&mut line, from, text);
    line
}

/// Appends `<from>###<text>`, the text on one line.
pub(crate) fn write_result(line: &mut Vec<u8>, from: &str, text: &[u8]) {
    line.extend_from_slice(from.as_bytes());
    line.extend_from_slice(b"###");
    write_text(line, text);
}

/// Appends a text on one line: backslashes, line feeds and carriage returns are escaped.
pub(crate) fn write_text(line: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        line.extend_from_slice(&rest[..at]);
        line.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
}

/// Returns the sender and the text of a line that [`write_result`] has written.
pub(crate) fn read_result(line: &[u8]) -> (String, Vec<u8>) {
    let end = line.windows(3).position(|window| window == b"###").unwrap_or(line.len());
    let from = String::from_utf8_lossy(&line[..end]).into_owned();
    let mut text = Vec::with_capacity(line.len() - end);
    let mut rest = line.get(end + 3..).unwrap_or_default().iter();
    while let Some(&byte) = rest.next() {
        text.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => b'\\',
            },
            other => other,
        });
    }
    (from, text)
}

#[cfg(test)]
mod tests;
