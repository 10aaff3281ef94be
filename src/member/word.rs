//! The messages of the membership protocol. Each is multicast; members that it does not concern ignore it, and to all
//! it is a sign of life of its sender.

use std::fmt;

use bytes::Bytes;

use crate::engine::{MemberId, To, View};
use crate::prefix_set::Range;
use crate::script::check_id;
use crate::wire::control::{Role, Seat};
use crate::wire::{Frames, Header, Kind, Malformed, Reader, Writer};

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
    /// The count of global numbers used before this view.
    pub numbers: u64,
    /// All members that ever were in the run.
    pub seats: Vec<Seat>,
}

/// An accepted proposal, and its ballot.
pub type Accepted = (Ballot, Proposal);

/// A message of the membership protocol.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Word {
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

/// Most entries of a list in a message.
const MAX_LIST: usize = u16::MAX as usize;

impl Word {
    /// Returns the packet that carries this message.
    #[must_use]
    pub fn encode(&self, (run, view): (u64, u16), sender: MemberId) -> Frames {
        let mut out = Writer::default();
        Header { kind: Kind::Membership, sender, to: To::Group, run, view }.write(&mut out);
        self.write(&mut out);
        let (header, body) = out.finish();
        Frames { header, body }
    }

    /// Returns the message in a membership packet.
    ///
    /// # Errors
    /// [`Malformed`] if it carries none.
    pub fn decode(frames: &Frames) -> Result<Self, Malformed> {
        let mut from = Reader::new(frames.header.clone(), frames.body.clone());
        Header::read(&mut from)?;
        let word = Self::read(&mut from)?;
        from.end()?;
        Ok(word)
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Heartbeat => out.u8(1),
            Self::Verify(member) => tagged(out, 2, *member),
            Self::Vouch(member) => tagged(out, 3, *member),
            Self::Election => out.u8(4),
            Self::Answer(member) => tagged(out, 5, *member),
            Self::Coordinator => out.u8(6),
            Self::Prepare(ballot, members) => {
                out.u8(7);
                write_ballot(*ballot, out);
                write_members(members, out);
            }
            Self::State(ballot, have, accepted) => {
                out.u8(8);
                write_ballot(*ballot, out);
                out.length(have.len());
                for (sender, ranges) in have {
                    out.member(*sender);
                    write_ranges(ranges, out);
                }
                out.u8(u8::from(accepted.is_some()));
                if let Some((ballot, proposal)) = accepted {
                    write_ballot(*ballot, out);
                    proposal.write(out);
                }
            }
            Self::Propose(ballot, proposal) => {
                out.u8(9);
                write_ballot(*ballot, out);
                proposal.write(out);
            }
            Self::Ready(ballot) => {
                out.u8(10);
                write_ballot(*ballot, out);
            }
            Self::Install(ballot, proposal) => {
                out.u8(11);
                write_ballot(*ballot, out);
                proposal.write(out);
            }
            Self::Fetch(holder, sender, ranges) => {
                tagged(out, 12, *holder);
                out.member(*sender);
                write_ranges(ranges, out);
            }
            Self::Relay(frames) => {
                out.u8(13);
                out.u32(frames.header.len() as u32);
                out.raw(&frames.header);
                out.body(frames.body.clone());
            }
            Self::Behind(member, view, ballot) => {
                tagged(out, 14, *member);
                out.u64(*view);
                write_ballot(*ballot, out);
            }
            Self::Leave => out.u8(15),
            Self::Admit(seat) => {
                out.u8(16);
                write_seat(seat, out);
            }
            Self::Welcome(member, admission) => {
                tagged(out, 17, *member);
                admission.write(out);
            }
            Self::Exclude(member, by, length) => {
                tagged(out, 18, *member);
                out.member(*by);
                out.u64(*length);
            }
            Self::Here(ballot, view) => {
                out.u8(19);
                write_ballot(*ballot, out);
                write_view(view, out);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            1 => Self::Heartbeat,
            2 => Self::Verify(from.member()?),
            3 => Self::Vouch(from.member()?),
            4 => Self::Election,
            5 => Self::Answer(from.member()?),
            6 => Self::Coordinator,
            7 => Self::Prepare(read_ballot(from)?, read_members(from)?),
            8 => {
                let ballot = read_ballot(from)?;
                let have = (0..from.length(4)?).map(|_| Ok((from.member()?, read_ranges(from)?)));
                let have = have.collect::<Result<_, _>>()?;
                let accepted = match from.u8()? {
                    0 => None,
                    1 => Some((read_ballot(from)?, Proposal::read(from)?)),
                    _ => return Err(Malformed),
                };
                Self::State(ballot, have, accepted)
            }
            9 => Self::Propose(read_ballot(from)?, Proposal::read(from)?),
            10 => Self::Ready(read_ballot(from)?),
            11 => Self::Install(read_ballot(from)?, Proposal::read(from)?),
            12 => Self::Fetch(from.member()?, from.member()?, read_ranges(from)?),
            13 => {
                let length = from.u32()? as usize;
                let header = from.raw(length)?;
                Self::Relay(Frames { header, body: from.body() })
            }
            14 => Self::Behind(from.member()?, from.u64()?, read_ballot(from)?),
            15 => Self::Leave,
            16 => Self::Admit(read_seat(from)?),
            17 => Self::Welcome(from.member()?, Box::new(Admission::read(from)?)),
            18 => Self::Exclude(from.member()?, from.member()?, from.u64()?),
            19 => Self::Here(read_ballot(from)?, read_view(from)?),
            _ => return Err(Malformed),
        })
    }
}

impl Proposal {
    fn write(&self, out: &mut Writer) {
        write_view(&self.view, out);
        out.length(self.cut.len().min(MAX_LIST));
        for &(sender, (first, last), holder) in self.cut.iter().take(MAX_LIST) {
            out.member(sender);
            out.u64(first);
            out.u64(last);
            out.member(holder);
        }
        write_seats(&self.arrivals, out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let view = read_view(from)?;
        let cut = (0..from.length(20)?)
            .map(|_| Ok((from.member()?, read_range(from)?, from.member()?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { view, cut, arrivals: read_seats(from)? })
    }
}

impl Admission {
    fn write(&self, out: &mut Writer) {
        write_ballot(self.ballot, out);
        write_view(&self.view, out);
        out.length(self.before.len());
        for &(member, count) in &self.before {
            out.member(member);
            out.u64(count);
        }
        out.u64(self.numbers);
        write_seats(&self.seats, out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (ballot, view) = (read_ballot(from)?, read_view(from)?);
        let before = (0..from.length(10)?).map(|_| Ok((from.member()?, from.u64()?)));
        let before = before.collect::<Result<_, _>>()?;
        Ok(Self { ballot, view, before, numbers: from.u64()?, seats: read_seats(from)? })
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, MemberId(self.leader))
    }
}

fn tagged(out: &mut Writer, tag: u8, member: MemberId) {
    out.u8(tag);
    out.member(member);
}

fn write_ballot(ballot: Ballot, out: &mut Writer) {
    out.u32(ballot.attempt);
    out.u16(ballot.leader);
}

fn read_ballot(from: &mut Reader) -> Result<Ballot, Malformed> {
    Ok(Ballot { attempt: from.u32()?, leader: from.u16()? })
}

fn write_view(view: &View, out: &mut Writer) {
    out.u64(view.number);
    write_members(&view.clients, out);
    write_members(view.sequencer.as_slice(), out);
    write_members(&view.candidates, out);
}

/// Reads a view after the first one, which only the forwarder sends.
fn read_view(from: &mut Reader) -> Result<View, Malformed> {
    let (number, clients) = (from.u64()?, read_members(from)?);
    let (sequencer, candidates) = (read_members(from)?, read_members(from)?);
    if sequencer.len() > 1 || clients.is_empty() || number < 2 {
        return Err(Malformed);
    }
    Ok(View { number, clients, sequencer: sequencer.first().copied(), candidates })
}

fn write_seat(seat: &Seat, out: &mut Writer) {
    out.u16(seat.slot);
    out.u32(seat.incarnation);
    let (is_client, stands_by) = (seat.role == Role::Client, seat.role == Role::Standby);
    let flags = [is_client, seat.can_sequence, seat.late, stands_by];
    out.u8((0..).zip(flags).map(|(place, flag)| u8::from(flag) << place).sum());
    out.u8(seat.id.len() as u8);
    out.raw(seat.id.as_bytes());
}

fn read_seat(from: &mut Reader) -> Result<Seat, Malformed> {
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
    Ok(Seat { slot, id, incarnation, role, can_sequence: flags & 2 != 0, late: flags & 4 != 0 })
}

fn write_seats(seats: &[Seat], out: &mut Writer) {
    out.length(seats.len());
    seats.iter().for_each(|seat| write_seat(seat, out));
}

fn read_seats(from: &mut Reader) -> Result<Vec<Seat>, Malformed> {
    (0..from.length(9)?).map(|_| read_seat(from)).collect()
}

fn write_members(members: &[MemberId], out: &mut Writer) {
    out.length(members.len());
    members.iter().for_each(|&member| out.member(member));
}

/// Reads members in ascending order: none is named twice, and every list has one form.
fn read_members(from: &mut Reader) -> Result<Vec<MemberId>, Malformed> {
    let members = (0..from.length(2)?).map(|_| from.member()).collect::<Result<Vec<_>, _>>()?;
    if members.windows(2).all(|pair| pair[0] < pair[1]) { Ok(members) } else { Err(Malformed) }
}

fn write_ranges(ranges: &[Range], out: &mut Writer) {
    out.length(ranges.len());
    for &(first, last) in ranges {
        out.u64(first);
        out.u64(last);
    }
}

/// Reads ascending ranges with gaps between them.
fn read_ranges(from: &mut Reader) -> Result<Vec<Range>, Malformed> {
    let ranges = (0..from.length(16)?).map(|_| read_range(from)).collect::<Result<Vec<_>, _>>()?;
    if ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0) { Ok(ranges) } else { Err(Malformed) }
}

fn read_range(from: &mut Reader) -> Result<Range, Malformed> {
    let (first, last) = (from.u64()?, from.u64()?);
    if 0 < first && first <= last && last < u64::MAX { Ok((first, last)) } else { Err(Malformed) }
}

/// Returns the sequence number of a data packet, and the tag of its message.
#[must_use]
pub(super) fn data_of(frames: &Frames) -> Option<(u64, u8)> {
    let header: &Bytes = &frames.header;
    let number = header.get(16..24)?.try_into().ok().map(u64::from_le_bytes)?;
    Some((number, *header.get(24)?))
}
