//! The news of a sequencer's door: two ports of its own, at which the members of its group publish and hear with fewer hops
//! than through the forwarder. It is a probe, which a member that knows of no door ignores. A member answers at the door
//! with a [probe](super::packet::probe) to the sequencer.

use super::field::Malformed;
use super::header::{Header, Kind};
use super::packet::Packet;
use crate::ids::{MemberId, To};

/// The news of a sequencer's door, for all members of its view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Door {
    /// The port of this machine's loopback address on which members publish; they hear at the next one.
    pub port: u16,
    /// Whether all members of the view hear at the door, and so may publish there.
    pub is_open: bool,
}

impl Door {
    /// Returns the packet in which `sequencer` tells the group.
    #[must_use]
    pub fn packet(self, run: u64, sequencer: MemberId) -> Packet {
        Packet::build(Header { kind: Kind::Probe, sender: sequencer, to: To::Group, run, view: 0 }, |out| {
            out.u16(self.port);
            out.u8(self.is_open.into());
        })
    }

    /// Reads such a packet.
    ///
    /// # Errors
    /// [`Malformed`] if it is none.
    pub fn read(packet: Packet) -> Result<Self, Malformed> {
        let is_door = packet.header.kind == Kind::Probe && packet.header.to == To::Group;
        let mut from = packet.reader();
        let (port, is_open) = (from.u16()?, from.u8()?);
        from.end()?;
        if is_door && is_open <= 1 { Ok(Self { port, is_open: is_open == 1 }) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::probe;
    use super::*;

    #[test]
    fn door_packet_is_read_back_and_nonsense_refused() {
        let news = Door { port: 40_000, is_open: true };
        let packet = news.packet(7, MemberId(3));
        assert_eq!(Door::read(packet.clone()), Ok(news));
        let answer = probe(7, MemberId(3), To::Member(MemberId(4)));
        assert_eq!(Packet::parse(answer).and_then(Door::read), Err(Malformed));
        for length in 0..packet.frames.header.len() {
            let header = packet.frames.header.slice(..length);
            let short = Packet {
                header: packet.header,
                frames: super::super::Frames { header, ..packet.frames.clone() },
            };
            assert_eq!(Door::read(short), Err(Malformed), "{length} bytes");
        }
    }
}
