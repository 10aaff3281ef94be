//! The typed values from which the good vectors are written.
//!
//! The group: `c1` has slot 0, `c2` slot 1, `c3` slot 2, the sequencer slot 3.

use std::collections::BTreeMap;

use groupcast::clock::VectorClock;
use groupcast::engine::{MemberId, To};
use groupcast::member::replay::{Logged, Missed, Origin, Replay};
use groupcast::member::{Message, Tally};
use groupcast::order::agreed::{AgreedWire, Rank};
use groupcast::order::total::Sequenced;
use groupcast::order::total_bb::{BbWire, Numbered, Range};
use groupcast::order::total_ub::UbWire;
use groupcast::order::total_uub::{self, UubWire};
use groupcast::order::{causal, lamport};
use groupcast::reliable::basic::Multicast;
use groupcast::reliable::flood::Flooded;
use groupcast::reliable::{Body, Received, Segment};
use groupcast::wire::control::{
    Ask, GroupEntry, GroupState, Identity, LogHead, LogStart, MemberState, Reply, Request, Role, Say, Seat,
    Stage, Status,
};
use groupcast::wire::{Batch, BatchBuilder, Header, Kind};

use super::files::frame;
use super::names::Fields;
use super::open_groups;
use super::{Dialect, RUN, Value};

pub(super) const C1: MemberId = MemberId(0);
const C2: MemberId = MemberId(1);
/// The number of a log.
const LOG: u64 = 0x0000_4c6f_6731_0001;
const C3: MemberId = MemberId(2);
pub(super) const SEQUENCER: MemberId = MemberId(3);

/// A good packet.
#[derive(Clone)]
pub(super) struct Vector {
    pub(super) file: &'static str,
    title: &'static str,
    pub(super) dialect: Dialect,
    pub(super) value: Value,
}

impl Vector {
    /// A good packet in this file.
    pub(super) const fn new(file: &'static str, title: &'static str, dialect: Dialect, value: Value) -> Self {
        Self { file, title, dialect, value }
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        format!("# {}\n#\n{}", self.title, render(self.dialect, &self.value))
    }
}

/// The file but for its title.
pub(super) fn render(dialect: Dialect, value: &Value) -> String {
    let frames = value.encode();
    let (header, body) = (frame("header", &frames.header), frame("body", &frames.body));
    format!("{}order: {}\n{header}{body}", Fields::of(value).text(), dialect.name())
}

impl Dialect {
    /// The one with this name.
    pub(super) fn find(name: &str) -> Self {
        *Self::ALL.iter().find(|one| one.name() == name).expect("a known order")
    }
}

fn batch(first: u64, texts: &[&str]) -> Batch {
    let mut batch = BatchBuilder::new(first);
    for text in texts {
        batch.push(text.as_bytes());
    }
    batch.finish().expect("not empty")
}

fn fifo(from: MemberId, to: To, number: u64, message: Message<Batch>) -> Value {
    Value::Fifo(from, Segment { to, body: Body::Data { number, message } })
}

fn total(from: MemberId, number: u64, message: BbWire) -> Value {
    let body = Body::Data { number, message: Message::Ordered(message) };
    Value::Total(from, Segment { to: To::Group, body })
}

fn any(from: MemberId, to: To, body: Body<Message<BbWire>>) -> Value {
    Value::Total(from, Segment { to, body })
}

/// Replay messages between two members.
fn replay(from: MemberId, to: MemberId, replay: Replay) -> Value {
    Value::Total(
        from,
        Segment { to: To::Member(to), body: Body::Data { number: 1, message: Message::Replay(replay) } },
    )
}

fn bare(kind: Kind, sender: MemberId, to: To) -> Value {
    Value::Bare(Header { kind, sender, to, run: RUN, view: 0 })
}

/// A good packet before it is a [`Vector`]: its file, title, dialect and value.
type Row = (&'static str, &'static str, Dialect, Value);

/// Every good packet.
pub(super) fn packets() -> Vec<Vector> {
    let parts = [
        fifo_data(),
        carried_data(),
        total_data(),
        replays(),
        replays_of_a_log(),
        acknowledgements(),
        bare_packets(),
        causal_and_lamport_data(),
        ub_and_uub_data(),
        agreed_data(),
    ];
    let vector = |(file, title, dialect, value)| Vector { file, title, dialect, value };
    parts.into_iter().flatten().map(vector).chain(super::skipping::packets()).collect()
}

pub(super) fn data<M>(to: To, number: u64, message: M) -> Segment<Message<M>> {
    Segment { to, body: Body::Data { number, message: Message::Ordered(message) } }
}

/// Data of orders without numbers.
fn fifo_data() -> Vec<Row> {
    use Dialect::Fifo;
    use Message::Ordered;
    let long = "a text of 130 bytes, whose length takes two bytes ".repeat(3);
    let padded =
        Batch::parse(1, 1, vec![0x82, 0x00, b'h', b'i'].into()).expect("longer than needed, but allowed");
    vec![
        (
            "data_fifo.hex",
            "Data in a group with order fifo or unordered: c1's packet 3, with its messages 5, 6 and 7; the second is empty",
            Fifo,
            fifo(C1, To::Group, 3, Ordered(batch(5, &["command1", "", "Grüße"]))),
        ),
        (
            "data_fifo_long_text.hex",
            "Data whose text is so long that its length takes two bytes",
            Fifo,
            fifo(C2, To::Group, 1, Ordered(batch(1, &[&long[..130], "short"]))),
        ),
        (
            "data_fifo_padded_length.hex",
            "Data whose length takes more bytes than needed: a writer SHOULD NOT, a reader MUST accept it",
            Fifo,
            fifo(C2, To::Group, 1, Ordered(padded)),
        ),
        (
            "data_fifo_author.hex",
            "Data whose first text c2 multicasts for an author, who is no member; its second text is its own",
            Fifo,
            fifo(C2, To::Group, 1, Ordered(open_groups::authored())),
        ),
    ]
}

/// Data of orders without numbers, over other carriers.
fn carried_data() -> Vec<Row> {
    let multicast = || Multicast { number: 4, message: batch(5, &["command1", "command2"]) };
    let to_c3 = To::Member(C3);
    vec![
        (
            "data_basic.hex",
            "Data from c1 to c3 over basic: c1's fourth multicast, with its messages 5 and 6; c2 is sent the same",
            Dialect::Basic,
            Value::Basic(C1, data(to_c3, 3, multicast())),
        ),
        (
            "data_flood_own.hex",
            "Data from c1 to c3 over flood: c1's fourth multicast, with its messages 5 and 6",
            Dialect::Flood,
            Value::Flood(C1, data(to_c3, 3, Flooded::Own(multicast()))),
        ),
        (
            "data_flood_sent_on.hex",
            "Data from c2 to c3 over flood: c2 sends c1's fourth multicast on",
            Dialect::Flood,
            Value::Flood(C2, data(to_c3, 7, Flooded::SentOn(C1, multicast()))),
        ),
    ]
}

/// Data of order total, method bb, and data that pass every order by.
fn total_data() -> Vec<Row> {
    use Dialect::{Any, Total};
    use Message::{Direct, Finished};
    let to_c3 = To::Member(C3);
    let range = |sender, first, count| Range { sender, first, count };
    let tally =
        |multicasts, sent: &[_]| Tally { multicasts, sent: sent.iter().copied().collect::<BTreeMap<_, _>>() };
    vec![
        (
            "data_total_body.hex",
            "Data in a group with order total, method bb: c1's packet 1, with its messages 1 and 2, not yet numbered",
            Total,
            total(C1, 1, BbWire::Body(batch(1, &["command1", "command2"]))),
        ),
        (
            "data_total_numbers.hex",
            "Data of the sequencer: global numbers 41 and 42 go to c1's messages 5 and 6, number 43 to c3's message 1",
            Total,
            total(
                SEQUENCER,
                12,
                BbWire::Numbers(Numbered {
                    first: 41,
                    ranges: vec![range(C1, 5, 2), range(C3, 1, 1)],
                    skipped: 0,
                }),
            ),
        ),
        (
            "data_direct.hex",
            "Data from c1 to c3, through the router: packet 1 of that stream, with the first message to c3",
            Any,
            any(C1, to_c3, Body::Data { number: 1, message: Direct(batch(1, &["command2"])) }),
        ),
        (
            "data_finished.hex",
            "Data, the finish: c1 has multicast 8 messages, sent 1 to c2 and 2 to c3, and will send nothing more",
            Any,
            any(C1, To::Group, Body::Data { number: 6, message: Finished(tally(8, &[(C2, 1), (C3, 2)])) }),
        ),
        (
            "data_finished_nothing.hex",
            "Data, the finish of a client that has sent nothing",
            Any,
            any(C2, To::Group, Body::Data { number: 1, message: Finished(Tally::default()) }),
        ),
    ]
}

/// Data for newcomers.
fn replays() -> Vec<Row> {
    use Dialect::Any;
    vec![
        (
            "data_replay_ask.hex",
            "Data from c3, which came in view 3, to c1: what was delivered before that, but for the first 40 deliveries?",
            Any,
            replay(C3, C1, Replay::Ask { what: Missed::Deliveries, view: 3, have: 40 }),
        ),
        (
            "data_replay_ask_state.hex",
            "Data from c3, which came in view 3, to c1: what is the state with which that view began?",
            Any,
            replay(C3, C1, Replay::Ask { what: Missed::State, view: 3, have: 0 }),
        ),
        (
            "data_replay_past.hex",
            "Data from c1 to c3: deliveries 41 and 42 were c2's message 7, number 41, and c1's message 9, number 42",
            Any,
            replay(
                C1,
                C3,
                Replay::past(
                    vec![
                        Origin { sender: C2, own_number: 7, number: 41 },
                        Origin { sender: C1, own_number: 9, number: 42 },
                    ],
                    batch(41, &["one", "two"]),
                ),
            ),
        ),
        (
            "data_replay_state.hex",
            "Data from c1 to c3: the first piece of the state",
            Any,
            replay(C1, C3, Replay::State(batch(1, &["x=1"]))),
        ),
        (
            "data_replay_end.hex",
            "Data from c1 to c3: there were 42 deliveries",
            Any,
            replay(C1, C3, Replay::End(42)),
        ),
        (
            "data_replay_cannot.hex",
            "Data from c1 to c3: c1 keeps no history",
            Any,
            replay(C1, C3, Replay::Cannot),
        ),
    ]
}

/// Data for newcomers from a log.
fn replays_of_a_log() -> Vec<Row> {
    use Dialect::Any;
    vec![
        (
            "data_replay_ask_log.hex",
            "Data from c3, which came in view 3, to the sequencer: what does the log have behind place 40?",
            Any,
            replay(C3, SEQUENCER, Replay::Ask { what: Missed::Log, view: 3, have: 40 }),
        ),
        (
            "data_replay_logged.hex",
            "Data from the sequencer to c3: places 41 and 42 of the log are c2/1/7 and c1/2/1",
            Any,
            replay(
                SEQUENCER,
                C3,
                Replay::Logged(
                    vec![
                        Logged { id: text("c2"), incarnation: 1, first: 7, count: 1 },
                        Logged { id: text("c1"), incarnation: 2, first: 1, count: 1 },
                    ],
                    batch(41, &["one", "two"]),
                ),
            ),
        ),
    ]
}

/// Packets of the reliable layer without data.
fn acknowledgements() -> Vec<Row> {
    use Dialect::Any;
    let got = |&(sender, complete, held): &_| Received { sender, complete, held };
    let status = |sent, asks, received: &[_]| Body::Status {
        sent,
        asks,
        received: received.iter().map(got).collect(),
    };
    let nack = |sender, missing: &[_]| Body::Nack { sender, missing: missing.to_vec() };
    vec![
        (
            "status_ack.hex",
            "Status of c2, an acknowledgement: nobody needs to answer",
            Any,
            any(C2, To::Group, status(7, false, &[(C1, 64, 0), (C3, 0, 0), (SEQUENCER, 12, 0)])),
        ),
        (
            "status_asks.hex",
            "Status of c1, an announcement: it has sent 6 packets and wants to know who has them; it holds back 3 of c2's",
            Any,
            any(C1, To::Group, status(6, true, &[(C2, 7, 3), (C3, 0, 0), (SEQUENCER, 12, 0)])),
        ),
        (
            "status_direct.hex",
            "Status of c3 to c1, through the router: it has c1's only packet to it, and has sent none itself",
            Any,
            any(C3, To::Member(C1), status(0, false, &[(C1, 1, 0)])),
        ),
        (
            "status_alone.hex",
            "Status without entries: allowed, and no acknowledgement of anything",
            Any,
            any(C1, To::Group, status(1, true, &[])),
        ),
        (
            "nack_group.hex",
            "Nack of c2: please send packets 4 to 6 and packet 9 of c1's stream to the group again",
            Any,
            any(C2, To::Group, nack(C1, &[(4, 6), (9, 9)])),
        ),
        (
            "nack_direct.hex",
            "Nack of c3 to c1, through the router: please send packet 1 of your stream to me again",
            Any,
            any(C3, To::Member(C1), nack(C1, &[(1, 1)])),
        ),
    ]
}

/// Packets that are only a header.
fn bare_packets() -> Vec<Row> {
    use Dialect::Any;
    let to_c3 = To::Member(C3);
    vec![
        ("probe_group.hex", "Probe of c1, published to the group", Any, bare(Kind::Probe, C1, To::Group)),
        (
            "probe_router.hex",
            "Probe of c1 to the router, which sends it back",
            Any,
            bare(Kind::Probe, C1, To::Member(C1)),
        ),
        (
            "undeliverable.hex",
            "Undeliverable: the router could not deliver a packet of c1 to c3 and gives c1 its header back",
            Any,
            bare(Kind::Undeliverable, C1, to_c3),
        ),
    ]
}

/// Data of `causal` and `lamport`.
fn causal_and_lamport_data() -> Vec<Row> {
    let causal = {
        let mut clock = VectorClock::new(&[C1, C2, C3]);
        clock.advance(C1, 4);
        clock.advance(C3, 2);
        data(To::Group, 3, causal::Stamped { clock, batch: batch(5, &["command1", "command2"]) })
    };
    let stamped = |sequence, time, batch| lamport::Stamped { sequence, time, batch };
    vec![
        (
            "data_causal.hex",
            "Data in a group with order causal: c1's messages 5 and 6, after 4 of its own, none of c2 and 2 of c3",
            Dialect::Causal,
            Value::Causal(C1, causal),
        ),
        (
            "data_lamport_batch.hex",
            "Data in a group with order lamport: c1's fourth utterance, at time 9, with its messages 5 and 6",
            Dialect::Lamport,
            Value::Lamport(C1, data(To::Group, 4, stamped(4, 9, Some(batch(5, &["command1", "command2"]))))),
        ),
        (
            "data_lamport_ack.hex",
            "Data in a group with order lamport: c2 has heard everything up to time 9 and has nothing to multicast",
            Dialect::Lamport,
            Value::Lamport(C2, data(To::Group, 7, stamped(7, 9, None))),
        ),
    ]
}

/// Data of order total, methods `ub` and `uub`.
fn ub_and_uub_data() -> Vec<Row> {
    let to_sequencer = To::Member(SEQUENCER);
    let numbered = || Sequenced { number: 41, sender: C1, batch: batch(5, &["command1", "command2"]) };
    let request = total_uub::Request { first: 5, count: 2 };
    vec![
        (
            "data_ub_raw.hex",
            "Data in a group with order total, method ub: c1 gives the sequencer its messages 5 and 6",
            Dialect::Ub,
            Value::Ub(C1, data(to_sequencer, 3, UbWire::Raw(batch(5, &["command1", "command2"])))),
        ),
        (
            "data_ub_sequenced.hex",
            "Data of the sequencer, method ub: c1's messages 5 and 6 with the global numbers 41 and 42",
            Dialect::Ub,
            Value::Ub(SEQUENCER, data(To::Group, 12, UbWire::Sequenced(numbered()))),
        ),
        (
            "data_uub_request.hex",
            "Data in a group with order total, method uub: c1 asks the sequencer for numbers for its messages 5 and 6",
            Dialect::Uub,
            Value::Uub(C1, data(to_sequencer, 3, UubWire::Request(request))),
        ),
        (
            "data_uub_grant.hex",
            "Data of the sequencer, method uub: c1's batch that begins with its message 5 begins at global number 41",
            Dialect::Uub,
            Value::Uub(SEQUENCER, data(To::Member(C1), 3, UubWire::Grant { first: 5, number: 41 })),
        ),
        (
            "data_uub_numbered.hex",
            "Data, method uub: c1 multicasts its messages 5 and 6 with the global numbers 41 and 42",
            Dialect::Uub,
            Value::Uub(C1, data(To::Group, 3, UubWire::Numbered(numbered()))),
        ),
    ]
}

/// Data of `agreed`.
fn agreed_data() -> Vec<Row> {
    let rank = Rank { number: 17, proposer: C3 };
    vec![
        (
            "data_agreed_body.hex",
            "Data in a group with order agreed: c1's messages 5 and 6, which have no place yet",
            Dialect::Agreed,
            Value::Agreed(C1, data(To::Group, 3, AgreedWire::Body(batch(5, &["command1", "command2"])))),
        ),
        (
            "data_agreed_proposal.hex",
            "Data in a group with order agreed: c3 proposes 17 for c1's batch that begins with its message 5",
            Dialect::Agreed,
            Value::Agreed(C3, data(To::Member(C1), 3, AgreedWire::Proposal { first: 5, number: 17 })),
        ),
        (
            "data_agreed_agreed.hex",
            "Data in a group with order agreed: c1's batch that begins with its message 5 has the place 17 of c3",
            Dialect::Agreed,
            Value::Agreed(C1, data(To::Group, 4, AgreedWire::Agreed { first: 5, rank })),
        ),
    ]
}

/// A message on the sync port.
pub(super) enum Control {
    Request(Box<Request>),
    Reply(Reply),
}

impl Control {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Reply(reply) => reply.to_bytes(),
        }
    }
}

/// Every message on the sync port.
pub(super) fn controls() -> Vec<(&'static str, Control)> {
    let requests = requests().into_iter();
    let requests = requests.map(|(file, request)| (file, Control::Request(Box::new(request))));
    let replies = replies().into_iter().map(|(file, seq, say)| (file, Control::Reply(Reply::new(seq, say))));
    requests.chain(replies).collect()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn client(incarnation: u32) -> Identity {
    let identity = Identity::new("main", "c1", Role::Client, 4_711_000_001);
    Identity { incarnation, order: text("total"), method: text("bb"), ..identity }
}

fn seat(slot: u16, id: &str, role: Role) -> Seat {
    Seat { slot, id: text(id), incarnation: 1, role, can_sequence: false, late: false }
}

fn members() -> Vec<Seat> {
    let clients = (0..).zip(["c1", "c2", "c3"]).map(|(slot, id)| seat(slot, id, Role::Client));
    clients.chain([seat(3, "sequencer", Role::Sequencer)]).collect()
}

const STATUS: Status = Status { view: 2, leader: 4, delivered: 1200, held: 0, at_door: false };

fn requests() -> Vec<(&'static str, Request)> {
    let serves_all = |role, id| Identity::new("", id, role, 4_711_000_002);
    let joining_recorder = Identity { role: Role::Sequencer, id: text("sequencer"), ..client(0) };
    let joining_sequencer = Identity { role: Role::Sequencer, id: text("sequencer"), ..client(0) };
    let joining_standby =
        Identity { role: Role::Standby, id: text("second"), can_sequence: true, ..client(0) };
    let flooding =
        Identity { order: text("fifo"), method: text(""), reliability: text("flood"), ..client(0) };
    let watcher = Identity::new("main", "members", Role::Client, 4_711_000_003);
    let resume = |members| Ask::Resume { run: format!("{RUN:016x}"), slot: 0, members };
    let asked = [
        ("request_join.json", 1, client(0), Ask::Join),
        ("request_join_flood.json", 1, flooding, Ask::Join),
        ("request_join_sequencer.json", 1, joining_sequencer, Ask::Join),
        ("request_join_standby.json", 1, joining_standby, Ask::Join),
        ("request_alive.json", 2, client(1), Ask::Alive),
        ("request_ready.json", 3, client(1), Ask::Ready),
        ("request_done.json", 9, client(1), Ask::Done { view: 1, clients: vec![0, 2] }),
        ("request_leave.json", 9, client(1), Ask::Leave { code: 130, reason: text("interrupted") }),
        ("request_resume.json", 12, client(1), resume(members())),
        ("request_resume_untold.json", 4, client(1), resume(Vec::new())),
        ("request_withdraw.json", 5, client(1), Ask::Withdraw),
        ("request_over.json", 10, client(1), Ask::Over { run: format!("{RUN:016x}") }),
        ("request_members.json", 1, watcher, Ask::Members { skip: 0 }),
        (
            "request_post.json",
            1,
            open_groups::author(),
            Ask::Post { number: 1, text: text("Re: Mach"), again: false },
        ),
        ("request_attend_router.json", 1, serves_all(Role::Router, "router"), Ask::Attend),
        ("request_attend_sequencer.json", 1, serves_all(Role::Sequencer, "sequencer"), Ask::Attend),
        ("request_attend_standby.json", 1, serves_all(Role::Standby, "second"), Ask::Attend),
    ];
    let telling = Request { status: Some(STATUS), ..Request::new(2, client(1), Ask::Alive) };
    let asking = Request { told: Some(0), ..Request::new(5, client(1), Ask::Alive) };
    let posting = Request {
        posts: Some(true),
        receipts: vec![open_groups::receipt()],
        ..Request::new(6, client(1), Ask::Alive)
    };
    let lives = [(text("c1"), 2), (text("c2"), 1)].into();
    let recording = Request {
        log: Some(LogHead { run: format!("{LOG:016x}"), place: 48_123, lives }),
        ..Request::new(1, Identity { method: text("log"), ..joining_recorder }, Ask::Join)
    };
    let others = [
        ("request_alive_with_status.json", telling),
        ("request_alive_with_told.json", asking),
        ("request_alive_with_posts.json", posting),
        ("request_join_log.json", recording),
    ];
    let asked = asked.into_iter().map(|(file, seq, who, ask)| (file, Request::new(seq, who, ask)));
    asked.chain(others).collect()
}

/// The reply to `groupcast members`.
fn shown() -> GroupState {
    let row = |id, role, heard_ms, status| {
        let (id, stage) = (text(id), Stage::Running);
        MemberState { id, role, incarnation: 1, stage, heard_ms, status }
    };
    GroupState {
        missing: Vec::new(),
        group: text("main"),
        run: format!("{RUN:016x}"),
        order: text("total"),
        method: text("bb"),
        reliability: text(""),
        stage: Stage::Running,
        view: Some(2),
        leader: Some(text("second")),
        members: vec![row("c1", Role::Client, 240, Some(STATUS)), row("second", Role::Standby, 610, None)],
    }
}

fn replies() -> Vec<(&'static str, u64, Say)> {
    let entry = |group, run, order, method| GroupEntry {
        group: text(group),
        run: format!("{run:016x}"),
        order: text(order),
        method: text(method),
    };
    let late = Seat { late: true, ..seat(4, "c4", Role::Client) };
    let taken = "the id c1 is taken: a process with this id is in the group";
    let lost = "c2 is lost: its connection closed and it has not come back within 10 s";
    let missing = vec![text("c2 (joined, not ready)"), text("1 more client"), text("a sequencer")];
    let groups = vec![entry("main", RUN, "total", "bb"), entry("news", RUN + 1, "fifo", "")];
    let log = LogStart { run: format!("{LOG:016x}"), place: 48_123 };
    vec![
        (
            "reply_welcome.json",
            1,
            Say::Welcome { run: format!("{RUN:016x}"), slot: 0, incarnation: 1, port_base: 0 },
        ),
        ("reply_refused.json", 1, Say::Refused { code: 69, reason: text(taken) }),
        ("reply_wait_for_start.json", 3, Say::Wait { missing, gives_up_in_ms: Some(58_250) }),
        ("reply_wait_for_end.json", 9, Say::Wait { missing: vec![text("c2")], gives_up_in_ms: None }),
        ("reply_start.json", 4, Say::Start { run: format!("{RUN:016x}"), members: members(), log: None }),
        (
            "reply_start_log.json",
            4,
            Say::Start { run: format!("{RUN:016x}"), members: members(), log: Some(log) },
        ),
        ("reply_seated.json", 5, Say::Seated { members: vec![late] }),
        ("reply_carry_on.json", 5, Say::CarryOn),
        ("reply_unknown.json", 11, Say::Unknown),
        ("reply_groups.json", 2, Say::Groups { groups }),
        ("reply_end.json", 9, Say::End),
        ("reply_abort.json", 6, Say::Abort { code: 69, reason: text(lost) }),
        ("reply_members.json", 1, Say::Members { groups: vec![shown()], more: false }),
        ("reply_posts.json", 6, Say::Posts { posts: vec![open_groups::post()] }),
        ("reply_posted.json", 1, Say::Posted { id: text("c1/1/7") }),
        ("reply_bye.json", 9, Say::Bye),
    ]
}
