//! Fields: the primitives of every header, and the trait of all types that travel in packets.
//!
//! A [`Reader`] never reads past its end, never allocates what a length claims, and never panics.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::weight::Weight;
use crate::ids::MemberId;

/// Most entries of a list.
const MAX_LIST: usize = u16::MAX as usize;

/// The error of malformed bytes. It carries no detail: malformed packets are counted, not explained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

/// A type that travels in packets: as header fields and, for a batch, as the body.
pub trait Wire: Sized + Clone + std::fmt::Debug {
    /// Appends the fields to the header and hands over the body.
    fn write(&self, out: &mut Writer);

    /// Reads the fields back.
    ///
    /// # Errors
    /// [`Malformed`] if the fields are not those that [`Wire::write`] writes.
    fn read(from: &mut Reader) -> Result<Self, Malformed>;

    /// Returns the share of messages in it, by which a send window counts.
    fn weight(&self) -> Weight {
        Weight::default()
    }
}

/// A packet under construction: a header of fields and at most one body.
#[derive(Debug, Default)]
pub struct Writer {
    header: BytesMut,
    body: Bytes,
}

impl Writer {
    /// Returns a writer whose header takes so many bytes without growing.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { header: BytesMut::with_capacity(bytes), body: Bytes::new() }
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.header.put_u8(value);
    }

    /// Appends a 16-bit number, little-endian.
    pub fn u16(&mut self, value: u16) {
        self.header.put_u16_le(value);
    }

    /// Appends a 32-bit number, little-endian.
    pub fn u32(&mut self, value: u32) {
        self.header.put_u32_le(value);
    }

    /// Appends a 64-bit number, little-endian.
    pub fn u64(&mut self, value: u64) {
        self.header.put_u64_le(value);
    }

    /// Appends a member's slot.
    pub fn member(&mut self, member: MemberId) {
        self.u16(member.0);
    }

    /// Appends raw bytes whose length the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.header.put_slice(bytes);
    }

    /// Appends a number as LEB128: seven bits in each byte, the lowest first.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.header.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.header.put_u8(value as u8);
    }

    /// Appends a list of numbers as LEB128. It must have at most 255 entries.
    pub fn varints(&mut self, values: &[u64]) {
        self.u8(u8::try_from(values.len()).expect("lists of numbers are short"));
        values.iter().for_each(|&value| self.varint(value));
    }

    /// Appends the length of a list, which must be at most 65,535.
    pub fn length(&mut self, length: usize) {
        self.u16(u16::try_from(length).expect("lists in headers are short"));
    }

    /// Returns the header so far, for a checksum that stands before what it is of.
    pub fn header(&mut self) -> &mut [u8] {
        &mut self.header
    }

    /// Sets the body. A packet has at most one.
    pub fn body(&mut self, body: Bytes) {
        debug_assert!(self.body.is_empty(), "one body a packet");
        self.body = body;
    }

    /// Returns the packet: header and body.
    #[must_use]
    pub fn finish(self) -> (Bytes, Bytes) {
        (self.header.freeze(), self.body)
    }
}

/// Returns the number of bytes of [`Writer::varint`].
#[must_use]
pub const fn varint_length(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Reads a packet, front to back.
#[derive(Debug)]
pub struct Reader {
    header: Bytes,
    body: Bytes,
    /// True while it reads an outline and has not reached the batch.
    lacks_texts: bool,
}

impl Reader {
    /// Returns a reader at the start of `header`.
    #[must_use]
    pub const fn new(header: Bytes, body: Bytes) -> Self {
        Self { header, body, lacks_texts: false }
    }

    /// Reads so many raw bytes.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header; the same for the functions below.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = *self.header.first_chunk::<N>().ok_or(Malformed)?;
        bytes::Buf::advance(&mut self.header, N);
        Ok(bytes)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take::<1>()?[0])
    }

    /// Reads a 16-bit number.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Takes this many raw bytes.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header.
    pub fn raw(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.header.len() { Err(Malformed) } else { Ok(self.header.split_to(length)) }
    }

    /// Reads a number as LEB128. It has one form only: the last byte of a longer form is not zero.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header, beyond 64 bits, or if the form is not the shortest.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(Malformed) } else { Ok(value) };
            }
        }
        Err(Malformed)
    }

    /// Reads a list of at most `most` numbers as LEB128.
    ///
    /// # Errors
    /// [`Malformed`] as [`Reader::varint`], or if the list is longer.
    pub fn varints(&mut self, most: usize) -> Result<Vec<u64>, Malformed> {
        let length = usize::from(self.u8()?);
        if length > most.min(self.header.len()) {
            return Err(Malformed);
        }
        (0..length).map(|_| self.varint()).collect()
    }

    /// Returns whether the header has been read to its end.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.header.is_empty()
    }

    /// Takes the rest of the header.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.header)
    }

    /// Reads a member's slot.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the header.
    pub fn member(&mut self) -> Result<MemberId, Malformed> {
        Ok(MemberId(self.u16()?))
    }

    /// Reads the length of a list whose entries take `entry` bytes each; refuses one that cannot be there.
    ///
    /// # Errors
    /// [`Malformed`] if the header is too short for that many entries.
    pub fn length(&mut self, entry: usize) -> Result<usize, Malformed> {
        let length = usize::from(self.u16()?);
        if length * entry > self.header.len() { Err(Malformed) } else { Ok(length) }
    }

    /// Marks the packet as an outline: its batch has no body.
    pub(crate) const fn without_texts(&mut self) -> &mut Self {
        self.lacks_texts = true;
        self
    }

    /// Returns whether the batch at this point has no body.
    pub(super) const fn was_left_out(&mut self) -> bool {
        std::mem::replace(&mut self.lacks_texts, false)
    }

    /// Takes the body, leaving none.
    pub fn body(&mut self) -> Bytes {
        std::mem::take(&mut self.body)
    }

    /// Requires that everything has been read.
    ///
    /// # Errors
    /// [`Malformed`] if anything is left, or nothing was left out of an outline.
    pub fn end(self) -> Result<(), Malformed> {
        let is_over = self.header.is_empty() && self.body.is_empty() && !self.lacks_texts;
        if is_over { Ok(()) } else { Err(Malformed) }
    }
}

/// An entry of a list.
pub trait Entry: Wire {
    /// Length of the shortest entry, in bytes.
    const SHORTEST: usize;

    /// Returns whether a list may have this entry behind `before`, or at its start.
    fn may_follow(&self, before: Option<&Self>) -> bool {
        let _ = before;
        true
    }
}

impl<T: Entry> Wire for Vec<T> {
    fn write(&self, out: &mut Writer) {
        let entries = &self[..self.len().min(MAX_LIST)];
        out.length(entries.len());
        entries.iter().for_each(|entry| entry.write(out));
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let mut entries = Self::new();
        for _ in 0..from.length(T::SHORTEST)? {
            let entry = T::read(from)?;
            if !entry.may_follow(entries.last()) {
                return Err(Malformed);
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// A number for each of some members, ascending: no member is named twice, and every map has one form.
impl Wire for BTreeMap<MemberId, u64> {
    fn write(&self, out: &mut Writer) {
        out.length(self.len());
        for (member, number) in self {
            member.write(out);
            number.write(out);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let mut map = Self::new();
        for _ in 0..from.length(10)? {
            let (member, number) = Wire::read(from)?;
            if map.last_key_value().is_some_and(|(&last, _)| last >= member) {
                return Err(Malformed);
            }
            map.insert(member, number);
        }
        Ok(map)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Writer) {
        out.u8(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => Ok(None),
            1 => Ok(Some(T::read(from)?)),
            _ => Err(Malformed),
        }
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut Writer) {
        (**self).write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        T::read(from).map(Self::new)
    }
}

macro_rules! wire_tuple {
    ($($type:ident $at:tt),*) => {
        impl<$($type: Wire),*> Wire for ($($type,)*) {
            fn write(&self, out: &mut Writer) {
                $(self.$at.write(out);)*
            }

            fn read(from: &mut Reader) -> Result<Self, Malformed> {
                Ok(($($type::read(from)?,)*))
            }
        }
    };
}
wire_tuple!(A 0, B 1);
wire_tuple!(A 0, B 1, C 2);

macro_rules! wire_primitive {
    ($($type:ty, $method:ident);*) => {$(
        impl Wire for $type {
            fn write(&self, out: &mut Writer) {
                out.$method(*self);
            }

            fn read(from: &mut Reader) -> Result<Self, Malformed> {
                from.$method()
            }
        }
    )*};
}
wire_primitive!(u16, u16; u32, u32; u64, u64; MemberId, member);

/// Implements [`Wire`] for a structure: its fields in this order.
macro_rules! wire_struct {
    ($type:ident { $($field:ident),* }) => {
        impl $crate::wire::Wire for $type {
            fn write(&self, out: &mut $crate::wire::Writer) {
                $($crate::wire::Wire::write(&self.$field, out);)*
            }

            fn read(from: &mut $crate::wire::Reader) -> Result<Self, $crate::wire::Malformed> {
                Ok(Self { $($field: $crate::wire::Wire::read(from)?),* })
            }
        }
    };
}
pub(crate) use wire_struct;

/// Implements [`Wire`] for an enumeration: the tag of a variant, then its fields in this order.
macro_rules! wire_enum {
    ($type:ident { $($tag:literal => $variant:ident $(($($field:ident),*))?),* }) => {
        impl $crate::wire::Wire for $type {
            fn write(&self, out: &mut $crate::wire::Writer) {
                match self {
                    $(Self::$variant $(($($field),*))? => {
                        out.u8($tag);
                        $($($crate::wire::Wire::write($field, out);)*)?
                    })*
                }
            }

            fn read(from: &mut $crate::wire::Reader) -> Result<Self, $crate::wire::Malformed> {
                match from.u8()? {
                    $($tag => {
                        $($(let $field = $crate::wire::Wire::read(from)?;)*)?
                        Ok(Self::$variant $(($($field),*))?)
                    })*
                    _ => Err($crate::wire::Malformed),
                }
            }
        }
    };
}
pub(crate) use wire_enum;
