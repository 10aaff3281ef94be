//! Packets as frames: encoding and decoding, outlines and probes.

use bytes::Bytes;

use super::batch::FULL_BODY;
use super::field::{Malformed, Reader, Wire, Writer};
use super::header::{Header, KIND_AT, Kind};
use crate::engine::{MemberId, To};
use crate::reliable::{Body, Packet};

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
    /// Returns whether this is an outline.
    #[must_use]
    pub fn is_outline(&self) -> bool {
        self.header.get(KIND_AT) == Some(&(Kind::Outline as u8))
    }
}

/// Writes a packet of this run and view.
pub fn encode<M: Wire>((run, view): (u64, u16), sender: MemberId, packet: &Packet<M>) -> Frames {
    let kind = match packet.body {
        Body::Data { .. } => Kind::Data,
        Body::Status { .. } => Kind::Status,
        Body::Nack { .. } => Kind::Nack,
    };
    let mut out = Writer::default();
    Header { kind, sender, to: packet.to, run, view }.write(&mut out);
    packet.body.write(&mut out);
    let (header, body) = out.finish();
    Frames { header, body }
}

/// Reads a packet and its claimed sender.
///
/// # Errors
/// [`Malformed`] if it is not a packet for an engine, or of another run or view.
pub fn decode<M: Wire>((run, view): (u64, u16), frames: Frames) -> Result<(MemberId, Packet<M>), Malformed> {
    let mut from = Reader::new(frames.header, frames.body);
    let header = Header::read(&mut from)?;
    if (header.run, header.view) != (run, view) {
        return Err(Malformed);
    }
    let body = match header.kind {
        Kind::Data => Body::read_data(&mut from)?,
        Kind::Outline => Body::read_data(from.without_texts())?,
        Kind::Status => Body::read_status(&mut from)?,
        Kind::Nack => Body::read_nack(&mut from)?,
        Kind::Probe | Kind::Undeliverable | Kind::Membership => return Err(Malformed),
    };
    from.end()?;
    Ok((header.sender, Packet { to: header.to, body }))
}

/// Returns the destination of a data packet, its view and its sequence number; nothing for any other packet.
#[must_use]
pub fn numbered(frames: &Frames) -> Option<(To, (u16, u64))> {
    let mut from = Reader::new(frames.header.clone(), Bytes::new());
    let header = Header::read(&mut from).ok().filter(|header| header.kind == Kind::Data)?;
    Some((header.to, (header.view, from.u64().ok()?)))
}

/// Returns the outline of a data packet to the group; nothing for a packet without a body.
#[must_use]
pub fn outline(frames: &Frames) -> Option<Frames> {
    let is_data = |header: &Header| header.kind == Kind::Data && header.to == To::Group;
    Header::peek(&frames.header).ok().filter(is_data).filter(|_| !frames.body.is_empty())?;
    let mut header = frames.header.to_vec();
    header[KIND_AT] = Kind::Outline as u8;
    Some(Frames { header: header.into(), body: Bytes::new() })
}

/// Returns a probe, which tests whether packets come back to their sender.
#[must_use]
pub fn probe(run: u64, sender: MemberId, to: To) -> Frames {
    bare(Header { kind: Kind::Probe, sender, to, run, view: 0 })
}

/// Returns a packet of nothing but a header.
#[must_use]
pub fn bare(header: Header) -> Frames {
    let mut out = Writer::default();
    header.write(&mut out);
    let (header, body) = out.finish();
    Frames { header, body }
}
