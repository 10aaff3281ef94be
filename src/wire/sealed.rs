//! Sealed datagrams: those of a cluster with a key, which nobody can make who does not have it.
//!
//! A sealed datagram has a code of its own and all that makes it unlike any other: the *mark* of its sender's life and
//! its *number* in that life, and for whom it is. The code, a keyed hash (BLAKE3), takes the place of the checksum. The
//! number 0 is that of a [`Greeting`], by which a member finds out that a mark is no old one.

use std::fmt;

use super::datagram::{self, Head};
use crate::ids::{MemberId, To};

/// The version of sealed datagrams.
pub const VERSION: u8 = 4;
/// Length of the head, in bytes: that of an open datagram without the checksum, then receiver, mark and number.
pub const HEAD_LEN: usize = datagram::CHECKSUM + 2 + 8 + 8;
/// Length of the code at the end, in bytes.
pub const CODE_LEN: usize = 16;
/// The bytes that a datagram grows by when it is sealed.
pub const EXTRA: usize = HEAD_LEN + CODE_LEN - datagram::HEAD_LEN;
/// Length of a key, in bytes.
pub const KEY_LEN: usize = 32;
/// Length of a greeting, in bytes.
const GREETING_LEN: usize = 24;

/// The receiver in a datagram for all members.
const TO_ALL: u16 = u16::MAX;

/// The key of a cluster, which all its members have. It is never shown by a message.
#[derive(Clone, Eq, PartialEq)]
pub struct Key(pub [u8; KEY_LEN]);

impl Key {
    /// Returns eight digits by which people see whether two keys are one. They tell nothing of the key.
    #[must_use]
    pub fn short(&self) -> String {
        blake3::keyed_hash(&self.0, b"groupcast cluster").to_hex()[..8].to_owned()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The part of a sealed datagram that makes it unlike any other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seal {
    /// The receiver.
    pub to: To,
    /// The mark of the sender's life: a number that it has drawn at its start.
    pub mark: u64,
    /// The number of the datagram in that life, from 1; 0 for a greeting.
    pub number: u64,
}

/// The content of a greeting: a question, the answer to one of the receiver, or both. Questions are drawn, and never 0.
/// Datagrams of the sender that were there before an answer count no more for the one that has asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Greeting {
    /// The question, which the receiver is to repeat; 0 if there is none.
    pub question: u64,
    /// The question of the receiver; 0 if it is not answered.
    pub answer: u64,
    /// The number of the last datagram that the sender has sealed before.
    pub sent: u64,
}

impl Greeting {
    /// Returns the content of a datagram.
    #[must_use]
    pub fn bytes(self) -> [u8; GREETING_LEN] {
        let mut bytes = [0; GREETING_LEN];
        bytes[..8].copy_from_slice(&self.question.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.answer.to_le_bytes());
        bytes[16..].copy_from_slice(&self.sent.to_le_bytes());
        bytes
    }

    /// Returns the greeting that is a content.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        let content = <&[u8; GREETING_LEN]>::try_from(content).ok()?;
        let (question, rest) = content.split_first_chunk()?;
        let (answer, sent) = (rest.first_chunk()?, rest.last_chunk()?);
        let [question, answer, sent] = [question, answer, sent].map(|field| u64::from_le_bytes(*field));
        (question != 0 || answer != 0).then_some(Self { question, answer, sent })
    }
}

/// Appends a sealed datagram to `out`.
pub fn close(key: &Key, head: Head, seal: Seal, content: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&datagram::begin(VERSION, head));
    let to = match seal.to {
        To::Group => TO_ALL,
        To::Member(member) => member.0,
    };
    out.extend_from_slice(&to.to_le_bytes());
    out.extend_from_slice(&seal.mark.to_le_bytes());
    out.extend_from_slice(&seal.number.to_le_bytes());
    out.extend_from_slice(content);
    let code = blake3::keyed_hash(&key.0, &out[start..]);
    out.extend_from_slice(&code.as_bytes()[..CODE_LEN]);
}

/// Returns whether a datagram says that it is sealed.
#[must_use]
pub fn is_sealed(datagram: &[u8]) -> bool {
    Head::peek(VERSION, datagram).is_some()
}

/// Returns the head, the seal and the content of a datagram; nothing if it was not sealed with this key. Nothing but the
/// code is looked at before the code is right.
#[must_use]
pub fn open<'d>(key: &Key, datagram: &'d [u8]) -> Option<(Head, Seal, &'d [u8])> {
    let (sealed, code) = datagram.split_last_chunk::<CODE_LEN>()?;
    let right = blake3::keyed_hash(&key.0, sealed);
    let mut found = *right.as_bytes();
    found[..CODE_LEN].copy_from_slice(code);
    // This comparison takes as long wherever the first difference is.
    if right != blake3::Hash::from_bytes(found) {
        return None;
    }
    let head = Head::peek(VERSION, sealed)?;
    let [t0, t1, rest @ ..] = sealed.get(datagram::CHECKSUM..)? else { return None };
    let to = match u16::from_le_bytes([*t0, *t1]) {
        TO_ALL => To::Group,
        slot => To::Member(MemberId(slot)),
    };
    let (mark, rest) = rest.split_first_chunk()?;
    let (number, content) = rest.split_first_chunk()?;
    Some((head, Seal { to, mark: u64::from_le_bytes(*mark), number: u64::from_le_bytes(*number) }, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; KEY_LEN]);
    const HEAD: Head = Head { cluster: 0x4567_89ab_cdef, epoch: 3, sender: MemberId(2) };

    fn sealed(seal: Seal, content: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        close(&KEY, HEAD, seal, content, &mut out);
        assert_eq!(out.len(), 3 + HEAD_LEN + content.len() + CODE_LEN);
        out.split_off(3)
    }

    #[test]
    fn sealed_datagram_opens_with_its_key_alone() {
        for (to, mark, number, content) in [
            (To::Group, 1, 1, &b"\x01\0x"[..]),
            (To::Member(MemberId(5)), u64::MAX, u64::MAX, b""),
            (To::Member(MemberId(0)), 0, 0, &[9; 5000]),
        ] {
            let seal = Seal { to, mark, number };
            let datagram = sealed(seal, content);
            assert!(is_sealed(&datagram));
            assert_eq!(open(&KEY, &datagram), Some((HEAD, seal, content)));
            assert_eq!(open(&Key([8; KEY_LEN]), &datagram), None);
        }
    }

    #[test]
    fn sealed_datagram_with_one_changed_bit_does_not_open() {
        let datagram = sealed(Seal { to: To::Group, mark: 4, number: 9 }, b"\x03\0one");
        for bit in 0..8 * datagram.len() {
            let mut changed = datagram.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&KEY, &changed), None, "bit {bit}");
        }
        for end in 0..datagram.len() {
            assert_eq!(open(&KEY, &datagram[..end]), None, "{end} bytes");
        }
        assert_eq!(open(&KEY, &[&datagram[..], b"\0"].concat()), None);
    }

    /// A member that has the key may still write nonsense.
    #[test]
    fn sealed_datagram_with_a_right_code_and_a_wrong_head_does_not_open() {
        let datagram = sealed(Seal { to: To::Group, mark: 4, number: 9 }, b"");
        let coded = |head: &[u8]| [head, &blake3::keyed_hash(&KEY.0, head).as_bytes()[..CODE_LEN]].concat();
        assert!(open(&KEY, &coded(&datagram[..HEAD_LEN])).is_some());
        for end in 0..HEAD_LEN {
            assert_eq!(open(&KEY, &coded(&datagram[..end])), None, "{end} bytes");
        }
        let mut other = datagram[..HEAD_LEN].to_vec();
        other[2] = datagram::VERSION;
        assert_eq!(open(&KEY, &coded(&other)), None);
    }

    #[test]
    fn greeting_is_read_as_it_was_written() {
        let greeting = Greeting { question: 1, answer: u64::MAX, sent: 7 };
        assert_eq!(Greeting::parse(&greeting.bytes()), Some(greeting));
        let of_nothing = Greeting { question: 0, answer: 0, sent: 1 }.bytes();
        for content in [&of_nothing[..], &[1; 23], &[1; 25], b""] {
            assert_eq!(Greeting::parse(content), None, "{content:?}");
        }
    }

    #[test]
    fn key_is_not_shown() {
        assert_eq!(format!("{KEY:?}"), "Key(…)");
        assert_ne!(KEY.short(), Key([8; KEY_LEN]).short());
    }
}
