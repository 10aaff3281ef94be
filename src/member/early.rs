//! Packets of the next view, which are kept until it is installed here.

use std::collections::VecDeque;

use crate::wire::Packet;

/// Most packets of the next view that are kept until it is installed here.
pub const MAX_EARLY: usize = 4096;
/// Most bytes of body of the packets that are kept for the next view.
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
        let bytes = self.bytes + packet.frames.body.len();
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
