//! The pieces of a log that a newcomer is given by the sequencer.

use bytes::BytesMut;

use super::{Entry, Log};
use crate::exit::Failure;
use crate::member::replay::{Logged, Replay};
use crate::wire::Batch;
use crate::wire::batch::{FULL_BODY, MAX_COUNT};

/// Most runs of messages of one sender in a piece, each of which takes some tens of bytes of its header.
const MAX_SENDERS: usize = 4096;

/// Consecutive messages of a log, as one piece.
#[derive(Default)]
struct Piece {
    senders: Vec<Logged>,
    /// The place of the first message.
    first: u64,
    count: u32,
    body: BytesMut,
}

impl Log {
    /// Returns the messages with places behind `have` and up to `last` that are durable, as many as a piece has; the end
    /// behind the last; nothing if they are not durable yet. A newcomer that lacks what the log has not any more is told so.
    ///
    /// # Errors
    /// Those of [`Log::read`].
    pub fn piece(&mut self, have: u64, last: u64) -> Result<Option<Replay>, Failure> {
        if have >= last {
            return Ok(Some(Replay::End(last)));
        }
        if have < self.begins_after() {
            return Ok(Some(Replay::Cannot));
        }
        if self.durable()? < last {
            return Ok(None);
        }
        let mut piece = Piece::default();
        self.read(have, &mut |entry| entry.place <= last && piece.take(entry, have))?;
        Ok(Some(piece.finish()))
    }
}

impl Piece {
    /// Appends the messages behind a place, if they follow and there is room; returns whether there is more room.
    fn take(&mut self, entry: Entry, have: u64) -> bool {
        let known = u32::try_from(have.saturating_sub(entry.place - 1)).unwrap_or(u32::MAX);
        let Some(batch) = entry.batch.behind(known) else { return true };
        let place = entry.place + u64::from(known);
        if self.count == 0 {
            self.first = place;
        }
        let is_next = place == self.first + u64::from(self.count);
        let fits = self.body.len() + batch.body().len() <= FULL_BODY
            && self.count + batch.count() <= MAX_COUNT
            && self.senders.len() < MAX_SENDERS;
        if !is_next || (self.count > 0 && !fits) {
            return false;
        }
        let (id, incarnation) = entry.sender;
        self.senders.push(Logged { id, incarnation, first: batch.first(), count: batch.count() });
        self.body.extend_from_slice(batch.body());
        self.count += batch.count();
        true
    }

    /// Returns the piece; without messages, which a log without gaps cannot cause, the refusal.
    fn finish(self) -> Replay {
        let batch = Batch::parse(self.first, self.count, self.body.freeze());
        batch.map_or(Replay::Cannot, |batch| Replay::Logged(self.senders, batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_names_no_more_senders_than_its_header_holds() {
        let mut piece = Piece::default();
        let entry = |place: u64| Entry {
            place,
            time_us: 0,
            sender: ("c".repeat(64), 1),
            batch: Batch::parse(place, 1, bytes::Bytes::from_static(b"\x01x")).unwrap(),
        };
        let taken = (1..).take_while(|&place| piece.take(entry(place), 0)).count();
        assert_eq!(taken, MAX_SENDERS);
        const { assert!(MAX_SENDERS * (64 + 24) < crate::wire::header::MAX_HEADER) };
    }
}
