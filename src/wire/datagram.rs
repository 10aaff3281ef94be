//! Datagrams: the packets of a cluster, each with a head, a checksum and one message or more.
//!
//! The head tells the cluster and the sender. The checksum is our own, because that of UDP passes what a proxy or a bad
//! card has changed. Datagrams that leave together are padded to one length, so that the system can take them as one.
//! These are open datagrams; [`super::sealed`] has those of a cluster with a key.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::field::Malformed;
use crate::ids::MemberId;

/// The version of datagrams. The header of packets over ZeroMQ has an earlier one in the same place.
pub const VERSION: u8 = 3;
/// Length of the head, in bytes.
pub const HEAD_LEN: usize = 17;
/// Most datagrams that are padded to one length, and handed to the system as one: a loss before it takes them apart
/// loses them all.
pub const MOST_TOGETHER: usize = 16;
/// Most bytes of such datagrams together: with the headers of UDP and IP, they are one packet to the system.
pub const MOST_TOGETHER_BYTES: usize = 65_000;

const MAGIC: [u8; 2] = *b"GC";
/// The place of the checksum, which is the end of the head.
pub(super) const CHECKSUM: usize = HEAD_LEN - 4;
/// Length of the number before each message.
const LENGTH: usize = 2;
/// The bits of a cluster's number.
const CLUSTER: u64 = (1 << 48) - 1;

/// The head of a datagram.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// The number of the cluster: 48 bits.
    pub cluster: u64,
    /// The number of the list of members, from 1.
    pub epoch: u16,
    /// The sender.
    pub sender: MemberId,
}

impl Head {
    /// Returns the head that these bytes of a version begin with, whether they are genuine or not.
    #[must_use]
    pub fn peek(version: u8, bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<CHECKSUM>()?;
        let [b'G', b'C', found, c0, c1, c2, c3, c4, c5, e0, e1, s0, s1] = *head else { return None };
        (found == version).then_some(Self {
            cluster: u64::from_le_bytes([c0, c1, c2, c3, c4, c5, 0, 0]),
            epoch: u16::from_le_bytes([e0, e1]),
            sender: MemberId(u16::from_le_bytes([s0, s1])),
        })
    }
}

/// Returns the length of the longest message in a datagram of this size, in bytes.
#[must_use]
pub const fn room_of(size: usize) -> usize {
    let room = size.saturating_sub(HEAD_LEN + LENGTH);
    // A length has 16 bits.
    if room > u16::MAX as usize { u16::MAX as usize } else { room }
}

/// Packs messages into as few datagrams as their order allows.
#[derive(Debug)]
pub struct Packer {
    head: Head,
    size: usize,
    /// Without checksums.
    datagrams: Vec<BytesMut>,
}

impl Packer {
    /// Returns a packer of datagrams of at most `size` bytes with this head.
    #[must_use]
    pub const fn new(head: Head, size: usize) -> Self {
        Self { head, size, datagrams: Vec::new() }
    }

    /// Adds a message behind those added before. Returns false, and adds nothing, if it is empty or longer than
    /// [`room_of`] a datagram.
    #[must_use]
    pub fn push(&mut self, message: &[u8]) -> bool {
        if message.is_empty() || message.len() > room_of(self.size) {
            return false;
        }
        let needed = LENGTH + message.len();
        let has_room = |datagram: &&mut BytesMut| datagram.len() + needed <= self.size;
        let datagram = match self.datagrams.last_mut().filter(has_room) {
            Some(datagram) => datagram,
            None => {
                self.datagrams.push(room(self.head, self.size));
                self.datagrams.last_mut().expect("it was just added")
            }
        };
        datagram.put_u16_le(message.len() as u16);
        datagram.put_slice(message);
        true
    }

    /// Returns true if no message was added since the last [`Packer::take`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Takes the datagrams, in order. Consecutive ones that are nearly of one length are padded to it.
    pub fn take(&mut self) -> Vec<Bytes> {
        level(&mut self.datagrams);
        std::mem::take(&mut self.datagrams).into_iter().map(finish).collect()
    }
}

/// Returns the datagram with this content, whatever it is, behind its head. A [`Packer`] writes only good ones.
#[must_use]
pub fn of_content(head: Head, content: &[u8]) -> Bytes {
    let mut datagram = room(head, HEAD_LEN + content.len());
    datagram.put_slice(content);
    finish(datagram)
}

/// Returns the head of a datagram, with room for a checksum and, in all, for `size` bytes.
fn room(head: Head, size: usize) -> BytesMut {
    let mut datagram = BytesMut::with_capacity(size);
    datagram.put_slice(&begin(VERSION, head));
    datagram.put_u32_le(0);
    datagram
}

/// Returns the part of the head that open and sealed datagrams have in common.
pub(super) fn begin(version: u8, head: Head) -> [u8; CHECKSUM] {
    let (cluster, epoch, sender) =
        ((head.cluster & CLUSTER).to_le_bytes(), head.epoch.to_le_bytes(), head.sender.0.to_le_bytes());
    let mut begin = [0; CHECKSUM];
    begin[..2].copy_from_slice(&MAGIC);
    begin[2] = version;
    begin[3..9].copy_from_slice(&cluster[..6]);
    begin[9..11].copy_from_slice(&epoch);
    begin[11..].copy_from_slice(&sender);
    begin
}

/// Writes the checksum.
fn finish(mut datagram: BytesMut) -> Bytes {
    let checksum = checksum(&datagram);
    datagram[CHECKSUM..HEAD_LEN].copy_from_slice(&checksum.to_le_bytes());
    datagram.freeze()
}

/// Returns the CRC-32 of everything but the checksum. The datagram has a whole head.
fn checksum(datagram: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&datagram[..CHECKSUM]);
    hasher.update(&datagram[HEAD_LEN..]);
    hasher.finalize()
}

/// Pads datagrams: of each run, all but the last get the length of the longest.
fn level(datagrams: &mut [BytesMut]) {
    let mut rest = datagrams;
    while !rest.is_empty() {
        let (run, others) = rest.split_at_mut(run_length(rest));
        let longest = run.iter().map(BytesMut::len).max().unwrap_or_default();
        let last = run.len() - 1;
        run[..last].iter_mut().for_each(|datagram| datagram.resize(longest, 0));
        rest = others;
    }
}

/// Returns the number of the first datagrams that are worth padding to one length: an eighth of it is padding at most.
fn run_length(datagrams: &[BytesMut]) -> usize {
    let (mut shortest, mut longest) = (usize::MAX, 0);
    let belongs = |(before, datagram): &(usize, &BytesMut)| {
        longest = datagram.len().max(longest);
        // The datagram may be the last of the run, which is not padded.
        let is_worth_it = *before == 0 || shortest * 8 >= longest * 7;
        let fits = *before < MOST_TOGETHER && (before + 1) * longest <= MOST_TOGETHER_BYTES;
        shortest = datagram.len().min(shortest);
        is_worth_it && fits
    };
    datagrams.iter().enumerate().take_while(belongs).count().max(1)
}

/// The messages of a datagram, in order.
#[derive(Clone, Debug)]
pub struct Messages {
    /// The messages that are left, and the padding.
    rest: Bytes,
}

impl Iterator for Messages {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let end = first_end(&self.rest)?;
        Some(self.rest.split_to(end).slice(LENGTH..))
    }
}

/// Returns the end of the message at the start of `rest`; none if padding begins there, or nothing fits.
fn first_end(rest: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
    let end = LENGTH + length;
    if length > 0 && end <= rest.len() { Some(end) } else { None }
}

/// Returns the head and the messages of a datagram. There is at least one message, and none is empty.
///
/// # Errors
/// [`Malformed`] if it is of another version or protocol, if the checksum is wrong, or if the messages do not fill it.
pub fn unpack(mut bytes: Bytes) -> Result<(Head, Messages), Malformed> {
    let head = read_head(&bytes)?;
    bytes.advance(HEAD_LEN);
    Messages::parse(bytes).map(|messages| (head, messages))
}

impl Messages {
    /// Returns the messages of a content, that is of what a datagram has behind its head.
    ///
    /// # Errors
    /// [`Malformed`] if they do not fill it, or there is none.
    pub fn parse(content: Bytes) -> Result<Self, Malformed> {
        let mut rest = &content[..];
        while let Some(end) = first_end(rest) {
            rest = &rest[end..];
        }
        // Zeros behind the last message are padding.
        let (used, is_full) = (content.len() - rest.len(), rest.iter().all(|&byte| byte == 0));
        if used == 0 || !is_full {
            return Err(Malformed);
        }
        // A message that is kept must not keep more padding than a writer makes.
        let rest = if rest.len() > used / 4 { Bytes::copy_from_slice(&content[..used]) } else { content };
        Ok(Self { rest })
    }
}

fn read_head(bytes: &[u8]) -> Result<Head, Malformed> {
    let head = Head::peek(VERSION, bytes).ok_or(Malformed)?;
    let sum = bytes[CHECKSUM..].first_chunk().ok_or(Malformed)?;
    if u32::from_le_bytes(*sum) != checksum(bytes) {
        return Err(Malformed);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { cluster: 0x4567_89ab_cdef, epoch: 1, sender: MemberId(2) };

    fn pack(size: usize, messages: &[&[u8]]) -> Vec<Bytes> {
        let mut packer = Packer::new(HEAD, size);
        messages.iter().for_each(|message| assert!(packer.push(message)));
        packer.take()
    }

    fn messages(datagrams: &[Bytes]) -> Vec<Bytes> {
        datagrams.iter().flat_map(|datagram| unpack(datagram.clone()).unwrap().1).collect()
    }

    #[test]
    fn datagram_packed_unpacks_with_head_and_messages() {
        let datagrams = pack(1200, &[b"one", b"two", b"3"]);
        assert_eq!(datagrams.len(), 1);
        let (head, found) = unpack(datagrams[0].clone()).unwrap();
        assert_eq!(head, HEAD);
        assert_eq!(found.collect::<Vec<_>>(), ["one", "two", "3"]);
    }

    #[test]
    fn packer_full_datagram_begins_another() {
        let size = HEAD_LEN + 10;
        let datagrams = pack(size, &[b"abc", b"def", b"g", b"longest!"]);
        assert_eq!(datagrams.iter().map(Bytes::len).collect::<Vec<_>>(), [size, HEAD_LEN + 3, size]);
        assert_eq!(messages(&datagrams), ["abc", "def", "g", "longest!"]);
    }

    #[test]
    fn packer_message_beyond_the_room_is_refused() {
        let mut packer = Packer::new(HEAD, 1200);
        assert!(packer.push(&vec![1; room_of(1200)]));
        assert!(!packer.push(&vec![1; room_of(1200) + 1]));
        assert!(!packer.push(b""));
        let datagrams = packer.take();
        assert_eq!(datagrams.iter().map(Bytes::len).collect::<Vec<_>>(), [1200]);
        assert!(packer.is_empty() && packer.take().is_empty());
        assert_eq!((room_of(0), room_of(1 << 20)), (0, 65_535));
    }

    #[test]
    fn packer_nearly_equal_datagrams_are_padded_to_one_length() {
        let texts: Vec<Vec<u8>> = (0..40).map(|number| vec![1; 900 + number % 7]).collect();
        let texts: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
        let datagrams = pack(1000, &texts);
        assert_eq!(messages(&datagrams), texts);
        for run in datagrams.chunks(MOST_TOGETHER) {
            let (last, others) = run.split_last().unwrap();
            assert!(others.iter().all(|one| one.len() == HEAD_LEN + LENGTH + 906), "{run:?}");
            assert!(last.len() <= others[0].len());
        }
    }

    #[test]
    fn packer_short_datagram_ends_a_run_and_is_not_padded() {
        let (long, short, tiny) = (vec![1; 900], vec![1; 100], vec![1; 10]);
        let datagrams = pack(920, &[&long, &short, &long, &long, &tiny]);
        let lengths: Vec<usize> = datagrams.iter().map(|one| one.len() - HEAD_LEN - LENGTH).collect();
        assert_eq!(lengths, [900, 100, 900, 900, 10]);
    }

    #[test]
    fn packer_run_is_one_packet_to_the_system_at_most() {
        let long = vec![1; 8900];
        let texts: Vec<&[u8]> = (0..20).map(|_| &long[..]).collect();
        let mut datagrams: Vec<BytesMut> =
            pack(9000, &texts).iter().map(|datagram| BytesMut::from(&datagram[..])).collect();
        assert_eq!(run_length(&datagrams), 7);
        datagrams.truncate(3);
        assert_eq!(run_length(&datagrams), 3);
    }

    #[test]
    fn datagram_with_one_changed_bit_is_refused() {
        let datagram = pack(1200, &[b"one", b"two"]).remove(0);
        for bit in 0..8 * datagram.len() {
            let mut changed = datagram.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unpack(changed.into()).err(), Some(Malformed), "bit {bit}");
        }
        for end in 0..datagram.len() {
            assert!(unpack(datagram.slice(..end)).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn datagram_messages_that_do_not_fill_it_are_refused() {
        for content in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\x01",
            b"\x01\0",
            b"\x02\0a",
            b"\x01\0ab",
            b"\x01\0a\0\0\x01",
            b"\0\0\x01\0a",
            b"\xff\xff\x01\0a",
        ] {
            assert_eq!(unpack(of_content(HEAD, content)).err(), Some(Malformed), "{content:?}");
        }
        for content in [&b"\x01\0a"[..], b"\x01\0a\0", b"\x01\0a\0\0", b"\x01\0a\0\0\0\0\0"] {
            assert_eq!(messages(&[of_content(HEAD, content)]), ["a"], "{content:?}");
        }
    }

    #[test]
    fn datagram_of_another_version_is_refused() {
        let mut other = BytesMut::from(&of_content(HEAD, b"\x01\0a")[..]);
        assert!(unpack(finish(other.clone())).is_ok());
        other[2] = VERSION + 1;
        assert_eq!(unpack(finish(other)).err(), Some(Malformed));
    }

    #[test]
    fn head_has_48_bits_of_the_cluster() {
        let wide = Head { cluster: u64::MAX, epoch: u16::MAX, sender: MemberId(u16::MAX) };
        let mut packer = Packer::new(wide, 600);
        assert!(packer.push(b"x"));
        let (head, _) = unpack(packer.take().remove(0)).unwrap();
        assert_eq!(head, Head { cluster: CLUSTER, ..wide });
    }
}
