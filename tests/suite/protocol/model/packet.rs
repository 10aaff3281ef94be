//! Packets in flight between the members of a model: bytes, so that states compare and real encodings are proved.

use bytes::Bytes;
use groupcast::engine::{MemberId, To, View};
use groupcast::wire::{Reader, Wire, Writer};

/// One packet on its way to one process.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Packet {
    pub(super) to: MemberId,
    pub(super) from: MemberId,
    pub(super) header: Bytes,
    pub(super) body: Bytes,
}

impl Packet {
    /// An order's message as the bytes that a packet would carry.
    pub(super) fn message(from: MemberId, to: MemberId, message: &impl Wire) -> Self {
        let mut out = Writer::default();
        message.write(&mut out);
        let (header, body) = out.finish();
        Self { to, from, header, body }
    }

    /// Decodes the packet. Every packet that an engine sends must decode.
    pub(super) fn read<M: Wire>(&self) -> M {
        let mut from = Reader::new(self.header.clone(), self.body.clone());
        let message = M::read(&mut from).expect("what an engine sends can be read");
        from.end().expect("and nothing is left");
        message
    }

    /// Joins the packets in flight, which are kept sorted.
    pub(super) fn fly(self, flying: &mut Vec<Self>) {
        let at = flying.partition_point(|other| *other < self);
        flying.insert(at, self);
    }

    /// Leaves the packets in flight.
    pub(super) fn land(&self, flying: &mut Vec<Self>) {
        let at = flying.binary_search(self).expect("it was in flight");
        flying.remove(at);
    }
}

/// Returns the receivers of a packet from `from` to `to`: a multicast does not return to its sender.
pub(super) fn receivers(view: &View, from: MemberId, to: To) -> Vec<MemberId> {
    match to {
        To::Member(member) => vec![member],
        To::Group => view.members().into_iter().filter(|&member| member != from).collect(),
    }
}

/// The process in this place of a list.
pub(super) fn slot(at: usize) -> MemberId {
    MemberId(u16::try_from(at).expect("groups here are small"))
}
