//! A batch: consecutive messages of one sender to one destination, back to back in one piece of memory.
//!
//! Clients submit batches, engines order them and packets carry them, so that the work per message is a slice. Layout
//! of the body: for each message its length as LEB128, then its bytes. A message of an author, who is no member, has
//! [`MAX_TEXT`] added to its length, and begins with the author.

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

/// Longest text of an author, in bytes: so long that a request on the sync port holds it, however it is escaped.
pub const MAX_POSTED: usize = 8 << 10;
/// Longest name of an author, in bytes.
const MAX_NAME: usize = 64;

/// The author of a message that a member multicasts for somebody who is no member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Author<'b> {
    /// Its name, as the id of a member is written.
    pub name: &'b str,
    /// Different for each process that posts.
    pub key: u64,
    /// The number of the text among those of this process, from 1.
    pub number: u64,
}

impl Author<'_> {
    /// Returns whether a batch can have this text of this author.
    #[must_use]
    pub fn may_post(&self, text: &[u8]) -> bool {
        text.len() <= MAX_POSTED && is_name(self.name) && self.number > 0
    }
}

/// The body of the longest outline, whose messages are all empty.
static EMPTY_TEXTS: [u8; MAX_COUNT as usize] = [0; MAX_COUNT as usize];

/// Consecutive messages of one sender to one destination. Never empty, always well-formed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Batch {
    first: u64,
    count: u32,
    body: Bytes,
    /// True if some message has an author.
    has_authors: bool,
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

    /// Returns whether some message has an author.
    #[must_use]
    pub const fn has_authors(&self) -> bool {
        self.has_authors
    }

    /// Returns the same messages, numbered from `first` on.
    #[must_use]
    pub fn numbered_from(self, first: u64) -> Self {
        Self { first, ..self }
    }

    /// Returns the messages behind the first `count`, if there are any.
    #[must_use]
    pub fn behind(&self, count: u32) -> Option<Self> {
        let mut at = 0;
        for _ in 0..count.min(self.count) {
            at = entry_at(&self.body, at).expect("a batch is checked when it is made").1;
        }
        Self::parse(self.first + u64::from(count), self.count.saturating_sub(count), self.body.slice(at..))
            .ok()
    }

    /// Returns the messages, each with its number.
    pub fn messages(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.entries().map(|(number, _, text)| (number, text))
    }

    /// Returns the messages, each with its number and, if a member multicast it for somebody else, its author.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Option<Author<'_>>, &[u8])> {
        let mut at = 0;
        (self.first..self.next()).map(move |number| {
            let (start, end, author) = entry_at(&self.body, at).expect("a batch is checked when it is made");
            at = end;
            (number, author, &self.body[start..end])
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
        let (mut at, mut has_authors) = (0, false);
        for _ in 0..count {
            let (_, end, author) = entry_at(&body, at)?;
            at = end;
            has_authors |= author.is_some();
        }
        if at == body.len() { Ok(Self { first, count, body, has_authors }) } else { Err(Malformed) }
    }

    /// Returns the batch of an outline: all its messages are empty.
    fn outline(first: u64, count: u32) -> Result<Self, Malformed> {
        if !is_possible(first, count) {
            return Err(Malformed);
        }
        let body = Bytes::from_static(&EMPTY_TEXTS[..count as usize]);
        Ok(Self { first, count, body, has_authors: false })
    }
}

/// Returns whether a batch can have so many messages from this number on.
fn is_possible(first: u64, count: u32) -> bool {
    first > 0 && first.checked_add(u64::from(count)).is_some() && (1..=MAX_COUNT).contains(&count)
}

/// Returns where the text begins and ends whose length stands at `at`, and its author, if it has one.
#[inline]
fn entry_at(body: &[u8], at: usize) -> Result<(usize, usize, Option<Author<'_>>), Malformed> {
    // Most messages are short.
    if let Some(&length @ ..0x80) = body.get(at) {
        let (start, end) = (at + 1, at + 1 + usize::from(length));
        return if end <= body.len() { Ok((start, end, None)) } else { Err(Malformed) };
    }
    let mut length = 0_usize;
    for (i, byte) in body.get(at..).ok_or(Malformed)?.iter().take(3).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let start = at + i + 1;
            if length > MAX_TEXT {
                return authored(body, start, length - MAX_TEXT);
            }
            let fits = length <= body.len() - start;
            return if fits { Ok((start, start + length, None)) } else { Err(Malformed) };
        }
    }
    Err(Malformed)
}

/// Returns the same of a message with an author, which begins at `start`.
fn authored(
    body: &[u8],
    start: usize,
    length: usize,
) -> Result<(usize, usize, Option<Author<'_>>), Malformed> {
    let end = start + length;
    let entry = body.get(start..end).ok_or(Malformed)?;
    let (&name_length, rest) = entry.split_first().ok_or(Malformed)?;
    let (name, rest) = rest.split_at_checked(usize::from(name_length)).ok_or(Malformed)?;
    let (key, rest) = rest.split_first_chunk().ok_or(Malformed)?;
    let (number, text) = rest.split_first_chunk().ok_or(Malformed)?;
    let name = std::str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(Malformed)?;
    let (key, number) = (u64::from_le_bytes(*key), u64::from_le_bytes(*number));
    if number == 0 || text.len() > MAX_POSTED {
        return Err(Malformed);
    }
    Ok((end - text.len(), end, Some(Author { name, key, number })))
}

/// Returns whether an author can have this name: it stands where the id of a member may stand.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed) && !name.starts_with(['.', '-'])
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
    has_authors: bool,
}

impl BatchBuilder {
    /// Returns an empty batch whose first message will have the number `first`.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self {
            first,
            count: 0,
            most: MAX_COUNT,
            longest: MAX_BODY,
            body: BytesMut::new(),
            has_authors: false,
        }
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
        self.put_length(text.len(), text.len());
        self.body.put_slice(text);
        self.count += 1;
        self.first + u64::from(self.count) - 1
    }

    /// Appends a message of an author and returns its number. `text` must have at most [`MAX_POSTED`] bytes, and the
    /// name must be one that the id of a member can have.
    pub fn push_authored(&mut self, author: Author<'_>, text: &[u8]) -> u64 {
        let Author { name, key, number } = author;
        assert!(author.may_post(text) && !self.is_full(), "the caller keeps the limits of a batch");
        let length = 1 + name.len() + 16 + text.len();
        self.has_authors = true;
        self.put_length(MAX_TEXT + length, length);
        self.body.put_u8(name.len() as u8);
        self.body.put_slice(name.as_bytes());
        self.body.put_u64_le(key);
        self.body.put_u64_le(number);
        self.body.put_slice(text);
        self.count += 1;
        self.first + u64::from(self.count) - 1
    }

    /// Appends a length, and reserves so many bytes behind it.
    #[inline]
    fn put_length(&mut self, mut length: usize, room: usize) {
        self.body.reserve(room + 3);
        while length >= 0x80 {
            self.body.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        self.body.put_u8(length as u8);
    }

    /// Returns the batch, or nothing if it has no message.
    #[must_use]
    pub fn finish(self) -> Option<Batch> {
        let Self { first, count, has_authors, body, .. } = self;
        (count > 0).then(|| Batch { first, count, body: body.freeze(), has_authors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: Author<'static> = Author { name: "M.Walker", key: 0x0123_4567_89ab_cdef, number: 7 };

    #[test]
    fn a_message_keeps_its_author_among_others() {
        let mut batch = BatchBuilder::new(5);
        batch.push(b"own");
        assert_eq!(batch.push_authored(AUTHOR, b"Re: Mach"), 6);
        batch.push_authored(AUTHOR, b"");
        let batch = batch.finish().unwrap();
        let read = Batch::parse(5, 3, batch.body().clone()).unwrap();
        let entries: Vec<_> = read.entries().collect();
        assert_eq!(entries, [(5, None, &b"own"[..]), (6, Some(AUTHOR), b"Re: Mach"), (7, Some(AUTHOR), b"")]);
    }

    #[test]
    fn a_message_whose_author_is_cut_off_or_has_no_name_is_refused() {
        let mut batch = BatchBuilder::new(1);
        batch.push_authored(AUTHOR, b"x");
        let body = batch.finish().unwrap().body().clone();
        assert!(Batch::parse(1, 1, body.clone()).is_ok());
        for (at, byte) in [(0, 0x81), (3, 0), (3, 65), (3, 200), (4, b'.'), (5, b'/'), (20, 1)] {
            let mut bad = body.to_vec();
            bad[at] = byte;
            let is_refused = Batch::parse(1, 1, bad.into()).is_err();
            assert_eq!(is_refused, at != 20, "{byte} at {at}");
        }
        let mut zero = body.to_vec();
        zero[20..28].fill(0);
        assert!(Batch::parse(1, 1, zero.into()).is_err(), "texts are counted from 1");
        assert!(Batch::parse(1, 1, body.slice(..body.len() - 1)).is_err());
    }
}
