//! The sockets of a baseline's member, and the messages beside its multicasts.

use super::player::Player;
use crate::exit::Failure;
use crate::transport::zmq::Socket;

/// The messages of a baseline's member beside its multicasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Tag {
    /// The member is present.
    Hello = 1,
    /// The member has sent its last multicast.
    End = 2,
}

/// The result of one receive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Received {
    Nothing,
    /// Multicasts, which the player has already counted.
    Multicasts,
    Hello(u16),
    End(u16),
}

impl Received {
    pub(super) const fn tagged(sender: u16, tag: u8) -> Self {
        if tag == Tag::End as u8 { Self::End(sender) } else { Self::Hello(sender) }
    }
}

/// The sockets of a member.
pub(super) trait Wires {
    /// Sends some of the `room` next multicasts of the player; returns their number.
    fn send(&self, player: &mut Player, now: u64, room: u64) -> u64;

    /// Sends a tag.
    fn send_tag(&self, me: u16, tag: Tag);

    /// Receives, and passes multicasts to the player.
    fn receive(&mut self, player: &mut Player, waits: bool) -> Result<Received, Failure>;

    /// Returns the socket that is readable when something has come.
    fn inlet(&self) -> &Socket;
}
