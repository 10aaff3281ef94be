//! The first baseline: plain multicast over ZeroMQ, from PUB through `zmq_proxy` to SUB, one message a packet, without
//! order across senders, repair or flow control.

use super::baseline::{Heard, Tag};
use super::player::Player;
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

    pub(super) const fn inlet(&self) -> &Socket {
        &self.subscriber
    }

    /// Sends one multicast; returns their number.
    pub(super) fn send(&self, player: &mut Player, now: u64) -> u64 {
        self.publisher.send_plain(player.next(now), false);
        1
    }

    /// Sends a tag, which is shorter than any multicast.
    pub(super) fn say(&self, me: u16, tag: Tag) {
        let [low, high] = me.to_le_bytes();
        self.publisher.send_plain(&[low, high, tag as u8][..], false);
    }

    pub(super) fn hear(&mut self, player: &mut Player, waits: bool) -> Result<Heard, Failure> {
        if !self.subscriber.receive_plain(&mut self.parcel, waits) {
            return Ok(Heard::Nothing);
        }
        if let [low, high, tag] = self.parcel[..] {
            return Ok(Heard::tagged(u16::from_le_bytes([low, high]), tag));
        }
        player.deliver(&self.parcel)?;
        Ok(Heard::Multicasts)
    }
}
