//! Packets: a header and fields in one frame, a body in another; outlines and probes.

use bytes::Bytes;

use super::batch::FULL_BODY;
use super::field::{Malformed, Reader, Writer};
use super::header::{HEADER_LEN, Header, KIND_AT, Kind};
use crate::ids::{MemberId, To};

/// Shortest body of a packet that is sent as an outline to a sequencer that is not a client: a shorter one is not worth
/// a second packet …
pub const OUTLINE_FROM: usize = 4 << 10;
/// … and the longest: outlines have no bytes, so their receiver acknowledges by number, and with longer bodies the
/// sender's window would be full before.
pub const OUTLINE_TO: usize = 2 * FULL_BODY;

/// A packet as bytes: two frames of a ZeroMQ message.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Frames {
    /// Sixteen bytes of [`Header`], then the fields of the packet's kind.
    pub header: Bytes,
    /// The messages of a batch; empty in packets without one.
    pub body: Bytes,
}

impl Frames {
    /// Returns the length of both frames, in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.header.len() + self.body.len()
    }

    /// Returns whether this is an outline.
    #[must_use]
    pub fn is_outline(&self) -> bool {
        self.header.get(KIND_AT) == Some(&(Kind::Outline as u8))
    }
}

/// A packet: its frames, and the header that they begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// The header.
    pub header: Header,
    /// The packet as bytes.
    pub frames: Frames,
}

impl Packet {
    /// Returns the packet in these frames. Only its header is read.
    ///
    /// # Errors
    /// [`Malformed`] if they do not begin with a header.
    pub fn parse(frames: Frames) -> Result<Self, Malformed> {
        Ok(Self { header: Header::peek(&frames.header)?, frames })
    }

    /// Returns the packet with this header, and the fields and the body that `write` appends.
    pub fn build(header: Header, write: impl FnOnce(&mut Writer)) -> Self {
        let mut out = Writer::default();
        header.write(&mut out);
        write(&mut out);
        let (bytes, body) = out.finish();
        Self { header, frames: Frames { header: bytes, body } }
    }

    /// Returns a reader of what follows the header.
    #[must_use]
    pub fn reader(self) -> Reader {
        let mut reader = Reader::new(self.frames.header, self.frames.body);
        // A packet without its header has no fields either.
        let _ = reader.take::<HEADER_LEN>();
        reader
    }

    /// Returns the sequence number of a data packet or its outline; nothing for any other packet.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let is_numbered = matches!(self.header.kind, Kind::Data | Kind::Outline);
        let number = self.frames.header.get(HEADER_LEN..)?.first_chunk().filter(|_| is_numbered)?;
        Some(u64::from_le_bytes(*number))
    }

    /// Returns the outline of a data packet to the group; nothing for a packet without a body.
    #[must_use]
    pub fn outline(&self) -> Option<Frames> {
        if self.header.kind != Kind::Data || self.header.to != To::Group || self.frames.body.is_empty() {
            return None;
        }
        let mut header = self.frames.header.to_vec();
        header[KIND_AT] = Kind::Outline as u8;
        Some(Frames { header: header.into(), body: Bytes::new() })
    }
}

/// Returns a probe, which tests whether packets come back to their sender.
#[must_use]
pub fn probe(run: u64, sender: MemberId, to: To) -> Frames {
    bare(Header { kind: Kind::Probe, sender, to, run, view: 0 }).frames
}

/// Returns a packet of nothing but a header.
#[must_use]
pub fn bare(header: Header) -> Packet {
    Packet::build(header, |_| {})
}
