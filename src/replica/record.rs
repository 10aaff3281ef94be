//! Records: the lines of a journal.
//!
//! A record is appended before anything is promised that rests on it: a member sends, acknowledges or confirms nothing
//! that its journal does not have.

use bytes::Bytes;

use super::entry::{Entry, MOST_MEMBERS, Stamp};
use crate::wire::{Malformed, Reader, Wire, Writer, wire_struct};

/// A record.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Record {
    /// A start of the member.
    Life {
        /// Its number, from 1.
        number: u32,
    },
    /// An entry, its own or another member's.
    Entry(Entry),
    /// Everything up to a place is confirmed.
    Confirmed(Confirmed),
    /// The entries that the journal has forgotten.
    Snapshot(Snapshot),
}

/// A confirmed prefix of the order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Confirmed {
    /// The place of its last entry.
    pub upto: Stamp,
    /// The number of its entries.
    pub entries: u64,
    /// The number of messages to everybody in them.
    pub count: u64,
    /// The chained digest of the entries that have such messages.
    pub digest: u64,
}

/// The part of a log that is confirmed, that every member has stored, and that is forgotten.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Snapshot {
    /// The forgotten prefix of the order.
    pub confirmed: Confirmed,
    /// For each member, what is known of its forgotten entries.
    pub origins: Vec<Forgotten>,
    /// The number of direct messages to this member in it.
    pub received: u64,
    /// For each member, the number of direct messages of this member to it.
    pub sent: Vec<u64>,
}

/// The forgotten entries of one member.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Forgotten {
    /// The number of the last one.
    pub number: u64,
    /// Its Lamport time.
    pub time: u64,
    /// Its digest.
    pub digest: u64,
    /// The number of messages that the member had multicast by then.
    pub multicasts: u64,
    /// True if the member sends nothing more.
    pub finished: bool,
}

const LIFE: u8 = 1;
const ENTRY: u8 = 2;
const CONFIRMED: u8 = 3;
const SNAPSHOT: u8 = 4;

impl Record {
    /// Returns the record as bytes.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let length = if let Self::Entry(entry) = self { entry.bytes().len() } else { 0 };
        let mut out = Writer::with_capacity(1 + length);
        self.write(&mut out);
        out.finish().0
    }

    /// Returns the record in these bytes.
    ///
    /// # Errors
    /// [`Malformed`] if they are not exactly one record.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes, Bytes::new());
        let record = Self::read(&mut from)?;
        from.end()?;
        Ok(record)
    }
}

impl Wire for Record {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Life { number } => {
                out.u8(LIFE);
                out.u32(*number);
            }
            Self::Entry(entry) => {
                out.u8(ENTRY);
                out.raw(entry.bytes());
            }
            Self::Confirmed(confirmed) => {
                out.u8(CONFIRMED);
                confirmed.write(out);
            }
            Self::Snapshot(snapshot) => {
                out.u8(SNAPSHOT);
                snapshot.write(out);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            LIFE => Self::Life { number: from.u32()? },
            ENTRY => Self::Entry(Entry::parse(from.rest())?),
            CONFIRMED => Self::Confirmed(Wire::read(from)?),
            SNAPSHOT => Self::Snapshot(Wire::read(from)?),
            _ => return Err(Malformed),
        })
    }
}

wire_struct!(Stamp { time, origin });
wire_struct!(Confirmed { upto, entries, count, digest });

impl Wire for Snapshot {
    fn write(&self, out: &mut Writer) {
        self.confirmed.write(out);
        self.origins.write(out);
        self.received.write(out);
        out.varints(&self.sent);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            confirmed: Wire::read(from)?,
            origins: Wire::read(from)?,
            received: Wire::read(from)?,
            sent: from.varints(MOST_MEMBERS)?,
        })
    }
}

impl Wire for Forgotten {
    fn write(&self, out: &mut Writer) {
        let Self { number, time, digest, multicasts, finished } = *self;
        [number, time, digest, multicasts, u64::from(finished)].into_iter().for_each(|field| out.u64(field));
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let mut field = || from.u64();
        let (number, time, digest, multicasts) = (field()?, field()?, field()?, field()?);
        let finished = match field()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        Ok(Self { number, time, digest, multicasts, finished })
    }
}

impl crate::wire::Entry for Forgotten {
    const SHORTEST: usize = 40;
}
