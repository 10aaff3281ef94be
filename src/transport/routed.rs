//! A packet on its way through the router, which does not read its body.

use super::options::ROUTE;
use super::zmq::{Sent, Socket, USER};
use crate::wire::{Frames, Header, Malformed};

/// A message of a member at the router.
pub struct Routed {
    /// The connection on which it came.
    pub connection: Connection,
    /// The packet; none if the member has just connected, and announces its route.
    pub packet: Option<RoutedPacket>,
}

/// A connection of a member to the router.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The routing id by which ZeroMQ knows it: without keys, the route of the member.
    pub address: Vec<u8>,
    /// Where keys are used, the user to whom its key belongs, and the route that the member announces.
    pub announced: Option<(String, String)>,
}

/// A packet on its way through the router.
pub struct RoutedPacket {
    to: zmq::Message,
    topic: zmq::Message,
    pub(crate) header: Header,
    raw_header: zmq::Message,
    body: zmq::Message,
}

impl RoutedPacket {
    /// Returns the route of the receiver; empty for the router itself.
    #[must_use]
    pub fn to(&self) -> &[u8] {
        &self.to
    }

    /// Sends the packet to the member at this address, as one of the member with the route `from`. It has no effect if
    /// that address is not connected or has a full queue; after another one the packet is gone.
    pub fn pass_on(&mut self, router: &Socket, from: &[u8], address: &[u8]) -> Sent {
        // ZeroMQ decides on the first frame; the others follow it.
        router.is_drained.set(false);
        match router.raw.send(address, zmq::DONTWAIT | zmq::SNDMORE) {
            Ok(()) => {}
            Err(zmq::Error::EHOSTUNREACH) => return Sent::Unreachable,
            Err(_) => return Sent::Full,
        }
        let take = |message: &mut zmq::Message| std::mem::replace(message, zmq::Message::new());
        let rest = [&mut self.topic, &mut self.raw_header, &mut self.body].map(take);
        router.send([zmq::Message::from(from)].into_iter().chain(rest))
    }

    /// Sends a copy of the packet; as [`RoutedPacket::pass_on`].
    pub fn copy_to(&self, router: &Socket, from: &[u8], address: &[u8]) -> Sent {
        router.send([address, from, &*self.topic, &*self.raw_header, &*self.body])
    }

    /// Sends `frames` to the member at this address, its sender, as an answer of the router itself.
    pub fn answer(&self, router: &Socket, address: &[u8], frames: &Frames) {
        router.send([address, &[], &*self.topic, &frames.header, &frames.body]);
    }
}

impl Socket {
    /// At the router: returns the next message, if one is waiting.
    #[must_use]
    pub fn take_routed(&self) -> Option<Result<Routed, Malformed>> {
        let ([address, mut to, topic, raw_header, body], count) = self.receive_some()?;
        // The first frame is ZeroMQ's own, and does not always have them.
        let mut property = |name| to.gets(name).map(str::to_owned);
        let announced = if self.has_users { property(USER).zip(property(ROUTE)) } else { None };
        let connection = Connection { address: address.to_vec(), announced };
        Some(match count {
            2 if connection.announced.is_some() && to.is_empty() => Ok(Routed { connection, packet: None }),
            5 => Header::peek(&raw_header).map(|header| {
                let packet = Some(RoutedPacket { to, topic, header, raw_header, body });
                Routed { connection, packet }
            }),
            _ => Err(Malformed),
        })
    }
}
