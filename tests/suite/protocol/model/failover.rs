//! Election, change of the view and fail-over as a model: three members with their real memberships, every order in which
//! their packets can arrive, one or two that die, or that sleep until the others have gone on.
//!
//! A membership is not a value that could be copied and compared; its inputs are. So a state has, of each member, all
//! inputs so far, and each step builds the member again from them. Time stands still but for deadlines, of which a few
//! may pass. No member suspects another by its silence: the model decides which member learns of which loss, and when.
//! A member reacts to that at once.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use groupcast::member::StackConfig;
use groupcast::member::view_message::ViewMessage;
use groupcast::member::{App, Membership, MembershipConfig};
use groupcast::order::{Order, Promise};
use groupcast::wire::{self, BatchBuilder, Frames, Kind, Window};
use stateright::{Model, Property};

use super::packet::{Packet, receivers, slot};

const RUN: u64 = 1;
/// More rounds than a group needs to come to rest.
const ROUNDS: usize = 60;

/// Events other than packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Bounds {
    /// So many members die …
    pub(super) deaths: u8,
    /// … and so many sleep until the others have gone on without them.
    pub(super) mistakes: u8,
    /// So many deadlines pass.
    pub(super) wakes: u8,
}

/// A group that is about to run.
#[derive(Clone, Debug)]
pub(super) struct FailOver {
    pub(super) order: &'static Order,
    /// Of each client: how many messages it multicasts.
    pub(super) script: &'static [u8],
    /// The members that may be lost.
    pub(super) victims: &'static [u16],
    pub(super) bounds: Bounds,
    pub(super) defects: Defects,
}

/// An input of a member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Given {
    Submit(u8),
    Packet(Packet),
    /// Somebody is lost.
    Notice(MemberId),
    Wake(Time),
}

/// All inputs of a member, the last first, with a digest of them all.
#[derive(Clone, Debug, Default)]
struct Life {
    digest: u64,
    last: Option<Arc<(Given, Self)>>,
}

/// An event at a member's application.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Event {
    Deliver(MemberId, u64, Option<u64>),
    View(u64, Vec<MemberId>),
    Fenced,
}

/// One member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Process {
    life: Life,
    events: Vec<Event>,
    submitted: u8,
    deadline: Option<Time>,
    clock: Time,
    /// Its view, and the members of it that it knows to be lost.
    members: Vec<MemberId>,
    noticed: Vec<MemberId>,
    is_dead: bool,
    /// The others take it for lost.
    is_left: bool,
}

/// A group in the middle of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct State {
    processes: Vec<Process>,
    /// The packets in flight from each sender to each receiver, first to last, as through one forwarder.
    flying: BTreeMap<(MemberId, MemberId), VecDeque<Packet>>,
    bounds: Bounds,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Submit(MemberId),
    /// The first packet on its way from one to another arrives.
    Arrive(MemberId, MemberId),
    /// The last packets of a dead member do not arrive at another member.
    Lose(MemberId, MemberId),
    Die(MemberId),
    Leave(MemberId),
    Notice(MemberId, MemberId),
    Wake(MemberId),
}

impl Hash for Life {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PartialEq for Life {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Life {}

impl Life {
    fn then(&self, given: Given) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        (self.digest, &given).hash(&mut hasher);
        Self { digest: hasher.finish(), last: Some(Arc::new((given, self.clone()))) }
    }

    /// Returns all inputs, first to last.
    fn all(&self) -> Vec<&Given> {
        let mut all = Vec::new();
        let mut life = self;
        while let Some(link) = &life.last {
            all.push(&link.0);
            life = &link.1;
        }
        all.reverse();
        all
    }
}

impl FailOver {
    fn view(&self) -> View {
        let clients: Vec<MemberId> = (0..self.script.len()).map(slot).collect();
        let sequencer = self.order.sequencer.then(|| slot(clients.len()));
        let candidates = if self.order.sequencer { clients.clone() } else { Vec::new() };
        View { number: 1, clients, sequencer, candidates }
    }

    /// Builds the member again from all its inputs.
    fn member(&self, me: MemberId, life: &Life) -> Membership {
        let view = self.view();
        let place = StackConfig {
            me,
            view: &view,
            run: RUN,
            seed: 1,
            window: Window::default(),
            defects: self.defects,
        };
        let mut member = Membership::new(self.order, place, MembershipConfig::default())
            .with_seats(&groupcast::sim::seats(&view));
        let mut now = Time::ZERO;
        for given in life.all() {
            self.give(&mut member, me, &mut now, given);
        }
        member
    }

    fn give(
        &self,
        member: &mut Membership,
        me: MemberId,
        now: &mut Time,
        given: &Given,
    ) -> Effects<App, wire::Packet> {
        let mut out = Effects::default();
        match given {
            Given::Submit(number) => {
                let mut batch = BatchBuilder::new(u64::from(*number));
                batch.push(format!("{me} {number}").as_bytes());
                let app = App::Multicast(batch.finish().expect("one message"));
                member.handle(*now, Input::Submit { to: To::Group, app }, &mut out);
            }
            Given::Packet(packet) => {
                let message = parsed(packet);
                member.handle(*now, Input::Receive { from: packet.from, message }, &mut out);
            }
            Given::Notice(lost) => {
                let place = (RUN, member.view().number as u16);
                let message = ViewMessage::Leave.encode(place, *lost);
                member.handle(*now, Input::Receive { from: *lost, message }, &mut out);
                member.handle(*now, Input::Wake, &mut out);
            }
            Given::Wake(time) => {
                *now = (*now).max(*time);
                member.handle(*now, Input::Wake, &mut out);
            }
        }
        out
    }

    /// One step of one member, and what follows from it.
    fn step(&self, state: &mut State, at: MemberId, given: Given) {
        let process = &state.processes[usize::from(at.0)];
        let mut member = self.member(at, &process.life);
        let mut now = process.clock;
        let mut effects = self.give(&mut member, at, &mut now, &given);
        self.settle(state, at, &member, &mut effects);
        let process = &mut state.processes[usize::from(at.0)];
        process.clock = now;
        process.life = process.life.then(given);
    }

    /// Records the new state of a member, and carries the packets that it sends.
    fn settle(
        &self,
        state: &mut State,
        at: MemberId,
        member: &Membership,
        effects: &mut Effects<App, wire::Packet>,
    ) {
        let process = &mut state.processes[usize::from(at.0)];
        process.deadline = member.next_deadline();
        let mut sent = Vec::new();
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => sent.push((to, message)),
                Effect::Deliver { from, number, app: App::Multicast(batch) } => {
                    process.events.extend(batch.messages().map(|(own, _)| Event::Deliver(from, own, number)));
                }
                Effect::Deliver { app: App::View(view, _), .. } => {
                    process.members = view.members();
                    process.noticed.clear();
                    process.events.push(Event::View(view.number, view.members()));
                }
                Effect::Deliver { app: App::Fenced(_), .. } => process.events.push(Event::Fenced),
                Effect::Deliver { .. } | Effect::Drop { .. } => {}
            }
        }
        for (to, message) in sent {
            for receiver in receivers(&self.view(), at, to) {
                if !is_idle(&message) {
                    state.send(at, receiver, &message);
                }
            }
        }
    }

    /// Returns each member that has to learn of a loss, with the lost member.
    fn notices(state: &State) -> impl Iterator<Item = (MemberId, MemberId)> + '_ {
        let all = (0..state.processes.len()).map(slot);
        let lost = all.clone().filter(|lost| {
            let process = &state.processes[usize::from(lost.0)];
            process.is_dead || process.is_left
        });
        lost.flat_map(move |lost| all.clone().map(move |to| (to, lost))).filter(|&(to, lost)| {
            let process = &state.processes[usize::from(to.0)];
            let knows = process.noticed.contains(&lost) || !process.members.contains(&lost);
            to != lost && !process.is_out() && !process.is_left && !knows
        })
    }

    fn is_quiet(&self, state: &State) -> bool {
        let has_more = |at: usize| {
            !state.processes[at].is_out()
                && self.script.get(at).is_some_and(|all| *all > state.processes[at].submitted)
        };
        state.flying.is_empty()
            && Self::notices(state).next().is_none()
            && !(0..state.processes.len()).any(has_more)
    }

    /// Lets all packets arrive, deadlines pass and heartbeats be sent from here on, without faults.
    fn ends_well(&self, state: &State) -> Result<(), String> {
        let mut state = state.clone();
        let mut members: Vec<Membership> = Vec::new();
        for at in 0..state.processes.len() {
            members.push(self.member(slot(at), &state.processes[at].life));
        }
        for round in 0..ROUNDS {
            let is_out = |state: &State, at: usize| state.processes[at].is_out();
            if round % 10 == 9 {
                for (at, member) in members.iter().enumerate() {
                    if !is_out(&state, at) {
                        let place = (RUN, member.view().number as u16);
                        let heartbeat = ViewMessage::Heartbeat.encode(place, slot(at));
                        for to in receivers(&self.view(), slot(at), To::Group) {
                            state.send(slot(at), to, &heartbeat);
                        }
                    }
                }
            }
            let mut next: Vec<(MemberId, Given)> = Vec::new();
            // As members look around from time to time.
            if round % 10 == 9 {
                let all = 0..state.processes.len();
                next.extend(all.map(|at| (slot(at), Given::Wake(state.processes[at].clock))));
            }
            for packet in std::mem::take(&mut state.flying).into_values().flatten() {
                next.push((packet.to, Given::Packet(packet)));
            }
            if next.is_empty() {
                next.extend(Self::notices(&state).map(|(to, lost)| (to, Given::Notice(lost))));
            }
            if next.is_empty() {
                let due = |at: usize| state.processes[at].deadline.filter(|_| !is_out(&state, at));
                let wakes = (0..members.len()).filter_map(|at| Some((slot(at), Given::Wake(due(at)?))));
                next.extend(wakes);
            }
            for (to, given) in next {
                let at = usize::from(to.0);
                if is_out(&state, at) {
                    continue;
                }
                if let Given::Notice(lost) = given {
                    state.processes[at].noticed.push(lost);
                }
                let mut now = state.processes[at].clock;
                let mut effects = self.give(&mut members[at], to, &mut now, &given);
                state.processes[at].clock = now.after(Duration::from_micros(1));
                self.settle(&mut state, to, &members[at], &mut effects);
            }
        }
        is_safe(self.order, &state)?;
        self.is_complete(&state)
    }

    /// The survivors are in one view of survivors alone, and have delivered everything that these sent.
    fn is_complete(&self, state: &State) -> Result<(), String> {
        let there: Vec<usize> =
            (0..state.processes.len()).filter(|&at| !state.processes[at].is_out()).collect();
        for &at in &there {
            let process = &state.processes[at];
            let expected: Vec<MemberId> = there.iter().map(|&at| slot(at)).collect();
            if process.members != expected {
                return Err(format!("{} is in {:?}, and {expected:?} are there", slot(at), process.members));
            }
            for &from in there.iter().filter(|from| **from < self.script.len()) {
                for number in 1..=u64::from(state.processes[from].submitted) {
                    let is_it = |event: &Event| matches!(event, Event::Deliver(sender, own, _) if (*sender, *own) == (slot(from), number));
                    let is_client = at < self.script.len();
                    if is_client && !process.events.iter().any(is_it) {
                        return Err(format!("{} was never given {} {number}", slot(at), slot(from)));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Process {
    fn is_out(&self) -> bool {
        self.is_dead || self.events.contains(&Event::Fenced)
    }
}

impl State {
    /// Whether this member sleeps: it does until no member that is awake has it in its view.
    fn is_asleep(&self, member: MemberId) -> bool {
        let has_it = |other: &Process| !other.is_out() && !other.is_left && other.members.contains(&member);
        self.processes[usize::from(member.0)].is_left && self.processes.iter().any(has_it)
    }

    fn send(&mut self, from: MemberId, to: MemberId, message: &wire::Packet) {
        if !self.processes[usize::from(to.0)].is_out() {
            let Frames { header, body } = message.frames.clone();
            // Packets for a sleeping member wait for it in one queue, as in a socket.
            let way = if self.is_asleep(to) { (to, to) } else { (from, to) };
            self.flying.entry(way).or_default().push_back(Packet { to, from, header, body });
        }
    }
}

/// Packets that change nothing as long as nothing is lost: heartbeats and stability reports.
fn is_idle(message: &wire::Packet) -> bool {
    let decoded = ViewMessage::decode(message.clone());
    message.header.kind == Kind::Status
        || matches!(decoded, Ok(ViewMessage::Heartbeat | ViewMessage::Here(..)))
}

/// Returns each view of a process: its number, its members, and the deliveries in it.
type InView<'e> = (u64, &'e [MemberId], Vec<&'e Event>);

fn by_view(process: &Process) -> Vec<InView<'_>> {
    let mut views: Vec<InView<'_>> = Vec::new();
    for event in &process.events {
        match event {
            Event::View(number, members) => views.push((*number, members, Vec::new())),
            Event::Deliver(..) => views.last_mut().expect("it began with one").2.push(event),
            Event::Fenced => {}
        }
    }
    views
}

/// Properties that hold at any moment, with any members dead.
fn is_safe(order: &Order, state: &State) -> Result<(), String> {
    let is_total = order.promises.contains(&Promise::Total);
    let views: Vec<Vec<InView<'_>>> = state.processes.iter().map(by_view).collect();
    for (at, own) in views.iter().enumerate() {
        let mut messages = Vec::new();
        for (view, here) in own.iter().enumerate() {
            for event in &here.2 {
                let Event::Deliver(from, number, _) = event else { continue };
                if messages.contains(&(from, number)) {
                    return Err(format!("{} was given {from} {number} twice", slot(at)));
                }
                messages.push((from, number));
            }
            for (other, others) in views.iter().enumerate() {
                let Some(theirs) = others.iter().position(|one| one.0 == here.0) else { continue };
                if others[theirs].1 != here.1 {
                    return Err(format!("view {} differs at {} and {}", here.0, slot(at), slot(other)));
                }
                let has_passed = own.len() > view + 1 && others.len() > theirs + 1;
                // Only clients deliver.
                let are_clients = [at, other].iter().all(|&one| !order.sequencer || one + 1 < views.len());
                if has_passed && are_clients && !is_same(is_total, &here.2, &others[theirs].2) {
                    let number = here.0;
                    return Err(format!(
                        "{} and {} left view {number} with different deliveries",
                        slot(at),
                        slot(other)
                    ));
                }
                if is_total && !state.processes[at].is_out() && !state.processes[other].is_out() {
                    let agree = here.2.iter().zip(&others[theirs].2).all(|(one, two)| one == two);
                    if !agree {
                        return Err(format!("{} and {} deliver in different orders", slot(at), slot(other)));
                    }
                }
            }
        }
        let places: Vec<u64> = own
            .iter()
            .flat_map(|view| &view.2)
            .filter_map(|event| if let Event::Deliver(_, _, place) = event { *place } else { None })
            .collect();
        if places.iter().zip(1..).any(|(place, expected)| *place != expected) {
            return Err(format!("{} was given the places {places:?}", slot(at)));
        }
    }
    Ok(())
}

fn is_same(is_total: bool, one: &[&Event], other: &[&Event]) -> bool {
    if is_total {
        return one == other;
    }
    one.len() == other.len() && one.iter().all(|event| other.contains(event))
}

impl Model for FailOver {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let view = self.view();
        let members = view.members();
        let process = |_| Process {
            life: Life::default(),
            events: vec![Event::View(1, members.clone())],
            submitted: 0,
            deadline: None,
            clock: Time::ZERO,
            members: members.clone(),
            noticed: Vec::new(),
            is_dead: false,
            is_left: false,
        };
        let processes = members.iter().map(process).collect();
        vec![State { processes, flying: BTreeMap::new(), bounds: self.bounds }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, process) in state.processes.iter().enumerate().filter(|(_, process)| !process.is_out()) {
            let me = slot(at);
            if !state.is_asleep(me) && self.script.get(at).is_some_and(|all| *all > process.submitted) {
                actions.push(Action::Submit(me));
            }
            if process.deadline.is_some() && state.bounds.wakes > 0 && !state.is_asleep(me) {
                actions.push(Action::Wake(me));
            }
            if !self.victims.contains(&me.0) || process.is_left {
                continue;
            }
            // Somebody is left that the others can go on with.
            let others = state.processes.iter().filter(|other| !other.is_out() && !other.is_left).count();
            if state.bounds.deaths > 0 && others > 1 {
                actions.push(Action::Die(me));
            }
            if state.bounds.mistakes > 0 && others > 1 {
                actions.push(Action::Leave(me));
            }
        }
        actions.extend(Self::notices(state).map(|(to, lost)| Action::Notice(to, lost)));
        for &(from, to) in state.flying.keys() {
            let is_behind_others = from != to && state.flying.contains_key(&(to, to));
            if !state.is_asleep(to) && !is_behind_others {
                actions.push(Action::Arrive(from, to));
            }
            if state.processes[usize::from(from.0)].is_dead {
                actions.push(Action::Lose(from, to));
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Submit(at) => {
                let process = &mut state.processes[usize::from(at.0)];
                process.submitted += 1;
                let given = Given::Submit(process.submitted);
                self.step(&mut state, at, given);
            }
            Action::Arrive(from, to) => {
                let packet = state.flying.get_mut(&(from, to))?.pop_front()?;
                self.step(&mut state, to, Given::Packet(packet));
            }
            Action::Lose(from, to) => drop(state.flying.remove(&(from, to))),
            Action::Die(at) => {
                state.bounds.deaths -= 1;
                state.processes[usize::from(at.0)].is_dead = true;
            }
            Action::Leave(at) => {
                state.bounds.mistakes -= 1;
                state.processes[usize::from(at.0)].is_left = true;
            }
            Action::Notice(to, lost) => {
                state.processes[usize::from(to.0)].noticed.push(lost);
                self.step(&mut state, to, Given::Notice(lost));
            }
            Action::Wake(at) => {
                state.bounds.wakes -= 1;
                let due = state.processes[usize::from(at.0)].deadline?;
                self.step(&mut state, at, Given::Wake(due));
            }
        }
        // Packets in flight to a lost member make no difference any more.
        let is_gone: Vec<bool> = state.processes.iter().map(Process::is_out).collect();
        state.flying.retain(|(_, to), packets| !is_gone[usize::from(to.0)] && !packets.is_empty());
        Some(state)
    }

    fn format_step(&self, before: &State, action: Action) -> Option<String> {
        let mut told = action.to_string();
        if let Action::Arrive(from, to) = &action {
            told += &words(before.flying.get(&(*from, *to))?.front()?);
        }
        let after = self.next_state(before, action)?;
        let mut news = Vec::new();
        for (at, process) in after.processes.iter().enumerate() {
            let seen = before.processes[at].events.len();
            news.extend(process.events[seen..].iter().map(|event| format!("{} {event:?}", slot(at))));
        }
        Some(format!("{told}\n      {}", news.join(", ")).trim_end().to_owned())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn changed(_: &FailOver, state: &State) -> bool {
            let is_next = |event: &Event| matches!(event, Event::View(number, _) if *number > 1);
            state.processes.iter().any(|process| process.events.iter().any(is_next))
        }
        vec![
            Property::always("view synchrony", |model, state: &State| is_safe(model.order, state).is_ok()),
            Property::always("it ends well", |model: &Self, state: &State| {
                !model.is_quiet(state) || model.ends_well(state).is_ok()
            }),
            Property::sometimes("the view changes", changed),
        ]
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(at) => write!(f, "{at} multicasts"),
            Self::Arrive(from, to) => write!(f, "{to} receives from {from}: "),
            Self::Lose(from, to) => write!(f, "{to} gets nothing more from {from}"),
            Self::Die(at) => write!(f, "{at} dies"),
            Self::Leave(at) => write!(f, "{at} is taken for lost, and lives"),
            Self::Notice(to, lost) => write!(f, "{to} takes {lost} for lost"),
            Self::Wake(at) => write!(f, "a deadline of {at} passes"),
        }
    }
}

fn words(packet: &Packet) -> String {
    ViewMessage::decode(parsed(packet))
        .map_or_else(|_| format!("{:?}", packet.header), |word| format!("{word:?}"))
}

fn parsed(packet: &Packet) -> wire::Packet {
    let frames = Frames { header: packet.header.clone(), body: packet.body.clone() };
    wire::Packet::parse(frames).expect("what a member sends has a header")
}
