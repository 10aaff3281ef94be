//! Entries: what members of a cluster multicast, and the stamps by which entries are sorted.

use std::borrow::Borrow;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ids::MemberId;
use crate::wire::{Batch, Malformed, Reader, Wire, Writer, varint_length};

/// The most members of a cluster.
pub const MOST_MEMBERS: usize = 64;

/// The place of an entry: entries are sorted by the Lamport time, then by the slot of the sender (Lamport 1978).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stamp {
    /// The Lamport time, from 1.
    pub time: u64,
    /// The sender.
    pub origin: MemberId,
}

/// The identity of an entry.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryId {
    /// The sender.
    pub origin: MemberId,
    /// The entry's number among those of its sender: 1, 2, 3, …, through all lives.
    pub number: u64,
}

/// The content of an entry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Content {
    /// Messages to everybody. They are numbered through all entries of their sender.
    Multicast(Batch),
    /// Messages to one member. They are numbered through all entries of their sender to this receiver.
    Direct(MemberId, Batch),
    /// The sender sends nothing more.
    Finished,
}

/// The fields of an entry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Fields {
    /// The identity.
    pub id: EntryId,
    /// The Lamport time. The times of a sender rise with the numbers.
    pub time: u64,
    /// The life of the sender, from 1: one for each start.
    pub life: u32,
    /// The digest of the sender's entry before this one; 0 before the first.
    pub previous: u64,
    /// For each member, the number up to which the sender had shown its entries.
    pub causes: Vec<u64>,
    /// The content.
    pub content: Content,
}

/// An entry: its fields, and the bytes that carry them in datagrams and journals. Immutable.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Entry(Arc<Parsed>);

/// An entry as it came. Log, journal and list share it.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Parsed {
    fields: Fields,
    bytes: Bytes,
    digest: u64,
}

impl std::ops::Deref for Entry {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0.fields
    }
}

impl Entry {
    /// Returns the entry with these fields.
    #[must_use]
    pub fn new(fields: &Fields) -> Self {
        let texts = match &fields.content {
            Content::Multicast(batch) | Content::Direct(_, batch) => batch.body().len(),
            Content::Finished => 0,
        };
        let mut out = Writer::with_capacity(longest_fields(&fields.causes) + texts);
        fields.write(&mut out);
        let (bytes, _) = out.finish();
        // The texts are kept once, as a part of the bytes.
        Self::parse(bytes).expect("an entry can read what it writes")
    }

    /// Returns the entry in these bytes.
    ///
    /// # Errors
    /// [`Malformed`] if they are not exactly one entry.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes.clone(), Bytes::new());
        let fields = Fields::read(&mut from)?;
        from.end()?;
        let digest = xxh3_64_with_seed(&bytes, fields.previous);
        Ok(Self(Arc::new(Parsed { fields, bytes, digest })))
    }

    /// Returns the entry with bytes of its own, so that it keeps nothing else of its datagram in memory.
    #[must_use]
    pub fn alone(self) -> Self {
        Self::parse(Bytes::copy_from_slice(self.bytes())).expect("an entry was parsed before")
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Returns the place of the entry.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { time: self.time, origin: self.id.origin }
    }

    /// Returns the digest of this entry and, through `previous`, of all that its sender sent before it.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.0.digest
    }
}

/// Returns the most bytes that an entry with these causes has beside its texts.
pub(super) fn longest_fields(causes: impl IntoIterator<Item = impl Borrow<u64>>) -> usize {
    // Its id, time, life, digest, kind, receiver, and the numbers of its texts.
    const OTHERS: usize = 2 + 10 + 10 + 5 + 8 + 1 + 2 + 10 + 5;
    let causes = causes.into_iter().map(|number| varint_length(*number.borrow()));
    OTHERS + 1 + causes.sum::<usize>()
}

const MULTICAST: u8 = 1;
const DIRECT: u8 = 2;
const FINISHED: u8 = 3;

impl Wire for Fields {
    fn write(&self, out: &mut Writer) {
        out.member(self.id.origin);
        out.varint(self.id.number);
        out.varint(self.time);
        out.varint(u64::from(self.life));
        out.u64(self.previous);
        out.varints(&self.causes);
        match &self.content {
            Content::Multicast(batch) => {
                out.u8(MULTICAST);
                write_batch(batch, out);
            }
            Content::Direct(to, batch) => {
                out.u8(DIRECT);
                out.member(*to);
                write_batch(batch, out);
            }
            Content::Finished => out.u8(FINISHED),
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            id: EntryId { origin: from.member()?, number: from.varint()? },
            time: from.varint()?,
            life: u32::try_from(from.varint()?).map_err(|_| Malformed)?,
            previous: from.u64()?,
            causes: from.varints(MOST_MEMBERS)?,
            content: match from.u8()? {
                MULTICAST => Content::Multicast(read_batch(from)?),
                DIRECT => Content::Direct(from.member()?, read_batch(from)?),
                FINISHED => Content::Finished,
                _ => return Err(Malformed),
            },
        })
    }
}

/// Appends a batch, whose texts reach to the end of the entry.
fn write_batch(batch: &Batch, out: &mut Writer) {
    out.varint(batch.first());
    out.varint(u64::from(batch.count()));
    out.raw(batch.body());
}

fn read_batch(from: &mut Reader) -> Result<Batch, Malformed> {
    let first = from.varint()?;
    let count = u32::try_from(from.varint()?).map_err(|_| Malformed)?;
    Batch::parse(first, count, from.rest())
}
