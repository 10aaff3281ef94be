//! The end of a file that grows by whole lines.

use std::fs::File;
use std::io::{self, Write};

/// Bytes at which the buffered lines are passed to the operating system.
pub(super) const FULL_BUFFER: usize = 64 << 10;

/// A file that is open for appending, and the lines that are not in it yet.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) file: File,
    /// Length of the file, which ends with a whole line.
    pub(super) length: u64,
    /// Whole lines that are not in the file yet.
    pub(super) buffer: Vec<u8>,
}

impl Lines {
    pub(super) const fn new(file: File, length: u64) -> Self {
        Self { file, length, buffer: Vec::new() }
    }

    /// Appends a line, whose end is added.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.buffer);
        self.buffer.push(b'\n');
        if self.buffer.len() < FULL_BUFFER { Ok(()) } else { self.flush() }
    }

    /// Hands every line to the operating system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let (written, outcome) = write_all(&mut self.file, &self.buffer);
        self.settle(written);
        outcome
    }

    /// Removes the whole lines among the first `written` bytes from the buffer, and half a line from the file.
    pub(super) fn settle(&mut self, written: usize) {
        let whole = self.buffer[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.buffer.drain(..whole);
        self.length += whole as u64;
        if written > whole {
            // If even this fails, half a line is the least of the troubles.
            let _ = self.file.set_len(self.length);
        }
    }
}

/// Writes as much as possible, and returns how much that was.
fn write_all(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
            Err(reason) => return (written, Err(reason)),
        }
    }
    (written, Ok(()))
}
