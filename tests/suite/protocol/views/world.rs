//! A group on a simulated network whose members can die, sleep and be cut off at any moment.
//!
//! Every member runs its real membership with its real line of engines. One queue of events, no clock: same seed, same
//! run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use groupcast::member::{App, Departure, Membership, Newcomer, Notice, Undelivered};
use groupcast::order::Order;
use groupcast::prng::Prng;
use groupcast::wire::control::{Role, Seat};
use groupcast::wire::{BatchBuilder, Packet, Window};

use super::newcomers::membership;

pub(super) const RUN: u64 = 1;

/// An event at a member's application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// It multicast its message of this number.
    Multicast(u64),
    /// It was given this message of that member, at this place.
    Deliver(MemberId, u64, Option<u64>),
    /// It sent its message of this number to that member.
    Send(MemberId, u64),
    /// It was given this message, which that member sent to it alone.
    Receive(MemberId, u64),
    /// Its message of this number to that member is undeliverable.
    Undeliverable(MemberId, u64, Undelivered),
    /// The group is this one from now on.
    View(View),
    /// It is not in the group any more.
    Fenced,
}

/// One process.
pub(super) struct Process {
    pub(super) me: MemberId,
    pub(super) membership: Membership,
    pub(super) is_dead: bool,
    /// It came when the others had begun, and believes that it began with them.
    pub(super) is_stranger: bool,
    pub(super) has_left: bool,
    /// It came when the others had begun; and if it still asks to be taken in.
    pub(super) is_late: bool,
    /// It came to stand by.
    pub(super) is_standby: bool,
    pub(super) newcomer: Option<Newcomer>,
    pub(super) sleeps_until: Time,
    deaf_until: Time,
    /// Each event with the time at which it happened.
    pub(super) events: Vec<(Time, Event)>,
    /// The members that its views went on without, and why.
    pub(super) gone: Vec<(MemberId, Departure)>,
    /// Messages to send, each from its time on.
    pub(super) tasks: VecDeque<(Time, To)>,
    multicasts: u64,
    directs: BTreeMap<MemberId, u64>,
}

/// How a group is made and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) order: &'static Order,
    pub(super) clients: u16,
    /// Processes that stand by.
    pub(super) standbys: u16,
    /// Clients that can number messages.
    pub(super) candidates: Vec<MemberId>,
    pub(super) majority: bool,
    /// How much each may have under way.
    pub(super) window: Window,
    /// Whether only what is stable is delivered.
    pub(super) safe: bool,
    pub(super) defects: Defects,
    /// Shares of packets that are lost and that come twice, in millionths.
    pub(super) loss: u32,
    pub(super) twice: u32,
    /// Share of packets of which a copy comes seconds later, in millionths.
    pub(super) late: u32,
    /// The number of the view with which it begins.
    pub(super) first_view: u64,
    /// Longest way of a packet, in microseconds.
    pub(super) slow: u64,
    /// The messages of each client, with their times.
    pub(super) tasks: Vec<(Time, MemberId, To)>,
    pub(super) fates: Vec<(Time, Fate)>,
    pub(super) seed: u64,
}

/// Something that happens to a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Dies(MemberId),
    /// Started again after it died: another process, which has a slot of its own and knows nothing but how the run began.
    Returns(MemberId),
    /// A new client asks to be taken in; perhaps as another life of this one.
    Comes(Option<MemberId>),
    /// A process asks to be taken in that stands by for the sequencer; perhaps as another life of this one.
    StandsBy(Option<MemberId>),
    Sleeps(MemberId, Time),
    Leaves(MemberId),
    /// These do not reach the others, nor the others them.
    Parted(BTreeSet<MemberId>),
    /// These two do not reach each other; everybody else does.
    Cut(MemberId, MemberId),
    Healed,
    /// The first has it that the second takes nothing.
    Excludes(MemberId, MemberId),
    /// It hears nothing until then, and does not listen: so nobody is silent to it.
    Deaf(MemberId, Time),
}

/// A death by the number of steps, of all members together, after which it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    pub(super) step: u64,
    pub(super) victim: MemberId,
    /// Whether nobody hears of what it did in its last steps.
    pub(super) is_silent: bool,
}

/// So many steps before its death a member falls silent that dies silently.
const LAST_STEPS: u64 = 6;

pub(super) enum Happening {
    Arrival(MemberId, MemberId, Packet),
    Fate(Fate),
    Task(MemberId),
}

/// The whole world.
pub(super) struct World {
    pub(super) processes: Vec<Process>,
    queue: BTreeMap<(Time, u64), Happening>,
    scheduled: u64,
    pub(super) now: Time,
    parted: BTreeSet<MemberId>,
    /// Pairs of whom the first does not reach the second.
    cut: BTreeSet<(MemberId, MemberId)>,
    pub(super) dice: Prng,
    loss: u32,
    twice: u32,
    slow: u64,
    clients: u16,
    /// How many things have happened to members: packets, tasks and deadlines.
    pub(super) steps: u64,
    /// Deaths by the number of steps after which they come.
    pub(super) deaths: Vec<Death>,
    /// Returns a fault of a member that does not depend on its deliveries.
    pub(super) breach: Option<String>,
    /// The seats that the forwarder has given to those that came later.
    pub(super) given: Vec<Seat>,
    pub(super) plan: Plan,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let view = plan.view();
        let mut dice = Prng::new(plan.seed);
        let process = |me: MemberId| Process::new(me, membership(plan, me, &view, dice.next_u64()), &view);
        let processes = view.members().into_iter().map(process).collect();
        let mut world = Self {
            processes,
            queue: BTreeMap::new(),
            scheduled: 0,
            now: Time::ZERO,
            parted: BTreeSet::new(),
            cut: BTreeSet::new(),
            dice,
            loss: plan.loss,
            twice: plan.twice,
            slow: plan.slow,
            clients: plan.clients,
            steps: 0,
            deaths: Vec::new(),
            breach: None,
            given: Vec::new(),
            plan: plan.clone(),
        };
        let mut tasks = plan.tasks.clone();
        tasks.sort_by_key(|&(at, client, _)| (at, client));
        for (at, client, to) in tasks {
            world.at(client).tasks.push_back((at, to));
            world.schedule(at, Happening::Task(client));
        }
        for (at, fate) in &plan.fates {
            world.schedule(*at, Happening::Fate(fate.clone()));
        }
        world
    }

    pub(super) fn at(&mut self, member: MemberId) -> &mut Process {
        &mut self.processes[usize::from(member.0)]
    }

    pub(super) fn schedule(&mut self, at: Time, happening: Happening) {
        self.queue.insert((at, self.scheduled), happening);
        self.scheduled += 1;
    }

    /// Runs until this moment.
    pub(super) fn run_until(&mut self, end: Time) {
        while self.now < end && self.breach.is_none() {
            let due =
                self.processes.iter().filter(|process| !process.is_dead).filter_map(|process| {
                    Some((process.next_deadline()?.max(process.sleeps_until), process.me))
                });
            let due = due.min();
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (next, due) {
                (Some(at), due) if due.is_none_or(|(time, _)| at <= time) => {
                    let Some((_, happening)) = self.queue.pop_first() else { return };
                    self.now = self.now.max(at);
                    self.happen(happening);
                }
                (_, Some((at, member))) => {
                    self.now = self.now.max(at);
                    self.step(member, Input::Wake);
                }
                (_, None) => return,
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Fate(fate) => self.meet(fate),
            Happening::Arrival(from, to, packet) => {
                let until = self.at(to).sleeps_until;
                let now = self.now;
                let is_deaf = self.at(to).deaf_until > now;
                if self.at(to).is_dead || is_deaf {
                } else if until > self.now {
                    self.schedule(until, Happening::Arrival(from, to, packet));
                } else {
                    self.step(to, Input::Receive { from, message: packet });
                }
            }
            Happening::Task(client) => {
                let until = self.at(client).sleeps_until;
                if until > self.now {
                    self.schedule(until, Happening::Task(client));
                } else {
                    self.submit(client);
                }
            }
        }
    }

    fn meet(&mut self, fate: Fate) {
        match fate {
            Fate::Dies(member) => self.at(member).is_dead = true,
            Fate::Returns(member) => self.begin_again(member),
            Fate::Comes(earlier) => self.come(earlier, Role::Client),
            Fate::StandsBy(earlier) => self.come(earlier, Role::Standby),
            Fate::Sleeps(member, until) => self.at(member).sleeps_until = until,
            Fate::Leaves(member) => {
                let mut effects = Effects::default();
                self.at(member).has_left = true;
                self.at(member).tasks.clear();
                self.at(member).membership.leave(&mut effects);
                self.perform(member, &mut effects);
            }
            Fate::Parted(part) => self.parted = part,
            Fate::Cut(one, other) => self.cut.extend([(one, other), (other, one)]),
            Fate::Healed => {
                self.parted.clear();
                self.cut.clear();
            }
            Fate::Excludes(by, member) => {
                let mut effects = Effects::default();
                self.at(by).membership.exclude(member, Duration::from_secs(3), &mut effects);
                self.perform(by, &mut effects);
            }
            Fate::Deaf(member, until) => self.at(member).deaf_until = until,
        }
    }

    /// One step of one member, with all that follows.
    fn step(&mut self, member: MemberId, input: Input<App, Packet>) {
        self.steps += 1;
        if let Some(mut newcomer) = self.at(member).newcomer.take() {
            let packet = if let Input::Receive { message, .. } = &input { Some(message) } else { None };
            if !self.step_of_newcomer(member, &mut newcomer, packet) {
                self.at(member).newcomer = Some(newcomer);
            }
            return;
        }
        let mut effects = Effects::default();
        let now = self.now;
        let is_wake = matches!(input, Input::Wake);
        let process = self.at(member);
        if process.deaf_until > now {
            process.membership.restart_timeouts(now);
        }
        process.membership.handle(now, input, &mut effects);
        if is_wake {
            let next = process.membership.next_deadline();
            if next.is_some_and(|next| next <= now) {
                self.breach.get_or_insert(format!("{member} is due again at {now}"));
            }
        }
        self.perform(member, &mut effects);
        for Death { step, victim, .. } in self.deaths.clone() {
            if self.steps == step {
                self.at(victim).is_dead = true;
            }
        }
        if !self.at(member).is_dead {
            self.submit(member);
        }
    }

    /// Submits what is due, as far as the windows allow.
    fn submit(&mut self, member: MemberId) {
        loop {
            let now = self.now;
            let process = self.at(member);
            let Some(&(at, to)) = process.tasks.front() else { return };
            if process.is_dead || process.newcomer.is_some() || at > now || process.membership.window(to) == 0
            {
                return;
            }
            process.tasks.pop_front();
            let (number, event) = match to {
                To::Group => {
                    process.multicasts += 1;
                    (process.multicasts, Event::Multicast(process.multicasts))
                }
                To::Member(receiver) => {
                    let count = process.directs.entry(receiver).or_default();
                    *count += 1;
                    (*count, Event::Send(receiver, *count))
                }
            };
            process.events.push((now, event));
            let mut batch = BatchBuilder::new(number);
            batch.push(format!("{member} {number}").as_bytes());
            let batch = batch.finish().expect("one message");
            let app = if to == To::Group { App::Multicast(batch) } else { App::Direct(batch) };
            let mut effects = Effects::default();
            process.membership.handle(now, Input::Submit { to, app }, &mut effects);
            self.perform(member, &mut effects);
        }
    }

    fn perform(&mut self, member: MemberId, effects: &mut Effects<App, Packet>) {
        let (now, is_client) = (self.now, member.0 < self.clients);
        for effect in effects.drain() {
            match effect {
                Effect::Send { to: To::Group, message } => {
                    for receiver in 0..self.processes.len() as u16 {
                        self.carry(member, MemberId(receiver), &message);
                    }
                }
                Effect::Send { to: To::Member(receiver), message } => self.carry(member, receiver, &message),
                Effect::Deliver { from, number, app } => {
                    let process = self.at(member);
                    match app {
                        App::Multicast(batch) => {
                            for (place, (own, text)) in (0..).zip(batch.messages()) {
                                let is_whole = text == format!("{from} {own}").as_bytes();
                                assert!(is_whole || !is_client, "{member} delivered {text:?}");
                                let number = number.map(|first| first + place);
                                process.events.push((now, Event::Deliver(from, own, number)));
                            }
                        }
                        App::Direct(batch) => {
                            process
                                .events
                                .extend(batch.messages().map(|(own, _)| (now, Event::Receive(from, own))));
                        }
                        App::Undeliverable(batch, reason) => {
                            let lost =
                                batch.messages().map(|(own, _)| Event::Undeliverable(from, own, reason));
                            process.events.extend(lost.map(|event| (now, event)));
                        }
                        App::View(view, _) => process.events.push((now, Event::View(view))),
                        App::Fenced(_) => process.events.push((now, Event::Fenced)),
                        App::Notice(Notice::Gone(why)) => process.gone.push((from, why)),
                        App::Finished(_) | App::Replay(_) | App::Notice(_) => {}
                    }
                }
                Effect::Drop { .. } => {}
            }
        }
    }

    pub(super) fn carry(&mut self, from: MemberId, to: MemberId, packet: &Packet) {
        // The last packets of a dying member reach no other member.
        let is_dying =
            |death: &Death| death.victim == from && death.is_silent && self.steps + LAST_STEPS > death.step;
        let is_mute = self.deaths.iter().any(is_dying);
        let is_cut =
            self.parted.contains(&from) != self.parted.contains(&to) || self.cut.contains(&(from, to));
        let (is_lost, is_twice) = (self.dice.chance(self.loss), self.dice.chance(self.twice));
        let ways = [self.dice.between(100, self.slow), self.dice.between(100, self.slow)];
        if from == to || is_mute || is_cut || is_lost {
            return;
        }
        let late = self.plan.late > 0 && self.dice.chance(self.plan.late);
        let late = late.then(|| self.dice.between(1_000_000, 3_000_000));
        // A dedicated sequencer receives outlines.
        let receiver = self.at(to);
        let came_to_read = receiver.is_late && !receiver.is_standby || receiver.is_stranger;
        let is_client = to.0 < self.clients || came_to_read;
        let outline = packet.outline().filter(|_| !is_client);
        let frames = outline.unwrap_or_else(|| packet.frames.clone());
        // From its bytes alone, as it leaves a real member.
        let packet = Packet::parse(frames).expect("what a member sends has a header");
        for way in ways[..if is_twice { 2 } else { 1 }].iter().copied().chain(late) {
            let at = Time::from_micros(self.now.as_micros() + way);
            self.schedule(at, Happening::Arrival(from, to, packet.clone()));
        }
    }
}

impl Plan {
    /// A group in which nothing happens.
    pub(super) fn new(order: &'static Order, clients: u16, seed: u64) -> Self {
        Self {
            order,
            clients,
            standbys: 0,
            candidates: Vec::new(),
            majority: false,
            window: Window::default(),
            safe: false,
            defects: Defects::NONE,
            loss: 0,
            twice: 0,
            late: 0,
            first_view: 1,
            slow: 1_000,
            tasks: Vec::new(),
            fates: Vec::new(),
            seed,
        }
    }

    /// The view with which it begins: clients first, then the sequencer, then those that stand by.
    pub(super) fn view(&self) -> View {
        let clients: Vec<MemberId> = (0..self.clients).map(MemberId).collect();
        let sequencer = self.order.sequencer.then_some(MemberId(self.clients));
        let first = self.clients + u16::from(self.order.sequencer);
        let standbys = (first..first + self.standbys).map(MemberId);
        View {
            number: self.first_view,
            clients,
            sequencer,
            candidates: self.candidates.iter().copied().chain(standbys).collect(),
        }
    }
}

impl Process {
    pub(super) fn new(me: MemberId, membership: Membership, view: &View) -> Self {
        Self {
            me,
            membership,
            is_dead: false,
            is_stranger: false,
            has_left: false,
            is_late: false,
            is_standby: false,
            newcomer: None,
            sleeps_until: Time::ZERO,
            deaf_until: Time::ZERO,
            events: vec![(Time::ZERO, Event::View(view.clone()))],
            gone: Vec::new(),
            tasks: VecDeque::new(),
            multicasts: 0,
            directs: BTreeMap::new(),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        match &self.newcomer {
            Some(newcomer) => Some(newcomer.next_deadline()),
            None => self.membership.next_deadline(),
        }
    }

    /// Whether it is in the group, as far as it knows.
    pub(super) fn is_in(&self) -> bool {
        !self.is_dead
            && !self.is_stranger
            && !self.has_left
            && self.newcomer.is_none()
            && !self.membership.is_out()
            && !self.events.iter().any(|(_, event)| *event == Event::Fenced)
    }

    /// Whether it is a client, as far as it knows.
    pub(super) fn is_client(&self) -> bool {
        let is_view = |event: &(Time, Event)| matches!(event, (_, Event::View(view)) if view.clients.contains(&self.me));
        !self.is_stranger && self.events.iter().any(is_view)
    }

    /// Whether it is a client and in the group.
    pub(super) fn is_client_in(&self) -> bool {
        self.is_in() && self.is_client()
    }

    /// Whether it has something to send that it could not send.
    pub(super) fn has_more(&self) -> bool {
        !self.tasks.is_empty()
    }
}
