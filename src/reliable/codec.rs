//! The segments of the reliable layer as packets.

use super::{Body, MAX_NACK_RANGES, Received, Segment};
use crate::ids::MemberId;
use crate::wire::{Batch, Header, Kind, Malformed, Packet, Reader, Wire, Writer};

/// Returns the packet of this run and view that carries a segment.
pub fn encode<M: Wire>((run, view): (u64, u16), sender: MemberId, segment: &Segment<M>) -> Packet {
    let kind = match segment.body {
        Body::Data { .. } => Kind::Data,
        Body::Status { .. } => Kind::Status,
        Body::Nack { .. } => Kind::Nack,
    };
    Packet::build(Header { kind, sender, to: segment.to, run, view }, |out| segment.body.write(out))
}

/// Returns the segment in a packet of this run and view.
///
/// # Errors
/// [`Malformed`] if it is none, or of another run or view.
pub fn decode<M: Wire>(epoch: (u64, u16), packet: Packet) -> Result<Segment<M>, Malformed> {
    let Header { kind, to, run, view, .. } = packet.header;
    if (run, view) != epoch {
        return Err(Malformed);
    }
    let mut from = packet.reader();
    let body = match kind {
        Kind::Data => Body::read_data(&mut from)?,
        Kind::Outline => Body::read_data(from.without_texts())?,
        Kind::Status => Body::read_status(&mut from)?,
        Kind::Nack => Body::read_nack(&mut from)?,
        Kind::Probe | Kind::Undeliverable | Kind::Membership => return Err(Malformed),
    };
    from.end()?;
    Ok(Segment { to, body })
}

/// Returns the acknowledgements in a Status; none if it is malformed.
pub(crate) fn acknowledgements(status: Packet) -> Vec<Received> {
    match Body::<Batch>::read_status(&mut status.reader()) {
        Ok(Body::Status { received, .. }) => received,
        _ => Vec::new(),
    }
}

impl<M: Wire> Body<M> {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Data { number, message } => {
                out.u64(*number);
                message.write(out);
            }
            Self::Status { sent, asks, received } => {
                out.u64(*sent);
                out.u8(u8::from(*asks));
                out.length(received.len());
                for &Received { sender, complete, held } in received {
                    out.member(sender);
                    out.u64(complete);
                    out.u16(held);
                }
            }
            Self::Nack { sender, missing } => {
                out.member(*sender);
                out.length(missing.len());
                for &(first, last) in missing {
                    out.u64(first);
                    out.u64(last);
                }
            }
        }
    }

    fn read_data(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self::Data { number: from.u64()?, message: M::read(from)? })
    }

    pub(crate) fn read_status(from: &mut Reader) -> Result<Self, Malformed> {
        let sent = from.u64()?;
        let asks = match from.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let received = (0..from.length(12)?).map(|_| Received::read(from)).collect::<Result<_, _>>()?;
        Ok(Self::Status { sent, asks, received })
    }

    pub(crate) fn read_nack(from: &mut Reader) -> Result<Self, Malformed> {
        let sender = from.member()?;
        let missing: Vec<_> =
            (0..from.length(16)?).map(|_| Ok((from.u64()?, from.u64()?))).collect::<Result<_, _>>()?;
        let sane = missing.iter().all(|&(first, last)| 0 < first && first <= last);
        if missing.is_empty() || missing.len() > MAX_NACK_RANGES || !sane {
            return Err(Malformed);
        }
        Ok(Self::Nack { sender, missing })
    }
}

impl Received {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (sender, complete, held) = (from.member()?, from.u64()?, from.u16()?);
        if u64::from(held) <= complete { Ok(Self { sender, complete, held }) } else { Err(Malformed) }
    }
}
