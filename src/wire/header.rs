//! The header: the first sixteen bytes of every packet.

use super::field::{Malformed, Reader, Writer};
use crate::ids::{MemberId, To};

/// The protocol version of this build.
pub const VERSION: u8 = 2;
/// The bytes at the start of a header.
pub const MAGIC: [u8; 2] = *b"GC";
/// Upper limit of run numbers: the other two bytes of the field hold the view.
pub const RUN_LIMIT: u64 = 1 << 48;
/// Length of a header before the fields of its kind.
pub const HEADER_LEN: usize = 16;
/// The position of the kind in a header.
pub(crate) const KIND_AT: usize = 3;
/// Longest header frame of a packet, in bytes: a status that names as many senders as a list can count.
pub const MAX_HEADER: usize = HEADER_LEN + 11 + 12 * u16::MAX as usize;

const TO_GROUP: u16 = u16::MAX;

/// The kind of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// A numbered packet.
    Data = 1,
    /// The sender's last packet, and its acknowledgements of others.
    Status = 2,
    /// A request to send packets again.
    Nack = 3,
    /// A test whether packets come back to their sender.
    Probe = 4,
    /// From the router: the packet with this header, but for its kind, could not be delivered.
    Undeliverable = 5,
    /// A message of the membership protocol; see [`crate::member::view_message`].
    Membership = 6,
    /// A numbered packet without a body, for a sequencer that is not a client.
    Outline = 7,
}

impl Kind {
    /// All kinds, in the order of their bytes, which are counted from 1.
    pub const ALL: [Self; 7] = [
        Self::Data,
        Self::Status,
        Self::Nack,
        Self::Probe,
        Self::Undeliverable,
        Self::Membership,
        Self::Outline,
    ];

    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == byte).ok_or(Malformed)
    }
}

/// The header of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The kind.
    pub kind: Kind,
    /// The member that built the packet.
    pub sender: MemberId,
    /// The destination.
    pub to: To,
    /// The run number, below [`RUN_LIMIT`], which the forwarder drew; packets of other runs are ignored.
    pub run: u64,
    /// The low sixteen bits of the sender's view number; 0 before the first view. See [`view_near`].
    pub view: u16,
}

/// Returns the view number with these low sixteen bits that is nearest to `own`, the receiver's; nothing if it is below
/// zero.
#[must_use]
pub const fn view_near(low: u16, own: u64) -> Option<u64> {
    let ahead = low.wrapping_sub(own as u16).cast_signed();
    own.checked_add_signed(ahead as i64)
}

impl Header {
    /// Appends the header.
    pub fn write(&self, out: &mut Writer) {
        out.raw(&MAGIC);
        out.u8(VERSION);
        out.u8(self.kind as u8);
        out.member(self.sender);
        out.u16(match self.to {
            To::Group => TO_GROUP,
            To::Member(member) => member.0,
        });
        out.u64(self.run | u64::from(self.view) << 48);
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] if it is not one, or one of another protocol version.
    pub fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Self::parse(from.take::<HEADER_LEN>()?)
    }

    fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, Malformed> {
        let [m0, m1, version, kind, s0, s1, t0, t1, run @ ..] = bytes;
        if [m0, m1] != MAGIC || version != VERSION {
            return Err(Malformed);
        }
        let to = match u16::from_le_bytes([t0, t1]) {
            TO_GROUP => To::Group,
            slot => To::Member(MemberId(slot)),
        };
        let sender = MemberId(u16::from_le_bytes([s0, s1]));
        let place = u64::from_le_bytes(run);
        Ok(Self {
            kind: Kind::from_byte(kind)?,
            sender,
            to,
            run: place % RUN_LIMIT,
            view: (place >> 48) as u16,
        })
    }

    /// Returns the header at the start of these bytes.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub fn peek(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::parse(*bytes.first_chunk().ok_or(Malformed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_number_is_the_nearest_with_its_low_bits() {
        for own in [1_u64, 2, 700, 32_767, 32_768, 65_530, 65_535, 65_536, 65_540, 131_071, 131_072, 1 << 40]
        {
            for other in own.saturating_sub(32_768)..own + 32_768 {
                assert_eq!(view_near(other as u16, own), Some(other), "{other} at {own}");
            }
        }
        assert_eq!(view_near(0, 0), Some(0));
        assert_eq!((view_near(u16::MAX, 1), view_near(40_000, 1)), (None, None), "below the first view");
        assert_eq!(view_near(u16::MAX, u64::MAX), Some(u64::MAX));
        assert_eq!(view_near(5, u64::MAX), None);
    }
}
