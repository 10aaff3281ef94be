//! Traces of waiting messages: every order names for each message in its hold-back queue what must come first,
//! and says something else only when that has changed.

use std::collections::BTreeMap;
use std::fs;

use groupcast::engine::{Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use groupcast::order::agreed::{Agreed, AgreedWire, Rank};
use groupcast::order::causal::{self, Causal};
use groupcast::order::fifo::Fifo;
use groupcast::order::lamport::{self, Lamport};
use groupcast::order::total::Sequenced;
use groupcast::order::total_bb::{BbWire, Numbered, Range, TotalBb};
use groupcast::order::total_ub::{TotalUb, UbWire};
use groupcast::order::total_uub::{TotalUub, UubWire};
use groupcast::order::{ORDERS, Order};
use groupcast::sim::{Setup, Trace};
use groupcast::waiting::{Clock, Messages, WaitsFor};
use groupcast::wire::{Batch, BatchBuilder};
use groupcast::{clock::VectorClock, defect::Defects};
use serde_json::Value;

use crate::harness::{Program, Stage, all_end, events};

const A: MemberId = MemberId(0);
const B: MemberId = MemberId(1);
const C: MemberId = MemberId(2);
const SEQUENCER: MemberId = MemberId(3);

/// The reasons that the messages of an order may have to wait, by order and method.
const REASONS: [(&str, &[&str]); 9] = [
    ("unordered", &[]),
    ("fifo", &["earlier"]),
    ("causal", &["cause", "earlier"]),
    ("total (bb)", &["number", "place"]),
    ("total (ub)", &["place"]),
    ("total (log)", &["place"]),
    ("total (uub)", &["number", "place"]),
    ("lamport", &["acknowledgement", "earlier"]),
    ("agreed", &["agreement", "proposal", "turn"]),
];

fn view() -> View {
    View { number: 1, clients: vec![A, B, C], sequencer: Some(SEQUENCER), candidates: Vec::new() }
}

fn batch(first: u64) -> Batch {
    let mut batch = BatchBuilder::new(first);
    batch.push(b"x");
    batch.finish().unwrap()
}

fn submit<E: Engine<App = Batch>>(engine: &mut E, first: u64) {
    engine.handle(Time::ZERO, Input::Submit { to: To::Group, app: batch(first) }, &mut Effects::default());
}

fn receive<E: Engine>(engine: &mut E, from: MemberId, message: E::Wire) {
    engine.handle(Time::ZERO, Input::Receive { from, message }, &mut Effects::default());
}

fn messages(sender: MemberId, first: u64, next: u64) -> Messages {
    Messages { sender, first, next }
}

/// The causes for which one message waits.
fn reason<E: OrderEngine>(engine: &E, sender: MemberId, first: u64) -> Option<WaitsFor> {
    let waiting = engine.waiting().into_iter();
    waiting.filter(|one| one.messages == messages(sender, first, first + 1)).map(|one| one.waits_for).next()
}

#[test]
fn trace_fifo_waits_for_earlier_messages_of_the_sender() {
    let mut fifo = Fifo::new(A, &view(), Defects::NONE);
    receive(&mut fifo, B, batch(3));
    receive(&mut fifo, B, batch(5));
    assert_eq!(reason(&fifo, B, 3), Some(WaitsFor::Earlier(messages(B, 1, 3))));
    assert_eq!(reason(&fifo, B, 5), Some(WaitsFor::Earlier(messages(B, 1, 3))));
    receive(&mut fifo, B, batch(1));
    receive(&mut fifo, B, batch(2));
    assert_eq!(
        (reason(&fifo, B, 3), reason(&fifo, B, 5)),
        (None, Some(WaitsFor::Earlier(messages(B, 4, 5))))
    );
}

#[test]
fn trace_causal_waits_for_missing_causes() {
    let clock = |counts: [u64; 3]| {
        let mut clock = VectorClock::new(&[A, B, C]);
        [A, B, C].into_iter().zip(counts).for_each(|(member, count)| clock.advance(member, count));
        clock
    };
    let stamped = |counts, first| causal::Stamped { clock: clock(counts), batch: batch(first) };
    let mut causal = Causal::new(A, &view(), Defects::NONE);
    receive(&mut causal, B, stamped([0, 0, 2], 1));
    receive(&mut causal, B, stamped([0, 1, 2], 2));
    assert_eq!(reason(&causal, B, 1), Some(WaitsFor::Causes(vec![messages(C, 1, 3)])));
    assert_eq!(reason(&causal, B, 2), Some(WaitsFor::Earlier(messages(B, 1, 2))));
    receive(&mut causal, C, stamped([0, 0, 0], 1));
    assert_eq!(reason(&causal, B, 1), Some(WaitsFor::Causes(vec![messages(C, 2, 3)])));
    receive(&mut causal, C, stamped([0, 0, 1], 2));
    assert!(causal.waiting().is_empty());
    assert_eq!(causal.clock(), Some(Clock::Vector(clock([0, 2, 2]))));
}

#[test]
fn trace_total_waits_for_a_number_then_for_its_turn() {
    let mut total = TotalBb::new(A, &view(), SEQUENCER, Defects::NONE);
    let numbers = |first, sender, own| {
        BbWire::Numbers(Numbered { first, ranges: vec![Range { sender, first: own, count: 1 }], skipped: 0 })
    };
    receive(&mut total, B, BbWire::Body(batch(1)));
    assert_eq!(reason(&total, B, 1), Some(WaitsFor::Number));
    receive(&mut total, SEQUENCER, numbers(3, B, 1));
    assert_eq!(
        reason(&total, B, 1),
        Some(WaitsFor::Place(1, None)),
        "its number is 3; 1 and 2 are not told yet"
    );
    assert_eq!(total.waiting()[0].number, Some(3));
    receive(&mut total, SEQUENCER, numbers(1, C, 1));
    receive(&mut total, SEQUENCER, numbers(2, C, 2));
    assert_eq!(reason(&total, B, 1), Some(WaitsFor::Place(1, Some(messages(C, 1, 2)))));
    receive(&mut total, C, BbWire::Body(batch(1)));
    assert_eq!(reason(&total, B, 1), Some(WaitsFor::Place(2, Some(messages(C, 2, 3)))));
    receive(&mut total, C, BbWire::Body(batch(2)));
    assert!(total.waiting().is_empty());
}

#[test]
fn trace_numbered_batches_wait_for_lower_numbers() {
    let sequenced = |number, sender| Sequenced { number, sender, batch: batch(1) };
    let mut ub = TotalUb::new(A, &view(), SEQUENCER);
    receive(&mut ub, SEQUENCER, UbWire::Sequenced(sequenced(2, B)));
    assert_eq!(reason(&ub, B, 1), Some(WaitsFor::Place(1, None)));
    let mut uub = TotalUub::new(A, &view(), SEQUENCER);
    submit(&mut uub, 1);
    assert_eq!(reason(&uub, A, 1), Some(WaitsFor::Number));
    receive(&mut uub, SEQUENCER, UubWire::Grant { first: 1, number: 2 });
    assert_eq!(reason(&uub, A, 1), Some(WaitsFor::Place(1, None)));
}

#[test]
fn trace_lamport_waits_for_an_acknowledgement_of_every_member() {
    let stamped = |sequence, time, batch| lamport::Stamped { sequence, time, batch };
    let mut lamport = Lamport::new(A, &view(), Defects::NONE);
    submit(&mut lamport, 1);
    assert_eq!(lamport.clock(), Some(Clock::Lamport(1)));
    assert_eq!(reason(&lamport, A, 1), Some(WaitsFor::Acknowledgements(vec![B, C])));
    receive(&mut lamport, C, stamped(1, 1, None));
    assert_eq!(reason(&lamport, A, 1), Some(WaitsFor::Acknowledgements(vec![B])));
    receive(&mut lamport, B, stamped(2, 3, Some(batch(2))));
    assert_eq!(reason(&lamport, B, 2), Some(WaitsFor::EarlierWord(B)));
    receive(&mut lamport, B, stamped(1, 2, Some(batch(1))));
    assert_eq!(reason(&lamport, B, 1), Some(WaitsFor::Acknowledgements(vec![C])));
    assert_eq!(lamport.clock(), Some(Clock::Lamport(3)));
}

#[test]
fn trace_agreed_waits_for_proposals_agreement_and_its_turn() {
    let mut agreed = Agreed::new(A, &view(), Defects::NONE);
    submit(&mut agreed, 1);
    assert_eq!(reason(&agreed, A, 1), Some(WaitsFor::Proposals(vec![B, C])));
    receive(&mut agreed, B, AgreedWire::Body(batch(1)));
    receive(&mut agreed, C, AgreedWire::Body(batch(1)));
    assert_eq!(reason(&agreed, B, 1), Some(WaitsFor::Agreement));
    let rank = Rank { number: 3, proposer: A };
    receive(&mut agreed, C, AgreedWire::Agreed { first: 1, rank });
    // The batch of the lowest place goes first; the own one has no place before all proposals are in.
    assert_eq!(reason(&agreed, C, 1), Some(WaitsFor::Turn(messages(B, 1, 2))));
}

/// The histories of a seed, by member.
fn histories(order: &'static Order, seed: u64) -> BTreeMap<String, Vec<Value>> {
    let dir = tempfile::tempdir().unwrap();
    let mut trace = Trace::off().with_histories();
    let outcome = Setup::new(order, 4, 30).run(seed, &mut trace);
    assert!(!outcome.is_violated(), "{} {seed}", order.title());
    trace.write_histories(dir.path(), order).unwrap();
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &std::path::Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let histories = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "jsonl"));
    histories.map(|path| (name(&path), events(&path))).collect()
}

/// Follows one member's history; counts the reasons to wait.
fn follow(title: &str, history: &[Value], reasons: &mut BTreeMap<String, usize>) {
    let (mut arrived, mut delivered) =
        (BTreeMap::<String, Option<Value>>::new(), BTreeMap::<String, ()>::new());
    for event in history {
        let Some(id) = event["id"].as_str().map(str::to_owned) else { continue };
        match event["event"].as_str().unwrap() {
            "arrive" => assert!(arrived.insert(id, None).is_none(), "{title}: arrives twice: {event}"),
            "wait" => {
                let mut reason = event.clone();
                reason.as_object_mut().unwrap().remove("time_us");
                let before = arrived.get_mut(&id).unwrap_or_else(|| panic!("{title}: not here yet: {event}"));
                assert!(!delivered.contains_key(&id), "{title}: waits after its delivery: {event}");
                assert_ne!(before.as_ref(), Some(&reason), "{title}: nothing has changed");
                for missing in event["messages"].as_array().into_iter().flatten() {
                    let missing = missing.as_str().unwrap().split('-').next().unwrap();
                    assert!(
                        !delivered.contains_key(missing),
                        "{title}: {missing} is delivered already: {event}"
                    );
                }
                *before = Some(reason);
                *reasons.entry(event["for"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            "deliver" => {
                assert!(arrived.contains_key(&id), "{title}: delivered before it arrived: {event}");
                delivered.insert(id, ());
            }
            _ => {}
        }
    }
    assert_eq!(arrived.len(), delivered.len(), "{title}");
}

#[test]
fn trace_every_order_names_the_cause_of_each_wait() {
    for order in &ORDERS {
        let title = order.title();
        let (_, expected) = REASONS.iter().find(|(name, _)| *name == title).unwrap();
        let mut reasons = BTreeMap::new();
        for seed in 1..6 {
            for history in histories(order, seed).values() {
                follow(&title, history, &mut reasons);
            }
        }
        let found: Vec<&str> = reasons.keys().map(String::as_str).collect();
        assert_eq!(found, *expected, "{title}");
    }
}

#[test]
fn trace_client_writes_waits_and_check_accepts_them() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let commands = |id: &str| format!("Multicast,{id},one\nMulticast,{id},two\n");
    programs.push(stage.client("c1", commands("c1")).env("GROUPCAST_TRACE", "1").start());
    programs.push(stage.client("c2", commands("c2")).start());
    all_end(&mut programs);
    let of_kind =
        |id: &str, kind: &str| stage.history(id).iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of_kind("c1", "arrive"), of_kind("c2", "arrive"), of_kind("c2", "wait")), (4, 0, 0));
    assert!(of_kind("c1", "wait") >= 2, "its own wait for their numbers");
    let mut last = 0;
    for event in stage.history("c1") {
        let time = event["time_us"].as_u64().unwrap();
        assert!(time >= last, "time goes back: {event}");
        last = time;
    }
    let check =
        std::process::Command::new(env!("CARGO_BIN_EXE_groupcast")).arg("check").arg(stage.out()).output();
    assert_eq!(check.unwrap().status.code(), Some(0));
}

#[test]
fn trace_without_history_is_refused() {
    let stage = Stage::new();
    let file = stage.file("c1.txt", "");
    let client = || stage.program("client").args(["--id", "c1", "--trace"]);
    let (_, said) = client().arg("--lines").ends(64);
    assert!(said.contains("--trace writes into the history"), "{said}");
    client().arg("--commands").arg(file).arg("--out").arg(stage.out()).arg("--no-history").ends(64);
}
