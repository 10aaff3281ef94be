//! The operations in entries of the log, and those that only the result file still has.

use std::path::Path;

use super::earlier;
use crate::chat::operation::Operation;
use crate::chat::place::{OperationId, Place};
use crate::chat::state::State;
use crate::cluster::node::Event;
use crate::exit::{Exit, Failure};
use crate::replica::entry::{Content, Entry, Stamp};
use crate::replica::record::Forgotten;

/// The confirmed operations that the journal has forgotten, from the result file.
#[derive(Default)]
pub(super) struct Past {
    count: u64,
    /// For each server, by slot, the number of its multicasts so far.
    numbers: Vec<u64>,
}

impl Past {
    /// Applies the operations in the file with those from before this server was added, if there is one.
    ///
    /// # Errors
    /// Exit 74 if it cannot be read.
    pub(super) fn begin(earlier: Option<&Path>, state: &mut State) -> Result<Self, Failure> {
        let mut past = Self::default();
        if let Some(path) = earlier {
            earlier::read(path, |from, text| past.apply(from, text, state))?;
        }
        Ok(past)
    }

    /// Applies the next one: the text of a multicast, and the name of its server.
    pub(super) fn apply(&mut self, from: &str, text: &[u8], state: &mut State) {
        let Some(origin) = state.server(from) else { return };
        let slot = usize::from(origin.0);
        self.numbers.resize(self.numbers.len().max(slot + 1), 0);
        self.numbers[slot] += 1;
        self.count += 1;
        let id = OperationId { origin, number: self.numbers[slot] };
        // Below the times of all entries, which begin with 1.
        let at = Place { stamp: Stamp::default(), index: self.count };
        state.apply(id, at, Operation::parse(text));
        state.confirm(Stamp::default());
    }

    /// Checks that these are the operations which the journal has forgotten: as many of each server.
    ///
    /// # Errors
    /// Exit 65 if they are others; `path` names the file with those from before this server was added.
    pub(super) fn check(&self, forgotten: &[Forgotten], path: &Path) -> Result<(), Failure> {
        let count = |slot: usize| self.numbers.get(slot).copied().unwrap_or_default();
        if forgotten.iter().enumerate().all(|(slot, origin)| origin.multicasts == count(slot)) {
            return Ok(());
        }
        let why = format!("{} has other operations than the journal has forgotten", path.display());
        Err(Failure::new(Exit::BadData, why)
            .help("take the file away: the server takes the operations from the others again"))
    }
}

/// Returns the operations of an entry: ids, places and texts.
pub(super) fn operations(entry: &Entry) -> impl Iterator<Item = (OperationId, Place, &[u8])> {
    let batch = match &entry.content {
        Content::Multicast(batch) => Some(batch),
        _ => None,
    };
    let (origin, stamp) = (entry.id.origin, entry.stamp());
    batch.into_iter().flat_map(move |batch| {
        let first = batch.first();
        batch.messages().map(move |(number, text)| {
            (OperationId { origin, number }, Place { stamp, index: number - first }, text)
        })
    })
}

/// Returns the number of operations that an event shows.
pub(super) fn count(event: &Event) -> usize {
    match event {
        Event::Insert(entry) => operations(entry).count(),
        _ => 0,
    }
}
