//! Station 2, beside the path: the pieces of a client's history that it gives to newcomers.

use std::collections::BTreeMap;

use crate::driver::Node;
use crate::engine::MemberId;
use crate::exit::{Exit, Failure};
use crate::member::replay::{Missed, Origin, Replay};
use crate::participant::{Piece, Request};
use crate::results::Results;
use crate::results::past::{Delivered, Past};
use crate::wire::{Author, BatchBuilder};

/// Most deliveries in one piece, which names the origin of each.
const DELIVERIES_PER_PIECE: u64 = 1000;
/// Most deliveries skipped before anything else gets its turn.
const SKIPPED_PER_TURN: usize = 10_000;

/// The history of a client, as far as newcomers may need it.
#[derive(Default)]
pub(super) struct History {
    /// For each view that began while this member was there: the length of its history.
    lengths: BTreeMap<u64, u64>,
    /// The history begins with the run.
    is_whole: bool,
    /// For each newcomer that is being given the history.
    readers: BTreeMap<MemberId, Reader>,
}

struct Reader {
    past: Past,
    /// The number of deliveries read.
    read: u64,
}

impl History {
    /// Records that the history begins with the run.
    pub(super) const fn begins_with_the_run(&mut self) {
        self.is_whole = true;
    }

    /// Records the history's length at the start of a view. Replays end with the view before.
    pub(super) fn view(&mut self, number: u64, length: Option<u64>) {
        self.readers.clear();
        if let Some(length) = length {
            self.lengths.insert(number, length);
        }
    }

    /// Returns the next piece for a newcomer.
    pub(super) fn piece(
        &mut self,
        node: &Node,
        results: &mut Results,
        request: &Request,
    ) -> Result<Piece, Failure> {
        let Request { by, what, view, have } = *request;
        let length = self.lengths.get(&view).filter(|_| self.is_whole && what == Missed::Deliveries);
        let mut reader = self.readers.remove(&by).filter(|reader| reader.read <= have);
        if let (None, Some(&length)) = (&reader, length) {
            reader = results.past(length)?.map(|past| Reader { past, read: 0 });
        }
        let Some(mut reader) = reader else { return Ok(Piece::Ready(Replay::Cannot)) };
        let piece = reader.piece(node, have)?;
        // A reader at the end closes its file.
        if !matches!(piece, Piece::Ready(Replay::End(_))) {
            self.readers.insert(by, reader);
        }
        Ok(piece)
    }
}

impl Reader {
    /// Returns the piece behind the first `have` deliveries.
    fn piece(&mut self, node: &Node, have: u64) -> Result<Piece, Failure> {
        for _ in 0..SKIPPED_PER_TURN {
            if self.read >= have {
                return self.next_piece(node).map(Piece::Ready);
            }
            if self.next(node)?.is_none() {
                return Ok(Piece::Ready(Replay::End(self.read)));
            }
            self.read += 1;
        }
        Ok(Piece::Reading)
    }

    fn next_piece(&mut self, node: &Node) -> Result<Replay, Failure> {
        let mut batch = BatchBuilder::new(self.read + 1).at_most(DELIVERIES_PER_PIECE);
        let mut origins = Vec::new();
        while !batch.is_full() {
            let Some((sender, delivered)) = self.next(node)? else { break };
            let author = delivered.author.as_ref();
            let author = author.map(|(name, key, number)| Author { name, key: *key, number: *number });
            self.read = match author.filter(|author| author.may_post(&delivered.text)) {
                Some(author) => batch.push_authored(author, &delivered.text),
                None => batch.push(&delivered.text),
            };
            let number = delivered.number.unwrap_or(0);
            origins.push(Origin { sender, own_number: delivered.own_number, number });
        }
        Ok(batch.finish().map_or(Replay::End(self.read), |batch| Replay::past(origins, batch)))
    }

    /// Returns the next delivery, with its sender.
    fn next(&mut self, node: &Node) -> Result<Option<(MemberId, Delivered)>, Failure> {
        while let Some(delivered) = self.past.next_delivery().map_err(|reason| unreadable(&reason))? {
            let (id, incarnation) = &delivered.sender;
            if let Some(sender) = node.life(id, *incarnation) {
                return Ok(Some((sender, delivered)));
            }
        }
        Ok(None)
    }
}

fn unreadable(reason: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot read its own history for a newcomer: {reason}"))
}
