//! Entries that came before those that they wait for, and entries of which some pieces have come.
//!
//! Both are bounded by bytes. An entry that does not fit is dropped, and asked for again later.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

use super::entry::{Entry, EntryId};
use super::message::{Piece, PieceRange};
use crate::wire::batch::MAX_BODY;

/// Most bytes of the early entries of one sender, and of its incomplete ones.
const MOST_BYTES: usize = 4 << 20;
/// Longest entry, in bytes: the longest batch, and the fields.
const MOST_ENTRY: usize = MAX_BODY + (4 << 10);
/// The cost of keeping an entry or a piece, in bytes beside its own.
const OVERHEAD: usize = 64;

/// The early entries and the pieces of one sender.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Early {
    entries: BTreeMap<u64, Entry>,
    parts: BTreeMap<u64, Parts>,
    bytes: usize,
    part_bytes: usize,
}

/// The pieces of one entry, all of one sending.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Parts {
    pieces: BTreeMap<u16, Bytes>,
    count: u16,
    bytes: usize,
}

impl Parts {
    /// Returns whether a piece is one of this sending: the MTU of another holder of the entry may be another.
    fn fits(&self, piece: &Piece) -> bool {
        let length = self.pieces.iter().next().filter(|(index, _)| **index + 1 < self.count);
        let is_longer = |(_, first): (&u16, &Bytes)| piece.bytes.len() > first.len();
        let is_shorter = |(_, first): (&u16, &Bytes)| piece.bytes.len() < first.len();
        let is_last = piece.index + 1 == piece.count;
        self.count == piece.count
            && !length.is_some_and(is_longer)
            && (is_last || !length.is_some_and(is_shorter))
    }
}

impl Early {
    /// Keeps an entry. Returns false if there is no room for it.
    pub(super) fn keep(&mut self, entry: Entry) -> bool {
        let cost = entry.bytes().len() + OVERHEAD;
        if self.entries.contains_key(&entry.id.number) {
            return true;
        }
        // The entry that is waited for longest has room in any case: the others are dropped for it.
        while self.bytes + cost > MOST_BYTES {
            let Some(last) = self.entries.last_entry().filter(|last| *last.key() > entry.id.number) else {
                return false;
            };
            self.bytes -= last.remove().bytes().len() + OVERHEAD;
        }
        self.bytes += cost;
        self.entries.insert(entry.id.number, entry);
        true
    }

    /// Returns entry `number`, if it is here.
    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    /// Takes entry `number` out.
    pub(super) fn take(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.bytes -= entry.bytes().len() + OVERHEAD;
        Some(entry)
    }

    /// Returns the ranges of numbers after `from`, up to `upto`, that are not here, ascending.
    pub(super) fn gaps(&self, from: u64, upto: u64) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        let here = self.entries.range(from + 1..=upto.max(from + 1)).map(|(&number, _)| number);
        let ends = here.clone().take_while(move |&number| number <= upto).chain([upto + 1]);
        let starts = [from].into_iter().chain(here);
        starts.zip(ends).map(|(before, after)| before + 1..=after - 1).filter(|gap| !gap.is_empty())
    }

    /// Returns the number of the last entry here; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        let last = |number: Option<&u64>| number.copied().unwrap_or(0);
        last(self.entries.keys().next_back()).max(last(self.parts.keys().next_back()))
    }

    /// Adds a piece. Returns the entry's bytes if they are complete now.
    pub(super) fn add_piece(&mut self, piece: Piece) -> Option<Bytes> {
        let number = piece.id.number;
        if self.parts.get(&number).is_some_and(|parts| !parts.fits(&piece)) {
            self.drop_parts(number);
        }
        let Piece { index, count, bytes, .. } = piece;
        let cost = bytes.len() + OVERHEAD;
        if self.entries.contains_key(&number) || !self.make_room(number, cost) {
            return None;
        }
        let new = || Parts { pieces: BTreeMap::new(), count, bytes: 0 };
        let parts = self.parts.entry(number).or_insert_with(new);
        if parts.bytes + bytes.len() > MOST_ENTRY || parts.pieces.contains_key(&index) {
            return None;
        }
        parts.bytes += bytes.len();
        self.part_bytes += cost;
        parts.pieces.insert(index, bytes);
        if parts.pieces.len() < usize::from(count) {
            return None;
        }
        let parts = self.drop_parts(number)?;
        let mut whole = BytesMut::with_capacity(parts.bytes);
        parts.pieces.values().for_each(|piece| whole.extend_from_slice(piece));
        Some(whole.freeze())
    }

    /// Makes room for a piece of entry `number`, by dropping later entries' pieces. Returns false if there is none.
    fn make_room(&mut self, number: u64, cost: usize) -> bool {
        while self.part_bytes + cost > MOST_BYTES {
            match self.parts.keys().next_back() {
                Some(&last) if last > number => drop(self.drop_parts(last)),
                _ => return false,
            }
        }
        true
    }

    fn drop_parts(&mut self, number: u64) -> Option<Parts> {
        let parts = self.parts.remove(&number)?;
        self.part_bytes -= parts.bytes + OVERHEAD * parts.pieces.len();
        Some(parts)
    }

    /// Drops the pieces of entries up to `number`, which are received.
    pub(super) fn drop_parts_upto(&mut self, number: u64) {
        while let Some((&first, _)) = self.parts.first_key_value().filter(|&(&first, _)| first <= number) {
            self.drop_parts(first);
        }
    }

    /// Returns the ranges of missing pieces of entry `number`, ascending; none if no piece of it has come.
    pub(super) fn missing_pieces(&self, id: EntryId) -> Option<impl Iterator<Item = PieceRange> + '_> {
        let parts = self.parts.get(&id.number)?;
        let here = parts.pieces.keys().map(|&index| i32::from(index));
        let ends = here.clone().chain([i32::from(parts.count)]);
        let gaps = [-1].into_iter().chain(here).zip(ends).filter(|(before, after)| before + 1 < *after);
        Some(gaps.map(move |(before, after)| PieceRange {
            id,
            first: (before + 1) as u16,
            last: (after - 1) as u16,
        }))
    }
}

/// Returns the pieces of an entry, none longer than `length` bytes; none if the entry itself is not.
pub(super) fn split(entry: &Entry, length: usize) -> Vec<Piece> {
    let bytes = entry.bytes();
    if bytes.len() <= length {
        return Vec::new();
    }
    let count = bytes.len().div_ceil(length);
    let piece = |index: usize| Piece {
        id: entry.id,
        index: index as u16,
        count: count as u16,
        bytes: bytes.slice(index * length..((index + 1) * length).min(bytes.len())),
    };
    (0..count).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Content, Fields};
    use super::*;
    use crate::ids::MemberId;
    use crate::wire::BatchBuilder;

    fn entry(number: u64, length: usize) -> Entry {
        let mut batch = BatchBuilder::new(number);
        batch.push(&vec![b'x'; length]);
        let content = Content::Multicast(batch.finish().unwrap());
        let id = EntryId { origin: MemberId(1), number };
        Entry::new(&Fields { id, time: number, life: 1, previous: 0, causes: vec![0, 0], content })
    }

    #[test]
    fn early_entries_are_kept_up_to_a_limit_and_their_gaps_are_named() {
        let mut early = Early::default();
        assert!([3, 4, 7].into_iter().all(|number| early.keep(entry(number, 10))));
        assert_eq!(early.gaps(0, 9).collect::<Vec<_>>(), [1..=2, 5..=6, 8..=9]);
        assert_eq!(early.gaps(2, 4).count(), 0);
        assert_eq!(early.gaps(5, 5).count(), 0);
        assert_eq!(early.last(), 7);
        let long = |number| entry(number, 1 << 20);
        assert!([20, 21, 22].into_iter().all(|number| early.keep(long(number))));
        assert!(!early.keep(long(23)), "no room for what is needed last");
        assert!(early.keep(long(10)), "later entries give way");
        assert!(early.get(22).is_none() && early.get(10).is_some());
        for number in [3, 4, 7, 10, 20, 21] {
            early.take(number).unwrap();
        }
        assert_eq!((early.bytes, early.entries.len()), (0, 0));
    }

    #[test]
    fn early_pieces_make_the_entry_when_all_have_come() {
        let (mut early, whole) = (Early::default(), entry(5, 10_000));
        let pieces = split(&whole, 1_000);
        assert_eq!(pieces.len(), whole.bytes().len().div_ceil(1_000));
        let (late, rest) = pieces.split_last().unwrap();
        for piece in rest.iter().rev().chain(rest).filter(|piece| piece.index != 3) {
            assert_eq!(early.add_piece(piece.clone()), None);
        }
        let missing: Vec<PieceRange> = early.missing_pieces(whole.id).unwrap().collect();
        let ranges: Vec<(u16, u16)> = missing.iter().map(|range| (range.first, range.last)).collect();
        assert_eq!(ranges, [(3, 3), (late.index, late.index)]);
        assert_eq!(early.add_piece(late.clone()), None);
        assert_eq!(early.add_piece(rest[3].clone()), Some(whole.bytes().clone()));
        assert_eq!(early.part_bytes, 0);
    }

    #[test]
    fn early_pieces_of_a_peer_that_invents_them_are_bounded() {
        let mut early = Early::default();
        for number in 1..100_u64 {
            for index in 0..200 {
                let id = EntryId { origin: MemberId(1), number };
                let bytes = Bytes::from(vec![0; 1_000]);
                early.add_piece(Piece { id, index, count: 4_000, bytes });
            }
        }
        assert!(early.part_bytes <= MOST_BYTES, "{}", early.part_bytes);
        assert!(!early.parts.is_empty());
        early.drop_parts_upto(1_000);
        assert_eq!(early.part_bytes, 0);
    }
}
