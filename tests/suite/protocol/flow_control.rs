//! Flow control in the engines: senders wait for the slowest receiver, and every queue is bounded.

use std::collections::VecDeque;
use std::time::Duration;

use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Input, MemberId, Time, To, View};
use groupcast::member::App;
use groupcast::member::stack::{self, ProtocolStack, StackConfig};
use groupcast::order::{ORDERS, Order};
use groupcast::reliable::WINDOW_PACKETS;
use groupcast::wire::{BatchBuilder, Packet, Window};

const CLIENTS: u16 = 3;
/// More batches than all windows together hold.
const BATCHES: u64 = 400;
/// Bound of a hold-back queue: one window of each other member, or the undelivered batches of each.
const MOST_HELD: usize = (CLIENTS as usize + 1) * WINDOW_PACKETS as usize;

/// A group whose packets arrive at once, but for those of `mute` on their way to `deaf`.
struct Group {
    lines: Vec<ProtocolStack>,
    submitted: Vec<u64>,
    delivered: Vec<u64>,
    flying: VecDeque<(MemberId, MemberId, Packet)>,
    cut: Option<(MemberId, MemberId)>,
    now: Time,
    effects: Effects<App, Packet>,
}

impl Group {
    fn new(order: &Order, window: Window) -> Self {
        let clients: Vec<MemberId> = (0..CLIENTS).map(MemberId).collect();
        let sequencer = order.sequencer.then_some(MemberId(CLIENTS));
        let view = View { number: 1, clients, sequencer, candidates: Vec::new() };
        let place = |me| StackConfig { me, view: &view, run: 7, seed: 1, window, defects: Defects::NONE };
        let lines: Vec<ProtocolStack> =
            view.members().into_iter().map(|me| stack::build(order, place(me))).collect();
        Self {
            delivered: vec![0; lines.len()],
            lines,
            submitted: vec![0; CLIENTS.into()],
            flying: VecDeque::new(),
            cut: None,
            now: Time::ZERO,
            effects: Effects::default(),
        }
    }

    fn handle(&mut self, at: usize, input: Input<App, Packet>) {
        self.lines[at].handle(self.now, input, &mut self.effects);
        let me = MemberId(at as u16);
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to: To::Member(to), message } => self.flying.push_back((me, to, message)),
                Effect::Send { to: To::Group, message } => {
                    let others = (0..self.lines.len() as u16).map(MemberId).filter(|&other| other != me);
                    self.flying.extend(others.map(|other| (me, other, message.clone())));
                }
                Effect::Deliver { app: App::Multicast(batch), .. } => {
                    self.delivered[at] += u64::from(batch.count());
                }
                Effect::Deliver { .. } | Effect::Drop { .. } => {}
            }
        }
    }

    /// Every client submits what its window lets in, up to `BATCHES` of `count` messages in all.
    fn submit(&mut self, count: u64) {
        for at in 0..usize::from(CLIENTS) {
            while self.submitted[at] < BATCHES * count && self.lines[at].window(To::Group) > 0 {
                let mut batch = BatchBuilder::new(self.submitted[at] + 1);
                (0..count).for_each(|_| {
                    batch.push(b"text");
                });
                self.submitted[at] += count;
                self.handle(
                    at,
                    Input::Submit { to: To::Group, app: App::Multicast(batch.finish().unwrap()) },
                );
            }
        }
    }

    /// Lets what flies arrive, then lets time pass to the next deadline.
    fn round(&mut self) {
        while let Some((from, to, message)) = self.flying.pop_front() {
            if self.cut != Some((from, to)) {
                self.handle(usize::from(to.0), Input::Receive { from, message });
            }
        }
        let due = self.lines.iter().filter_map(|stack| stack.next_deadline()).min();
        self.now = self.now.max(due.unwrap_or(self.now.after(Duration::from_millis(1))));
        for at in 0..self.lines.len() {
            if self.lines[at].next_deadline().is_some_and(|due| due <= self.now) {
                self.handle(at, Input::Wake);
            }
        }
    }
}

/// While one member misses what one other sends, everybody stops soon, and goes on when it has been given.
fn nobody_runs_away(order: &Order, mute: u16, deaf: u16) {
    let mut group = Group::new(order, Window::default());
    group.cut = Some((MemberId(mute), MemberId(deaf)));
    let mut most = 0;
    for _ in 0..400 {
        group.submit(1);
        group.round();
        most = group.lines.iter().map(|stack| stack.held()).max().max(Some(most)).unwrap();
    }
    let case = format!("{}, p{mute} not heard by p{deaf}", order.title());
    assert!(most <= MOST_HELD, "{case}: {most} batches held back");
    group.cut = None;
    let all = BATCHES * u64::from(CLIENTS);
    for _ in 0..20_000 {
        group.submit(1);
        group.round();
        if group.delivered.iter().take(CLIENTS.into()).all(|&delivered| delivered == all) {
            return;
        }
    }
    panic!("{case}: {:?} of {all} delivered", group.delivered);
}

#[test]
fn flow_hold_back_queue_is_bounded_in_every_order() {
    for order in &ORDERS {
        let members = CLIENTS + u16::from(order.sequencer);
        for mute in 0..members {
            for deaf in (0..members).filter(|&deaf| deaf != mute) {
                nobody_runs_away(order, mute, deaf);
            }
        }
    }
}

#[test]
fn flow_messages_in_flight_are_limited_by_the_window() {
    let fifo = Order::find("fifo", "").unwrap();
    for (messages, each) in [(1, 1), (10, 1), (10, 3), (2, 5)] {
        let mut group = Group::new(fifo, Window { messages, ..Window::default() });
        group.submit(each);
        // The rest waits in the window until the first are acknowledged; one packet always goes.
        let sent =
            group.flying.iter().filter(|(from, to, _)| *from == MemberId(0) && *to == MemberId(1)).count();
        let most = (messages / each).max(1);
        assert_eq!(sent as u64, most, "a window of {messages}, {each} in each packet");
    }
}
