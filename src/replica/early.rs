//! Entries that came before those that they wait for, and entries of which some pieces have come.
//!
//! Both are bounded by bytes. An entry that does not fit is dropped, and asked for again later.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use bytes::{Bytes, BytesMut};

use super::entry::{Entry, EntryId};
use super::message::{Piece, PieceRange};

/// Most bytes of the early entries of one sender, and of its incomplete ones.
const MOST_BYTES: usize = 4 << 20;
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

/// The octets of one entry that have come, by their places: parts that do not overlap.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Parts {
    parts: BTreeMap<u32, Bytes>,
    /// The length of the entry.
    whole: u32,
    /// The number of octets here.
    bytes: usize,
}

impl Parts {
    /// Returns the ranges of octets from `start` up to `end`, which is not included, that are not here, ascending.
    fn gaps(&self, start: u32, end: u32) -> impl Iterator<Item = Range<u32>> + '_ {
        let end_of = |(&at, part): (&u32, &Bytes)| at + part.len() as u32;
        let before = self.parts.range(..=start).next_back().map_or(start, end_of).max(start);
        let here = self.parts.range(start + 1..end.max(start + 1));
        let starts = [before].into_iter().chain(here.clone().map(end_of));
        let ends = here.map(|(&at, _)| at).chain([end]);
        starts.zip(ends).map(|(from, to)| from..to).filter(|gap| !gap.is_empty())
    }
}

/// Returns the bytes of memory that an entry is counted as.
fn cost_of(entry: &Entry) -> usize {
    entry.bytes().len() + size_of_val(&*entry.causes) + OVERHEAD
}

impl Early {
    /// Keeps an entry. Returns false if there is no room for it.
    pub(super) fn keep(&mut self, entry: Entry) -> bool {
        let cost = cost_of(&entry);
        if self.entries.contains_key(&entry.id.number) {
            return true;
        }
        // The entry that is waited for longest has room in any case: the others are dropped for it.
        while self.bytes + cost > MOST_BYTES {
            let Some(last) = self.entries.last_entry().filter(|last| *last.key() > entry.id.number) else {
                return false;
            };
            self.bytes -= cost_of(&last.remove());
        }
        self.bytes += cost;
        self.entries.insert(entry.id.number, entry.alone());
        true
    }

    /// Returns entry `number`, if it is here.
    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    /// Takes entry `number` out.
    pub(super) fn take(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.bytes -= cost_of(&entry);
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

    /// Returns the bytes of the pieces here.
    pub(super) const fn piece_bytes(&self) -> usize {
        self.part_bytes
    }

    /// Adds a piece. Returns the entry's bytes if they are complete now.
    pub(super) fn add_piece(&mut self, piece: &Piece) -> Option<Bytes> {
        let Piece { id: EntryId { number, .. }, start, whole, ref bytes } = *piece;
        if self.parts.get(&number).is_some_and(|parts| parts.whole != whole) {
            // One of the two senders is wrong. Were it the new one, the next pieces of the other would come here, too.
            self.drop_parts(number);
        }
        if self.entries.contains_key(&number) {
            return None;
        }
        let empty = Parts { parts: BTreeMap::new(), whole, bytes: 0 };
        let gaps = self.parts.get(&number).unwrap_or(&empty).gaps(start, start + bytes.len() as u32);
        for gap in gaps.collect::<Vec<_>>() {
            if !self.make_room(number, gap.len() + OVERHEAD) {
                // Tiny pieces of the first entry must not keep its others out for ever.
                if self.parts.keys().next() == Some(&number) {
                    self.drop_parts(number);
                }
                return None;
            }
            let parts = self.parts.entry(number).or_insert_with(|| empty.clone());
            parts.bytes += gap.len();
            self.part_bytes += gap.len() + OVERHEAD;
            let inside = (gap.start - start) as usize..(gap.end - start) as usize;
            // A copy: the piece is counted, the rest of its datagram is not.
            parts.parts.insert(gap.start, Bytes::copy_from_slice(&bytes[inside]));
        }
        if self.parts.get(&number)?.bytes < whole as usize {
            return None;
        }
        let parts = self.drop_parts(number)?;
        let mut whole = BytesMut::with_capacity(parts.bytes);
        parts.parts.values().for_each(|part| whole.extend_from_slice(part));
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
        self.part_bytes -= parts.bytes + OVERHEAD * parts.parts.len();
        Some(parts)
    }

    /// Drops the pieces of entries up to `number`, which are received.
    pub(super) fn drop_parts_upto(&mut self, number: u64) {
        while let Some((&first, _)) = self.parts.first_key_value().filter(|&(&first, _)| first <= number) {
            self.drop_parts(first);
        }
    }

    /// Returns the ranges of missing octets of entry `id`, ascending; none if no piece of it has come.
    pub(super) fn missing_pieces(&self, id: EntryId) -> Option<impl Iterator<Item = PieceRange> + '_> {
        let parts = self.parts.get(&id.number)?;
        let range = move |gap: Range<u32>| PieceRange { id, first: gap.start, last: gap.end - 1 };
        Some(parts.gaps(0, parts.whole).map(range))
    }
}

/// Returns the octets `range` of an entry as pieces of at most `length` octets. They are not all of the entry.
pub(super) fn pieces(entry: &Entry, range: Range<usize>, length: usize) -> impl Iterator<Item = Piece> + '_ {
    let (bytes, Range { start, end }) = (entry.bytes(), range);
    let piece = move |start: usize| Piece {
        id: entry.id,
        start: start as u32,
        whole: bytes.len() as u32,
        bytes: bytes.slice(start..(start + length).min(end)),
    };
    (start..end).step_by(length).map(piece)
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
        let length = whole.bytes().len();
        let all: Vec<Piece> = pieces(&whole, 0..length, 1_000).collect();
        assert_eq!(all.len(), length.div_ceil(1_000));
        let (late, rest) = all.split_last().unwrap();
        for piece in rest.iter().rev().chain(rest).filter(|piece| piece.start != 3_000) {
            assert_eq!(early.add_piece(piece), None);
        }
        let missing = |early: &Early| -> Vec<(u32, u32)> {
            early.missing_pieces(whole.id).unwrap().map(|range| (range.first, range.last)).collect()
        };
        assert_eq!(missing(&early), [(3_000, 3_999), (late.start, length as u32 - 1)]);
        assert_eq!(early.add_piece(late), None);
        assert_eq!(missing(&early), [(3_000, 3_999)]);
        assert_eq!(early.add_piece(&rest[3]), Some(whole.bytes().clone()));
        assert_eq!(early.part_bytes, 0);
    }

    #[test]
    fn early_pieces_of_other_lengths_fit_together() {
        let whole = entry(5, 10_000);
        let length = whole.bytes().len();
        for (one, other) in [(1_000, 700), (700, 1_000), (999, 3), (1, 9_000)] {
            let mut early = Early::default();
            let even = pieces(&whole, 0..length, one).enumerate().filter(|(at, _)| at % 2 == 0);
            for (_, piece) in even {
                assert_eq!(early.add_piece(&piece), None);
            }
            let gaps: Vec<PieceRange> = early.missing_pieces(whole.id).unwrap().collect();
            let all: Vec<Option<Bytes>> =
                pieces(&whole, 0..length, other).map(|piece| early.add_piece(&piece)).collect();
            let made: Vec<&Bytes> = all.iter().flatten().collect();
            assert_eq!(made, [whole.bytes()], "{one}, {other}: {} gaps", gaps.len());
            assert!(gaps.len() > 4, "{one}: {} gaps", gaps.len());
        }
    }

    #[test]
    fn early_pieces_of_an_entry_with_a_false_length_give_way() {
        let (mut early, whole) = (Early::default(), entry(5, 10_000));
        let length = whole.bytes().len();
        let lie = Piece { id: whole.id, start: 0, whole: 20_000, bytes: Bytes::from(vec![7; 15_000]) };
        assert_eq!(early.add_piece(&lie), None);
        let made = pieces(&whole, 0..length, 1_000).filter_map(|piece| early.add_piece(&piece)).count();
        assert_eq!((made, early.part_bytes), (1, 0));
    }

    #[test]
    fn early_pieces_of_a_peer_that_invents_them_are_bounded() {
        let mut early = Early::default();
        for number in 1..100_u64 {
            for at in 0..200 {
                let id = EntryId { origin: MemberId(1), number };
                let bytes = Bytes::from(vec![0; 1_000]);
                early.add_piece(&Piece { id, start: at * 2_000, whole: 1 << 20, bytes });
            }
        }
        assert!(early.part_bytes <= MOST_BYTES, "{}", early.part_bytes);
        assert!(!early.parts.is_empty());
        early.drop_parts_upto(1_000);
        assert_eq!(early.part_bytes, 0);
    }
}
