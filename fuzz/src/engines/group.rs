//! A group that an input drives: its members, each twice, and the packets in transit.

use std::time::Duration;

use groupcast::defect::Defects;
use groupcast::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View};
use groupcast::member::{App, Membership, MembershipConfig, StackConfig};
use groupcast::order::{ORDERS, Order};
use groupcast::reliable::WINDOW_PACKETS;
use groupcast::wire::{self, Frames, Window};

use super::super::feed::Feed;
use super::record::Client;

/// The run of the packets in `testdata/wire`, so that they may serve as inputs.
pub const RUN: u64 = 0x4567_89ab_cdef;
/// The most packets in transit at one time; further ones are lost.
const UNDER_WAY: usize = 256;
/// The number of packets kept for lies.
const KEPT: usize = 32;
/// The most packets that one packet may cause: two windows that open, or a NACK of all packets, and the answers to
/// each.
const MOST_SENT: usize = 4 * 64 + 16;

/// More deadlines than a group needs after it has lost all packets, with the longest back-off.
const ROUNDS: usize = 2000;

/// A member: its membership with its engines, a twin of it, and its client unless it is the sequencer.
struct Process {
    line: Membership,
    twin: Membership,
    client: Option<Client>,
    /// The number of inputs that it received, which is the most that it may hold.
    given: usize,
}

/// A packet in transit.
#[derive(Clone)]
struct Packet {
    at: usize,
    from: MemberId,
    frames: Frames,
}

/// A group that an input drives.
pub struct Group {
    order: &'static Order,
    /// The processes: clients first, then the sequencer if there is one.
    processes: Vec<Process>,
    clients: usize,
    now: Time,
    under_way: Vec<Packet>,
    /// The latest packets of members, from which a liar makes its own.
    pub(super) kept: Vec<(To, Frames)>,
    /// True while no member has lied.
    honest: bool,
}

impl Group {
    /// Creates the group that the input describes.
    pub fn new(feed: &mut Feed<'_>, defects: Defects) -> Self {
        let order = &ORDERS[feed.below(ORDERS.len())];
        let clients = 2 + feed.below(3) as u16;
        let seed = u64::from(feed.byte());
        // Some groups have narrow windows.
        let messages = if seed % 4 == 0 { 1 + seed / 16 } else { u64::MAX };
        let window = Window { messages, ..Window::default() };
        let sequencer = order.sequencer.then_some(MemberId(clients));
        let view = View {
            number: 1,
            clients: (0..clients).map(MemberId).collect(),
            sequencer,
            candidates: Vec::new(),
        };
        let process = |me: MemberId| {
            let seed = seed + u64::from(me.0);
            let place = StackConfig { me, view: &view, run: RUN, seed, window, defects };
            let client = view.clients.contains(&me).then(|| Client::new(me));
            let member = || Membership::new(order, place, MembershipConfig::default());
            Process { line: member(), twin: member(), client, given: 0 }
        };
        let processes = view.members().into_iter().map(process).collect();
        let (now, under_way, kept) = (Time::ZERO, Vec::new(), Vec::new());
        Self { order, processes, clients: clients.into(), now, under_way, kept, honest: true }
    }

    /// Returns the number of members.
    pub(super) fn size(&self) -> usize {
        self.processes.len()
    }

    /// Lets a client submit a message, if its window is open.
    pub fn submit(&mut self, feed: &mut Feed<'_>) {
        let (at, kind) = (feed.below(self.size()), feed.byte());
        let other = MemberId(feed.below(self.clients) as u16);
        let Process { line, client: Some(client), .. } = &mut self.processes[at] else { return };
        let to = match kind % 8 {
            0 if self.order.addressed || kind >= 128 => To::Member(other),
            _ => To::Group,
        };
        if to == To::Member(MemberId(at as u16)) || line.window(to) == 0 {
            return;
        }
        if let Some(app) = client.submission(to, kind, feed) {
            self.processes[at].given += 1;
            self.handle(at, &Input::Submit { to, app });
        }
    }

    /// Lets a packet in transit arrive.
    pub fn arrive(&mut self, feed: &mut Feed<'_>) {
        if let Some(index) = self.choose(feed) {
            let packet = self.under_way.remove(index);
            self.receive(packet);
        }
    }

    /// Lets a packet in transit arrive, and keeps it to arrive again.
    pub fn arrive_twice(&mut self, feed: &mut Feed<'_>) {
        if let Some(index) = self.choose(feed) {
            self.receive(self.under_way[index].clone());
        }
    }

    /// Loses a packet in transit.
    pub fn lose(&mut self, feed: &mut Feed<'_>) {
        if let Some(index) = self.choose(feed) {
            self.under_way.remove(index);
        }
    }

    /// Lets all packets in transit to one member arrive.
    pub fn arrive_all(&mut self, feed: &mut Feed<'_>) {
        let at = feed.below(self.size());
        let (arrived, rest) =
            std::mem::take(&mut self.under_way).into_iter().partition(|packet| packet.at == at);
        self.under_way = rest;
        let arrived: Vec<Packet> = arrived;
        for packet in arrived {
            self.receive(packet);
        }
    }

    fn choose(&self, feed: &mut Feed<'_>) -> Option<usize> {
        let index = feed.below(self.under_way.len().min(256));
        (index < self.under_way.len()).then_some(index)
    }

    /// Lets time pass, and wakes the members whose deadlines are due.
    pub fn wait(&mut self, feed: &mut Feed<'_>) {
        self.now = self.now.after(Duration::from_micros(u64::from(feed.byte()).pow(2) * 8));
        self.wake();
    }

    fn wake(&mut self) {
        for at in 0..self.size() {
            if let Some(due) = self.processes[at].line.next_deadline().filter(|&due| due <= self.now) {
                self.handle(at, &Input::Wake);
                let next = self.processes[at].line.next_deadline();
                assert!(next.is_none_or(|next| next > due), "woken at {due}, due again at {next:?}");
            }
        }
    }

    /// Wakes a member before its deadline.
    pub fn wake_early(&mut self, feed: &mut Feed<'_>) {
        self.handle(feed.below(self.size()), &Input::Wake);
    }

    /// Lets a packet arrive that no honest member sent.
    pub(super) fn receive_lie(&mut self, at: usize, from: MemberId, frames: Frames) {
        self.honest = false;
        self.receive(Packet { at, from, frames });
    }

    /// Lets a packet of a stranger to this run arrive. The twin does not receive it.
    pub(super) fn receive_strange(&mut self, at: usize, from: MemberId, frames: Frames) {
        let Ok(message) = wire::Packet::parse(frames) else { return };
        let mut effects = Effects::default();
        let line = &mut self.processes[at].line;
        line.handle(self.now, Input::Receive { from, message }, &mut effects);
        let only_dropped = effects.as_slice().iter().all(|effect| matches!(effect, Effect::Drop { .. }));
        assert!(only_dropped, "{effects:?}");
        self.compare(at);
    }

    fn receive(&mut self, Packet { at, from, frames }: Packet) {
        self.processes[at].given += 1;
        if let Ok(message) = wire::Packet::parse(frames) {
            self.handle(at, &Input::Receive { from, message });
        }
    }

    /// Handles an input at a member and at its twin.
    fn handle(&mut self, at: usize, input: &Input<App, wire::Packet>) {
        let (mut effects, mut again) = (Effects::default(), Effects::default());
        let Process { line, twin, .. } = &mut self.processes[at];
        line.handle(self.now, input.clone(), &mut effects);
        twin.handle(self.now, input.clone(), &mut again);
        assert_eq!(effects, again, "same inputs, same effects");
        self.compare(at);
        let sent = effects.as_slice().iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
        assert!(sent <= MOST_SENT, "{sent} packets at once");
        for effect in effects.drain() {
            self.perform(at, effect);
        }
    }

    /// Checks that a member and its twin are in the same visible state, within its bounds.
    fn compare(&self, at: usize) {
        let Process { line, twin, given, .. } = &self.processes[at];
        assert_eq!(line.next_deadline(), twin.next_deadline());
        assert_eq!(line.window(To::Group), twin.window(To::Group));
        assert_eq!((line.held(), line.clock()), (twin.held(), twin.clock()));
        assert_eq!(line.waiting(), twin.waiting());
        let most = if self.honest { WINDOW_PACKETS as usize * self.size() } else { usize::MAX };
        assert!(line.held() <= most, "more is held back than the senders' windows let out");
        assert!(line.held() <= *given && line.waiting().len() <= *given, "it holds more than it was given");
    }

    fn perform(&mut self, at: usize, effect: Effect<App, wire::Packet>) {
        let me = MemberId(at as u16);
        match effect {
            Effect::Send { to, message } => self.send(at, to, &message.frames),
            Effect::Deliver { from, number, app } => {
                if let Some(client) = &mut self.processes[at].client {
                    client.deliver(from, number, &app);
                }
            }
            Effect::Drop { from, reason } => {
                let blamed = self.honest && reason != DropReason::Duplicate;
                assert!(!blamed, "{me} blames {from}, which is honest: {reason}");
            }
        }
    }

    fn send(&mut self, at: usize, to: To, frames: &Frames) {
        let from = MemberId(at as u16);
        self.kept.truncate(KEPT - 1);
        self.kept.insert(0, (to, frames.clone()));
        for receiver in 0..self.size() {
            let is_for = to == To::Group || to == To::Member(MemberId(receiver as u16));
            if is_for && self.under_way.len() < UNDER_WAY {
                self.under_way.push(Packet { at: receiver, from, frames: frames.clone() });
            }
        }
    }

    /// Checks, if all members are honest, that they deliver everything in the end and the order keeps its promises.
    pub fn judge(mut self) {
        if self.honest {
            self.settle();
            super::record::judge(self.order, self.processes.into_iter().filter_map(|process| process.client));
        }
    }

    /// Runs without loss, with time passing, until no packet is in transit and no deadline is left.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            while !self.under_way.is_empty() {
                for packet in std::mem::take(&mut self.under_way) {
                    self.receive(packet);
                }
            }
            let dues = self.processes.iter().filter_map(|process| process.line.next_deadline());
            let Some(due) = dues.min() else { return };
            self.now = self.now.max(due);
            self.wake();
        }
        panic!("members still send to each other after {ROUNDS} deadlines");
    }
}
