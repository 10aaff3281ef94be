//! A disk in memory that loses power at a chosen step: of what was not synchronized, each sector is kept or lost. Or its
//! operations fail from a chosen step on.

use std::io;
use std::sync::{Arc, Mutex};

use crate::journal::storage::Disk;
use crate::lock::lock;
use crate::prng::Prng;

const SECTOR: usize = 512;

/// A disk. Clones are handles of the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Platter(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The content as it is read.
    current: Vec<u8>,
    /// The content that a loss of power leaves in any case.
    durable: Vec<u8>,
    /// The writes since the last sync, sector by sector, and the lengths since then.
    pending: Vec<(usize, Vec<u8>)>,
    lengths: Vec<usize>,
    /// The operations that change something, so far.
    changes: u64,
    /// The first change that fails, as do all operations after it.
    dies_at: Option<u64>,
    /// The change that fails alone, and how.
    fails_at: Option<(u64, i32)>,
}

impl Platter {
    pub(super) fn new(content: Vec<u8>) -> Self {
        let state = State { durable: content.clone(), current: content, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn dies_after(&self, changes: u64) {
        let mut state = lock(&self.0);
        state.dies_at = Some(state.changes + changes);
    }

    /// Lets one change fail with an error of the system.
    pub(super) fn fails_after(&self, changes: u64, error: i32) {
        let mut state = lock(&self.0);
        state.fails_at = Some((state.changes + changes, error));
    }

    pub(super) fn changes(&self) -> u64 {
        lock(&self.0).changes
    }

    pub(super) fn content(&self) -> Vec<u8> {
        lock(&self.0).current.clone()
    }

    /// Returns whether it has died.
    pub(super) fn is_dead(&self) -> bool {
        let state = lock(&self.0);
        state.dies_at.is_some_and(|at| state.changes > at)
    }

    /// Returns the content after a loss of power.
    pub(super) fn after_power_loss(&self, dice: &mut Prng) -> Vec<u8> {
        let state = lock(&self.0);
        let mut content = state.durable.clone();
        // Sometimes nothing is lost, sometimes everything, mostly some.
        let share = [0, 10, 50, 90, 100][dice.below(5) as usize];
        let kept: Vec<_> = state.pending.iter().filter(|_| dice.below(100) < share).collect();
        let lengths: Vec<usize> = [content.len()].into_iter().chain(state.lengths.iter().copied()).collect();
        content.resize(lengths[dice.below(lengths.len() as u64) as usize], 0);
        for (at, bytes) in kept {
            let end = (at + bytes.len()).min(content.len());
            if *at < end {
                content[*at..end].copy_from_slice(&bytes[..end - at]);
            }
        }
        content
    }
}

impl State {
    /// Counts a change; fails if it is its turn.
    fn change(&mut self) -> io::Result<()> {
        let now = self.changes;
        self.changes += 1;
        if self.dies_at.is_some_and(|at| now >= at) {
            return Err(io::Error::other("no power"));
        }
        match self.fails_at {
            Some((at, error)) if at == now => Err(io::Error::from_raw_os_error(error)),
            _ => Ok(()),
        }
    }
}

impl Disk for Platter {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.0).current.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let state = lock(&self.0);
        let rest = state.current.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.change()?;
        let (at, end) = (at as usize, at as usize + bytes.len());
        if state.current.len() < end {
            state.current.resize(end, 0);
            state.lengths.push(end);
        }
        state.current[at..end].copy_from_slice(bytes);
        let mut from = at;
        while from < end {
            let to = (from / SECTOR * SECTOR + SECTOR).min(end);
            state.pending.push((from, bytes[from - at..to - at].to_vec()));
            from = to;
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.change()?;
        state.current.resize(length as usize, 0);
        state.lengths.push(length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.change()?;
        let State { current, durable, .. } = &mut *state;
        durable.clone_from(current);
        state.pending.clear();
        state.lengths.clear();
        Ok(())
    }
}
