//! Records: the lines of a journal.
//!
//! A record is appended before anything is promised that rests on it: a member sends, acknowledges or confirms nothing
//! that its journal does not have.

use bytes::Bytes;

use super::entry::{Entry, EntryId, MOST_MEMBERS, Stamp};
use super::epoch::{Ballot, Change, Request};
use crate::ids::MemberId;
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
    /// A vote on the change to the next epoch.
    Vote(Vote),
    /// The prefix that was confirmed when this member was added: its files begin after it.
    Began(Confirmed),
    /// A change of the members: it leads to the epoch with this number.
    Change(u16, Change),
    /// The clock when entries were withdrawn: a promise may rest on their times.
    Clock(u64),
    /// The journal was found to be an old copy, for this reason: no life begins with it any more.
    Old(Old),
}

/// The reason why a journal is not the last one that its member had.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Old {
    /// Others have another entry of this member under this number.
    Forked(EntryId),
    /// All others have forgotten this entry, as the member had stored it, and the journal lacks it.
    Lacks(EntryId),
}

/// A vote on the change to the next epoch.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Vote {
    /// The epoch in which it was given.
    pub epoch: u16,
    /// The ballot before which nothing more is accepted.
    pub ballot: Ballot,
    /// The request of that ballot.
    pub request: Option<Request>,
    /// The clock that is not exceeded until the next epoch.
    pub clock: u64,
    /// The members that may be removed: nothing more of them is taken.
    pub targets: Vec<MemberId>,
    /// The change that was accepted last.
    pub accepted: Option<(Ballot, Change)>,
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
const VOTE: u8 = 5;
const CHANGE: u8 = 6;
const BEGAN: u8 = 7;
const CLOCK: u8 = 8;
const OLD: u8 = 9;

const FORKED: u8 = 1;
const LACKS: u8 = 2;

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
            Self::Vote(vote) => {
                out.u8(VOTE);
                vote.write(out);
            }
            Self::Began(confirmed) => {
                out.u8(BEGAN);
                confirmed.write(out);
            }
            Self::Change(number, change) => {
                out.u8(CHANGE);
                out.u16(*number);
                change.write(out);
            }
            Self::Clock(clock) => {
                out.u8(CLOCK);
                out.varint(*clock);
            }
            Self::Old(old) => {
                out.u8(OLD);
                let (kind, id) = match old {
                    Old::Forked(id) => (FORKED, id),
                    Old::Lacks(id) => (LACKS, id),
                };
                out.u8(kind);
                id.write(out);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            LIFE => Self::Life { number: from.u32()? },
            ENTRY => Self::Entry(Entry::parse(from.rest())?),
            CONFIRMED => Self::Confirmed(Wire::read(from)?),
            SNAPSHOT => Self::Snapshot(Wire::read(from)?),
            VOTE => Self::Vote(Wire::read(from)?),
            BEGAN => Self::Began(Wire::read(from)?),
            CHANGE => Self::Change(from.u16()?, Wire::read(from)?),
            CLOCK => Self::Clock(from.varint()?),
            OLD => Self::Old(match from.u8()? {
                FORKED => Old::Forked(EntryId::read(from)?),
                LACKS => Old::Lacks(EntryId::read(from)?),
                _ => return Err(Malformed),
            }),
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

impl Wire for Vote {
    fn write(&self, out: &mut Writer) {
        out.u16(self.epoch);
        self.ballot.write(out);
        self.request.write(out);
        out.varint(self.clock);
        let targets: Vec<u64> = self.targets.iter().map(|target| u64::from(target.0)).collect();
        out.varints(&targets);
        self.accepted.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let slot = |number: u64| u16::try_from(number).map(MemberId).map_err(|_| Malformed);
        Ok(Self {
            epoch: from.u16()?,
            ballot: Wire::read(from)?,
            request: Wire::read(from)?,
            clock: from.varint()?,
            targets: from.varints(MOST_MEMBERS)?.into_iter().map(slot).collect::<Result<_, _>>()?,
            accepted: Wire::read(from)?,
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
