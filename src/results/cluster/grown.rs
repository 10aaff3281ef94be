//! A file that grows through all lives of a member, under its final name.
//!
//! A member that starts again writes from the beginning what its journal gives back. The lines that the file has already
//! are compared and passed over.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};

use super::super::lines::Lines;
use super::super::output::cannot_create;
use crate::exit::{Exit, Failure};
use crate::place::quoted;

/// A growing file.
#[derive(Debug)]
pub(super) struct Grown {
    path: PathBuf,
    lines: Lines,
    /// The number of lines that were there when the file was opened.
    there: u64,
    /// The lines that were there and have not come again.
    past: Option<Past>,
}

/// The lines of earlier lives.
#[derive(Debug)]
struct Past {
    lines: BufReader<Take<File>>,
    next: u64,
    line: Vec<u8>,
}

impl Grown {
    /// Creates the file, empty; `new`: it must not be there.
    ///
    /// # Errors
    /// Exit 73.
    pub(super) fn create(path: PathBuf, new: bool) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).create_new(new).open(&path);
        let file = file.map_err(|reason| cannot_create(&path, &reason))?;
        Ok(Self { path, lines: Lines::new(file, 0), there: 0, past: None })
    }

    /// Opens the file at its end, or creates it. A last line that was cut off is removed.
    ///
    /// # Errors
    /// Exit 73 if it cannot be opened; exit 74 if it cannot be read or cut.
    pub(super) fn go_on(path: PathBuf) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(&path);
        let file = file.map_err(|reason| cannot_create(&path, &reason))?;
        let mut grown = Self { path, lines: Lines::new(file, 0), there: 0, past: None };
        let is_file = grown.lines.file.metadata().is_ok_and(|there| there.is_file());
        if is_file {
            grown.find_end().map_err(|reason| grown.failed("read", &reason))?;
        }
        Ok(grown)
    }

    /// Counts the whole lines, and removes the rest.
    fn find_end(&mut self) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let (mut length, mut whole) = (0, 0);
        loop {
            let block = reader.fill_buf()?;
            if block.is_empty() {
                break;
            }
            self.there += block.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if let Some(end) = block.iter().rposition(|&byte| byte == b'\n') {
                whole = length + end as u64 + 1;
            }
            let read = block.len();
            length += read as u64;
            reader.consume(read);
        }
        if whole < length {
            self.lines.file.set_len(whole)?;
        }
        self.lines.length = whole;
        let lines = BufReader::new(File::open(&self.path)?.take(whole));
        self.past = (self.there > 0).then(|| Past { lines, next: 1, line: Vec::new() });
        Ok(())
    }

    /// Returns the number of lines that were there when the file was opened.
    pub(super) const fn there(&self) -> u64 {
        self.there
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, unless it is one of those that were there and have not come again.
    ///
    /// # Errors
    /// Exit 65 if the line that was there is another one; exit 74 if the file cannot be read or written.
    pub(super) fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        if self.past.is_none() {
            return self.append(write);
        }
        let mut line = Vec::new();
        write(&mut line);
        let past = self.past.as_mut().expect("there are lines that have not come again");
        let (number, is_last) = (past.next, past.next == self.there);
        match past.read() {
            Ok(found) if *found == *line => {}
            Ok(found) => return Err(differs(&self.path, number, found, &line)),
            Err(reason) => return Err(self.failed("read", &reason)),
        }
        if is_last {
            self.past = None;
        }
        Ok(())
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Exit 74.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        self.lines.push(write).map_err(|reason| self.failed("write", &reason))
    }

    /// Passes over the first `count` lines, which will not come again, and hands each to `see`.
    ///
    /// # Errors
    /// Exit 65 if fewer were there; exit 74 if the file cannot be read.
    pub(super) fn pass_over(&mut self, count: u64, mut see: impl FnMut(&[u8])) -> Result<(), Failure> {
        if count > self.there {
            let (path, there) = (self.path.display(), self.there);
            let message =
                format!("{path} has {there} lines, and the journal has forgotten the first {count}");
            return Err(Failure::new(Exit::BadData, message)
                .help("go on in the folder of the earlier lives of this member (--out)"));
        }
        for _ in 0..count {
            let Some(past) = self.past.as_mut() else { break };
            let is_last = past.next == self.there;
            past.read().map(&mut see).map_err(|reason| self.failed("read", &reason))?;
            if is_last {
                self.past = None;
            }
        }
        Ok(())
    }

    /// Hands each line of the file to `see`.
    ///
    /// # Errors
    /// Exit 74.
    pub(super) fn read(&self, mut see: impl FnMut(&[u8])) -> Result<(), Failure> {
        let mut read = || {
            for line in BufReader::new(File::open(&self.path)?).split(b'\n') {
                see(&line?);
            }
            Ok(())
        };
        read().map_err(|reason: io::Error| self.failed("read", &reason))
    }

    /// Hands every line to the operating system.
    ///
    /// # Errors
    /// Exit 74.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.lines.flush().map_err(|reason| self.failed("write", &reason))
    }

    /// Makes every line durable.
    ///
    /// # Errors
    /// Exit 74.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        self.flush()?;
        self.lines.file.sync_data().map_err(|reason| self.failed("write", &reason))
    }

    fn failed(&self, verb: &str, reason: &io::Error) -> Failure {
        Failure::new(Exit::Io, format!("cannot {verb} {}: {reason}", self.path.display()))
            .help("the lines that were written before are whole and stay")
    }
}

impl Past {
    /// Reads the next line, without its end.
    fn read(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        self.lines.read_until(b'\n', &mut self.line)?;
        self.next += 1;
        Ok(self.line.strip_suffix(b"\n").unwrap_or(&self.line))
    }
}

impl Drop for Grown {
    fn drop(&mut self) {
        // A drop cannot report a failure.
        let _ = self.lines.flush();
    }
}

fn differs(path: &Path, number: u64, found: &[u8], line: &[u8]) -> Failure {
    let (found, line) = (quoted(found), quoted(line));
    let message = format!("{}:{number} is {found}, and the journal has {line} there", path.display());
    Failure::new(Exit::BadData, message)
        .help("the file is of another run: name another directory with --out, or take the file away")
}
