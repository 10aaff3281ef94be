//! The carriers as a model: three members on channels that lose nothing, of which one may die at any moment.
//!
//! Each packet of the dead member that has not arrived may be lost: it may have died before it sent that one. Channels
//! between the others bring everything, in any order.

use std::fmt::Debug;
use std::hash::Hash;

use groupcast::defect::Defects;
use groupcast::engine::{DropReason, Effect, Effects, Input, MemberId, Time, To, View};
use groupcast::reliable::basic::Basic;
use groupcast::reliable::carrier::Carrier;
use groupcast::reliable::flood::Flood;
use groupcast::wire::{Malformed, Reader, Wire, Writer};
use stateright::{Model, Property};

use super::check;
use super::packet::{Packet, receivers, slot};

/// A message: a number of its sender's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Note(u8);

impl Wire for Note {
    fn write(&self, out: &mut Writer) {
        out.u8(self.0);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        from.u8().map(Self)
    }
}

/// A carrier of which a group is made.
trait Member: Carrier<App = Note, Wire: Wire> + Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<E> Member for E where
    E: Carrier<App = Note, Wire: Wire> + Clone + Debug + Eq + Hash + Send + Sync + 'static
{
}

/// A group that is about to run: how many notes each member multicasts.
#[derive(Clone, Debug)]
struct Carried<E> {
    script: &'static [u8],
    view: View,
    engine: fn(MemberId, &View) -> E,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct State<E> {
    engines: Vec<E>,
    flying: Vec<Packet>,
    sent: Vec<u8>,
    /// Of each member: the notes that it has delivered, sorted.
    delivered: Vec<Vec<(MemberId, u8)>>,
    dead: Option<MemberId>,
    has_lost: bool,
    faults: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Action {
    Multicast(MemberId),
    Arrive(Packet),
    Die(MemberId),
    Lose(Packet),
}

impl<E: Member> Carried<E> {
    fn new(script: &'static [u8], engine: fn(MemberId, &View) -> E) -> Self {
        let clients = (0..script.len()).map(slot).collect();
        Self { script, view: View { number: 1, clients, sequencer: None, candidates: Vec::new() }, engine }
    }

    fn step(&self, state: &mut State<E>, at: MemberId, input: Input<Note, E::Wire>) {
        let mut out = Effects::default();
        state.engines[usize::from(at.0)].handle(Time::ZERO, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    for receiver in
                        receivers(&self.view, at, to).into_iter().filter(|&to| state.dead != Some(to))
                    {
                        Packet::message(at, receiver, &message).fly(&mut state.flying);
                    }
                }
                Effect::Deliver { from, app, .. } => deliver(state, at, from, app),
                Effect::Drop { reason: DropReason::Duplicate, .. } => {}
                Effect::Drop { from, reason } => state.faults.push(format!("{at} blames {from}: {reason}")),
            }
        }
    }

    fn living(&self, state: &State<E>) -> impl Iterator<Item = usize> {
        let dead = state.dead;
        (0..self.script.len()).filter(move |&at| dead != Some(slot(at)))
    }

    fn has_more(&self, state: &State<E>, at: usize) -> bool {
        state.sent[at] < self.script[at]
    }

    /// Whether the living have the same notes, once nothing is under way.
    fn agrees(&self, state: &State<E>) -> bool {
        let is_quiet = state.flying.is_empty() && !self.living(state).any(|at| self.has_more(state, at));
        let mut lists = self.living(state).map(|at| &state.delivered[at]);
        let first = lists.next();
        !is_quiet || lists.all(|list| Some(list) == first)
    }
}

fn deliver<E>(state: &mut State<E>, at: MemberId, from: MemberId, note: Note) {
    let delivered = &mut state.delivered[usize::from(at.0)];
    delivered.push((from, note.0));
    delivered.sort_unstable();
}

impl<E: Member> Model for Carried<E> {
    type State = State<E>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<E>> {
        let members = self.script.len();
        vec![State {
            engines: (0..members).map(|at| (self.engine)(slot(at), &self.view)).collect(),
            flying: Vec::new(),
            sent: vec![0; members],
            delivered: vec![Vec::new(); members],
            dead: None,
            has_lost: false,
            faults: Vec::new(),
        }]
    }

    fn actions(&self, state: &State<E>, actions: &mut Vec<Action>) {
        let more = self.living(state).filter(|&at| self.has_more(state, at));
        actions.extend(more.map(|at| Action::Multicast(slot(at))));
        actions.extend(state.flying.iter().cloned().map(Action::Arrive));
        let lost = state.flying.iter().filter(|packet| Some(packet.from) == state.dead);
        actions.extend(lost.cloned().map(Action::Lose));
        if state.dead.is_none() {
            actions.extend(self.living(state).map(|at| Action::Die(slot(at))));
        }
    }

    fn next_state(&self, state: &State<E>, action: Action) -> Option<State<E>> {
        let mut state = state.clone();
        match action {
            Action::Multicast(at) => {
                let sent = &mut state.sent[usize::from(at.0)];
                *sent += 1;
                let note = Note(*sent);
                deliver(&mut state, at, at, note);
                self.step(&mut state, at, Input::Submit { to: To::Group, app: note });
            }
            Action::Arrive(packet) => {
                packet.land(&mut state.flying);
                self.step(
                    &mut state,
                    packet.to,
                    Input::Receive { from: packet.from, message: packet.read() },
                );
            }
            Action::Die(member) => {
                state.dead = Some(member);
                state.flying.retain(|packet| packet.to != member);
            }
            Action::Lose(packet) => {
                packet.land(&mut state.flying);
                state.has_lost = true;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let (always, sometimes) = (Property::<Self>::always, Property::<Self>::sometimes);
        vec![
            always("nobody is blamed", |_, state| state.faults.is_empty()),
            always("no duplicate", |_, state| {
                state.delivered.iter().all(|list| list.windows(2).all(|pair| pair[0] != pair[1]))
            }),
            always("no creation", |_, state| {
                let is_sent = |&(from, note): &(MemberId, u8)| note <= state.sent[usize::from(from.0)];
                state.delivered.iter().flatten().all(is_sent)
            }),
            always("agreement", Self::agrees),
            sometimes("a member dies amid its sends", |model, state| {
                let of_dead =
                    |at: usize| state.delivered[at].iter().any(|&(from, _)| Some(from) == state.dead);
                state.has_lost && model.living(state).any(of_dead)
            }),
        ]
    }
}

fn flood(me: MemberId, view: &View) -> Flood<Note> {
    Flood::new(me, view, Defects::NONE)
}

/// The scripts, and the numbers of states.
const FLOODED: &[(&[u8], usize)] = &[
    (&[1, 0, 0], 44),
    (&[2, 0, 0], 458),
    (&[1, 1, 0], 449),
    (&[1, 1, 1], 4_378),
    (&[2, 1, 0], 4_374),
    (&[1, 0, 0, 0], 791),
];

#[test]
fn carriers_flood_agrees_in_every_state() {
    let count = |&(script, _): &(&'static [u8], usize)| {
        check::states(&format!("flood {script:?}"), &Carried::new(script, flood))
    };
    let expected: Vec<usize> = FLOODED.iter().map(|row| row.1).collect();
    assert_eq!(FLOODED.iter().map(count).collect::<Vec<_>>(), expected);
}

/// The sender multicasts, one packet arrives, the sender dies, the other packet is lost.
#[test]
fn carriers_basic_disagrees_in_four_steps() {
    let basic = Carried::new(&[1, 0, 0], Basic::<Note>::new);
    assert_eq!(check::shortest("basic", &basic, "agreement").into_actions().len(), 4);
}

#[cfg(feature = "known-bad")]
#[test]
fn carriers_flood_without_sending_on_is_detected() {
    use groupcast::defect::Defect;

    let silent = |me, view: &View| Flood::<Note>::new(me, view, Defects::only(Defect::NoSendingOn));
    let silent = Carried::new(&[1, 0, 0], silent);
    assert_eq!(check::shortest("flood", &silent, "agreement").into_actions().len(), 4);
}
