//! A small group as a model: every order in which its members can multicast and its packets can arrive.
//!
//! The members are the real engines, and what flies between them is the bytes that they would send. The network
//! reorders and delays as it likes; it neither loses nor repeats, for that is the reliable layer's promise. Time
//! stands still: a deadline may fire whenever it is set, however many packets are still to come.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use groupcast::order::Promise;
use groupcast::wire::{Batch, BatchBuilder, Wire};
use stateright::{Model, Property};

use super::packet::{Packet, receivers, slot};
use super::promises;

/// What a group is made of.
pub(super) trait Member:
    Engine<App = Batch, Wire: Wire> + Clone + Debug + Eq + Hash + Send + Sync + 'static
{
}

impl<E> Member for E where
    E: Engine<App = Batch, Wire: Wire> + Clone + Debug + Eq + Hash + Send + Sync + 'static
{
}

/// Of each client: the batches it multicasts, each by its number of messages.
pub(super) type Script = &'static [&'static [u32]];

/// What a group is to do, and what is expected of it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) script: Script,
    pub(super) has_sequencer: bool,
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
    /// Of each process: what it multicast and delivered, in that order.
    pub(super) histories: Vec<Vec<Event>>,
    /// What no honest group comes to, in words.
    pub(super) faults: Vec<String>,
}

/// What an application sees.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Event {
    Multicast(Batch),
    Deliver { from: MemberId, number: Option<u64>, batch: Batch },
}

/// What can happen next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Multicast(MemberId),
    Arrive(Packet),
    Wake(MemberId),
}

impl<E: Member> Group<E> {
    /// The group of this plan. A sequencer has the slot after the last client.
    pub(super) fn new(plan: &Plan, engine: fn(MemberId, &View, Defects) -> E) -> Self {
        let clients: Vec<MemberId> = (0..plan.script.len()).map(slot).collect();
        let script = plan.script.iter().enumerate().map(|(client, counts)| batches(client, counts)).collect();
        let sequencer = plan.has_sequencer.then(|| slot(clients.len()));
        let view = View { number: 1, clients, sequencer, candidates: Vec::new() };
        let Plan { promises, defects, .. } = *plan;
        Self { view, script, promises, engine, defects, releases: Arc::default() }
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

    fn step(&self, state: &mut State<E>, at: MemberId, input: Input<Batch, E::Wire>) {
        let (is_wake, process, mut out) =
            (matches!(input, Input::Wake), usize::from(at.0), Effects::default());
        state.engines[process].handle(Time::ZERO, input, &mut out);
        let before = state.histories[process].len();
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    for receiver in receivers(&self.view, at, to) {
                        Packet::message(at, receiver, &message).fly(&mut state.flying);
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
            self.next_batch(state, at).is_some() || engine.next_deadline().is_some()
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
        vec![State { engines, flying: Vec::new(), histories, faults: Vec::new() }]
    }

    fn actions(&self, state: &State<E>, actions: &mut Vec<Action>) {
        for (at, engine) in state.engines.iter().enumerate() {
            if self.next_batch(state, at).is_some() {
                actions.push(Action::Multicast(slot(at)));
            }
            if engine.next_deadline().is_some() {
                actions.push(Action::Wake(slot(at)));
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
            Action::Wake(at) => self.step(&mut state, at, Input::Wake),
        }
        Some(state)
    }

    fn format_step(&self, before: &State<E>, action: Action) -> Option<String> {
        let did = match &action {
            Action::Multicast(at) => format!("{at} multicasts"),
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
        // An order that promises nothing holds nothing back.
        if !self.promises.is_empty() {
            let counter = |group: &Self, _: &State<E>| group.releases.load(Ordering::Relaxed) > 0;
            all.push(sometimes("something is held back", counter));
        }
        all
    }
}

/// What was multicast, in order.
pub(super) fn multicasts(history: &[Event]) -> impl Iterator<Item = &Batch> {
    history.iter().filter_map(|event| match event {
        Event::Multicast(batch) => Some(batch),
        Event::Deliver { .. } => None,
    })
}

/// What was delivered, in order, with its sender and its number.
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
