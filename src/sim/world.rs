//! The simulated world: the real engines of a group, a simulated network, one queue of events, and no clock.
//!
//! Clients multicast what their tasks say. Members crash, pause, leave, join, come back and stand by, as the faults of
//! the world say. The same seed gives the same run. An [`Observer`] sees every step.

mod logs;

use std::collections::BTreeMap;
use std::time::Duration;

use super::faults::Fault;
use super::network::{Network, Passage};
use super::process::{End, Process, State};
use super::recorder::Recorder;
use super::workload::Task;
use crate::defect::Defects;
use crate::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::member::newcomer::{Newcomer, Told};
use crate::member::view_message::Admission;
use crate::member::{App, Membership, MembershipConfig, StackConfig, Watch};
use crate::order::Order;
use crate::prng::Prng;
use crate::wire::control::{Role, Seat};
use crate::wire::{Packet, Window};

/// The run of every simulated group: it receives no packets of other runs.
const RUN: u64 = 1;
/// The number of last steps of which a silently crashing member sends nothing.
const LAST_STEPS: u64 = 6;
/// The time for which a member claims that an excluded one received nothing.
const RECEIVED_NOTHING: Duration = Duration::from_secs(3);

/// The configuration of the members of a world.
#[derive(Clone, Debug)]
pub struct Group {
    /// The order that the members use.
    pub order: &'static Order,
    /// The first view.
    pub view: View,
    /// The membership policy.
    pub membership: MembershipConfig,
    /// The window of each sender.
    pub window: Window,
    /// The defects that the engines have on purpose.
    pub defects: Defects,
    /// Whether clients announce their finish after their last task.
    pub finishes: bool,
    /// The times after the arrival of a new client at which it multicasts a message.
    pub late_tasks: Vec<Duration>,
}

/// A crash after a number of steps of all members together.
#[derive(Clone, Copy, Debug)]
pub struct CrashAt {
    /// The number of steps.
    pub step: u64,
    /// The member that crashes.
    pub victim: MemberId,
    /// Whether the packets of its last steps are lost.
    pub is_silent: bool,
}

/// An observer of a world. Each method is called before the world goes on.
pub trait Observer {
    /// A client submits.
    fn submitted(&mut self, _now: Time, _at: MemberId, _to: To, _app: &App) {}
    /// A member sends a packet.
    fn sent(&mut self, _now: Time, _from: MemberId, _to: To, _packet: &Packet, _members: usize) {}
    /// The network carries a packet to one receiver.
    fn carried(&mut self, _now: Time, _from: MemberId, _to: MemberId, _packet: &Packet, _passage: Passage) {}
    /// A member receives a packet. Its next deadline was `due`.
    fn received(&mut self, _now: Time, _at: MemberId, _from: MemberId, _packet: &Packet, _due: Option<Time>) {
    }
    /// A member wakes. Its deadline was `due`.
    fn woken(&mut self, _now: Time, _at: MemberId, _due: Time) {}
    /// A member handled an input, with these effects.
    fn handled(&mut self, _now: Time, _at: MemberId, _: &Membership, _effects: &Effects<App, Packet>) {}
    /// A member delivers.
    fn delivered(&mut self, _now: Time, _at: MemberId, _from: MemberId, _number: Option<u64>, _app: &App) {}
    /// A member dropped an input.
    fn dropped(&mut self, _now: Time, _at: MemberId, _from: MemberId, _reason: DropReason) {}
    /// An event waits for the end of a pause.
    fn paused(&mut self) {}
    /// A task waits for a window.
    fn waited(&mut self) {}
    /// A fault happens.
    fn fault(&mut self, _now: Time, _fault: &Fault) {}
    /// A member was left behind.
    fn left_behind(&mut self) {}
    /// A process joined.
    fn admitted(&mut self) {}
}

impl Observer for () {}

/// An event at its time. Deadlines are not in the queue: the engines are asked for them.
pub(super) enum Happening {
    Arrival { to: MemberId, from: MemberId, packet: Packet },
    Task(MemberId),
    Synced(MemberId),
    Fault(Fault),
}

/// A group and its network.
pub struct World<O = ()> {
    pub(super) group: Group,
    network: Network,
    prng: Prng,
    /// All processes that were ever started, by slot.
    pub processes: Vec<Process>,
    /// The seats that the forwarder has given, by slot.
    pub seats: Vec<Seat>,
    /// The time.
    pub now: Time,
    /// The number of packets that members received, and of their wakes.
    pub steps: u64,
    /// Crashes by the number of steps.
    pub crashes: Vec<CrashAt>,
    /// The first breach of the contract of engines.
    pub breach: Option<String>,
    /// The observer.
    pub observer: O,
    /// The events by time, and then in the order in which they were scheduled.
    queue: BTreeMap<(Time, u64), Happening>,
    scheduled: u64,
    /// The logs of sequencers.
    pub(super) recorders: BTreeMap<MemberId, Recorder>,
    /// Reused between calls, empty outside of them.
    effects: Effects<App, Packet>,
}

/// Returns the seats that a forwarder would give to the members of this view.
#[must_use]
pub fn seats(view: &View) -> Vec<Seat> {
    let seat = |member: MemberId| Seat {
        slot: member.0,
        id: member.to_string(),
        incarnation: 1,
        role: if view.clients.contains(&member) { Role::Client } else { Role::Sequencer },
        can_sequence: view.candidates.contains(&member),
        late: false,
    };
    view.members().into_iter().map(seat).collect()
}

impl<O: Observer> World<O> {
    /// Starts the members of the first view.
    #[must_use]
    pub fn new(group: Group, network: Network, prng: Prng, observer: O) -> Self {
        let seats = seats(&group.view);
        let mut world = Self {
            group,
            network,
            prng,
            processes: Vec::new(),
            seats,
            now: Time::ZERO,
            steps: 0,
            crashes: Vec::new(),
            breach: None,
            observer,
            queue: BTreeMap::new(),
            scheduled: 0,
            recorders: BTreeMap::new(),
            effects: Effects::default(),
        };
        let view = world.group.view.clone();
        for seat in world.seats.clone() {
            let state = world.founder(MemberId(seat.slot), &view);
            let mut process = Process::new(&seat, state);
            process.begin(Time::ZERO, &view, world.group.finishes);
            world.processes.push(process);
        }
        world
    }

    /// Returns a member of the first view.
    fn founder(&mut self, me: MemberId, view: &View) -> State {
        let membership = Membership::new(self.group.order, self.config(me, view), self.group.membership);
        State::Member(Box::new(membership.with_seats(&seats(&self.group.view))))
    }

    fn config<'v>(&mut self, me: MemberId, view: &'v View) -> StackConfig<'v> {
        let Group { window, defects, .. } = self.group;
        StackConfig { me, view, run: RUN, seed: self.prng.next_u64(), window, defects }
    }

    /// Makes the histories contain arrivals and waits.
    pub(super) fn watch(&mut self) {
        self.processes.iter_mut().for_each(|process| process.watch = Some(Watch::default()));
    }

    /// Adds tasks. Those of one client are performed in the order of their times.
    pub fn add_tasks(&mut self, mut tasks: Vec<Task>) {
        tasks.sort_by_key(|task| (task.at, task.client));
        for task in tasks {
            self.schedule(task.at, Happening::Task(task.client));
            self.at(task.client).tasks.push_back(task);
        }
    }

    /// Schedules a fault.
    pub fn add_fault(&mut self, at: Time, fault: Fault) {
        self.schedule(at, Happening::Fault(fault));
    }

    pub(super) fn schedule(&mut self, at: Time, happening: Happening) {
        self.queue.insert((at, self.scheduled), happening);
        self.scheduled += 1;
    }

    fn at(&mut self, member: MemberId) -> &mut Process {
        &mut self.processes[usize::from(member.0)]
    }

    /// Runs until this time, until no event is left, or until an engine breaks its contract.
    pub fn run_until(&mut self, end: Time) {
        while self.now < end && self.breach.is_none() && self.step() {}
    }

    /// Performs the next event; returns false if there is none.
    pub fn step(&mut self) -> bool {
        match self.upcoming() {
            // A queued event at the time of a deadline comes before it.
            (Some(time), due) if due.is_none_or(|(due, _)| time <= due) => {
                if let Some((_, happening)) = self.queue.pop_first() {
                    self.now = self.now.max(time);
                    self.happen(happening);
                }
            }
            (_, Some((time, me))) => {
                self.now = self.now.max(time);
                self.wake(me);
            }
            (_, None) => return false,
        }
        true
    }

    /// Returns the time of the next queued event, and the next wake with its member.
    fn upcoming(&self) -> (Option<Time>, Option<(Time, MemberId)>) {
        let dues = self.processes.iter().filter_map(|process| Some((process.deadline?, process.me)));
        let due = dues.map(|(due, me)| (self.awake(me, due), me)).min();
        (self.queue.first_key_value().map(|(&(time, _), _)| time), due)
    }

    /// Returns the time of the next event, if there is one.
    pub(super) fn next_time(&self) -> Option<Time> {
        let (next, due) = self.upcoming();
        next.into_iter().chain(due.map(|(time, _)| time)).min()
    }

    /// Lets a member ask, at this time, for numbers beyond one, as a member of several groups does.
    pub(super) fn advance(&mut self, now: Time, at: MemberId, number: u64) {
        self.now = self.now.max(now);
        self.handle(at, Input::Submit { to: To::Group, app: App::Advance(number) });
    }

    /// Ends a member at this time, because its process has ended in another group.
    pub(super) fn crash(&mut self, now: Time, at: MemberId) {
        self.now = self.now.max(now);
        if self.at(at).ended.is_none() {
            self.apply(Fault::Crash(at));
        }
    }

    /// Returns the time at which a member can act on an event at `time`: the end of its pause, if it is paused.
    fn awake(&self, at: MemberId, time: Time) -> Time {
        let time = time.max(self.processes[usize::from(at.0)].paused_until);
        self.network.paused_until(at, time).unwrap_or(time)
    }

    fn happen(&mut self, happening: Happening) {
        let at = match happening {
            Happening::Fault(fault) => return self.apply(fault),
            Happening::Arrival { to: at, .. } | Happening::Task(at) | Happening::Synced(at) => at,
        };
        let awake = self.awake(at, self.now);
        if self.at(at).ended.is_some() {
        } else if awake > self.now {
            // Arrivals keep their order, as at a socket that is not read.
            self.observer.paused();
            self.schedule(awake, happening);
        } else if let Happening::Arrival { from, packet, .. } = happening {
            self.receive(at, from, packet);
        } else if let Happening::Synced(_) = happening {
            self.synced(at);
        } else {
            self.submit(at);
            let now = self.now;
            if self.at(at).has_due_task(now) {
                self.observer.waited();
            }
        }
    }

    fn receive(&mut self, at: MemberId, from: MemberId, packet: Packet) {
        let now = self.now;
        if self.at(at).deaf_until > now {
            return;
        }
        let due = self.at(at).deadline;
        self.observer.received(now, at, from, &packet, due);
        if from == at {
            return self.handle(at, Input::Receive { from, message: packet });
        }
        self.steps += 1;
        match &self.at(at).state {
            State::Newcomer(newcomer) => match newcomer.hear(packet) {
                Some(Told::Welcome(admission)) => self.admit(at, &admission),
                Some(Told::Behind(_)) => self.end(at, End::LeftBehind),
                None => {}
            },
            State::Member(_) => {
                self.handle(at, Input::Receive { from, message: packet });
                self.submit(at);
            }
        }
        self.crash_due();
    }

    fn wake(&mut self, at: MemberId) {
        let now = self.now;
        let Some(due) = self.at(at).deadline else { return };
        self.steps += 1;
        self.observer.woken(now, at, due);
        match &mut self.at(at).state {
            State::Newcomer(newcomer) => {
                let request = newcomer.ask(now);
                self.at(at).refresh_deadline();
                request.into_iter().for_each(|request| self.send(at, To::Group, &request));
            }
            State::Member(_) => {
                self.handle(at, Input::Wake);
                if self.at(at).deadline.is_some_and(|next| next <= now) {
                    self.breach.get_or_insert(format!("{at} was woken at {now} and is due again at once"));
                }
                self.submit(at);
            }
        }
        self.crash_due();
    }

    /// Crashes the members whose step has come.
    fn crash_due(&mut self) {
        let victims: Vec<MemberId> =
            self.crashes.iter().filter(|crash| crash.step == self.steps).map(|crash| crash.victim).collect();
        victims.into_iter().for_each(|victim| self.end(victim, End::Crashed));
    }

    /// Submits while the client has a submission whose window is open.
    pub(super) fn submit(&mut self, at: MemberId) {
        let now = self.now;
        while let Some((to, app)) = self.at(at).next_submission(now) {
            self.observer.submitted(now, at, to, &app);
            self.handle(at, Input::Submit { to, app });
        }
    }

    /// Hands one input to a member's engines, and performs the effects.
    fn handle(&mut self, at: MemberId, input: Input<App, Packet>) {
        let mut effects = std::mem::take(&mut self.effects);
        let process = &mut self.processes[usize::from(at.0)];
        if let State::Member(membership) = &mut process.state {
            if process.deaf_until > self.now {
                membership.restart_timeouts(self.now);
            }
            membership.handle(self.now, input, &mut effects);
            self.observer.handled(self.now, at, membership, &effects);
        }
        process.note(self.now, &effects);
        self.perform(at, &mut effects);
        self.effects = effects;
    }

    fn perform(&mut self, at: MemberId, effects: &mut Effects<App, Packet>) {
        let now = self.now;
        self.at(at).refresh_deadline();
        let mut is_fenced = false;
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let passes = match self.recorders.get_mut(&at) {
                        Some(recorder) => recorder.pass(to, message),
                        None => Some((to, message)),
                    };
                    passes.into_iter().for_each(|(to, packet)| self.send(at, to, &packet));
                }
                Effect::Deliver { from, number, app } => {
                    self.observer.delivered(now, at, from, number, &app);
                    match &app {
                        App::Record(batch) => self.record(at, from, number.unwrap_or_default(), batch),
                        App::Multicast(batch) => self.judge_log(at, from, number, batch),
                        _ => {}
                    }
                    is_fenced |= matches!(app, App::Fenced(_));
                    self.at(at).deliver(now, from, number, app);
                }
                Effect::Drop { from, reason } => self.observer.dropped(now, at, from, reason),
            }
        }
        if is_fenced {
            self.end(at, End::LeftBehind);
        }
    }

    /// Loses some of the packets to single members that a dying member has sent and that have not arrived: each may be
    /// in a queue that dies with it. A packet to the group is one packet, which has left or not.
    fn lose_last_sends(&mut self, member: MemberId) {
        // A generator of its own, so that all else is drawn as before.
        let mut prng = Prng::new(self.now.as_micros() ^ self.scheduled);
        self.queue.retain(|_, happening| match happening {
            Happening::Arrival { from, packet, .. } if *from == member && packet.header.to != To::Group => {
                prng.chance(500_000)
            }
            _ => true,
        });
    }

    fn end(&mut self, member: MemberId, end: End) {
        let now = self.now;
        if self.at(member).ended.is_none() {
            self.at(member).end(now, end);
            if end == End::LeftBehind {
                self.observer.left_behind();
            }
        }
    }

    pub(super) fn send(&mut self, from: MemberId, to: To, packet: &Packet) {
        // From its bytes alone, as it leaves a real member.
        let Ok(packet) = &Packet::parse(packet.frames.clone()) else {
            self.breach.get_or_insert(format!("{from} sent something that is no packet"));
            return;
        };
        self.observer.sent(self.now, from, to, packet, self.processes.len());
        match to {
            // A multicast also goes to its sender, as it does through a forwarder.
            To::Group => {
                for receiver in 0..self.processes.len() as u16 {
                    self.carry(from, MemberId(receiver), packet);
                }
            }
            To::Member(receiver) => self.carry(from, receiver, packet),
        }
    }

    fn carry(&mut self, from: MemberId, to: MemberId, packet: &Packet) {
        let mut passage = self.network.carry(self.now, from, to, &mut self.prng);
        let is_dying =
            |crash: &CrashAt| crash.victim == from && crash.is_silent && self.steps + LAST_STEPS > crash.step;
        if self.crashes.iter().any(is_dying) {
            passage = Passage::default();
        }
        self.observer.carried(self.now, from, to, packet, passage);
        // A dedicated sequencer receives outlines.
        let is_client = self.seats[usize::from(to.0)].role == Role::Client;
        let outline = packet.outline().filter(|_| !is_client).and_then(|frames| Packet::parse(frames).ok());
        let packet = outline.unwrap_or_else(|| packet.clone());
        for time in passage.arrivals.into_iter().flatten() {
            self.schedule(time, Happening::Arrival { to, from, packet: packet.clone() });
        }
    }

    fn apply(&mut self, fault: Fault) {
        self.observer.fault(self.now, &fault);
        match fault {
            Fault::Crash(member) => {
                self.lose_last_sends(member);
                self.end(member, End::Crashed);
            }
            Fault::ReturnUnaware(member) => self.return_unaware(member),
            Fault::Join(earlier) => self.join(earlier, Role::Client),
            Fault::StandBy(earlier) => self.join(earlier, Role::Standby),
            Fault::Pause(member, until) => self.at(member).paused_until = until,
            Fault::Leave(member) => {
                let process = self.at(member);
                process.has_left = true;
                process.tasks.clear();
                self.act(member, Membership::leave);
            }
            Fault::Exclude(by, member) => self.act(by, |membership, effects| {
                membership.exclude(member, RECEIVED_NOTHING, effects);
            }),
            Fault::Deafen(member, until) => self.at(member).deaf_until = until,
            Fault::Partition(_) | Fault::Cut(..) | Fault::Mute(..) | Fault::Reconnect | Fault::Calm => {
                self.network.apply(fault);
            }
        }
    }

    /// Lets a member act by itself.
    fn act(&mut self, at: MemberId, action: impl FnOnce(&mut Membership, &mut Effects<App, Packet>)) {
        let mut effects = Effects::default();
        if let State::Member(membership) = &mut self.at(at).state {
            action(membership, &mut effects);
        }
        self.perform(at, &mut effects);
    }
}

/// Processes that are started while the group runs.
impl<O: Observer> World<O> {
    /// Starts a process in the place of another: it believes that it is in the first view instead of that.
    fn return_unaware(&mut self, member: MemberId) {
        let me = MemberId(self.processes.len() as u16);
        let mut view = self.group.view.clone();
        let all = view.clients.iter_mut().chain(&mut view.sequencer).chain(&mut view.candidates);
        all.filter(|other| **other == member).for_each(|other| *other = me);
        let state = self.founder(me, &view);
        let seat = self.give_seat(Seat { slot: me.0, ..self.seats[usize::from(member.0)].clone() });
        self.start(&seat, state);
        self.at(me).is_stranger = true;
        let (now, finishes) = (self.now, self.group.finishes);
        self.at(me).begin(now, &view, finishes);
    }

    /// Starts a process that asks to join; with an earlier member, as its next incarnation.
    fn join(&mut self, earlier: Option<MemberId>, role: Role) {
        let slot = self.processes.len() as u16;
        let id = match earlier {
            Some(earlier) => self.seats[usize::from(earlier.0)].id.clone(),
            None => MemberId(slot).to_string(),
        };
        let can_sequence = role == Role::Standby;
        let seat = self.give_seat(Seat { slot, id, incarnation: 1, role, can_sequence, late: true });
        let mut newcomer = Newcomer::new(seat.clone(), RUN, self.now);
        newcomer.seated(&self.seats);
        self.start(&seat, State::Newcomer(newcomer));
    }

    /// Returns a seat with its incarnation, which the forwarder reports to all.
    fn give_seat(&mut self, seat: Seat) -> Seat {
        let earlier = self.seats.iter().filter(|other| other.id == seat.id).count();
        let seat = Seat { incarnation: 1 + earlier as u32, ..seat };
        self.processes.iter_mut().for_each(|process| process.learn(&seat));
        self.seats.push(seat.clone());
        seat
    }

    fn start(&mut self, seat: &Seat, state: State) {
        let mut process = Process::new(seat, state);
        process.refresh_deadline();
        process.watch =
            self.processes.first().and_then(|first| first.watch.as_ref()).map(|_| Watch::default());
        self.processes.push(process);
        if seat.role == Role::Client {
            let task = |&wait: &Duration| Task::single(self.now.after(wait), MemberId(seat.slot), To::Group);
            self.add_tasks(self.group.late_tasks.iter().map(task).collect());
        }
    }

    /// Makes a member of a newcomer.
    fn admit(&mut self, at: MemberId, admission: &Admission) {
        let config = self.config(at, &admission.view);
        let (order, membership_config) = (self.group.order, self.group.membership);
        let mut membership = Membership::admitted(order, config, membership_config, admission);
        membership.restart_timeouts(self.now);
        membership.seated(&self.seats);
        self.at(at).state = State::Member(Box::new(membership));
        self.observer.admitted();
        let (now, finishes) = (self.now, self.group.finishes);
        self.at(at).begin(now, &admission.view, finishes);
    }
}
