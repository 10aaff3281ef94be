//! The reliable layer as a model: a network that loses, repeats and reorders, and a clock that goes on.
//!
//! Bounds make the number of states finite: how many packets are lost and how many repeated in a run, and how
//! often a deadline passes. Time jumps to the next deadline, before or after any packet that is in flight.
//!
//! Where the bounds end, the run goes on without a loss until nothing happens any more, and then everything must
//! have arrived. Every state has a way without a loss to one where the bounds end, so from every state it can.

use groupcast::defect::Defects;
use groupcast::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View};
use groupcast::reliable::codec::{decode, encode};
use groupcast::reliable::{Reliable, Segment};
use groupcast::wire::{self, Frames, Malformed, Reader, Weight, Window, Wire, Writer};
use stateright::{Model, Property};

use super::packet::{Packet, receivers, slot};

/// The number of the run, the same in every packet.
const RUN: u64 = 1;
/// A run that goes on for longer than this without a loss never ends.
const PATIENCE: usize = 500;

/// A message of which the send window believes that it has so many bytes: heavy ones make the window small.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Parcel<const WEIGHT: usize>(u8);

/// Of each member: whom it sends a message to, and another.
pub(super) type Script = &'static [&'static [To]];

/// How much may happen in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) losses: usize,
    pub(super) repeats: usize,
    pub(super) wakes: usize,
}

/// A group that is about to run.
#[derive(Clone, Debug)]
pub(super) struct Lossy<const WEIGHT: usize> {
    script: Script,
    bounds: Bounds,
    defects: Defects,
    view: View,
}

/// A group in the middle of a run.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct State<const WEIGHT: usize> {
    engines: Vec<Reliable<Parcel<WEIGHT>>>,
    now: Time,
    flying: Vec<Packet>,
    sent: Vec<usize>,
    /// Of each member: whose messages it was given, as often as it was given them.
    delivered: Vec<Vec<(MemberId, u8)>>,
    faults: Vec<String>,
    losses: usize,
    repeats: usize,
    wakes: usize,
}

/// The events that can happen next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Send(MemberId),
    Arrive(Packet),
    Repeat(Packet),
    Lose(Packet),
    Wake(MemberId),
}

impl<const WEIGHT: usize> Lossy<WEIGHT> {
    pub(super) fn new(script: Script, bounds: Bounds, defects: Defects) -> Self {
        let view = View {
            number: 1,
            clients: (0..script.len()).map(slot).collect(),
            sequencer: None,
            candidates: Vec::new(),
        };
        Self { script, bounds, defects, view }
    }

    fn engine(&self, at: MemberId) -> Reliable<Parcel<WEIGHT>> {
        Reliable::new(at, &self.view, u64::from(at.0), Window::default(), self.defects)
    }

    /// The events that can happen without a fault and without time passing.
    fn calm(&self, state: &State<WEIGHT>) -> Vec<Action> {
        let has_more = |&at: &usize| state.sent[at] < self.script[at].len();
        let sends = (0..self.script.len()).filter(has_more).map(|at| Action::Send(slot(at)));
        sends.chain(state.flying.iter().cloned().map(Action::Arrive)).collect()
    }

    /// Everybody whose deadline is the next one.
    fn due(&self, state: &State<WEIGHT>) -> Vec<Action> {
        let soonest = state.engines.iter().filter_map(Engine::next_deadline).min();
        let is_due = |&at: &usize| soonest.is_some() && state.engines[at].next_deadline() == soonest;
        (0..state.engines.len()).filter(is_due).map(|at| Action::Wake(slot(at))).collect()
    }

    fn step(
        &self,
        state: &mut State<WEIGHT>,
        at: MemberId,
        input: Input<Parcel<WEIGHT>, Segment<Parcel<WEIGHT>>>,
    ) {
        let mut out = Effects::default();
        state.engines[usize::from(at.0)].handle(state.now, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let Frames { header, body } = encode((RUN, 1), at, &message).frames;
                    for to in receivers(&self.view, at, to) {
                        let (header, body) = (header.clone(), body.clone());
                        Packet { to, from: at, header, body }.fly(&mut state.flying);
                    }
                }
                Effect::Deliver { from, app, .. } => {
                    state.delivered[usize::from(at.0)].push((from, app.0));
                    state.delivered[usize::from(at.0)].sort_unstable();
                }
                Effect::Drop { reason: DropReason::Duplicate, .. } => {}
                Effect::Drop { from, reason } => {
                    state.faults.push(format!("{at} drops what {from} sent: {reason}"));
                }
            }
        }
    }

    fn receive(&self, state: &mut State<WEIGHT>, packet: &Packet) {
        let (from, message) = read(packet);
        self.step(state, packet.to, Input::Receive { from, message });
    }

    fn wake(&self, state: &mut State<WEIGHT>, at: MemberId) {
        let process = usize::from(at.0);
        state.now = state.engines[process].next_deadline().expect("it is due");
        self.step(state, at, Input::Wake);
        if state.engines[process].next_deadline().is_some_and(|next| next <= state.now) {
            state.faults.push(format!("{at} is due again right after it was woken"));
        }
    }

    /// Whether the bounds end here: nothing is in flight, and time may not go on.
    fn is_at_the_end(&self, state: &State<WEIGHT>) -> bool {
        self.calm(state).is_empty() && (state.wakes == self.bounds.wakes || self.due(state).is_empty())
    }

    /// Whether everything arrives if nothing more is lost.
    fn heals(&self, state: &State<WEIGHT>) -> bool {
        let mut state = state.clone();
        for _ in 0..PATIENCE {
            let next = self.calm(&state).into_iter().chain(self.due(&state)).next();
            let Some(next) = next else { return self.is_complete(&state) };
            let Some(after) = self.next_state(&state, next) else { return false };
            state = after;
        }
        false
    }

    /// Whether everybody was given everything, everybody knows it, and everything is forgotten.
    fn is_complete(&self, state: &State<WEIGHT>) -> bool {
        (0..self.script.len()).map(slot).all(|at| {
            let engine = &state.engines[usize::from(at.0)];
            let is_open = |to| engine.window(to) == self.engine(at).window(to);
            let others = self.view.members().into_iter().filter(|&other| other != at).map(To::Member);
            state.delivered[usize::from(at.0)] == self.sent_to(state, at)
                && others.chain([To::Group]).all(is_open)
        })
    }

    /// The packets sent to this member so far.
    fn sent_to(&self, state: &State<WEIGHT>, at: MemberId) -> Vec<(MemberId, u8)> {
        let mut all = Vec::new();
        for (sender, script) in self.script.iter().enumerate().filter(|&(sender, _)| slot(sender) != at) {
            let sent = (1..).zip(&script[..state.sent[sender]]);
            let here = sent.filter(|&(_, &to)| to == To::Group || to == To::Member(at));
            all.extend(here.map(|(number, _)| (slot(sender), number)));
        }
        all
    }
}

impl<const WEIGHT: usize> Model for Lossy<WEIGHT> {
    type State = State<WEIGHT>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<WEIGHT>> {
        let members = self.script.len();
        vec![State {
            engines: (0..members).map(|at| self.engine(slot(at))).collect(),
            now: Time::ZERO,
            flying: Vec::new(),
            sent: vec![0; members],
            delivered: vec![Vec::new(); members],
            faults: Vec::new(),
            losses: 0,
            repeats: 0,
            wakes: 0,
        }]
    }

    fn actions(&self, state: &State<WEIGHT>, actions: &mut Vec<Action>) {
        actions.extend(self.calm(state));
        if state.wakes < self.bounds.wakes {
            actions.extend(self.due(state));
        }
        if state.losses < self.bounds.losses {
            actions.extend(state.flying.iter().cloned().map(Action::Lose));
        }
        if state.repeats < self.bounds.repeats {
            actions.extend(state.flying.iter().cloned().map(Action::Repeat));
        }
    }

    fn next_state(&self, state: &State<WEIGHT>, action: Action) -> Option<State<WEIGHT>> {
        let mut state = state.clone();
        match action {
            Action::Send(at) => {
                let sent = &mut state.sent[usize::from(at.0)];
                let to = *self.script[usize::from(at.0)].get(*sent)?;
                *sent += 1;
                let app = Parcel(u8::try_from(*sent).expect("scripts are short"));
                self.step(&mut state, at, Input::Submit { to, app });
            }
            Action::Arrive(packet) => {
                packet.land(&mut state.flying);
                self.receive(&mut state, &packet);
            }
            Action::Repeat(packet) => {
                state.repeats += 1;
                self.receive(&mut state, &packet);
            }
            Action::Lose(packet) => {
                state.losses += 1;
                packet.land(&mut state.flying);
            }
            Action::Wake(at) => {
                state.wakes += 1;
                self.wake(&mut state, at);
            }
        }
        Some(state)
    }

    fn format_step(&self, before: &State<WEIGHT>, action: Action) -> Option<String> {
        let tell = |packet: &Packet, verb: &str| {
            let said = read::<WEIGHT>(packet).1.body;
            format!("{} {verb} from {}: {said:?}", packet.to, packet.from)
        };
        let did = match &action {
            Action::Send(at) => format!("{at} sends"),
            Action::Arrive(packet) => tell(packet, "receives"),
            Action::Repeat(packet) => tell(packet, "receives, and will again,"),
            Action::Lose(packet) => tell(packet, "never receives"),
            Action::Wake(at) => format!("{at} is woken"),
        };
        let after = self.next_state(before, action)?;
        let given: Vec<String> = after.delivered.iter().map(|ids| describe(ids)).collect();
        let news = format!("delivered: {} {}", given.join(" | "), after.faults.join(", "));
        Some(format!("{} {did}\n      {}", after.now, news.trim_end()))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let (always, sometimes) = (Property::<Self>::always, Property::<Self>::sometimes);
        vec![
            always("nobody is blamed", |_, state| state.faults.is_empty()),
            always("no duplicate", |_, state| {
                state.delivered.iter().all(|ids| ids.windows(2).all(|pair| pair[0] != pair[1]))
            }),
            always("no creation", |lossy, state| {
                state.delivered.iter().enumerate().all(|(at, ids)| {
                    let sent = lossy.sent_to(state, slot(at));
                    ids.iter().all(|id| sent.contains(id))
                })
            }),
            always("agreement", |lossy, state| !lossy.is_at_the_end(state) || lossy.heals(state)),
            sometimes(
                "all that may be lost and repeated is, and it completes within the bounds",
                |lossy, state| {
                    let all = (state.losses, state.repeats) == (lossy.bounds.losses, lossy.bounds.repeats);
                    all && lossy.is_at_the_end(state) && lossy.is_complete(state)
                },
            ),
        ]
    }
}

fn read<const WEIGHT: usize>(packet: &Packet) -> (MemberId, Segment<Parcel<WEIGHT>>) {
    let frames = Frames { header: packet.header.clone(), body: packet.body.clone() };
    let packet = wire::Packet::parse(frames).expect("what an engine sends has a header");
    let from = packet.header.sender;
    (from, decode((RUN, 1), packet).expect("what an engine sends can be read"))
}

fn describe(ids: &[(MemberId, u8)]) -> String {
    ids.iter().map(|(from, number)| format!("{from}#{number} ")).collect::<String>().trim_end().to_owned()
}

impl<const WEIGHT: usize> Wire for Parcel<WEIGHT> {
    fn write(&self, out: &mut Writer) {
        out.u8(self.0);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        from.u8().map(Self)
    }

    fn weight(&self) -> Weight {
        Weight { bytes: WEIGHT, messages: 1 }
    }
}
