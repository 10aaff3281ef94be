//! The messages of the membership protocol. Each is multicast; members that it does not concern ignore it, and to all
//! it is a sign of life of its sender.

use std::fmt;

use crate::ids::{MemberId, To, View};
use crate::prefix_set::Range;
use crate::script::check_id;
use crate::wire::control::{Role, Seat};
use crate::wire::{
    Entry, Frames, Header, Kind, Malformed, Packet, Reader, Wire, Writer, wire_enum, wire_struct,
};

/// The number of an attempt to change the view: a higher one supersedes a lower one, and no two leaders share one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ballot {
    /// The number of the attempt.
    pub attempt: u32,
    /// The slot of the leader.
    pub leader: u16,
}

/// The packets of one sender that a member has, ascending.
pub type Have = (MemberId, Vec<Range>);

/// A leader's proposal: the next view, and the packets of the old one that all members are to have.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Proposal {
    /// The next view.
    pub view: View,
    /// A sender, a range of its packets, and a member that has them.
    pub cut: Vec<(MemberId, Range, MemberId)>,
    /// The newcomers of the next view.
    pub arrivals: Vec<Seat>,
}

/// The state with which a newcomer begins in its first view.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Admission {
    /// The ballot of the view.
    pub ballot: Ballot,
    /// The view.
    pub view: View,
    /// For each client: the number of its messages delivered before this view.
    pub before: Vec<(MemberId, u64)>,
    /// The highest global number that was given before this view.
    pub numbers: u64,
    /// All members that ever were in the run.
    pub seats: Vec<Seat>,
}

/// An accepted proposal, and its ballot.
pub type Accepted = (Ballot, Proposal);

/// A message of the membership protocol.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ViewMessage {
    /// The sender is alive.
    Heartbeat,
    /// Request to vouch for this member.
    Verify(MemberId),
    /// The sender has heard this member just now.
    Vouch(MemberId),
    /// Bully: request for an answer of any higher member.
    Election,
    /// Bully, to that member: the sender is higher and present.
    Answer(MemberId),
    /// Bully: the sender leads.
    Coordinator,
    /// Request to these members to stop sending and to report their packets.
    Prepare(Ballot, Vec<MemberId>),
    /// The packets of the view at the sender, and the proposal that it has accepted.
    State(Ballot, Vec<Have>, Option<Accepted>),
    /// The next view, and the packets that each member has to fetch if it lacks them.
    Propose(Ballot, Proposal),
    /// The sender has all packets of the proposal.
    Ready(Ballot),
    /// All members are ready: the next view is installed.
    Install(Ballot, Proposal),
    /// Request to the first member for these packets of the second.
    Fetch(MemberId, MemberId, Vec<Range>),
    /// A packet of another member, unchanged.
    Relay(Frames),
    /// To that member: the group has gone on without it, to this view, by this ballot.
    Behind(MemberId, u64, Ballot),
    /// The sender leaves and is to be in no further view.
    Leave,
    /// Request to be taken in, with this seat; sent outside of any view.
    Admit(Seat),
    /// To that newcomer: it is in this view.
    Welcome(MemberId, Box<Admission>),
    /// The first member is to be excluded: the second has found that it received nothing for so many milliseconds.
    Exclude(MemberId, MemberId, u64),
    /// The sender is alive and in this view, which that ballot made.
    Here(Ballot, View),
}

impl ViewMessage {
    /// Returns the packet that carries this message.
    #[must_use]
    pub fn encode(&self, (run, view): (u64, u16), sender: MemberId) -> Packet {
        let header = Header { kind: Kind::Membership, sender, to: To::Group, run, view };
        Packet::build(header, |out| self.write(out))
    }

    /// Returns the message in a membership packet.
    ///
    /// # Errors
    /// [`Malformed`] if it carries none.
    pub fn decode(packet: Packet) -> Result<Self, Malformed> {
        let mut from = packet.reader();
        let message = Self::read(&mut from)?;
        from.end()?;
        Ok(message)
    }
}

// The tags and the fields of each message, in the order in which they travel. PROTOCOL.md has the same table.
wire_enum!(ViewMessage {
    1 => Heartbeat,
    2 => Verify(member),
    3 => Vouch(member),
    4 => Election,
    5 => Answer(member),
    6 => Coordinator,
    7 => Prepare(ballot, members),
    8 => State(ballot, have, accepted),
    9 => Propose(ballot, proposal),
    10 => Ready(ballot),
    11 => Install(ballot, proposal),
    12 => Fetch(holder, sender, ranges),
    13 => Relay(frames),
    14 => Behind(member, view, ballot),
    15 => Leave,
    16 => Admit(seat),
    17 => Welcome(member, admission),
    18 => Exclude(member, by, millis),
    19 => Here(ballot, view)
});
wire_struct!(Ballot { attempt, leader });
wire_struct!(Proposal { view, cut, arrivals });
wire_struct!(Admission { ballot, view, before, numbers, seats });

/// Members in ascending order: none is named twice, and every list has one form.
impl Entry for MemberId {
    const SHORTEST: usize = 2;

    fn may_follow(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| before < self)
    }
}

/// Ascending ranges with gaps between them.
impl Entry for Range {
    const SHORTEST: usize = 16;

    fn may_follow(&self, before: Option<&Self>) -> bool {
        is_range(*self) && before.is_none_or(|(_, last)| last + 1 < self.0)
    }
}

impl Entry for (MemberId, Range, MemberId) {
    const SHORTEST: usize = 20;

    fn may_follow(&self, _: Option<&Self>) -> bool {
        is_range(self.1)
    }
}

impl Entry for Have {
    const SHORTEST: usize = 4;
}

impl Entry for (MemberId, u64) {
    const SHORTEST: usize = 10;
}

impl Entry for Seat {
    const SHORTEST: usize = 9;
}

const fn is_range((first, last): Range) -> bool {
    0 < first && first <= last && last < u64::MAX
}

/// A view after the first one, which only the forwarder sends.
impl Wire for View {
    fn write(&self, out: &mut Writer) {
        self.number.write(out);
        self.clients.write(out);
        self.sequencer.as_slice().to_vec().write(out);
        self.candidates.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (number, clients) = (from.u64()?, Vec::read(from)?);
        let (sequencer, candidates) = (Vec::read(from)?, Vec::read(from)?);
        if sequencer.len() > 1 || clients.is_empty() || number < 2 {
            return Err(Malformed);
        }
        Ok(Self { number, clients, sequencer: sequencer.first().copied(), candidates })
    }
}

impl Wire for Seat {
    fn write(&self, out: &mut Writer) {
        out.u16(self.slot);
        out.u32(self.incarnation);
        let (is_client, stands_by) = (self.role == Role::Client, self.role == Role::Standby);
        let flags = [is_client, self.can_sequence, self.late, stands_by];
        out.u8((0..).zip(flags).map(|(place, flag)| u8::from(flag) << place).sum());
        out.u8(self.id.len() as u8);
        out.raw(self.id.as_bytes());
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (slot, incarnation, flags) = (from.u16()?, from.u32()?, from.u8()?);
        let length = from.u8()?;
        let id = from.raw(length.into())?;
        let id = std::str::from_utf8(&id).ok().filter(|id| check_id(id).is_ok()).ok_or(Malformed)?.to_owned();
        let role = match flags & 9 {
            0 => Role::Sequencer,
            1 => Role::Client,
            8 => Role::Standby,
            _ => return Err(Malformed),
        };
        if flags > 15 || slot == u16::MAX {
            return Err(Malformed);
        }
        Ok(Self { slot, id, incarnation, role, can_sequence: flags & 2 != 0, late: flags & 4 != 0 })
    }
}

/// A packet that is relayed: the length of its header frame, the header frame, the body.
impl Wire for Frames {
    fn write(&self, out: &mut Writer) {
        out.u32(self.header.len() as u32);
        out.raw(&self.header);
        out.body(self.body.clone());
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let length = from.u32()? as usize;
        Ok(Self { header: from.raw(length)?, body: from.body() })
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, MemberId(self.leader))
    }
}
