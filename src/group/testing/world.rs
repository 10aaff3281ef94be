//! The network of an in-memory group, and what is on it: one queue of packets in simulated time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::member::Member;
use crate::defect::Defects;
use crate::driver::endpoint::Endpoint;
use crate::driver::words;
use crate::engine::{MemberId, Time, To};
use crate::group::builder::{self, Builder};
use crate::group::error::Error;
use crate::group::shared::{Phase, Shared};
use crate::group::worker::{Worker, failed, fenced};
use crate::member::newcomer::Told;
use crate::member::view_message::Admission;
use crate::member::{Membership, MembershipConfig, Newcomer, StackConfig};
use crate::participant::Participant;
use crate::prng::Prng;
use crate::session::view_of;
use crate::wire::Packet;
use crate::wire::control::{Role, Seat};

/// The run of every in-memory group: there are no others on its network.
const RUN: u64 = 1;
/// Shortest and longest way of a packet, in microseconds.
const FAST: u64 = 100;
const SLOW: u64 = 10_000;
/// Longest simulated time for which a call lets the world run without progress: a member that receives nothing is asked for
/// acknowledgements for ever.
const AT_REST: Duration = Duration::from_secs(5);

/// A process on the network.
enum Process {
    /// It asks to be admitted.
    Asks(Box<Newcomer>, Box<Builder>, Arc<Shared>),
    /// A client: its part in the run, and its queues.
    Client(Box<Participant<Member>>, Box<Worker>, Arc<Shared>),
    /// The sequencer.
    Sequencer(Box<Member>),
    /// It is not in the group any more.
    Gone,
}

impl Process {
    /// Returns the member of a process that is in the group.
    fn member(&mut self) -> Option<&mut Member> {
        match self {
            Self::Client(client, ..) => Some(&mut client.endpoint),
            Self::Sequencer(member) => Some(member),
            Self::Asks(..) | Self::Gone => None,
        }
    }
}

/// The whole network.
#[derive(Default)]
pub(super) struct World {
    order: builder::Order,
    processes: Vec<Process>,
    seats: Vec<Seat>,
    /// Packets on their way, by time of arrival and order of sending: receiver, sender, packet.
    queue: BTreeMap<(Time, u64), (MemberId, Packet)>,
    scheduled: u64,
    now: Time,
    prng: Option<Prng>,
    /// The time of the last progress.
    progress: Time,
}

impl World {
    pub(super) fn seeded(seed: u64) -> Self {
        Self { prng: Some(Prng::new(seed)), ..Self::default() }
    }

    pub(super) const fn has_started(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Starts the group with these members.
    pub(super) fn start(&mut self, members: &[Builder], shared: &[Arc<Shared>]) -> Result<(), Error> {
        if self.has_started() {
            return Err(Error::Invalid("cannot start the group: it has started".to_owned()));
        }
        let Some(first) = members.first() else {
            return Err(Error::Invalid("cannot start the group: it has no members".to_owned()));
        };
        for (at, member) in members.iter().enumerate() {
            self.check_order(first.order, member)?;
            if members[..at].iter().any(|other| other.id == member.id) {
                return Err(Error::Invalid(format!("cannot start the group: two members are {}", member.id)));
            }
        }
        self.order = first.order;
        for member in members {
            self.add_seat(&member.id, Role::Client, member.can_sequence, false);
        }
        if self.order.row().sequencer {
            self.add_seat("sequencer", Role::Sequencer, false, false);
        }
        for seat in self.seats.clone() {
            let at = usize::from(seat.slot);
            let process = match members.get(at) {
                Some(builder) => {
                    client(self.founding_member(at, Some(builder)), builder, Arc::clone(&shared[at]))
                }
                None => Process::Sequencer(Box::new(self.founding_member(at, None))),
            };
            self.processes.push(process);
        }
        self.run();
        Ok(())
    }

    fn check_order(&self, order: builder::Order, member: &Builder) -> Result<(), Error> {
        if member.order == order {
            return Ok(());
        }
        let (id, own) = (&member.id, member.order.row().title());
        let theirs = order.row().title();
        Err(Error::Invalid(format!("cannot join: the order of {id} is {own}, that of the group {theirs}")))
    }

    fn add_seat(&mut self, id: &str, role: Role, can_sequence: bool, late: bool) -> Seat {
        let earlier = self.seats.iter().filter(|seat| seat.id == id).count();
        let incarnation = u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(1);
        let can_sequence = can_sequence && self.order.row().sequencer;
        let slot = self.seats.len() as u16;
        let seat = Seat { slot, id: id.to_owned(), incarnation, role, can_sequence, late };
        self.seats.push(seat.clone());
        seat
    }

    fn founding_member(&self, at: usize, builder: Option<&Builder>) -> Member {
        let (me, view) = (MemberId(at as u16), view_of(&self.seats));
        let config = stack_config(me, &view, builder);
        let membership = Membership::new(self.order.row(), config, membership_config(builder));
        let mut member = Member::new(me, membership.with_seats(&self.seats), &self.seats, self.now);
        member.seated(&self.seats);
        member
    }

    /// Lets a newcomer ask for admission.
    pub(super) fn join(&mut self, member: Builder, shared: Arc<Shared>) -> Result<(), Error> {
        self.check_order(self.order, &member)?;
        let has_id = |(seat, process): (&Seat, &Process)| {
            seat.id == member.id && !matches!(process, Process::Gone | Process::Sequencer(_))
        };
        if self.seats.iter().zip(&self.processes).any(has_id) {
            return Err(Error::CannotJoin(format!("cannot join: {} is in the group already", member.id)));
        }
        if !self.processes.iter().any(|process| matches!(process, Process::Client(..))) {
            return Err(Error::CannotJoin("cannot join: the group has ended".to_owned()));
        }
        let seat = self.add_seat(&member.id, Role::Client, member.can_sequence, true);
        let mut newcomer = Newcomer::new(seat, RUN, self.now);
        newcomer.seated(&self.seats);
        self.processes.push(Process::Asks(Box::new(newcomer), Box::new(member), shared));
        for process in &mut self.processes {
            if let Some(member) = process.member() {
                member.seated(&self.seats);
            }
        }
        self.run();
        Ok(())
    }

    /// Lets everything happen that happens by itself.
    pub(super) fn run(&mut self) {
        self.progress = self.now;
        loop {
            (0..self.processes.len()).for_each(|at| self.attend(at));
            self.end_run();
            let due = (0..self.processes.len()).filter_map(|at| Some((self.next_deadline(at)?, at))).min();
            let arrival = self.queue.first_key_value().map(|(&(at, _), _)| at);
            let Some(next) = due.map(|(at, _)| at).into_iter().chain(arrival).min() else { break };
            if next > self.progress.after(AT_REST) {
                break;
            }
            self.now = self.now.max(next);
            match (arrival, due) {
                (Some(arrival), due) if due.is_none_or(|(due, _)| arrival <= due) => {
                    if let Some((_, (to, packet))) = self.queue.pop_first() {
                        self.receive(usize::from(to.0), packet);
                    }
                }
                (_, Some((_, at))) => self.wake(at),
                (_, None) => {}
            }
        }
        // Nobody answers a member that departs any more.
        for at in 0..self.processes.len() {
            if matches!(&self.processes[at], Process::Client(client, ..) if client.endpoint.departs()) {
                self.end(at, Ok(()));
            }
        }
    }

    fn next_deadline(&self, at: usize) -> Option<Time> {
        match &self.processes[at] {
            Process::Asks(newcomer, ..) => Some(newcomer.next_deadline()),
            Process::Client(client, ..) => client.endpoint.next_deadline(),
            Process::Sequencer(member) => member.next_deadline(),
            Process::Gone => None,
        }
    }

    /// Lets the worker of a client look at its queues.
    fn attend(&mut self, at: usize) {
        let Process::Client(client, worker, _) = &mut self.processes[at] else { return };
        client.endpoint.advance(self.now);
        let outcome = loop {
            let next = match client.attend(&mut **worker) {
                Ok(next) => next,
                Err(failure) => break Err(failure),
            };
            if client.endpoint.has_packets() {
                client.endpoint.take_packets();
            } else if next.is_none() {
                break Ok(());
            }
            if let Err(failure) = client.take_events(&mut **worker) {
                break Err(failure);
            }
        };
        match outcome.map_err(|failure| failed(client, failure)) {
            Ok(()) => self.settle(at),
            Err(error) => self.end(at, Err(error)),
        }
    }

    fn receive(&mut self, at: usize, packet: Packet) {
        match &mut self.processes[at] {
            Process::Asks(newcomer, ..) => match newcomer.hear(packet) {
                Some(Told::Welcome(admission)) => {
                    let given = newcomer.given();
                    self.admit(at, &admission, &given);
                }
                Some(Told::Behind(view)) => {
                    let why = format!("the group went on without this member, to view {view}");
                    self.end(at, Err(Error::LeftBehind(why)));
                }
                None => return,
            },
            process => {
                let Some(member) = process.member() else { return };
                member.advance(self.now);
                member.receive(packet);
            }
        }
        self.settle(at);
    }

    /// Makes a client of a newcomer.
    fn admit(&mut self, at: usize, admission: &Admission, given: &[Seat]) {
        let process = std::mem::replace(&mut self.processes[at], Process::Gone);
        let Process::Asks(_, builder, shared) = process else { return };
        let config = stack_config(MemberId(at as u16), &admission.view, Some(&builder));
        let membership_config = membership_config(Some(&builder));
        let membership = Membership::admitted(self.order.row(), config, membership_config, admission);
        let mut member = Member::new(config.me, membership, &admission.seats, self.now);
        member.seated(given);
        self.processes[at] = client(member, &builder, shared);
    }

    fn wake(&mut self, at: usize) {
        match &mut self.processes[at] {
            Process::Asks(newcomer, ..) => {
                if let Some(packet) = newcomer.ask(self.now) {
                    self.send(at, To::Group, &packet);
                }
            }
            process => {
                let Some(member) = process.member() else { return };
                member.advance(self.now);
                member.wake();
                self.settle(at);
            }
        }
    }

    /// Takes the deliveries and the packets of a process.
    fn settle(&mut self, at: usize) {
        let mut ended = None;
        let sent = match &mut self.processes[at] {
            Process::Client(client, worker, _) => {
                let taken = client.take_events(&mut **worker);
                ended = taken.err().map(|failure| Err(failed(client, failure)));
                let member = &mut client.endpoint;
                self.progress = self.progress.max(member.progress);
                if let Some(why) = member.fenced {
                    let failure = words::fence(why, Role::Client, &|member_id| member.name(member_id));
                    ended = Some(if member.departs() { Ok(()) } else { Err(fenced(why, failure)) });
                }
                std::mem::take(&mut member.sent)
            }
            Process::Sequencer(member) => {
                member.events.clear();
                std::mem::take(&mut member.sent)
            }
            Process::Asks(..) | Process::Gone => Vec::new(),
        };
        for (to, packet) in sent {
            self.send(at, to, &packet);
        }
        if let Some(outcome) = ended {
            self.end(at, outcome);
        }
    }

    fn send(&mut self, from: usize, to: To, packet: &Packet) {
        let receivers = match to {
            To::Group => 0..self.processes.len() as u16,
            To::Member(member) => member.0..member.0 + 1,
        };
        for receiver in receivers.filter(|&receiver| usize::from(receiver) != from) {
            let way = self.prng.as_mut().map_or(FAST, |prng| prng.between(FAST, SLOW));
            let at = self.now.after(Duration::from_micros(way));
            let packet = (MemberId(receiver), packet.clone());
            self.queue.insert((at, self.scheduled), packet);
            self.scheduled += 1;
        }
    }

    /// Ends the membership of a process.
    fn end(&mut self, at: usize, outcome: Result<(), Error>) {
        let process = std::mem::replace(&mut self.processes[at], Process::Gone);
        self.progress = self.now;
        let shared = match process {
            Process::Client(mut client, _, shared) => {
                let member = &mut client.endpoint;
                if !member.departs() {
                    member.leave();
                }
                for (to, packet) in std::mem::take(&mut member.sent) {
                    self.send(at, to, &packet);
                }
                shared
            }
            Process::Asks(.., shared) => shared,
            Process::Sequencer(_) | Process::Gone => return,
        };
        shared.change(|queues| queues.phase = Phase::Over(outcome));
    }

    /// Ends the run when all clients of the newest view have everything.
    fn end_run(&mut self) {
        let clients = || {
            self.processes.iter().filter_map(|process| match process {
                Process::Client(client, ..) => Some(&client.endpoint),
                _ => None,
            })
        };
        let Some(view) = clients().map(Endpoint::view).max_by_key(|view| view.number) else {
            return;
        };
        let is_done = |client: &MemberId| {
            clients().any(|member| member.me() == *client && member.done == Some(view.number))
        };
        if view.clients.iter().all(is_done) {
            for process in &mut self.processes {
                match std::mem::replace(process, Process::Gone) {
                    Process::Client(.., shared) => {
                        shared.change(|queues| queues.phase = Phase::Over(Ok(())));
                    }
                    Process::Asks(.., shared) => {
                        let why = "the run ended before this member was in it".to_owned();
                        shared.change(|queues| queues.phase = Phase::Over(Err(Error::CannotJoin(why))));
                    }
                    Process::Sequencer(_) | Process::Gone => {}
                }
            }
            self.queue.clear();
        }
    }
}

/// Begins the part of a client.
fn client(member: Member, builder: &Builder, shared: Arc<Shared>) -> Process {
    let mut participant = Participant::new(member, builder.settings());
    let mut worker = Worker::new(builder, &shared);
    // The queues of a new member always have room for its first view.
    let _ = worker.begin(&mut participant);
    Process::Client(Box::new(participant), Box::new(worker), shared)
}

fn stack_config<'a>(
    me: MemberId,
    view: &'a crate::engine::View,
    builder: Option<&Builder>,
) -> StackConfig<'a> {
    let window = builder.map(|builder| builder.window).unwrap_or_default();
    StackConfig { me, view, run: RUN, seed: RUN ^ u64::from(me.0), window, defects: Defects::NONE }
}

/// Returns the configuration of a membership that suspects nobody.
fn membership_config(builder: Option<&Builder>) -> MembershipConfig {
    let membership_config = builder.map(|builder| builder.membership_config).unwrap_or_default();
    MembershipConfig { detector: None, ..membership_config }
}
