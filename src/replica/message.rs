//! Messages between the members of a cluster. Each travels in one datagram, alone or beside others.

use bytes::Bytes;

use super::entry::{Entry, EntryId, MOST_MEMBERS};
use super::epoch::{Ballot, Change, Request};
use super::record::{Confirmed, Forgotten};
use crate::ids::MemberId;
use crate::wire::batch::MAX_BODY;
use crate::wire::{Malformed, Reader, Wire, Writer};

/// Most ranges of a [`Want`], of entries and of pieces each.
pub const MOST_RANGES: usize = 64;
/// Longest entry that travels in pieces, in octets: the longest batch, and the other fields.
pub const LONGEST_ENTRY: u32 = MAX_BODY as u32 + (4 << 10);

/// A message.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Message {
    /// A whole entry.
    Entry(Entry),
    /// A part of an entry that is too long for a datagram.
    Piece(Piece),
    /// The state of the sender, and its knowledge of others.
    Word(Word),
    /// A request to send entries and pieces again.
    Want(Want),
    /// The reply to a request for what the sender has forgotten: this entry, and those of its sender before it. It was
    /// confirmed, and every member had stored it.
    Forgotten(EntryId),
    /// A member asks for a promise to take part in no earlier ballot.
    Prepare(Ballot, Request),
    /// The reply.
    Promise(Promise),
    /// A member asks to accept a change.
    Accept(Ballot, Change),
    /// The reply: the change is stored, and all entries that it names.
    Accepted(Ballot),
    /// A change is decided: it leads to the epoch with this number.
    Decided(u16, Change),
    /// A new member knows the epochs up to this one, and asks for what it lacks.
    Join(u16),
    /// The start of the log of a new member.
    State(State),
}

/// A promise to take part in no earlier ballot.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Promise {
    /// The ballot.
    pub ballot: Ballot,
    /// The clock that its sender does not exceed until the next epoch.
    pub clock: u64,
    /// For each slot, the number up to which it has stored the entries; empty if there is `accepted`, which decides then.
    pub stored: Vec<u64>,
    /// The change that it has accepted last.
    pub accepted: Option<(Ballot, Change)>,
}

/// A part of what a member has forgotten, which is the start of the log of a new member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    /// The epoch.
    pub epoch: u16,
    /// The forgotten prefix of the order.
    pub confirmed: Confirmed,
    /// The slot of the first of `origins`.
    pub first: MemberId,
    /// For each slot from that one on, what is known of the forgotten entries.
    pub origins: Vec<Forgotten>,
}

/// A part of an entry, by its place in it, so that pieces of holders whose datagrams have other lengths fit together.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Piece {
    /// The entry.
    pub id: EntryId,
    /// The number of octets of the entry before the piece.
    pub start: u32,
    /// The length of the entry, in octets, up to [`LONGEST_ENTRY`].
    pub whole: u32,
    /// The octets, at least one and not all of the entry.
    pub bytes: Bytes,
}

/// The state of a member, and its knowledge of others.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Word {
    /// The life of the member.
    pub life: u32,
    /// The number of entries that it has confirmed.
    pub confirmed: u64,
    /// Their chained digest.
    pub digest: u64,
    /// The number of datagrams that its socket buffer holds.
    pub room: u64,
    /// True if it knows that all members have confirmed everything.
    pub settled: bool,
    /// The member of the first number in each list of this word. Those of the next members follow: all, if there is room.
    pub first: MemberId,
    /// For each of these members, the number up to which it has received entries, stored or not. Only flow control uses it.
    pub received: Vec<u64>,
    /// The line of the member itself first, then lines of others.
    pub lines: Vec<Line>,
}

/// The promises of a member, first-hand or passed on. `sent` and `clock` belong together.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Line {
    /// The member.
    pub member: MemberId,
    /// The number of entries that it has sent.
    pub sent: u64,
    /// A lower bound of the times of all its later entries: they are above it.
    pub clock: u64,
    /// For each member that the word tells of, the number up to which it has stored the entries.
    pub stored: Vec<u64>,
}

impl Word {
    /// Returns the number for `member` in a list of this word, if it has one.
    #[must_use]
    pub fn number(&self, list: &[u64], member: usize) -> Option<u64> {
        let at = member.checked_sub(usize::from(self.first.0))?;
        list.get(at).copied()
    }
}

/// A request to send entries and pieces again.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Want {
    /// Most bytes of the reply.
    pub room: u64,
    /// Ranges of entries.
    pub entries: Vec<EntryRange>,
    /// Ranges of octets of entries of which pieces have come.
    pub pieces: Vec<PieceRange>,
}

/// A range of entries of one sender, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EntryRange {
    /// The sender.
    pub origin: MemberId,
    /// The first number, from 1.
    pub first: u64,
    /// The last number.
    pub last: u64,
}

/// A range of octets of one entry, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PieceRange {
    /// The entry.
    pub id: EntryId,
    /// The first octet, from 0.
    pub first: u32,
    /// The last octet, below [`LONGEST_ENTRY`].
    pub last: u32,
}

const ENTRY: u8 = 8;
const WORD: u8 = 9;
const WANT: u8 = 10;
const PIECE: u8 = 11;
const FORGOTTEN: u8 = 12;
const PREPARE: u8 = 13;
const PROMISE: u8 = 14;
const ACCEPT: u8 = 15;
const ACCEPTED: u8 = 16;
const DECIDED: u8 = 17;
const JOIN: u8 = 18;
const STATE: u8 = 19;

impl Message {
    /// Returns the message as bytes: its kind, then its fields.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let length = if let Self::Entry(entry) = self { entry.bytes().len() } else { 0 };
        let mut out = Writer::with_capacity(1 + length);
        match self {
            Self::Entry(entry) => {
                out.u8(ENTRY);
                out.raw(entry.bytes());
            }
            Self::Piece(piece) => {
                out.u8(PIECE);
                piece.write(&mut out);
            }
            Self::Word(word) => {
                out.u8(WORD);
                word.write(&mut out);
            }
            Self::Want(want) => {
                out.u8(WANT);
                want.write(&mut out);
            }
            Self::Forgotten(id) => {
                out.u8(FORGOTTEN);
                id.write(&mut out);
            }
            other => other.write_change(&mut out),
        }
        out.finish().0
    }

    /// Returns the message in these bytes.
    ///
    /// # Errors
    /// [`Malformed`] if they are not exactly one message.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes, Bytes::new());
        let message = match from.u8()? {
            ENTRY => Self::Entry(Entry::parse(from.rest())?),
            PIECE => Self::Piece(Piece::read(&mut from)?),
            WORD => Self::Word(Word::read(&mut from)?),
            WANT => Self::Want(Want::read(&mut from)?),
            FORGOTTEN => Self::Forgotten(EntryId::read(&mut from)?),
            PREPARE => Self::Prepare(Wire::read(&mut from)?, Wire::read(&mut from)?),
            PROMISE => Self::Promise(Promise::read(&mut from)?),
            ACCEPT => Self::Accept(Wire::read(&mut from)?, Wire::read(&mut from)?),
            ACCEPTED => Self::Accepted(Wire::read(&mut from)?),
            DECIDED => Self::Decided(from.u16()?, Wire::read(&mut from)?),
            JOIN => Self::Join(from.u16()?),
            STATE => Self::State(State::read(&mut from)?),
            _ => return Err(Malformed),
        };
        from.end()?;
        Ok(message)
    }

    /// Appends a message about the members.
    fn write_change(&self, out: &mut Writer) {
        match self {
            Self::Entry(_) | Self::Piece(_) | Self::Word(_) | Self::Want(_) | Self::Forgotten(_) => {}
            Self::Prepare(ballot, request) => {
                out.u8(PREPARE);
                ballot.write(out);
                request.write(out);
            }
            Self::Promise(promise) => {
                out.u8(PROMISE);
                promise.write(out);
            }
            Self::Accept(ballot, change) => {
                out.u8(ACCEPT);
                ballot.write(out);
                change.write(out);
            }
            Self::Accepted(ballot) => {
                out.u8(ACCEPTED);
                ballot.write(out);
            }
            Self::Decided(number, change) => {
                out.u8(DECIDED);
                out.u16(*number);
                change.write(out);
            }
            Self::Join(epoch) => {
                out.u8(JOIN);
                out.u16(*epoch);
            }
            Self::State(state) => {
                out.u8(STATE);
                state.write(out);
            }
        }
    }
}

impl Wire for Promise {
    fn write(&self, out: &mut Writer) {
        self.ballot.write(out);
        out.varint(self.clock);
        out.varints(&self.stored);
        self.accepted.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let promise = Self {
            ballot: Wire::read(from)?,
            clock: from.varint()?,
            stored: from.varints(MOST_MEMBERS)?,
            accepted: Wire::read(from)?,
        };
        if promise.stored.is_empty() == promise.accepted.is_some() { Ok(promise) } else { Err(Malformed) }
    }
}

impl Wire for State {
    fn write(&self, out: &mut Writer) {
        out.u16(self.epoch);
        self.confirmed.write(out);
        out.member(self.first);
        write_list(&self.origins, out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            epoch: from.u16()?,
            confirmed: Wire::read(from)?,
            first: from.member()?,
            origins: read_list(from, MOST_MEMBERS)?,
        })
    }
}

impl Wire for Piece {
    fn write(&self, out: &mut Writer) {
        self.id.write(out);
        out.varint(self.start.into());
        out.varint(self.whole.into());
        out.raw(&self.bytes);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let id = EntryId::read(from)?;
        let (start, whole) = (octets(from.varint()?)?, octets(from.varint()?)?);
        let bytes = from.rest();
        let end = start as usize + bytes.len();
        let is_part = !bytes.is_empty() && bytes.len() < whole as usize && end <= whole as usize;
        if is_part { Ok(Self { id, start, whole, bytes }) } else { Err(Malformed) }
    }
}

impl Wire for Word {
    fn write(&self, out: &mut Writer) {
        out.varint(u64::from(self.life));
        out.varint(self.confirmed);
        out.u64(self.digest);
        out.varint(self.room);
        out.u8(u8::from(self.settled));
        out.member(self.first);
        out.varints(&self.received);
        write_list(&self.lines, out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            life: u32::try_from(from.varint()?).map_err(|_| Malformed)?,
            confirmed: from.varint()?,
            digest: from.u64()?,
            room: from.varint()?,
            settled: match from.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed),
            },
            first: from.member()?,
            received: from.varints(MOST_MEMBERS)?,
            lines: read_list(from, MOST_MEMBERS)?,
        })
    }
}

impl Wire for Line {
    fn write(&self, out: &mut Writer) {
        out.member(self.member);
        out.varint(self.sent);
        out.varint(self.clock);
        out.varints(&self.stored);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            member: from.member()?,
            sent: from.varint()?,
            clock: from.varint()?,
            stored: from.varints(MOST_MEMBERS)?,
        })
    }
}

impl Wire for Want {
    fn write(&self, out: &mut Writer) {
        out.varint(self.room);
        write_list(&self.entries, out);
        write_list(&self.pieces, out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let want = Self {
            room: from.varint()?,
            entries: read_list(from, MOST_RANGES)?,
            pieces: read_list(from, MOST_RANGES)?,
        };
        if want.entries.is_empty() && want.pieces.is_empty() { Err(Malformed) } else { Ok(want) }
    }
}

impl Wire for EntryRange {
    fn write(&self, out: &mut Writer) {
        out.member(self.origin);
        out.varint(self.first);
        out.varint(self.last - self.first);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (origin, first, more) = (from.member()?, from.varint()?, from.varint()?);
        let last = first.checked_add(more).filter(|_| first > 0).ok_or(Malformed)?;
        Ok(Self { origin, first, last })
    }
}

impl Wire for PieceRange {
    fn write(&self, out: &mut Writer) {
        self.id.write(out);
        out.varint(self.first.into());
        out.varint((self.last - self.first).into());
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (id, first, more) = (EntryId::read(from)?, octets(from.varint()?)?, octets(from.varint()?)?);
        let last = first + more;
        if last < LONGEST_ENTRY { Ok(Self { id, first, last }) } else { Err(Malformed) }
    }
}

impl Wire for EntryId {
    fn write(&self, out: &mut Writer) {
        out.member(self.origin);
        out.varint(self.number);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (origin, number) = (from.member()?, from.varint()?);
        if number > 0 { Ok(Self { origin, number }) } else { Err(Malformed) }
    }
}

/// Checks a number of octets of an entry.
fn octets(number: u64) -> Result<u32, Malformed> {
    u32::try_from(number).ok().filter(|&octets| octets <= LONGEST_ENTRY).ok_or(Malformed)
}

/// Appends a list of at most 255 entries.
fn write_list<T: Wire>(list: &[T], out: &mut Writer) {
    out.u8(u8::try_from(list.len()).expect("lists in words are short"));
    list.iter().for_each(|entry| entry.write(out));
}

fn read_list<T: Wire>(from: &mut Reader, most: usize) -> Result<Vec<T>, Malformed> {
    let length = usize::from(from.u8()?);
    if length > most { Err(Malformed) } else { (0..length).map(|_| T::read(from)).collect() }
}
