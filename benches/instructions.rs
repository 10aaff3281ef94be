//! The cost of the parts of a message's path, in instructions: the same on a busy machine as on an idle one.
//!
//! `cargo bench` runs each case below under callgrind with some work and with twice as much, and divides the
//! difference, so that one-time work does not count. It needs `valgrind`. A case given by name runs alone, without it.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use bytes::Bytes;
use groupcast::check::{self, Event, History, MessageId, Property, Record};
use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Input, MemberId, Time, To, View};
use groupcast::member::App;
use groupcast::member::stack::{self, ProtocolStack, StackConfig};
use groupcast::order::hold_back::HoldBack;
use groupcast::order::{ORDERS, Order};
use groupcast::reliable::codec::{decode, encode};
use groupcast::reliable::{Body, Segment};
use groupcast::wire::{Batch, BatchBuilder, Packet, Window};

const MEMBERS: u16 = 4;
const TEXT: &[u8] = &[b'.'; 64];
const RUN: u64 = 7;

/// A case: its name, the counted unit, the amount of the first run, and the work.
struct Case {
    name: String,
    per: &'static str,
    amount: u64,
    work: Box<dyn Fn(u64)>,
}

fn cases() -> Vec<Case> {
    let case = |name: &str, per, amount, work: fn(u64)| Case {
        name: name.to_owned(),
        per,
        amount,
        work: Box::new(work),
    };
    let mut cases = vec![
        case("batch, filled", "message", 50_000, fill),
        case("batch, checked and taken apart", "message", 50_000, take_apart),
        case("packet, encoded and decoded", "packet", 2000, encode_and_decode),
        case("hold-back queue, in order", "item", 5000, |count| hold_back(count, 1)),
        case("hold-back queue, backwards by 16", "item", 5008, |count| hold_back(count, 16)),
        case("checker, all that total order promises", "event", 9000, check_total),
    ];
    cases.extend(ORDERS.iter().map(|order| Case {
        name: format!("engines, {}", order.title()),
        per: "multicast, in all 4 members",
        amount: 500,
        work: Box::new(move |count| multicast(order, count)),
    }));
    cases
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let cases = cases();
    if let [name, count] = &words[..] {
        let case = cases.iter().find(|case| case.name == *name).expect("a case of this name");
        (case.work)(count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    println!("| instructions | of | for each |\n| ---: | --- | --- |");
    for Case { name, per, amount, .. } in &cases {
        let (Some(once), Some(twice)) = (instructions(name, *amount), instructions(name, 2 * amount)) else {
            eprintln!("instructions: is valgrind installed?");
            return ExitCode::FAILURE;
        };
        println!("| {} | {name} | {per} |", (twice - once) / amount);
    }
    ExitCode::SUCCESS
}

/// Returns the number of instructions that a case takes for this amount of work.
fn instructions(name: &str, count: u64) -> Option<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().ok()?);
    let output = command.args([name, &count.to_string()]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn batch(first: u64, count: u64) -> Batch {
    let mut batch = BatchBuilder::new(first);
    for _ in 0..count {
        batch.push(TEXT);
    }
    batch.finish().unwrap()
}

fn fill(count: u64) {
    for _ in 0..count / 500 {
        black_box(batch(1, 500));
    }
}

fn take_apart(count: u64) {
    let batch = batch(1, 500);
    for _ in 0..count / 500 {
        let batch = Batch::parse(1, 500, batch.body().clone()).unwrap();
        for (number, text) in batch.messages() {
            black_box((number, text));
        }
    }
}

fn encode_and_decode(count: u64) {
    let message = batch(1, 1);
    for number in 1..=count {
        let segment = Segment { to: To::Group, body: Body::Data { number, message: message.clone() } };
        let packet = encode((RUN, 1), MemberId(0), &segment);
        black_box(decode::<Batch>((RUN, 1), packet).unwrap());
    }
}

/// Inserts items in blocks of `block`, each block in reverse order.
fn hold_back(count: u64, block: u64) {
    let item = batch(1, 1);
    let mut queue = HoldBack::default();
    for first in (1..=count).step_by(block as usize) {
        for number in (first..first + block).rev() {
            assert!(queue.insert(Batch::parse(number, 1, item.body().clone()).unwrap()));
        }
        while let Some(item) = queue.pop() {
            black_box(item);
        }
    }
}

/// Checks a history in which one member multicasts and two deliver: three events per message.
fn check_total(events: u64) {
    let text = Bytes::from_static(TEXT);
    let id = |number| MessageId { member: 0, incarnation: 1, number };
    let mut records =
        ["c1", "c2"].map(|name| Record { name: name.to_owned(), ended: true, ..Record::default() });
    for number in 1..=events / 3 {
        records[0].events.push(Event::Multicast { id: id(number), text: text.clone() });
        for record in &mut records {
            let (id, text) = (id(number), text.clone());
            record.events.push(Event::Deliver { id, number: Some(number), epoch: 1, text });
        }
    }
    let history = History { records: records.into(), strangers: Vec::new(), across: None };
    let order = Order::find("total", "bb").unwrap();
    for (property, verdict) in check::judge(&history, Property::promised_by(order)) {
        assert!(!matches!(verdict, check::Verdict::Violated(_)), "{property}");
    }
}

/// The engines of a whole group on a network without delay or loss.
struct Group {
    lines: Vec<ProtocolStack>,
    under_way: VecDeque<(MemberId, To, Packet)>,
    now: Time,
    delivered: u64,
}

impl Group {
    fn new(order: &Order) -> Self {
        let clients: Vec<MemberId> = (0..MEMBERS).map(MemberId).collect();
        let sequencer = order.sequencer.then_some(MemberId(MEMBERS));
        let view = View { number: 1, clients, sequencer, candidates: Vec::new() };
        let line = |me| {
            let (window, defects) = (Window::default(), Defects::NONE);
            stack::build(order, StackConfig { me, view: &view, run: RUN, seed: 1, window, defects })
        };
        let lines = view.members().into_iter().map(line).collect();
        Self { lines, under_way: VecDeque::new(), now: Time::ZERO, delivered: 0 }
    }

    fn handle(&mut self, member: usize, input: Input<App, Packet>) {
        let mut out = Effects::default();
        self.lines[member].handle(self.now, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.under_way.push_back((MemberId(member as u16), to, message));
                }
                Effect::Deliver { .. } => self.delivered += 1,
                Effect::Drop { from, reason } => panic!("dropped a packet of {from}: {reason}"),
            }
        }
    }

    /// Runs until no packet is in transit and no deadline is due.
    fn settle(&mut self) {
        loop {
            while let Some((from, to, message)) = self.under_way.pop_front() {
                for member in 0..self.lines.len() {
                    let is_for = to == To::Group || to == To::Member(MemberId(member as u16));
                    if is_for && from.0 as usize != member {
                        self.handle(member, Input::Receive { from, message: message.clone() });
                    }
                }
            }
            let due = |line: &ProtocolStack| line.next_deadline().is_some_and(|due| due <= self.now);
            let Some(member) = self.lines.iter().position(due) else { return };
            self.handle(member, Input::Wake);
        }
    }

    /// Advances the time to the next deadline.
    fn wait(&mut self) {
        self.now = self
            .lines
            .iter()
            .filter_map(|stack| stack.next_deadline())
            .min()
            .expect("somebody has something to do");
        self.settle();
    }
}

fn multicast(order: &Order, count: u64) {
    let mut group = Group::new(order);
    for number in 0..count {
        let member = (number % u64::from(MEMBERS)) as usize;
        while group.lines[member].window(To::Group) == 0 {
            group.wait();
        }
        let app = App::Multicast(batch(number / u64::from(MEMBERS) + 1, 1));
        group.handle(member, Input::Submit { to: To::Group, app });
        group.settle();
    }
    while group.delivered < count * u64::from(MEMBERS) {
        group.wait();
    }
}
