//! The words of memberships, and outlines: kinds 6 and 7.
//!
//! As in `names`, the fields are written from the document, not from the code.

use bytes::Bytes;
use groupcast::engine::{MemberId, To, View};
use groupcast::member::view_message::{Admission, Ballot, Have, Proposal, ViewMessage};
use groupcast::prefix_set::Range;
use groupcast::wire::control::{Role, Seat};
use groupcast::wire::{Frames, Header, Kind, Malformed, Packet};

use super::names::Fields;
use super::vectors::Vector;
use super::{Dialect, RUN, VIEW, Value};

const C1: MemberId = MemberId(0);
const C2: MemberId = MemberId(1);
const C3: MemberId = MemberId(2);
const SEQUENCER: MemberId = MemberId(3);
const SECOND: MemberId = MemberId(4);
const NEW: MemberId = MemberId(5);

/// Encodes a word with the header that it was read with.
pub(super) fn encode(header: &Header, word: &ViewMessage) -> Frames {
    let mut frames = word.encode((header.run, header.view), header.sender).frames;
    let mut bytes = frames.header.to_vec();
    if let To::Member(member) = header.to {
        bytes[6..8].copy_from_slice(&member.0.to_le_bytes());
    }
    frames.header = bytes.into();
    frames
}

/// Returns the outline of a packet, whomever it is for.
pub(super) fn without_texts(packet: &Frames) -> Frames {
    let mut header = packet.header.to_vec();
    header[3] = 7;
    Frames { header: header.into(), body: Bytes::new() }
}

/// Decodes a word and its header.
pub(super) fn decode(frames: &Frames) -> Result<Value, Malformed> {
    let packet = Packet::parse(frames.clone())?;
    Ok(Value::ViewMessage(packet.header, Box::new(ViewMessage::decode(packet)?)))
}

fn seat(slot: MemberId, id: &str, role: Role) -> Seat {
    let (can_sequence, late) = (role == Role::Standby, slot == NEW);
    Seat { slot: slot.0, id: id.to_owned(), incarnation: 1, role, can_sequence, late }
}

fn ballot(attempt: u32, leader: MemberId) -> Ballot {
    Ballot { attempt, leader: leader.0 }
}

/// View 2: c2 and the sequencer are lost, the standby has the sequencer's place, and a client is new.
fn view() -> View {
    View { number: 2, clients: vec![C1, C3, NEW], sequencer: Some(SECOND), candidates: Vec::new() }
}

fn proposal() -> Proposal {
    Proposal {
        view: view(),
        cut: vec![(C1, (1, 7), SECOND), (C2, (1, 3), C1), (C2, (4, 4), C3), (SEQUENCER, (1, 5), SECOND)],
        arrivals: vec![seat(NEW, "c4", Role::Client)],
    }
}

fn relayed() -> Frames {
    let packet = super::vectors::packets().into_iter().find(|vector| vector.file == "data_fifo.hex");
    packet.expect("it is there").value.encode()
}

/// Good packets of kinds 6 and 7.
pub(super) fn packets() -> Vec<Vector> {
    let have: Vec<Have> = vec![(C1, vec![(1, 7)]), (C2, vec![(1, 2), (4, 4)]), (SECOND, vec![(1, 1)])];
    let seats = [
        seat(C1, "c1", Role::Client),
        seat(C2, "c2", Role::Client),
        seat(C3, "c3", Role::Client),
        seat(SEQUENCER, "sequencer", Role::Sequencer),
        seat(SECOND, "second", Role::Standby),
        seat(NEW, "c4", Role::Client),
    ];
    let admission = Admission {
        ballot: ballot(1, SECOND),
        view: view(),
        before: vec![(C1, 12), (C2, 5), (C3, 0)],
        numbers: 17,
        seats: seats.to_vec(),
    };
    let lead = ballot(1, SECOND);
    #[rustfmt::skip]
    let rows = [
        ("word_heartbeat.hex", "Heartbeat of c1", C1, VIEW, ViewMessage::Heartbeat),
        ("word_verify.hex", "Verify: c1 asks whether any member has heard of c2", C1, VIEW, ViewMessage::Verify(C2)),
        ("word_vouch.hex", "Vouch: c3 has heard of c2 just now", C3, VIEW, ViewMessage::Vouch(C2)),
        ("word_election.hex", "Election: c1 asks whether any member comes before it", C1, VIEW, ViewMessage::Election),
        ("word_answer.hex", "Answer of c3 to c1: it does", C3, VIEW, ViewMessage::Answer(C1)),
        ("word_coordinator.hex", "Coordinator: the standby leads", SECOND, VIEW, ViewMessage::Coordinator),
        ("word_prepare.hex", "Prepare: the standby's first attempt, without c2 and the sequencer", SECOND, VIEW, ViewMessage::Prepare(lead, vec![C1, C3, SECOND])),
        ("word_state.hex", "State of c1, which has accepted nothing: packets 1 to 7 of its own, 1, 2 and 4 of c2, 1 of the standby", C1, VIEW, ViewMessage::State(lead, have.clone(), None)),
        ("word_state_accepted.hex", "State of c1 for a second attempt, by c3; it has accepted the proposal of the first", C1, VIEW, ViewMessage::State(ballot(2, C3), have, Some((lead, proposal())))),
        ("word_propose.hex", "Propose: view 2 has c1, c3, the new client c4, and the standby as its sequencer; which packets belong to view 1, and a member that has them", SECOND, VIEW, ViewMessage::Propose(lead, proposal())),
        ("word_ready.hex", "Ready: c1 has all packets of the proposal", C1, VIEW, ViewMessage::Ready(lead)),
        ("word_install.hex", "Install: all that have answered are ready", SECOND, VIEW, ViewMessage::Install(lead, proposal())),
        ("word_fetch.hex", "Fetch: c1 asks c3 for packet 4 and packets 6 to 7 of c2", C1, VIEW, ViewMessage::Fetch(C3, C2, vec![(4, 4), (6, 7)])),
        ("word_relay.hex", "Relay: c3 passes on a packet of c1, header and body as they came", C3, VIEW, ViewMessage::Relay(relayed())),
        ("word_behind.hex", "Behind, to c2: the group went on without it, to view 2", C1, 2, ViewMessage::Behind(C2, 2, lead)),
        ("word_leave.hex", "Leave of c2", C2, VIEW, ViewMessage::Leave),
        ("word_admit.hex", "Admit: a client that came late wants to be taken in", NEW, 0, ViewMessage::Admit(seat(NEW, "c4", Role::Client))),
        ("word_admit_standby.hex", "Admit of a standby", SECOND, 0, ViewMessage::Admit(seat(SECOND, "second", Role::Standby))),
        ("word_welcome.hex", "Welcome, of c1 to the new client", C1, 2, ViewMessage::Welcome(NEW, Box::new(admission))),
        ("word_exclude.hex", "Exclude: c2 is to go, because it has taken nothing of c1 for 2500 ms", C1, VIEW, ViewMessage::Exclude(C2, C1, 2500)),
        ("word_here.hex", "Here: c1 is in view 2, which the standby's first attempt made", C1, 2, ViewMessage::Here(lead, view())),
    ];
    let word = |(file, title, sender, view, word)| {
        let header = Header { kind: Kind::Membership, sender, to: To::Group, run: RUN, view };
        Vector::new(file, title, Dialect::Any, Value::ViewMessage(header, Box::new(word)))
    };
    rows.into_iter().map(word).chain(outlines()).collect()
}

/// Packets of kind 7.
fn outlines() -> Vec<Vector> {
    let outlines = [
        (
            "outline_total_body.hex",
            "data_total_body.hex",
            "Outline of a Body: its messages 1 and 2, without their texts",
        ),
        ("outline_fifo.hex", "data_fifo.hex", "Outline of a Data packet of order fifo or unordered"),
    ];
    let all = super::vectors::packets();
    let outline = |(file, of, title)| {
        let data = all.iter().find(|vector| vector.file == of).expect("made from a good one");
        let frames = Packet::parse(data.value.encode()).unwrap().outline().expect("it has a body");
        let value = Value::decode(data.dialect, &frames).expect("an outline is a packet");
        Vector::new(file, title, data.dialect, value)
    };
    outlines.into_iter().map(outline).collect()
}

impl Fields {
    /// The fields of a word.
    pub(super) fn word(&mut self, header: &Header, word: &ViewMessage) {
        self.start(6, "Membership", (header.sender, header.view), header.to);
        match word {
            ViewMessage::Heartbeat => self.tag(1, "Heartbeat"),
            ViewMessage::Verify(member) => self.about(2, "Verify", "about slot", *member),
            ViewMessage::Vouch(member) => self.about(3, "Vouch", "about slot", *member),
            ViewMessage::Election => self.tag(4, "Election"),
            ViewMessage::Answer(member) => self.about(5, "Answer", "to slot", *member),
            ViewMessage::Coordinator => self.tag(6, "Coordinator"),
            ViewMessage::Prepare(ballot, members) => {
                self.tag(7, "Prepare");
                self.ballot(*ballot);
                self.members("invited", members);
            }
            ViewMessage::State(ballot, haves, accepted) => self.state(*ballot, haves, accepted.as_ref()),
            ViewMessage::Propose(ballot, proposal) => {
                self.tag(9, "Propose");
                self.proposed(*ballot, proposal);
            }
            ViewMessage::Ready(ballot) => {
                self.tag(10, "Ready");
                self.ballot(*ballot);
            }
            ViewMessage::Install(ballot, proposal) => {
                self.tag(11, "Install");
                self.proposed(*ballot, proposal);
            }
            ViewMessage::Fetch(holder, sender, ranges) => {
                self.about(12, "Fetch", "from slot", *holder);
                self.u16(sender.0, "packets of slot");
                self.ranges(ranges);
            }
            ViewMessage::Relay(frames) => self.relay(frames),
            ViewMessage::Behind(member, view, ballot) => {
                self.about(14, "Behind", "to slot", *member);
                self.u64(*view, "view");
                self.ballot(*ballot);
            }
            ViewMessage::Leave => self.tag(15, "Leave"),
            ViewMessage::Admit(seat) => {
                self.tag(16, "Admit");
                self.seat(seat);
            }
            ViewMessage::Welcome(member, admission) => {
                self.about(17, "Welcome", "to slot", *member);
                self.admission(admission);
            }
            ViewMessage::Exclude(member, by, length) => {
                self.about(18, "Exclude", "slot", *member);
                self.u16(by.0, "says slot");
                self.u64(*length, "milliseconds:");
            }
            ViewMessage::Here(ballot, view) => {
                self.tag(19, "Here");
                self.ballot(*ballot);
                self.view(view);
            }
        }
    }

    fn state(&mut self, ballot: Ballot, haves: &[Have], accepted: Option<&(Ballot, Proposal)>) {
        self.tag(8, "State");
        self.ballot(ballot);
        self.u16(haves.len() as u16, "haves: entries");
        for (sender, ranges) in haves {
            self.u16(sender.0, "  packets of slot");
            self.ranges(ranges);
        }
        let what = if accepted.is_some() { "accepted: a proposal follows" } else { "accepted: nothing" };
        self.add([u8::from(accepted.is_some())], what);
        if let Some((ballot, proposal)) = accepted {
            self.proposed(*ballot, proposal);
        }
    }

    fn relay(&mut self, frames: &Frames) {
        self.tag(13, "Relay");
        self.u32(frames.header.len() as u32, "length of the header:");
        self.add(frames.header.to_vec(), "the header, as it came");
        self.body_as_it_came(&frames.body);
    }

    fn proposed(&mut self, ballot: Ballot, proposal: &Proposal) {
        self.ballot(ballot);
        self.proposal(proposal);
    }

    fn tag(&mut self, tag: u8, name: &str) {
        self.add([tag], format!("word {tag}: {name}"));
    }

    fn about(&mut self, tag: u8, name: &str, what: &str, member: MemberId) {
        self.tag(tag, name);
        self.u16(member.0, what);
    }

    fn ballot(&mut self, ballot: Ballot) {
        self.u32(ballot.attempt, "ballot: attempt");
        self.u16(ballot.leader, "  of slot");
    }

    fn members(&mut self, what: &str, members: &[MemberId]) {
        self.u16(members.len() as u16, &format!("{what}:"));
        members.iter().for_each(|member| self.u16(member.0, "  slot"));
    }

    fn ranges(&mut self, ranges: &[Range]) {
        self.u16(ranges.len() as u16, "  ranges:");
        for (first, last) in ranges {
            self.u64(*first, "    from packet");
            self.u64(*last, "    to packet");
        }
    }

    fn view(&mut self, view: &View) {
        self.u64(view.number, "view: number");
        self.members("clients", &view.clients);
        self.members("sequencer", view.sequencer.as_slice());
        self.members("candidates", &view.candidates);
    }

    fn proposal(&mut self, proposal: &Proposal) {
        self.view(&proposal.view);
        self.u16(proposal.cut.len() as u16, "cut: entries");
        for (sender, (first, last), holder) in &proposal.cut {
            self.u16(sender.0, "  packets of slot");
            self.u64(*first, "    from packet");
            self.u64(*last, "    to packet");
            self.u16(holder.0, "    at slot");
        }
        self.seats("new", &proposal.arrivals);
    }

    fn admission(&mut self, admission: &Admission) {
        self.ballot(admission.ballot);
        self.view(&admission.view);
        self.u16(admission.before.len() as u16, "before: entries");
        for (member, count) in &admission.before {
            self.u16(member.0, "  of slot");
            self.u64(*count, "    messages before:");
        }
        self.u64(admission.numbers, "numbers before:");
        self.seats("seats", &admission.seats);
    }

    fn seats(&mut self, what: &str, seats: &[Seat]) {
        self.u16(seats.len() as u16, &format!("{what}:"));
        seats.iter().for_each(|seat| self.seat(seat));
    }

    fn seat(&mut self, seat: &Seat) {
        self.u16(seat.slot, "  seat: slot");
        self.u32(seat.incarnation, "    incarnation");
        let role = match seat.role {
            Role::Client => 1,
            Role::Standby => 8,
            Role::Sequencer | Role::Router => 0,
        };
        let flags = role + 2 * u8::from(seat.can_sequence) + 4 * u8::from(seat.late);
        self.add([flags], format!("    flags {flags}"));
        self.add([seat.id.len() as u8], format!("    length of the id: {}", seat.id.len()));
        self.add(seat.id.as_bytes(), format!("    id {:?}", seat.id));
    }
}
