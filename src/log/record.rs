//! The records of a log, as bytes: entries in the order, and between them the state of all that is before.

use bytes::Bytes;

use crate::wire::{Batch, Malformed, Reader, Writer};

/// One life of a client: its id and its incarnation.
pub type Life = (String, u32);

/// Consecutive multicasts of one life, with consecutive places in the order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The place of the first message, counted from 1 through all runs of the group.
    pub place: u64,
    /// The time of the calendar at which the sequencer recorded it, in microseconds since 1970. It may jump.
    pub time_us: u64,
    /// The life that multicast it.
    pub sender: Life,
    /// The messages, with the numbers that their sender gave them.
    pub batch: Batch,
}

/// A client at a place in the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sender {
    /// Its newest incarnation.
    pub incarnation: u32,
    /// The last message number of that incarnation.
    pub last: u64,
    /// The number of its messages, of all incarnations.
    pub messages: u64,
}

/// The state of a log before an entry. A log begins with one, and has more: what is before any of them can be removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Base {
    /// The number of the log, which tells it from all others.
    pub run: u64,
    /// The last place before the entry.
    pub place: u64,
    /// The clients that have entries up to that place, sorted.
    pub senders: Vec<(String, Sender)>,
}

/// A record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// An entry.
    Entry(Entry),
    /// A base.
    Base(Base),
}

const ENTRY: u8 = 1;
const BASE: u8 = 2;

/// An entry without its texts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The place of the first message.
    pub place: u64,
    /// The time at which it was recorded, in microseconds since 1970.
    pub time_us: u64,
    /// The life that multicast it.
    pub sender: Life,
    /// The number of the first message among those of its sender.
    pub first: u64,
    /// The number of messages, at least 1.
    pub count: u64,
}

impl Step {
    /// Returns the last place.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.place + self.count - 1
    }
}

impl Entry {
    /// Returns it without its texts.
    #[must_use]
    pub fn step(&self) -> Step {
        let (first, count) = (self.batch.first(), u64::from(self.batch.count()));
        Step { place: self.place, time_us: self.time_us, sender: self.sender.clone(), first, count }
    }

    /// Returns the last place.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.place + u64::from(self.batch.count()) - 1
    }
}

impl Record {
    /// Returns the record as bytes.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let mut out = Writer::default();
        match self {
            Self::Entry(Entry { place, time_us, sender: (id, incarnation), batch }) => {
                out.u8(ENTRY);
                out.u64(*place);
                out.u64(*time_us);
                write_id(id, &mut out);
                out.u32(*incarnation);
                out.u64(batch.first());
                out.u32(batch.count());
                out.raw(batch.body());
            }
            Self::Base(Base { run, place, senders }) => {
                out.u8(BASE);
                out.u64(*run);
                out.u64(*place);
                out.varint(senders.len() as u64);
                for (id, Sender { incarnation, last, messages }) in senders {
                    write_id(id, &mut out);
                    out.u32(*incarnation);
                    out.u64(*last);
                    out.u64(*messages);
                }
            }
        }
        out.finish().0
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Malformed`] unless the bytes are exactly one record.
    pub fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes, Bytes::new());
        let record = match from.u8()? {
            ENTRY => {
                let (place, time_us) = (from.u64()?, from.u64()?);
                let sender = (read_id(&mut from)?, from.u32()?);
                let (first, count) = (from.u64()?, from.u32()?);
                let batch = Batch::parse(first, count, from.rest())?;
                let fits = place > 0 && place.checked_add(u64::from(count)).is_some();
                if !fits {
                    return Err(Malformed);
                }
                Self::Entry(Entry { place, time_us, sender, batch })
            }
            BASE => {
                let (run, place, count) = (from.u64()?, from.u64()?, from.varint()?);
                let mut senders = Vec::new();
                for _ in 0..count {
                    let id = read_id(&mut from)?;
                    let (incarnation, last, messages) = (from.u32()?, from.u64()?, from.u64()?);
                    senders.push((id, Sender { incarnation, last, messages }));
                }
                Self::Base(Base { run, place, senders })
            }
            _ => return Err(Malformed),
        };
        from.end().map(|()| record)
    }
}

/// Appends an id, which has at most 64 bytes.
fn write_id(id: &str, out: &mut Writer) {
    out.varint(id.len() as u64);
    out.raw(id.as_bytes());
}

fn read_id(from: &mut Reader) -> Result<String, Malformed> {
    let length = usize::try_from(from.varint()?).map_err(|_| Malformed)?;
    String::from_utf8(from.raw(length)?.to_vec()).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BatchBuilder;

    #[test]
    fn records_come_back_as_they_were_written_and_no_part_of_one_is_a_record() {
        let mut batch = BatchBuilder::new(7);
        batch.push(b"first");
        batch.push(b"");
        let batch = batch.finish().unwrap();
        let entry = Entry { place: 9, time_us: 1_700_000_000_000_000, sender: ("c1".into(), 3), batch };
        assert_eq!(entry.last(), 10);
        let sender = Sender { incarnation: 3, last: 8, messages: 108 };
        let base = Base { run: 77, place: 8, senders: vec![("c1".into(), sender)] };
        for record in [Record::Entry(entry), Record::Base(base)] {
            let bytes = record.bytes();
            assert_eq!(Record::read(bytes.clone()), Ok(record));
            (0..bytes.len()).for_each(|end| assert_eq!(Record::read(bytes.slice(..end)), Err(Malformed)));
        }
    }
}
