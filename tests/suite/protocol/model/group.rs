//! A small group as a model: every order in which its members can multicast and its packets can arrive.
//!
//! The members are the real engines, and what flies between them is the bytes that they would send. The network
//! reorders and delays as it likes; it neither loses nor repeats, for that is the reliable layer's promise. Time
//! stands still: a deadline may fire whenever it is set, however many packets are still to come.
//!
//! Send windows are open, or as narrow as they can be: then a packet with messages leaves its sender when everybody is done
//! with the one before it. Other packets do not wait.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Input, MemberId, OrderEngine, Time, To, View};
use groupcast::order::Promise;
use groupcast::wire::{Batch, BatchBuilder, Wire};
use stateright::{Model, Property};

use super::packet::{Packet, receivers, slot};
use super::promises;

/// An engine of which a group is made.
pub(super) trait Member: OrderEngine + Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<E> Member for E where E: OrderEngine + Clone + Debug + Eq + Hash + Send + Sync + 'static {}

/// Of each client: the batches it multicasts, each by its number of messages.
pub(super) type Script = &'static [&'static [u32]];

/// The script of a group, and the expected outcome.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) script: Script,
    pub(super) has_sequencer: bool,
    pub(super) is_narrow: bool,
    pub(super) promises: &'static [Promise],
    pub(super) defects: Defects,
}

/// A group that is about to run.
#[derive(Clone, Debug)]
pub(super) struct Group<E> {
    view: View,
    script: Vec<Vec<Batch>>,
    promises: &'static [Promise],
    engine: fn(MemberId, &View, Defects) -> E,
    defects: Defects,
    /// Whether a send window holds one packet with messages.
    is_narrow: bool,
    /// How often one arrival delivered several batches, so that all but one of them had been held back. Counted
    /// beside the state, which it would only multiply.
    releases: Arc<AtomicUsize>,
}

/// A group in the middle of a run.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct State<E> {
    pub(super) engines: Vec<E>,
    /// Sorted, so that the order in which packets were sent makes no difference.
    pub(super) flying: Vec<Packet>,
    /// Of each process: packets with messages that its window does not let go yet, each as many times as it has receivers.
    pub(super) waiting: Vec<VecDeque<Vec<Packet>>>,
    /// Of each process: what it multicast and delivered, in that order.
    pub(super) histories: Vec<Vec<Event>>,
    /// A state that no honest group reaches, in words.
    pub(super) faults: Vec<String>,
}

/// An event at an application.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Event {
    Multicast(Batch),
    Deliver { from: MemberId, number: Option<u64>, batch: Batch },
}

/// The events that can happen next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Multicast(MemberId),
    Arrive(Packet),
    LetGo(MemberId),
    Wake(MemberId),
}

impl<E: Member> Group<E> {
    /// The group of this plan. A sequencer has the slot after the last client.
    pub(super) fn new(plan: &Plan, engine: fn(MemberId, &View, Defects) -> E) -> Self {
        let clients: Vec<MemberId> = (0..plan.script.len()).map(slot).collect();
        let script = plan.script.iter().enumerate().map(|(client, counts)| batches(client, counts)).collect();
        let sequencer = plan.has_sequencer.then(|| slot(clients.len()));
        let view = View { number: 1, clients, sequencer, candidates: Vec::new() };
        let Plan { promises, defects, is_narrow, .. } = *plan;
        Self { view, script, promises, engine, defects, is_narrow, releases: Arc::default() }
    }

    fn engine(&self, at: MemberId) -> E {
        (self.engine)(at, &self.view, self.defects)
    }

    /// The next batch that this process has to multicast, if its engine has room for one.
    fn next_batch(&self, state: &State<E>, at: usize) -> Option<&Batch> {
        let done = multicasts(&state.histories[at]).count();
        let batch = self.script.get(at)?.get(done)?;
        (state.engines[at].window(To::Group) > 0).then_some(batch)
    }

    /// The packets that wait longest for this process's window, if everybody is done with those before them.
    fn next_to_go<'a>(&self, state: &'a State<E>, at: usize) -> Option<&'a Vec<Packet>> {
        let is_under_way =
            |packet: &Packet| packet.from == slot(at) && packet.read::<E::Wire>().weight().messages > 0;
        let mut others = state.engines.iter().enumerate().filter(|&(other, _)| other != at);
        let is_done = others.all(|(_, engine)| engine.backlog(slot(at)) == 0);
        state.waiting[at].front().filter(|_| is_done && !state.flying.iter().any(is_under_way))
    }

    fn step(&self, state: &mut State<E>, at: MemberId, input: Input<Batch, E::Wire>) {
        let (is_wake, process, mut out) =
            (matches!(input, Input::Wake), usize::from(at.0), Effects::default());
        state.engines[process].handle(Time::ZERO, input, &mut out);
        let before = state.histories[process].len();
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let receivers = receivers(&self.view, at, to).into_iter();
                    let packets = receivers.map(|receiver| Packet::message(at, receiver, &message));
                    if self.is_narrow && message.weight().messages > 0 {
                        state.waiting[process].push_back(packets.collect());
                    } else {
                        packets.for_each(|packet| packet.fly(&mut state.flying));
                    }
                }
                Effect::Deliver { from, number, app } => {
                    state.histories[process].push(Event::Deliver { from, number, batch: app });
                }
                Effect::Drop { from, reason } => {
                    state.faults.push(format!("{at} drops what {from} sent: {reason}"));
                }
            }
        }
        if state.histories[process].len() > before + 1 {
            self.releases.fetch_add(1, Ordering::Relaxed);
        }
        if is_wake && state.engines[process].next_deadline().is_some() {
            state.faults.push(format!("{at} is due again right after it was woken"));
        }
    }

    /// Whether nothing can happen any more.
    fn is_quiet(&self, state: &State<E>) -> bool {
        let is_busy = |(at, engine): (usize, &E)| {
            self.next_batch(state, at).is_some()
                || engine.next_deadline().is_some()
                || self.next_to_go(state, at).is_some()
        };
        state.flying.is_empty() && !state.engines.iter().enumerate().any(is_busy)
    }

    /// Whether everything has been delivered everywhere, and every window is open again as at the start.
    fn is_complete(&self, state: &State<E>) -> bool {
        let all: usize = self.script.iter().map(Vec::len).sum();
        self.view.clients.iter().all(|&client| {
            let at = usize::from(client.0);
            let window = state.engines[at].window(To::Group);
            deliveries(&state.histories[at]).count() == all && window == self.engine(client).window(To::Group)
        })
    }
}

impl<E: Member> Model for Group<E> {
    type State = State<E>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<E>> {
        let engines: Vec<E> = self.view.members().into_iter().map(|at| self.engine(at)).collect();
        let histories = vec![Vec::new(); engines.len()];
        let waiting = vec![VecDeque::new(); engines.len()];
        vec![State { engines, flying: Vec::new(), waiting, histories, faults: Vec::new() }]
    }

    fn actions(&self, state: &State<E>, actions: &mut Vec<Action>) {
        for (at, engine) in state.engines.iter().enumerate() {
            if self.next_batch(state, at).is_some() {
                actions.push(Action::Multicast(slot(at)));
            }
            if engine.next_deadline().is_some() {
                actions.push(Action::Wake(slot(at)));
            }
            if self.next_to_go(state, at).is_some() {
                actions.push(Action::LetGo(slot(at)));
            }
        }
        actions.extend(state.flying.iter().cloned().map(Action::Arrive));
    }

    fn next_state(&self, state: &State<E>, action: Action) -> Option<State<E>> {
        let mut state = state.clone();
        match action {
            Action::Multicast(at) => {
                let batch = self.next_batch(&state, usize::from(at.0))?.clone();
                state.histories[usize::from(at.0)].push(Event::Multicast(batch.clone()));
                self.step(&mut state, at, Input::Submit { to: To::Group, app: batch });
            }
            Action::Arrive(packet) => {
                packet.land(&mut state.flying);
                let input = Input::Receive { from: packet.from, message: packet.read() };
                self.step(&mut state, packet.to, input);
            }
            Action::LetGo(at) => {
                let packets = state.waiting[usize::from(at.0)].pop_front()?;
                packets.into_iter().for_each(|packet| packet.fly(&mut state.flying));
            }
            Action::Wake(at) => self.step(&mut state, at, Input::Wake),
        }
        Some(state)
    }

    fn format_step(&self, before: &State<E>, action: Action) -> Option<String> {
        let did = match &action {
            Action::Multicast(at) => format!("{at} multicasts"),
            Action::LetGo(at) => format!("the window of {at} opens"),
            Action::Wake(at) => format!("{at} is woken"),
            Action::Arrive(packet) => {
                format!("{} receives from {}: {:?}", packet.to, packet.from, packet.read::<E::Wire>())
            }
        };
        let after = self.next_state(before, action)?;
        let mut news = Vec::new();
        for (at, history) in after.histories.iter().enumerate() {
            news.extend(history[before.histories[at].len()..].iter().map(promises::tell));
        }
        news.extend_from_slice(&after.faults[before.faults.len()..]);
        Some(format!("{did}\n      {}", news.join(", ")).trim_end().to_owned())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let (always, sometimes) = (Property::<Self>::always, Property::<Self>::sometimes);
        let mut all = vec![
            always("nobody is blamed", |_, state| state.faults.is_empty()),
            always("no creation", |_, state| promises::no_creation(&state.histories)),
            always("no duplicate", |_, state| promises::no_duplicate(&state.histories)),
            always("agreement", |group, state| !group.is_quiet(state) || group.is_complete(state)),
            sometimes("a run completes", Self::is_quiet),
        ];
        all.extend(self.promises.iter().map(|&promise| {
            let holds: fn(&Self, &State<E>) -> bool = match promise {
                Promise::Fifo => |_, state| promises::fifo(&state.histories),
                Promise::Causal => |_, state| promises::causal(&state.histories),
                Promise::Total => |_, state| promises::total(&state.histories),
            };
            always(promises::name(promise), holds)
        }));
        if self.promises.contains(&Promise::Total) {
            all.push(always("numbers without a gap", |_, state| promises::numbered(&state.histories)));
        }
        // An order that promises nothing holds nothing back, and with narrow windows a sender's packets come in order.
        if !self.promises.is_empty() && !self.is_narrow {
            let counter = |group: &Self, _: &State<E>| group.releases.load(Ordering::Relaxed) > 0;
            all.push(sometimes("something is held back", counter));
        }
        all
    }
}

/// The multicast messages, in order.
pub(super) fn multicasts(history: &[Event]) -> impl Iterator<Item = &Batch> {
    history.iter().filter_map(|event| match event {
        Event::Multicast(batch) => Some(batch),
        Event::Deliver { .. } => None,
    })
}

/// The delivered messages, in order, with sender and number.
pub(super) fn deliveries(history: &[Event]) -> impl Iterator<Item = (MemberId, Option<u64>, &Batch)> {
    history.iter().filter_map(|event| match event {
        Event::Deliver { from, number, batch } => Some((*from, *number, batch)),
        Event::Multicast(_) => None,
    })
}

/// Batches of so many messages each, whose texts say whose they are: no two are alike.
fn batches(client: usize, counts: &[u32]) -> Vec<Batch> {
    let mut first = 1;
    let batch = |&count: &u32| {
        let mut builder = BatchBuilder::new(first);
        for number in first..first + u64::from(count) {
            builder.push(format!("p{client}#{number}").as_bytes());
        }
        first += u64::from(count);
        builder.finish().expect("every batch of the script has a message")
    };
    counts.iter().map(batch).collect()
}
