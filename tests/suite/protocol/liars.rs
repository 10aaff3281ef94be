//! Members that lie: packets as honest members send them, with some of their numbers changed, survive decoding and
//! reach the engines. There they cause no panic and no endless wakes.

mod words;

use std::collections::BTreeSet;

use bytes::Bytes;
use groupcast::defect::Defects;
use groupcast::engine::{DropReason, Effect, Effects, Input, MemberId, Time, To, View};
use groupcast::member::stack::{self, ProtocolStack, StackConfig};
use groupcast::member::{App, Tally};
use groupcast::order::{ORDERS, Order};
use groupcast::prng::Prng;
use groupcast::wire::header::HEADER_LEN;
use groupcast::wire::{BatchBuilder, Packet, Window};

const CLIENTS: u16 = 3;
const STEPS: usize = 4000;
const SEEDS: u64 = 50;
/// Where arithmetic goes wrong if it does.
const LIES: [u64; 14] = [
    0,
    1,
    2,
    3,
    63,
    64,
    65,
    0xffff,
    0xffff_ffff,
    1 << 32,
    i64::MAX as u64 - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

struct Group {
    lines: Vec<ProtocolStack>,
    /// Of each client: how many messages it multicast, and how many it sent to the next.
    sent: Vec<(u64, u64)>,
    /// Packets in flight or delivered, with their senders.
    air: Vec<(MemberId, Packet)>,
    now: Time,
    dice: Prng,
    delivered: u64,
    refused: BTreeSet<DropReason>,
}

impl Group {
    fn new(order: &Order, seed: u64) -> Self {
        let clients: Vec<MemberId> = (0..CLIENTS).map(MemberId).collect();
        let sequencer = order.sequencer.then_some(MemberId(CLIENTS));
        let view = View { number: 1, clients, sequencer, candidates: Vec::new() };
        let place = |me| StackConfig {
            me,
            view: &view,
            run: 7,
            seed,
            window: Window::default(),
            defects: Defects::NONE,
        };
        let lines = view.members().into_iter().map(|me| stack::build(order, place(me))).collect();
        let sent = vec![(0, 0); CLIENTS.into()];
        let (air, dice) = (Vec::new(), Prng::new(seed));
        Self { lines, sent, air, now: Time::ZERO, dice, delivered: 0, refused: BTreeSet::new() }
    }

    fn step(&mut self) {
        let at = self.dice.below(self.lines.len() as u64) as usize;
        match self.dice.below(8) {
            0 if at < self.sent.len() => self.submit(at),
            0 | 1 => self.wake(at),
            _ => self.receive(at),
        }
    }

    fn submit(&mut self, at: usize) {
        let next = MemberId((at as u16 + 1) % CLIENTS);
        let (multicasts, direct) = self.sent[at];
        let (to, first) =
            if self.dice.below(4) > 0 { (To::Group, multicasts) } else { (To::Member(next), direct) };
        if self.lines[at].window(to) == 0 {
            return;
        }
        let mut batch = BatchBuilder::new(first + 1);
        let count = 1 + self.dice.below(3);
        for _ in 0..count {
            batch.push(b"text");
        }
        let batch = batch.finish().unwrap();
        let app = match to {
            To::Group if self.dice.below(20) == 0 => App::Finished(Tally::default()),
            To::Group => {
                self.sent[at].0 += count;
                App::Multicast(batch)
            }
            To::Member(_) => {
                self.sent[at].1 += count;
                App::Direct(batch)
            }
        };
        self.handle(at, Input::Submit { to, app });
    }

    fn wake(&mut self, at: usize) {
        let Some(due) = self.lines[at].next_deadline() else { return };
        self.now = self.now.max(due);
        self.handle(at, Input::Wake);
        let again = self.lines[at].next_deadline();
        assert!(again.is_none_or(|again| again > self.now), "woken for ever");
    }

    fn receive(&mut self, at: usize) {
        if self.air.is_empty() {
            return;
        }
        let which = self.dice.below(self.air.len() as u64) as usize;
        let (from, mut message) = self.air[which].clone();
        if usize::from(from.0) == at {
            return;
        }
        if self.dice.below(2) == 0 {
            message.frames.header = self.lie(&message.frames.header);
        }
        let Ok(message) = Packet::parse(message.frames) else {
            return self.refused.extend([DropReason::Malformed]);
        };
        self.handle(at, Input::Receive { from, message });
    }

    /// The header with one of its fields changed, or one byte of the kind and the destination.
    fn lie(&mut self, header: &[u8]) -> Bytes {
        let mut header = header.to_vec();
        let lie = LIES[self.dice.below(LIES.len() as u64) as usize].to_le_bytes();
        let start = if self.dice.below(10) == 0 { 3 } else { HEADER_LEN };
        let at = self.dice.between(start as u64, header.len() as u64) as usize;
        let width = 1_usize << self.dice.below(4);
        for (byte, lie) in header[at..].iter_mut().zip(&lie[..width]) {
            *byte = *lie;
        }
        header.into()
    }

    fn handle(&mut self, at: usize, input: Input<App, Packet>) {
        let mut effects = Effects::default();
        self.lines[at].handle(self.now, input, &mut effects);
        for effect in effects.drain() {
            match effect {
                Effect::Send { message, .. } => self.air.push((MemberId(at as u16), message)),
                Effect::Deliver { .. } => self.delivered += 1,
                Effect::Drop { reason, .. } => self.refused.extend([reason]),
            }
        }
        // The oldest are forgotten: most of what arrives is to be fresh enough to matter.
        let old = self.air.len().saturating_sub(100);
        self.air.drain(..old);
        let _ = self.lines[at].held();
    }
}

#[test]
fn liars_altered_packets_never_panic_in_any_order() {
    for order in &ORDERS {
        let (mut delivered, mut refused) = (0, BTreeSet::new());
        for seed in 0..SEEDS {
            let mut group = Group::new(order, seed);
            (0..STEPS).for_each(|_| group.step());
            delivered += group.delivered;
            refused.append(&mut group.refused);
        }
        // Without deliveries, or with a kind of refusal that never came, it would show little.
        assert!(delivered > 500 && refused.len() == 5, "{}: {delivered} {refused:?}", order.title());
    }
}
