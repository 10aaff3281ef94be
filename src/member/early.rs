//! Packets of the next view, which are kept until it is installed here.

use std::collections::VecDeque;

use crate::wire::Packet;

/// Most packets of the next view that are kept until it is installed here.
pub const MAX_EARLY: usize = 4096;
/// Most bytes of the packets that are kept for the next view.
pub const MAX_EARLY_BYTES: usize = 64 << 20;

/// The packets of the next view, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct EarlyPackets {
    packets: VecDeque<Packet>,
    bytes: usize,
}

impl EarlyPackets {
    /// Keeps a packet, if there is room.
    pub(super) fn push(&mut self, packet: Packet) {
        let bytes = self.bytes + packet.frames.size();
        if self.packets.len() < MAX_EARLY && bytes <= MAX_EARLY_BYTES {
            self.bytes = bytes;
            self.packets.push_back(packet);
        }
    }

    /// Takes all packets.
    pub(super) fn take(&mut self) -> VecDeque<Packet> {
        std::mem::take(self).packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MemberId, To};
    use crate::wire::packet::bare;
    use crate::wire::{Header, Kind};

    #[test]
    fn early_packets_with_long_headers_are_bounded() {
        let header = Header { kind: Kind::Membership, sender: MemberId(0), to: To::Group, run: 1, view: 2 };
        let mut packet = bare(header);
        packet.frames.header = [&packet.frames.header[..], &[0; 1 << 20]].concat().into();
        let mut early = EarlyPackets::default();
        (0..100).for_each(|_| early.push(packet.clone()));
        assert_eq!(early.take().len(), 63, "as many as fit, whichever frame is long");
    }
}
