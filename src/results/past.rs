//! Station 10, backwards: the deliveries in a history, for a newcomer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

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
}

/// The first part of a history.
#[derive(Debug)]
pub struct Past {
    history: Take<BufReader<File>>,
    line: Vec<u8>,
}

#[derive(Deserialize)]
struct Row {
    event: String,
    id: Option<String>,
    text: Option<String>,
    text_b64: Option<String>,
    number: Option<u64>,
}

impl Past {
    /// Opens the first `length` bytes of the history at `path`, which end with a line.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: &Path, length: u64) -> io::Result<Self> {
        Ok(Self { history: BufReader::new(File::open(path)?).take(length), line: Vec::new() })
    }

    /// Returns the next delivery; nothing at the end.
    ///
    /// # Errors
    /// The history cannot be read, or is not as this program writes it.
    pub fn next_delivery(&mut self) -> io::Result<Option<Delivered>> {
        loop {
            self.line.clear();
            if self.history.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            let row: Row = serde_json::from_slice(&self.line)?;
            if row.event == "deliver" {
                let delivered = row.delivered().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
                return delivered.map(Some);
            }
        }
    }
}

impl Row {
    fn delivered(self) -> Option<Delivered> {
        let id = self.id?;
        let (sender, own_number) = id.rsplit_once('/')?;
        let (member, incarnation) = sender.rsplit_once('/')?;
        let text = match (self.text, self.text_b64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(coded)) => STANDARD.decode(coded).ok()?,
            (None, None) => return None,
        };
        let sender = (member.to_owned(), incarnation.parse().ok()?);
        Some(Delivered { sender, own_number: own_number.parse().ok()?, number: self.number, text })
    }
}
