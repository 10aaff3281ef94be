//! Strangers at every port: what they send is ignored or they are cut off, and nobody else notices.

mod words;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use groupcast::engine::{MemberId, To};
use groupcast::prng::Prng;
use groupcast::wire::header::{Header, Kind};
use groupcast::wire::topic::{self, Audience};
use groupcast::wire::{Reader, Writer};
use serde_json::{Value, json};

use crate::harness::{Program, Stage, all_end, now, until};

/// The socket on each of the four ports, and the socket type of a stranger.
const SOCKETS: [(zmq::SocketType, &str); 4] =
    [(zmq::PUB, "PUB"), (zmq::SUB, "SUB"), (zmq::DEALER, "DEALER"), (zmq::DEALER, "DEALER")];
const IN: usize = 0;
pub(crate) const OUT: usize = 1;
pub(crate) const SYNC: usize = 2;
const ROUTER: usize = 3;

#[test]
fn hostile_strangers_before_a_run_are_ignored() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.iter_mut().zip(["listening", "listening", ""]).for_each(|(program, word)| program.says(word));
    let held = attack(&stage, 1, None);
    for name in ["red", "main"] {
        flood_with_joins(&stage, name);
    }
    is_served(&stage);
    for id in ["c1", "c2"] {
        programs.push(stage.client(id, commands(id)).start());
    }
    all_end(&mut programs);
    is_right(&stage);
    drop(held);
}

#[test]
fn hostile_strangers_during_a_run_are_ignored() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let ear = Stranger::new(&stage, OUT);
    ear.socket.set_subscribe(b"main/").unwrap();
    for id in ["c1", "c2"] {
        programs.push(stage.client(id, commands(id)).start());
    }
    let run = until("the run's number is heard", || ear.run_of_a_packet());
    let held: Vec<_> = (2..4).map(|seed| attack(&stage, seed, Some(run))).collect();
    flood_with_joins(&stage, "main");
    is_served(&stage);
    all_end(&mut programs);
    is_right(&stage);
    drop(held);
}

/// How often a stranger joins.
const FLOOD: u64 = 2000;

/// Enough to do for a few seconds.
fn commands(id: &str) -> String {
    let other = if id == "c1" { "c2" } else { "c1" };
    (0..60).map(|number| format!("Multicast,{id},{number}\n{id},{other},{number}\nsleep,0.1\n")).collect()
}

fn is_right(stage: &Stage) {
    let delivered = stage.lines("c1", "tom");
    assert_eq!(delivered, stage.lines("c2", "tom"));
    assert_eq!(delivered.len(), 120);
    for (id, other) in [("c1", "c2"), ("c2", "c1")] {
        let from = |number: usize| format!("{id}###{number}");
        let own: Vec<&String> = delivered.iter().filter(|line| line.starts_with(id)).collect();
        assert!(own.into_iter().eq(&(0..60).map(from).collect::<Vec<_>>()), "{delivered:?}");
        assert_eq!(stage.lines(other, "uno"), (0..60).map(from).collect::<Vec<_>>());
    }
}

/// A good peer has its answer within a second.
fn is_served(stage: &Stage) {
    let peer = Stranger::new(stage, SYNC);
    let asked = now();
    peer.ask(&request(json!({ "ask": "attend", "group": "", "id": "x" })));
    let answer = until("an answer", || peer.answer());
    assert_eq!(answer["say"], "refused", "{answer}");
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(1), "the answer took {took:?}");
}

/// A request with these fields, and what else one needs.
pub(crate) fn request(fields: Value) -> Value {
    let mut request = json!({
        "v": 2, "seq": 1, "ask": "join", "group": "main", "id": "stranger", "role": "client", "nonce": 7,
        "incarnation": 0, "order": "total", "method": "bb",
    });
    let Value::Object(fields) = fields else { panic!("fields") };
    fields.into_iter().for_each(|(name, value)| request[name] = value);
    request
}

/// Attacks every port with everything but joins. Returns connections held open.
pub(crate) fn attack(stage: &Stage, seed: u64, run: Option<u64>) -> Vec<TcpStream> {
    let mut dice = Prng::new(seed);
    let mut held = Vec::new();
    for port in [IN, OUT, SYNC, ROUTER] {
        held.extend(raw(stage, port, &mut dice));
        let stranger = Stranger::new(stage, port);
        nonsense(&stranger, &mut dice);
        for run in [dice.next_u64(), run.unwrap_or(0)] {
            forged(&stranger, port, run, &mut dice);
        }
        if port == SYNC {
            bad_requests(&stranger);
        }
    }
    held
}

/// Bytes that are no ZeroMQ, half a greeting, or ZeroMQ with frames of absurd lengths.
fn raw(stage: &Stage, port: usize, dice: &mut Prng) -> Vec<TcpStream> {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    let noise = |dice: &mut Prng| (0..500).map(|_| dice.below(256) as u8).collect();
    let mut texts: Vec<Vec<u8>> = (0..10).map(|_| noise(dice)).collect();
    texts.extend([
        b"A".repeat(64),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        greeting.to_vec(),
        [&greeting[..], &noise(dice)].concat(),
    ]);
    let name = SOCKETS[port].1.as_bytes();
    let ready = [b"\x05READY\x0bSocket-Type\0\0\0", &[name.len() as u8][..], name].concat();
    let hello = [&greeting[..], &[4, ready.len() as u8], &ready].concat();
    for length in [1_u64 << 31, 1 << 45, 1 << 63, u64::MAX, u64::MAX >> 1] {
        for flags in [2, 3, 6, 0xff] {
            texts.push([&hello[..], &[flags], &length.to_be_bytes(), b"text"].concat());
        }
    }
    texts.extend((0..200).map(|length| greeting[..length % 64].to_vec()));
    let connect = |text: Vec<u8>| {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port(port as u16))).ok()?;
        stream.write_all(&text).ok()?;
        Some(stream)
    };
    texts.into_iter().filter_map(connect).collect()
}

/// Messages of all numbers of frames, some of which look a little like packets.
fn nonsense(stranger: &Stranger, dice: &mut Prng) {
    for _ in 0..300 {
        let frames: Vec<Vec<u8>> = (0..dice.below(7))
            .map(|_| match dice.below(7) {
                0 => Vec::new(),
                1 => b"main/".to_vec(),
                2 => b"GC\x01\x01".to_vec(),
                3 => b"main/c1".to_vec(),
                4 => b"x".repeat(70_000),
                _ => (0..dice.below(40)).map(|_| dice.below(256) as u8).collect(),
            })
            .collect();
        stranger.send(&frames);
    }
}

/// Packets in the name of members: cut short, or with counts and numbers that no member would send.
fn forged(stranger: &Stranger, port: usize, run: u64, dice: &mut Prng) {
    for _ in 0..300 {
        let kinds = [Kind::Data, Kind::Status, Kind::Nack, Kind::Probe, Kind::Undeliverable, Kind::Outline];
        let kind = kinds[dice.below(6) as usize];
        let sender = MemberId([0, 1, 2, 3, 999, u16::MAX][dice.below(6) as usize]);
        let to = if dice.chance(500_000) { To::Group } else { To::Member(MemberId(dice.below(4) as u16)) };
        let mut out = Writer::default();
        Header { kind, sender, to, run, view: 1 }.write(&mut out);
        let absurd = |dice: &mut Prng| u64::MAX - [0, 1, 1 << 40, 1 << 62][dice.below(4) as usize];
        match kind {
            Kind::Data | Kind::Outline => absurd_data(&mut out, absurd(dice), dice),
            Kind::Status => {
                out.u64(absurd(dice));
                out.u8(dice.below(3) as u8);
                out.u16([1, 3, u16::MAX][dice.below(3) as usize]);
                (0..3).for_each(|member| {
                    out.u16(member);
                    out.u64(absurd(dice));
                });
            }
            Kind::Nack => {
                out.u16(dice.below(4) as u16);
                out.u16([0, 1, 16, u16::MAX][dice.below(4) as usize]);
                (0..16).for_each(|_| {
                    out.u64(dice.below(3));
                    out.u64(absurd(dice));
                });
            }
            // The news of a door, perhaps.
            Kind::Probe => {
                out.u16(dice.below(1 << 16) as u16);
                out.u8(dice.below(3) as u8);
            }
            Kind::Undeliverable | Kind::Membership => {}
        }
        let (header, _) = out.finish();
        let cut = if dice.chance(300_000) { dice.below(header.len() as u64) as usize } else { header.len() };
        let body = vec![b'x'; dice.below(50) as usize];
        let audience = [Audience::All, Audience::Clients, Audience::Sequencers][dice.below(3) as usize];
        let topic = topic::of_member("main", audience, MemberId(dice.below(5) as u16));
        let mut frames = vec![topic, header[..cut].to_vec(), body];
        if port == ROUTER {
            frames[0] = topic::of_group("main");
            frames.insert(0, format!("main/c{}", dice.below(4)).into_bytes());
        }
        stranger.send(&frames);
    }
}

fn absurd_data(out: &mut Writer, number: u64, dice: &mut Prng) {
    out.u64(number);
    out.u8(dice.below(5) as u8);
    out.u8(dice.below(4) as u8);
    out.u64(number);
    out.u32(u32::MAX - dice.below(3) as u32);
}

/// Bytes that are no JSON, no request, or an invalid request.
fn bad_requests(stranger: &Stranger) {
    let deep = "[".repeat(30_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    for text in ["", "{", "null", "[]", "\u{0}", "{\"v\":1}", "{\"v\":2}", "{\"v\":1e99}", &deep, &nested] {
        stranger.send(&[Vec::new(), text.into()]);
        stranger.send(&[text.into()]);
    }
    stranger.send(&[Vec::new(), b"\xff".repeat(60_000)]);
    let long = "x".repeat(60_000);
    for fields in [
        json!({ "v": 255 }),
        json!({ "v": 256 }),
        json!({ "seq": -1 }),
        json!({ "seq": u64::MAX, "ask": "alive" }),
        json!({ "nonce": 1e300 }),
        json!({ "ask": "dance" }),
        json!({ "ask": "ready" }),
        json!({ "ask": "done", "id": "c1" }),
        json!({ "ask": "leave", "code": 0, "reason": "x", "id": "c1" }),
        json!({ "ask": "leave", "code": 300, "reason": "x" }),
        json!({ "ask": "leave", "code": 69, "reason": "x", "group": "", "role": "router" }),
        json!({ "ask": "attend", "group": "", "role": "sequencer" }),
        json!({ "role": "sequencer" }),
        json!({ "role": "router" }),
        json!({ "role": "king" }),
        json!({ "order": "chaos" }),
        json!({ "group": "a/b" }),
        json!({ "id": "../../etc" }),
        json!({ "id": long }),
        json!({ "group": long }),
    ] {
        stranger.ask(&request(fields));
    }
}

/// One connection that joins again and again under other names; then it is gone.
pub(crate) fn flood_with_joins(stage: &Stage, group: &str) {
    let stranger = Stranger::new(stage, SYNC);
    for number in 0..FLOOD {
        let group = if number % 2 == 0 { group.to_owned() } else { format!("g{number}") };
        stranger.ask(&request(
            json!({ "seq": number, "group": group, "id": format!("x{number}"), "nonce": number }),
        ));
    }
    // All that has come is read at once: a pause after each answer would be the slowest thing here.
    until("the flood is answered", || {
        std::iter::from_fn(|| stranger.answer()).find(|answer| answer["seq"] == FLOOD - 1)
    });
}

/// A peer that nobody has invited.
pub(crate) struct Stranger {
    socket: zmq::Socket,
}

impl Stranger {
    pub(crate) fn new(stage: &Stage, port: usize) -> Self {
        let socket = zmq::Context::new().socket(SOCKETS[port].0).unwrap();
        // libzmq 4.3 aborts the process when a socket closes without the rest of a message that is half sent, and its
        // peer closes the connection just then. So a stranger gives the peer time to close it before.
        socket.set_linger(5000).unwrap();
        socket.set_sndhwm(10_000).unwrap();
        socket.set_sndtimeo(0).unwrap();
        socket.connect(&format!("tcp://127.0.0.1:{}", stage.port(port as u16))).unwrap();
        Self { socket }
    }

    /// Subscribes to everything; what comes is for it to read, or not.
    pub(crate) fn hears_everything(&self) {
        self.socket.set_rcvhwm(1).unwrap();
        self.socket.set_subscribe(b"").unwrap();
    }

    fn send(&self, frames: &[Vec<u8>]) {
        // A stranger that is cut off, or may only subscribe, cannot send; that is no failure.
        if !frames.is_empty() {
            let _ = self.socket.send_multipart(frames, 0);
        }
    }

    pub(crate) fn ask(&self, request: &Value) {
        self.send(&[Vec::new(), request.to_string().into_bytes()]);
    }

    fn answer(&self) -> Option<Value> {
        let frames = self.socket.recv_multipart(zmq::DONTWAIT).ok()?;
        serde_json::from_slice(frames.last()?).ok()
    }

    /// The run's number in the next packet that can be heard.
    fn run_of_a_packet(&self) -> Option<u64> {
        let frames = self.socket.recv_multipart(zmq::DONTWAIT).ok()?;
        let header =
            Header::read(&mut Reader::new(frames.get(1)?.clone().into(), Default::default())).ok()?;
        Some(header.run)
    }
}
