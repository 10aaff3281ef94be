//! The second baseline: an upper bound for packing and numbering over ZeroMQ. Members push packets of messages to one
//! sequencer, which puts the first number and the count in front and publishes the packets unchanged. The order is
//! total, but there is no repair, no flow control and no membership.

use super::player::{Player, wrong};
use super::wires::{Received, Tag, Wires};
use crate::exit::Failure;
use crate::transport::address::Port;
use crate::transport::plain::{Kind, Parcel};
use crate::transport::zmq::{Context, Socket};

const HOST: &str = "127.0.0.1";
/// The approximate size limit of a packet, in bytes.
const FULL: usize = 1 << 16;

/// The head of a packet: its sender and its number of messages. The sequencer puts the number of the first message
/// before it.
const HEAD: usize = 16;
const STAMPED: usize = 8 + HEAD;

/// Runs the sequencer.
pub(super) fn stand_in_the_middle(port_base: u16) -> Result<(), Failure> {
    let context = Context::default();
    let inlet = context.plain(Kind::Pull, &Port::In.endpoint(HOST, port_base), true)?;
    let outlet = context.plain(Kind::Publish, &Port::Out.endpoint(HOST, port_base), true)?;
    let mut next: u64 = 0;
    loop {
        let (mut head, mut packet) = (Parcel::default(), Parcel::default());
        if !(inlet.receive_plain(&mut head, true) && inlet.receive_plain(&mut packet, true)) {
            continue;
        }
        let mut stamped = [0; STAMPED];
        stamped[..8].copy_from_slice(&next.to_le_bytes());
        stamped[8..].copy_from_slice(&head);
        next += number_at(&head, 8);
        outlet.send_plain(&stamped[..], true);
        outlet.send_plain(packet, false);
    }
}

/// The sockets of a member.
pub(super) struct Packed {
    pusher: Socket,
    subscriber: Socket,
    /// The most messages in a packet.
    per_packet: u64,
    next: Option<u64>,
    stamped: Parcel,
    packet: Parcel,
}

impl Packed {
    pub(super) fn connect(
        context: &Context,
        port_base: u16,
        size: usize,
        window: u64,
    ) -> Result<Self, Failure> {
        Ok(Self {
            pusher: context.plain(Kind::Push, &Port::In.endpoint(HOST, port_base), false)?,
            subscriber: context.plain(Kind::Subscribe, &Port::Out.endpoint(HOST, port_base), false)?,
            per_packet: ((FULL / (size + 4)) as u64).min(window / 8).max(1),
            next: None,
            stamped: Parcel::default(),
            packet: Parcel::default(),
        })
    }

    fn push(&self, me: u16, count: u64, packet: impl Into<Parcel>) {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&u64::from(me).to_le_bytes());
        head[8..].copy_from_slice(&count.to_le_bytes());
        self.pusher.send_plain(&head[..], true);
        self.pusher.send_plain(packet, false);
    }
}

impl Wires for Packed {
    /// Sends one packet.
    fn send(&self, player: &mut Player, now: u64, room: u64) -> u64 {
        let count = room.min(self.per_packet);
        let mut packet = Vec::with_capacity(FULL);
        for _ in 0..count {
            let text = player.next(now);
            packet.extend_from_slice(&(text.len() as u32).to_le_bytes());
            packet.extend_from_slice(text);
        }
        self.push(player.me(), count, packet);
        count
    }

    /// A tag is a packet without messages.
    fn send_tag(&self, me: u16, tag: Tag) {
        self.push(me, 0, &[tag as u8][..]);
    }

    fn receive(&mut self, player: &mut Player, waits: bool) -> Result<Received, Failure> {
        let got = self.subscriber.receive_plain(&mut self.stamped, waits)
            && self.subscriber.receive_plain(&mut self.packet, true);
        if !got {
            return Ok(Received::Nothing);
        }
        let (first, sender, count) =
            (number_at(&self.stamped, 0), number_at(&self.stamped, 8), number_at(&self.stamped, 16));
        if count == 0 {
            return Ok(Received::tagged(sender as u16, self.packet[0]));
        }
        let next = *self.next.get_or_insert(first);
        if first != next {
            return Err(wrong(&format!("{first} came where {next} was due")));
        }
        self.next = Some(next + count);
        let mut rest = &self.packet[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (text, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            player.deliver(text)?;
            rest = after;
        }
        Ok(Received::Multicasts)
    }

    fn inlet(&self) -> &Socket {
        &self.subscriber
    }
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
