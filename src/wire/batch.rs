//! A batch: consecutive messages of one sender to one destination, back to back in one piece of memory.
//!
//! Clients submit batches, engines order them and packets carry them, so that the work per message is a slice. Layout
//! of the body: for each message its length as LEB128, then its bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::field::{Malformed, Reader, Wire, Writer, varint_length};
use super::weight::Weight;

/// Longest message, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// A batch takes no further message once its body has this many bytes.
pub const FULL_BODY: usize = 64 << 10;
/// Longest body of a batch, in bytes: nearly full, then one longest message with its length.
pub const MAX_BODY: usize = FULL_BODY + MAX_TEXT + 4;
/// Most messages of one batch: a full body of empty messages.
pub const MAX_COUNT: u32 = FULL_BODY as u32;

/// The body of the longest outline, whose messages are all empty.
static EMPTY_TEXTS: [u8; MAX_COUNT as usize] = [0; MAX_COUNT as usize];

/// Consecutive messages of one sender to one destination. Never empty, always well-formed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Batch {
    first: u64,
    count: u32,
    body: Bytes,
}

impl Batch {
    /// Returns the number of the first message; a sender's first message to a destination has number 1.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of messages: 1 to [`MAX_COUNT`].
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Returns the number after that of the last message.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.first + self.count as u64
    }

    /// Returns the bytes of the messages, each with its length.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the same messages, numbered from `first` on.
    #[must_use]
    pub fn numbered_from(self, first: u64) -> Self {
        Self { first, ..self }
    }

    /// Returns the messages, each with its number.
    pub fn messages(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut at = 0;
        (self.first..self.next()).map(move |number| {
            let (start, end) = text_at(&self.body, at).expect("a batch is checked when it is made");
            at = end;
            (number, &self.body[start..end])
        })
    }

    /// Reads a batch that a peer sent.
    ///
    /// # Errors
    /// [`Malformed`] unless `body` holds exactly `count` messages, within the limits.
    pub fn parse(first: u64, count: u32, body: Bytes) -> Result<Self, Malformed> {
        if !is_possible(first, count) || body.len() > MAX_BODY {
            return Err(Malformed);
        }
        let mut at = 0;
        for _ in 0..count {
            at = text_at(&body, at)?.1;
        }
        if at == body.len() { Ok(Self { first, count, body }) } else { Err(Malformed) }
    }

    /// Returns the batch of an outline: all its messages are empty.
    fn outline(first: u64, count: u32) -> Result<Self, Malformed> {
        if !is_possible(first, count) {
            return Err(Malformed);
        }
        Ok(Self { first, count, body: Bytes::from_static(&EMPTY_TEXTS[..count as usize]) })
    }
}

/// Returns whether a batch can have so many messages from this number on.
fn is_possible(first: u64, count: u32) -> bool {
    first > 0 && first.checked_add(u64::from(count)).is_some() && (1..=MAX_COUNT).contains(&count)
}

/// Returns where the message begins and ends whose length stands at `at`.
#[inline]
fn text_at(body: &[u8], at: usize) -> Result<(usize, usize), Malformed> {
    // Most messages are short.
    if let Some(&length @ ..0x80) = body.get(at) {
        let (start, end) = (at + 1, at + 1 + usize::from(length));
        return if end <= body.len() { Ok((start, end)) } else { Err(Malformed) };
    }
    let mut length = 0_usize;
    for (i, byte) in body.get(at..).ok_or(Malformed)?.iter().take(3).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let start = at + i + 1;
            let fits = length <= MAX_TEXT && length <= body.len() - start;
            return if fits { Ok((start, start + length)) } else { Err(Malformed) };
        }
    }
    Err(Malformed)
}

impl Wire for Batch {
    fn write(&self, out: &mut Writer) {
        out.u64(self.first);
        out.u32(self.count);
        out.body(self.body.clone());
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (first, count) = (from.u64()?, from.u32()?);
        if from.was_left_out() {
            return Self::outline(first, count);
        }
        Self::parse(first, count, from.body())
    }

    fn weight(&self) -> Weight {
        Weight { bytes: self.body.len(), messages: u64::from(self.count) }
    }
}

/// A batch under construction.
#[derive(Debug)]
pub struct BatchBuilder {
    first: u64,
    count: u32,
    /// The number of messages with which it is full.
    most: u32,
    /// The length of the longest body of several messages.
    longest: usize,
    body: BytesMut,
}

impl BatchBuilder {
    /// Returns an empty batch whose first message will have the number `first`.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { first, count: 0, most: MAX_COUNT, longest: MAX_BODY, body: BytesMut::new() }
    }

    /// Returns whether no further message fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.body.len() >= FULL_BODY || self.count >= self.most
    }

    /// Allocates room for a body of about so many bytes.
    #[must_use]
    pub fn expecting(mut self, bytes: usize) -> Self {
        self.body.reserve(bytes.min(MAX_BODY));
        self
    }

    /// Returns the length of the body.
    #[must_use]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Returns whether it has no message.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Limits the batch to `count` messages, at least 1.
    #[must_use]
    pub fn at_most(self, count: u64) -> Self {
        let most = u32::try_from(count).map_or(MAX_COUNT, |count| count.min(MAX_COUNT));
        Self { most, ..self }
    }

    /// Limits the body to so many bytes. A first message may be longer.
    #[must_use]
    pub fn within(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// Returns whether a message of this length fits.
    #[must_use]
    pub fn fits(&self, length: usize) -> bool {
        let needed = self.len() + varint_length(length as u64) + length;
        self.is_empty() || (!self.is_full() && needed <= self.longest)
    }

    /// Appends a message and returns its number. `text` must have at most [`MAX_TEXT`] bytes.
    pub fn push(&mut self, text: &[u8]) -> u64 {
        assert!(text.len() <= MAX_TEXT && !self.is_full(), "the caller keeps the limits of a batch");
        let mut length = text.len();
        self.body.reserve(text.len() + 3);
        while length >= 0x80 {
            self.body.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        self.body.put_u8(length as u8);
        self.body.put_slice(text);
        self.count += 1;
        self.first + u64::from(self.count) - 1
    }

    /// Returns the batch, or nothing if it has no message.
    #[must_use]
    pub fn finish(self) -> Option<Batch> {
        (self.count > 0).then(|| Batch { first: self.first, count: self.count, body: self.body.freeze() })
    }
}
