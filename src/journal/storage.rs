//! The file of a journal as redb's storage. It begins on trial: what redb writes while it checks and repairs the file
//! stays in memory until the journal is accepted.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Identity;
use super::head::{self, Mark, PAGE};
use crate::lock::lock;

/// A file, or what a test has in its place.
pub(super) trait Disk: Debug + Send + Sync {
    /// Returns the length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads some bytes from a place on; none at the end.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all bytes from a place on.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Sets the length. New bytes are zero.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Returns when all that was written is durable.
    fn sync(&self) -> io::Result<()>;
}

impl Disk for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The storage. Clones are handles of the same.
#[derive(Clone, Debug)]
pub(super) struct Storage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Box<dyn Disk>,
    trial: Mutex<Option<Trial>>,
    /// Nothing more is written.
    is_closed: AtomicBool,
}

impl Inner {
    fn new(disk: Box<dyn Disk>, trial: Option<Trial>) -> Self {
        Self { disk, trial: Mutex::new(trial), is_closed: AtomicBool::new(false) }
    }
}

/// The result of all writes since the storage was opened.
#[derive(Debug)]
struct Trial {
    /// The length of redb's part.
    length: u64,
    /// The pages that were written, by their places in redb's part.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// The head of a file.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) owner: Identity,
    /// Absent if the mark is damaged, which costs nothing but the check by it.
    pub(super) mark: Option<Mark>,
}

impl Storage {
    /// Returns a storage without content, whose writes reach the disk at once. The head is written last.
    pub(super) fn create(disk: Box<dyn Disk>) -> io::Result<Self> {
        disk.set_length(head::LENGTH)?;
        Ok(Self(Arc::new(Inner::new(disk, None))))
    }

    /// Returns the storage in a file, on trial, and the head of the file; nothing else if the head is damaged, with the
    /// reason.
    pub(super) fn open(disk: Box<dyn Disk>) -> io::Result<Result<(Self, Head), &'static str>> {
        let end = disk.length()?;
        let length = end.saturating_sub(head::LENGTH).next_multiple_of(PAGE);
        let mut first = vec![0; head::LENGTH as usize];
        read_or_zero(&*disk, &mut first, 0)?;
        let mut page = vec![0; PAGE as usize];
        read_or_zero(&*disk, &mut page, head::LENGTH)?;
        let Some(owner) = head::owner_of(&first[head::OWNER]) else {
            return Ok(Err("its first bytes are not those of a journal"));
        };
        let mark = Mark::parse(&first[head::MARK]);
        if mark.is_some_and(|mark| end < mark.length) {
            return Ok(Err("it is cut short"));
        }
        let Some(page) = head::to_be_checked(page, length) else {
            return Ok(Err("the head of its pages is not that of redb"));
        };
        let trial = Trial { length, pages: BTreeMap::from([(0, page)]) };
        let storage = Self(Arc::new(Inner::new(disk, Some(trial))));
        Ok(Ok((storage, Head { owner, mark })))
    }

    /// Ends the trial: all that was written reaches the disk, and so does every later write.
    pub(super) fn accept(&self) -> io::Result<()> {
        let Inner { disk, trial, .. } = &*self.0;
        let mut trial = lock(trial);
        let Some(Trial { length, pages }) = &*trial else { return Ok(()) };
        if disk.length()? != head::LENGTH + length {
            disk.set_length(head::LENGTH + length)?;
        }
        for (at, page) in pages {
            disk.write_at(page, head::LENGTH + at)?;
        }
        disk.sync()?;
        *trial = None;
        Ok(())
    }

    /// Refuses all that redb would write from now on. It writes once more when it is dropped, and knows only of failures
    /// of its own.
    pub(super) fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
    }

    fn writable(&self) -> io::Result<&dyn Disk> {
        match self.0.is_closed.load(Ordering::Acquire) {
            true => Err(io::Error::other("the journal has failed before")),
            false => Ok(&*self.0.disk),
        }
    }

    /// Writes the sector of the owner, and synchronizes.
    pub(super) fn write_owner(&self, sector: &[u8]) -> io::Result<()> {
        self.0.disk.write_at(sector, head::OWNER.start as u64)?;
        self.0.disk.sync()
    }

    /// Writes the mark of a durable commit. It becomes durable with the next one: until then, the disk may have an
    /// earlier mark.
    pub(super) fn write_mark(&self, next: u64, records: u64) -> io::Result<()> {
        let mark = Mark { next, records, length: self.0.disk.length()? };
        self.0.disk.write_at(&mark.to_bytes(), head::MARK.start as u64)
    }
}

impl ::redb::StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        match &*lock(&self.0.trial) {
            Some(trial) => Ok(trial.length),
            None => Ok(self.0.disk.length()?.saturating_sub(head::LENGTH)),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = &*self.0.disk;
        match &*lock(&self.0.trial) {
            Some(trial) => trial.read(disk, offset, out),
            None if read_or_zero(disk, out, head::LENGTH + offset)? => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    // The file never shrinks. Else, if the commit that shrank it turned out to be damaged, redb would go back to one with
    // pages beyond the end, and panic.
    fn set_len(&self, length: u64) -> io::Result<()> {
        match &mut *lock(&self.0.trial) {
            Some(trial) => trial.length = trial.length.max(length),
            None if self.0.disk.length()? >= head::LENGTH + length => {}
            None => self.writable()?.set_length(head::LENGTH + length)?,
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if lock(&self.0.trial).is_some() { Ok(()) } else { self.writable()?.sync() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *lock(&self.0.trial) {
            Some(trial) => trial.write(&*self.0.disk, offset, data),
            None => self.writable()?.write_at(data, head::LENGTH + offset),
        }
    }
}

impl Trial {
    fn read(&self, disk: &dyn Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_or_zero(disk, out, head::LENGTH + offset)?;
        let end = offset + out.len() as u64;
        for (&at, page) in self.pages.range(offset / PAGE * PAGE..end) {
            let (from, to) = (at.max(offset), (at + PAGE).min(end));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - at) as usize..(to - at) as usize]);
        }
        Ok(())
    }

    fn write(&mut self, disk: &dyn Disk, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        for at in (offset / PAGE * PAGE..end).step_by(PAGE as usize) {
            let (from, to) = (at.max(offset), (at + PAGE).min(end));
            let mut page = vec![0; PAGE as usize];
            self.read(disk, at, &mut page)?;
            page[(from - at) as usize..(to - at) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
            self.pages.insert(at, page);
        }
        Ok(())
    }
}

/// Fills `out` from a place of the disk on; with zeros beyond its end. Returns whether the end was not reached.
fn read_or_zero(disk: &dyn Disk, out: &mut [u8], at: u64) -> io::Result<bool> {
    let mut done = 0;
    while done < out.len() {
        match disk.read_at(&mut out[done..], at + done as u64) {
            Ok(0) => {
                out[done..].fill(0);
                return Ok(false);
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
