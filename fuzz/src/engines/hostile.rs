//! The packets of liars among the members, and of strangers.

use bytes::Bytes;
use groupcast::engine::{MemberId, To, View};
use groupcast::member::view_message::{Admission, Ballot, Proposal, ViewMessage};
use groupcast::wire::control::{Role, Seat};
use groupcast::wire::{Frames, Header, Kind, Writer};

use super::super::feed::Feed;
use super::group::{Group, RUN};

/// The most bytes of each part of a lie, after the first sixteen.
const LONG: usize = 96;

impl Group {
    /// Lets a member send a packet like an earlier one, with some bytes changed.
    pub fn lie_with_a_change(&mut self, feed: &mut Feed<'_>) {
        let (at, from) = self.two(feed);
        let Some((_, frames)) = self.kept.get(feed.below(self.kept.len().max(1))).cloned() else { return };
        let (mut header, mut body) = (frames.header.to_vec(), frames.body.to_vec());
        for _ in 0..=feed.below(4) {
            let (place, value) = (usize::from(feed.byte()), feed.byte());
            // The first sixteen bytes of every packet hold its sender and receiver; they are replaced below.
            if let Some(byte) = header.iter_mut().skip(16).chain(&mut body).nth(place) {
                *byte = value;
            }
        }
        match feed.below(8) {
            0 => header.truncate(feed.byte().into()),
            1 => body.truncate(feed.byte().into()),
            2 => body.extend(feed.take(8)),
            _ => {}
        }
        let to = self.address(at, feed);
        let kind = header.get(3).copied().unwrap_or_default();
        let front = front(kind, from, to, RUN);
        header.splice(..header.len().min(16), front);
        self.receive_lie(at, from, Frames { header: header.into(), body: body.into() });
    }

    /// Lets a member send a packet from the input.
    pub fn lie(&mut self, feed: &mut Feed<'_>) {
        let (at, from) = self.two(feed);
        let to = self.address(at, feed);
        let kind = 1 + feed.below(6) as u8;
        let frames = said(front(kind, from, to, RUN), feed);
        self.receive_lie(at, from, frames);
    }

    /// Lets a stranger to this run send a packet.
    pub fn stranger(&mut self, feed: &mut Feed<'_>) {
        let at = feed.below(self.size());
        let to = self.address(at, feed);
        let kind = 1 + feed.below(7) as u8;
        let (from, run) = match feed.below(4) {
            0 => (MemberId(self.size() as u16 + u16::from(feed.byte())), RUN),
            // A packet has 48 bits of its run's number.
            1 => (MemberId(feed.below(self.size()) as u16), RUN ^ (1 << feed.below(48))),
            2 => (MemberId(at as u16), RUN),
            _ => (MemberId(u16::MAX), RUN),
        };
        if feed.below(2) == 0 {
            let said_in = [0, 1, 2, feed.byte().into(), u16::MAX][feed.below(5)];
            let word = word(from, self.size() as u16, feed);
            return self.receive_strange(at, from, word.encode((run, said_in), from).frames);
        }
        let frames = if feed.below(2) == 0 && !self.kept.is_empty() {
            let (_, kept) = &self.kept[feed.below(self.kept.len())];
            let header = [&front(kept.header[3], from, to, run), &kept.header[16..]].concat();
            Frames { header: header.into(), body: kept.body.clone() }
        } else {
            said(front(kind, from, to, run), feed)
        };
        self.receive_strange(at, from, frames);
    }

    /// Draws the receiver of a lie and its pretended sender.
    fn two(&self, feed: &mut Feed<'_>) -> (usize, MemberId) {
        (feed.below(self.size()), MemberId(feed.below(self.size()) as u16))
    }

    /// Draws the destination in the header of a lie: mostly one that includes its receiver.
    fn address(&self, at: usize, feed: &mut Feed<'_>) -> To {
        match feed.below(8) {
            0..=4 => To::Group,
            5 | 6 => To::Member(MemberId(at as u16)),
            _ => To::Member(MemberId(feed.byte().into())),
        }
    }
}

/// Draws a membership message about members of the group and others.
fn word(from: MemberId, size: u16, feed: &mut Feed<'_>) -> ViewMessage {
    let someone = |feed: &mut Feed<'_>| MemberId(feed.below(usize::from(size) + 3) as u16);
    let (member, other) = (someone(feed), someone(feed));
    let ballot = Ballot { attempt: feed.byte().into(), leader: [from, member][feed.below(2)].0 };
    let seat = Seat {
        slot: [from, other][feed.below(2)].0,
        id: "ghost".to_owned(),
        incarnation: feed.byte().into(),
        role: Role::Client,
        can_sequence: feed.below(2) == 0,
        late: true,
    };
    let mut clients: Vec<MemberId> = (0..size).map(MemberId).chain([from, other]).collect();
    clients.sort_unstable();
    clients.dedup();
    let sequencer = (feed.below(2) == 0).then_some(other);
    let view = View { number: 2 + feed.below(3) as u64, clients, sequencer, candidates: Vec::new() };
    let arrivals = vec![seat.clone()];
    let proposal = Proposal { view: view.clone(), cut: vec![(member, (1, 9), other)], arrivals };
    let before = vec![(member, feed.byte().into())];
    match 1 + feed.below(19) {
        1 => ViewMessage::Heartbeat,
        2 => ViewMessage::Verify(member),
        3 => ViewMessage::Vouch(member),
        4 => ViewMessage::Election,
        5 => ViewMessage::Answer(member),
        6 => ViewMessage::Coordinator,
        7 => ViewMessage::Prepare(ballot, view.clients),
        8 => ViewMessage::State(ballot, vec![(member, vec![(1, 9)])], Some((ballot, proposal))),
        9 => ViewMessage::Propose(ballot, proposal),
        10 => ViewMessage::Ready(ballot),
        11 => ViewMessage::Install(ballot, proposal),
        12 => ViewMessage::Fetch(member, other, vec![(1, u64::MAX - 1)]),
        13 => ViewMessage::Relay(ViewMessage::Leave.encode((RUN, 1), member).frames),
        14 => ViewMessage::Behind(member, view.number, ballot),
        15 => ViewMessage::Leave,
        16 => ViewMessage::Admit(seat),
        17 => {
            let seats = vec![seat];
            ViewMessage::Welcome(member, Box::new(Admission { ballot, view, before, numbers: 9, seats }))
        }
        18 => ViewMessage::Exclude(member, from, 60_000),
        _ => ViewMessage::Here(ballot, view),
    }
}

/// Returns the sixteen bytes that begin every packet.
fn front(kind: u8, sender: MemberId, to: To, run: u64) -> Vec<u8> {
    let mut out = Writer::default();
    Header { kind: Kind::Data, sender, to, run, view: 1 }.write(&mut out);
    let mut front = out.finish().0.to_vec();
    front[3] = kind;
    front
}

/// Returns a packet with the rest from the input.
fn said(mut header: Vec<u8>, feed: &mut Feed<'_>) -> Frames {
    let (fields, body) = (feed.below(LONG), feed.below(LONG));
    header.extend(feed.take(fields));
    Frames { header: header.into(), body: Bytes::copy_from_slice(feed.take(body)) }
}
