//! The first baseline: plain multicast over ZeroMQ, from PUB through `zmq_proxy` to SUB, one message a packet, without
//! order across senders, repair or flow control.

use super::player::Player;
use super::wires::{Received, Tag, Wires};
use crate::exit::Failure;
use crate::transport::address::Port;
use crate::transport::plain::{Kind, Parcel, proxy};
use crate::transport::zmq::{Context, Socket};

const HOST: &str = "127.0.0.1";

/// Runs the proxy.
pub(super) fn stand_in_the_middle(port_base: u16) -> Result<(), Failure> {
    let context = Context::default();
    let entrance = context.plain(Kind::Entrance, &Port::In.endpoint(HOST, port_base), true)?;
    let way = context.plain(Kind::Way, &Port::Out.endpoint(HOST, port_base), true)?;
    proxy(&entrance, &way);
    Ok(())
}

/// The sockets of a member.
pub(super) struct Plain {
    publisher: Socket,
    subscriber: Socket,
    parcel: Parcel,
}

impl Plain {
    pub(super) fn connect(context: &Context, port_base: u16) -> Result<Self, Failure> {
        Ok(Self {
            publisher: context.plain(Kind::Publish, &Port::In.endpoint(HOST, port_base), false)?,
            subscriber: context.plain(Kind::Subscribe, &Port::Out.endpoint(HOST, port_base), false)?,
            parcel: Parcel::default(),
        })
    }
}

impl Wires for Plain {
    fn send(&self, player: &mut Player, now: u64, _: u64) -> u64 {
        self.publisher.send_plain(player.next(now), false);
        1
    }

    /// A tag is shorter than any multicast.
    fn send_tag(&self, me: u16, tag: Tag) {
        let [low, high] = me.to_le_bytes();
        self.publisher.send_plain(&[low, high, tag as u8][..], false);
    }

    fn receive(&mut self, player: &mut Player, waits: bool) -> Result<Received, Failure> {
        if !self.subscriber.receive_plain(&mut self.parcel, waits) {
            return Ok(Received::Nothing);
        }
        if let [low, high, tag] = self.parcel[..] {
            return Ok(Received::tagged(u16::from_le_bytes([low, high]), tag));
        }
        player.deliver(&self.parcel)?;
        Ok(Received::Multicasts)
    }

    fn inlet(&self) -> &Socket {
        &self.subscriber
    }
}
