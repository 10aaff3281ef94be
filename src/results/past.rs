//! Station 10, backwards: the deliveries in a history, for a newcomer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;

use super::history::HistoryEvent;
use super::row::Row;

/// An earlier delivery.
#[derive(Debug, Eq, PartialEq)]
pub struct Delivered {
    /// The sender's id and incarnation.
    pub sender: (String, u32),
    /// The message number.
    pub own_number: u64,
    /// The global number, if the order has one.
    pub number: Option<u64>,
    /// Its text.
    pub text: Vec<u8>,
    /// The author of the text, if the sender multicast it for somebody else: the name, the key, and the number there.
    pub author: Option<(String, u64, u64)>,
}

/// The first part of a history.
#[derive(Debug)]
pub struct Past {
    history: Take<BufReader<File>>,
    /// The group whose deliveries are wanted, of a client in several groups.
    group: Option<String>,
    line: Vec<u8>,
    /// The number of the log that the start names, once it is read.
    log: Option<String>,
    /// Whether texts of authors that came twice are deliveries, too: they have places.
    has_doubled: bool,
}

impl Past {
    /// Opens the first `length` bytes of the history at `path`, which end with a line.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: &Path, length: u64, group: Option<String>) -> io::Result<Self> {
        Ok(Self {
            group,
            history: BufReader::new(File::open(path)?).take(length),
            line: Vec::new(),
            log: None,
            has_doubled: false,
        })
    }

    /// Opens a whole history of an earlier run.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn whole(path: &Path) -> io::Result<Self> {
        Ok(Self { has_doubled: true, ..Self::open(path, u64::MAX, None)? })
    }

    /// Returns the number of the log that the start names, once the start is read.
    #[must_use]
    pub fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// Returns the next delivery; nothing at the end. A line that a killed process has not written to its end is none.
    ///
    /// # Errors
    /// The history cannot be read, or is not as this program writes it.
    pub fn next_delivery(&mut self) -> io::Result<Option<Delivered>> {
        loop {
            self.line.clear();
            self.history.read_until(b'\n', &mut self.line)?;
            if !self.line.ends_with(b"\n") {
                return Ok(None);
            }
            let broken = |_| io::Error::from(io::ErrorKind::InvalidData);
            let row = Row::parse(self.line.trim_ascii_end()).map_err(broken)?;
            if self.group.as_deref() != row.group().filter(|_| self.group.is_some()) {
                continue;
            }
            match row.event().map_err(broken)? {
                HistoryEvent::Start(start) => self.log = start.log.map(str::to_owned),
                HistoryEvent::Deliver { id, text, number, author, doubled, .. }
                    if !doubled || self.has_doubled =>
                {
                    let sender = (id.member.to_owned(), id.incarnation);
                    return Ok(Some(Delivered {
                        sender,
                        own_number: id.number,
                        number,
                        text: text.into_owned(),
                        author: author.map(|author| (author.name.to_owned(), author.post.0, author.post.1)),
                    }));
                }
                _ => {}
            }
        }
    }
}
