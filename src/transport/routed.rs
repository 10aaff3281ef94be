//! A packet on its way through the router, which does not read its body.

use super::zmq::Socket;
use crate::wire::{Frames, Header, Malformed};

/// A packet on its way through the router.
pub struct Routed {
    from: zmq::Message,
    to: zmq::Message,
    topic: zmq::Message,
    header: zmq::Message,
    body: zmq::Message,
}

impl Routed {
    /// Returns the receiver's name; empty for the router itself.
    #[must_use]
    pub fn to(&self) -> String {
        String::from_utf8_lossy(&self.to).into_owned()
    }

    /// Sends the packet to its receiver. Returns false, without effect, if that one is not connected or has a full
    /// queue.
    #[must_use]
    pub fn pass_on(&mut self, router: &Socket) -> bool {
        // ZeroMQ decides on the first frame; the others follow it.
        router.is_drained.set(false);
        if router.raw.send(&*self.to, zmq::DONTWAIT | zmq::SNDMORE).is_err() {
            return false;
        }
        let take = |message: &mut zmq::Message| std::mem::replace(message, zmq::Message::new());
        router.send([&mut self.from, &mut self.topic, &mut self.header, &mut self.body].map(take));
        true
    }

    /// Sends `frames` to the sender as an answer of the router itself.
    pub fn answer(&self, router: &Socket, frames: &Frames) {
        router.send([&*self.from, &[], &*self.topic, &frames.header, &frames.body]);
    }
}

impl Socket {
    /// At the router: returns the next packet with its header, if one is waiting.
    #[must_use]
    pub fn take_routed(&self) -> Option<Result<(Routed, Header), Malformed>> {
        let message = self.receive()?;
        Some(message.and_then(|[from, to, topic, header, body]| {
            let peeked = Header::peek(&header)?;
            Ok((Routed { from, to, topic, header, body }, peeked))
        }))
    }
}
