//! The events that the histories of earlier lives tell, so that a later life does not tell them again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::super::history::HistoryEvent;
use super::super::row::Row;
use crate::exit::{Exit, Failure};

/// Everything that has been told. A sender's messages are told in the order of their numbers, so its last number
/// suffices.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last message inserted, by sender.
    pub(super) inserted: BTreeMap<String, u64>,
    /// The last own message that was stored.
    pub(super) multicast: u64,
    /// The last own message that a journal had.
    pub(super) stored: u64,
    /// The number of confirmed messages.
    pub(super) confirmed: u64,
    /// The last direct message sent, by receiver.
    pub(super) sent: BTreeMap<String, u64>,
    /// The last direct message received, by sender.
    pub(super) received: BTreeMap<String, u64>,
}

impl Told {
    /// Adds the events of a history. A last line that is cut off tells nothing.
    ///
    /// # Errors
    /// Exit 74 if the file cannot be read; exit 65 if a line is no event.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let cannot_read =
            |reason: io::Error| Failure::new(Exit::Io, format!("cannot read {}: {reason}", path.display()));
        let mut reader = BufReader::new(File::open(path).map_err(cannot_read)?);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(cannot_read)? == 0 || !line.ends_with(b"\n") {
                return Ok(());
            }
            number += 1;
            let told = Row::parse(line.trim_ascii_end()).and_then(|row| {
                self.add(&row.event()?);
                Ok(())
            });
            told.map_err(|flaw| {
                let message = format!("{}:{number}: {}", path.display(), flaw.message);
                Failure::new(Exit::BadData, message)
                    .help("take the histories of this member away, or name another directory with --out")
            })?;
        }
    }

    fn add(&mut self, event: &HistoryEvent<'_>) {
        match event {
            HistoryEvent::Insert { id, .. } => {
                raise(self.inserted.entry(id.member.to_owned()).or_default(), id.number);
            }
            HistoryEvent::Multicast { id, .. } => raise(&mut self.multicast, id.number),
            HistoryEvent::Stored { id, .. } => raise(&mut self.stored, id.number),
            HistoryEvent::Confirm { number, count, .. } => {
                raise(&mut self.confirmed, number.saturating_add(*count).saturating_sub(1));
            }
            HistoryEvent::Send { id, to, .. } => {
                raise(self.sent.entry((*to).to_owned()).or_default(), id.number);
            }
            HistoryEvent::Receive { id, .. } => {
                raise(self.received.entry(id.member.to_owned()).or_default(), id.number);
            }
            _ => {}
        }
    }
}

fn raise(known: &mut u64, number: u64) {
    *known = number.max(*known);
}
