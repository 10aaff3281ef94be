//! A row of a journal's table: a few records that were appended together, behind a CRC-32. The key of a row is the index
//! of its first record.
//!
//! A busy member appends many records in a commit. With a row for each, the tree would be searched and balanced once a
//! record.

use bytes::Bytes;

use crate::wire::{Malformed, Reader, Writer};

/// The bytes after which a row takes no more records. A longer record has a row of its own.
const FULL: usize = 32 << 10;
/// The most bytes of a number.
const LONGEST_NUMBER: usize = 10;
/// The length of the checksum at the start.
const SUM: usize = 4;

/// The records of a row with their indices, ascending. There is at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Row(pub(super) Vec<(u64, Bytes)>);

impl Row {
    /// Divides the next records, from `index` on, into rows.
    pub(super) fn divide(index: u64, records: &[Bytes]) -> Vec<Self> {
        let (mut rows, mut row, mut length) = (Vec::new(), Vec::new(), 0);
        for (index, record) in (index..).zip(records) {
            if length + record.len() > FULL && !row.is_empty() {
                rows.push(Self(std::mem::take(&mut row)));
                length = 0;
            }
            length += record.len();
            row.push((index, record.clone()));
        }
        if !row.is_empty() {
            rows.push(Self(row));
        }
        rows
    }

    /// Returns the key.
    pub(super) fn key(&self) -> u64 {
        self.0.first().map_or(0, |(index, _)| *index)
    }

    /// Returns the bytes under the key: for each record, how far its index is from the one before, its length, and
    /// itself.
    pub(super) fn bytes(&self) -> Bytes {
        let records = self.0.iter().map(|(_, record)| record.len()).sum::<usize>();
        let mut out = Writer::with_capacity(SUM + records + 2 * LONGEST_NUMBER * self.0.len());
        out.u32(0);
        let mut last = self.key();
        for (index, record) in &self.0 {
            out.varint(index - last);
            out.varint(record.len() as u64);
            out.raw(record);
            last = *index;
        }
        let sum = sum(self.key(), &out.header()[SUM..]);
        out.header()[..SUM].copy_from_slice(&sum.to_le_bytes());
        out.finish().0
    }

    /// Returns the row under this key, if the bytes are as they were written.
    pub(super) fn parse(key: u64, bytes: &[u8]) -> Option<Self> {
        let (expected, fields) = bytes.split_first_chunk::<SUM>()?;
        if *expected != sum(key, fields).to_le_bytes() {
            return None;
        }
        let mut from = Reader::new(Bytes::copy_from_slice(fields), Bytes::new());
        let (mut records, mut last) = (Vec::new(), key);
        while !from.is_at_end() {
            let (index, record) = record(last, &mut from).ok()?;
            records.push((index, record));
            last = index;
        }
        (!records.is_empty()).then_some(Self(records))
    }
}

fn record(last: u64, from: &mut Reader) -> Result<(u64, Bytes), Malformed> {
    let index = last.checked_add(from.varint()?).ok_or(Malformed)?;
    let length = from.varint()?;
    Ok((index, from.raw(usize::try_from(length).map_err(|_| Malformed)?)?))
}

fn sum(key: u64, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_le_bytes());
    hasher.update(fields);
    hasher.finalize()
}
