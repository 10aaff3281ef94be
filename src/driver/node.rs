//! One member of one group: engines in the middle, sockets around them, the forwarder on the line.

use std::collections::BTreeMap;
use std::time::Duration;

use super::meter::Meter;
use super::{Caller, Clock, clock};
use crate::defect::Defects;
use crate::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::member::{App, Line};
use crate::order::{Order, Place};
use crate::session::attendance::News;
use crate::session::{CONNECT_LIMIT, SAY_EVERY};
use crate::talk::{self, Talk};
use crate::transport::signals::{Signals, interruption};
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::{self, Context, Port, Socket, topic};
use crate::wire::control::{Ask, Identity, Role, Seat};
use crate::wire::encoded::probe;
use crate::wire::{Frames, Header, Kind};

/// A member sends its probes again after this long.
pub const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Most packets taken before anything else gets its turn.
const PACKETS_PER_TURN: usize = 64;

/// How a member wants to take part.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The host of forwarder and router.
    pub host: String,
    /// The first of the four ports.
    pub port_base: u16,
    /// The group.
    pub group: String,
    /// The member's name.
    pub id: String,
    /// What it is to the group.
    pub role: Role,
    /// The order, which all members must agree on.
    pub order: &'static Order,
    /// Whether it is not ready before it has reached the router.
    pub needs_router: bool,
    /// How long to wait for the start; `None` leaves that to the forwarder.
    pub timeout: Option<Duration>,
    /// What its engines are to do wrong.
    pub defects: Defects,
}

/// Something that was delivered to this member.
#[derive(Debug)]
pub struct Delivery {
    /// When, in microseconds since this member began.
    pub at_us: u64,
    /// Who submitted it.
    pub from: MemberId,
    /// The place of its first message in the total order, where the order has one.
    pub number: Option<u64>,
    /// What it is.
    pub app: App,
}

/// One member of one group, from the start to the end of a run.
pub struct Node {
    wires: Wires,
    line: Line,
    effects: Effects<App, Frames>,
    delivered: Vec<Delivery>,
    view: View,
    seats: BTreeMap<MemberId, Seat>,
    me: MemberId,
    is_over: bool,
    undeliverable: u64,
    meter: Meter,
}

/// What connects a member with the world.
struct Wires {
    clock: Clock,
    signals: Option<Signals>,
    wakeup: Option<Wakeup>,
    listens: bool,
    talk: Talk,
    caller: Caller,
    publisher: Socket,
    subscriber: Socket,
    dealer: Option<Socket>,
    topic: Vec<u8>,
    group: String,
    said: Time,
}

impl Node {
    /// Takes part in the start barrier; returns when the group starts.
    ///
    /// # Errors
    /// Whatever kept this member from starting: refused, timed out, interrupted, nobody there.
    pub fn join(
        context: &Context,
        joining: &Joining,
        signals: Option<Signals>,
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let mut wires = Wires::connect(context, joining, signals, talk)?;
        match Barrier::new(joining).pass(context, &mut wires) {
            Ok((run, me, seats)) => Ok(Self::start(wires, joining, run, me, seats)),
            Err(failure) => {
                let now = wires.clock.now();
                wires.caller.leave(now, &failure);
                Err(failure)
            }
        }
    }

    fn start(wires: Wires, joining: &Joining, run: u64, me: MemberId, seats: Vec<Seat>) -> Self {
        let of_role = |role: Role| {
            let mut slots: Vec<_> =
                seats.iter().filter(|seat| seat.role == role).map(|seat| MemberId(seat.slot)).collect();
            slots.sort_unstable();
            slots
        };
        let sequencer = of_role(Role::Sequencer).first().copied();
        let view = View { number: 1, clients: of_role(Role::Client), sequencer };
        let place = Place { me, view: &view, run, seed: run ^ u64::from(me.0), defects: joining.defects };
        Self {
            line: joining.order.assemble(place),
            wires,
            effects: Effects::default(),
            delivered: Vec::new(),
            view,
            seats: seats.into_iter().map(|seat| (MemberId(seat.slot), seat)).collect(),
            me,
            is_over: false,
            undeliverable: 0,
            meter: Meter::default(),
        }
    }

    /// View 1.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// This member.
    #[must_use]
    pub const fn me(&self) -> MemberId {
        self.me
    }

    /// The name and incarnation of a member of the view.
    #[must_use]
    pub fn seat(&self, member: MemberId) -> &Seat {
        &self.seats[&member]
    }

    /// The member with this name.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<MemberId> {
        self.view.clients.iter().copied().find(|client| self.seat(*client).id == id)
    }

    /// Microseconds since this member began.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        self.wires.clock.elapsed_micros()
    }

    /// The time that protocols go by.
    pub fn now(&mut self) -> Time {
        self.wires.clock.now()
    }

    /// How many submissions to `to` are welcome now.
    #[must_use]
    pub fn window(&self, to: To) -> usize {
        self.line.window(to)
    }

    /// How many batches wait here for what comes before them.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.held()
    }

    /// What it has cost so far.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether the whole group has finished.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// This member has everything that all have sent: tells the forwarder, which ends the run when all have.
    pub fn done(&mut self) {
        self.wires.caller.turn_to(Ask::Done);
    }

    /// Tells the group, as far as it can be reached, that this member leaves before the end.
    pub fn leave(&mut self, failure: &Failure) {
        let now = self.wires.clock.now();
        self.wires.caller.leave(now, failure);
    }

    /// Submits `app`. What this delivers here at once is among the next [`Node::delivered`].
    pub fn submit(&mut self, to: To, app: App) {
        let now = self.wires.clock.now();
        self.meter.submitted(Time::from_micros(self.wires.clock.elapsed_micros()), &app);
        self.line.handle(now, Input::Submit { to, app }, &mut self.effects);
        self.perform();
    }

    /// Takes what has been delivered since the last call, in order of delivery.
    pub fn delivered(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.delivered)
    }

    /// From now on this member's waits end also when `wakeup` is woken.
    pub fn wake_by(&mut self, wakeup: Wakeup) {
        self.wires.wakeup = Some(wakeup);
    }

    /// Whether packets of the others are taken in. Not to listen is to hold them all back: the windows of the
    /// senders close when this member acknowledges nothing.
    pub fn listen(&mut self, listens: bool) {
        self.wires.listens = listens;
    }

    /// Waits, for a limited time, without taking part in the run any more.
    ///
    /// # Errors
    /// The interruption that came.
    pub fn linger(&mut self) -> Result<(), Failure> {
        self.wires.wait_on(&[], clock::LONGEST_WAIT)
    }

    /// One round: waits until there is something to do or `until` has come, and does it.
    ///
    /// # Errors
    /// What ended the run before its end. What was delivered before is still among [`Node::delivered`].
    pub fn turn(&mut self, until: Option<Time>) -> Result<(), Failure> {
        self.wires.wait(self.line.next_deadline().into_iter().chain(until).min())?;
        let now = self.wires.clock.now();
        if self.wires.listens {
            self.take_packets(now);
        }
        if self.line.next_deadline().is_some_and(|due| due <= now) {
            self.line.handle(now, Input::Wake, &mut self.effects);
            self.perform();
        }
        match self.wires.caller.turn(now, &self.wires.talk)? {
            News::End => self.is_over = true,
            News::Unseated(failure) => return Err(failure),
            News::Wait { missing, .. } => {
                self.wires.say_waiting(now, &format!("waiting for {} to be done", talk::list(&missing)));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_packets(&mut self, now: Time) {
        for _ in 0..PACKETS_PER_TURN {
            let packets = [self.wires.subscriber.hear(&self.wires.topic), self.wires.hear_direct()];
            if packets.iter().all(Option::is_none) {
                break;
            }
            for frames in packets.into_iter().flatten().flatten() {
                self.receive(now, frames);
                self.perform();
            }
        }
    }

    fn receive(&mut self, now: Time, frames: Frames) {
        let Ok(header) = Header::peek(&frames.header) else { return };
        match header.kind {
            Kind::Undeliverable => {
                self.undeliverable += 1;
                self.wires.talk.detail("the router could not deliver a packet; it will be sent again");
            }
            Kind::Probe => {}
            // Our own packets come back to us; the engines had them when they were submitted.
            _ if header.sender == self.me => {}
            _ => {
                self.meter.received(&frames);
                let input = Input::Receive { from: header.sender, message: frames };
                self.line.handle(now, input, &mut self.effects);
            }
        }
    }

    fn perform(&mut self) {
        self.meter.holds(self.line.held());
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to: To::Group, message } => {
                    self.meter.sent(&message);
                    self.wires.publisher.publish(&self.wires.topic, &message);
                }
                Effect::Send { to: To::Member(member), message } => {
                    if let (Some(dealer), Some(seat)) = (&self.wires.dealer, self.seats.get(&member)) {
                        self.meter.sent(&message);
                        dealer.send_to(&route(&self.wires.group, &seat.id), &self.wires.topic, &message);
                    }
                }
                Effect::Deliver { from, number, app } => {
                    let at_us = self.wires.clock.elapsed_micros();
                    self.meter.delivered(Time::from_micros(at_us), from == self.me, &app);
                    self.delivered.push(Delivery { at_us, from, number, app });
                }
                Effect::Drop { from, reason } => {
                    self.wires.talk.detail(format!("dropped a packet of {from}: {reason}"));
                }
            }
        }
    }

    /// Says `what` is being waited for, but not too often.
    pub fn say_waiting(&mut self, what: &str) {
        let now = self.wires.clock.now();
        self.wires.say_waiting(now, what);
    }
}

/// The name by which the router knows a member.
fn route(group: &str, id: &str) -> Vec<u8> {
    format!("{group}/{id}").into_bytes()
}

impl Wires {
    fn connect(
        context: &Context,
        joining: &Joining,
        signals: Option<Signals>,
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let (host, base) = (joining.host.as_str(), joining.port_base);
        let mut clock = Clock::start();
        let now = clock.now();
        let who = Identity {
            group: joining.group.clone(),
            id: joining.id.clone(),
            role: joining.role,
            nonce: clock::nonce(),
            incarnation: 0,
            order: joining.order.name.to_owned(),
            method: joining.order.method.unwrap_or_default().to_owned(),
        };
        let limit = Some(joining.timeout.unwrap_or(CONNECT_LIMIT));
        Ok(Self {
            clock,
            signals,
            wakeup: None,
            listens: true,
            talk: talk.clone(),
            caller: Caller::new(context, (host, base), now, who, Ask::Join, limit)?,
            publisher: context.publisher(&Port::In.endpoint(host, base))?,
            subscriber: context.subscriber(&Port::Out.endpoint(host, base), &joining.group)?,
            dealer: None,
            topic: topic(&joining.group),
            group: joining.group.clone(),
            said: now,
        })
    }

    /// Waits for something to read, but no longer than until `deadline`, and no longer than is good.
    fn wait(&mut self, deadline: Option<Time>) -> Result<(), Failure> {
        let now = self.clock.now();
        let until = self.caller.next_deadline().min(deadline.unwrap_or(Time::from_micros(u64::MAX)));
        let mut sockets = vec![self.caller.socket()];
        if self.listens {
            sockets.push(&self.subscriber);
            sockets.extend(&self.dealer);
        }
        self.wait_on(&sockets, until.since(now).min(clock::LONGEST_WAIT))
    }

    fn wait_on(&self, sockets: &[&Socket], limit: Duration) -> Result<(), Failure> {
        let signals = self.signals.iter().flat_map(Signals::fds);
        zmq::wait(sockets, signals.chain(self.wakeup.iter().map(Wakeup::fd)), limit);
        if let Some(wakeup) = &self.wakeup {
            wakeup.clear();
        }
        match self.signals.as_ref().and_then(Signals::received) {
            Some(exit) => Err(interruption(exit)),
            None => Ok(()),
        }
    }

    fn hear_direct(&self) -> Option<Option<Frames>> {
        self.dealer.as_ref().and_then(|dealer| dealer.hear_routed(&self.topic))
    }

    fn say_waiting(&mut self, now: Time, what: &str) {
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            self.talk.say(what);
        }
    }
}

/// The start barrier as a member passes it: join, hear its own probes come back, be ready, be told to start.
struct Barrier<'a> {
    joining: &'a Joining,
    seat: Option<(u64, MemberId)>,
    out_and_in: bool,
    router: bool,
    probed: Option<Time>,
    is_ready: bool,
    waits_for: String,
}

impl<'a> Barrier<'a> {
    fn new(joining: &'a Joining) -> Self {
        Self {
            joining,
            seat: None,
            out_and_in: false,
            router: !joining.needs_router,
            probed: None,
            is_ready: false,
            waits_for: "the forwarder".to_owned(),
        }
    }

    fn pass(mut self, context: &Context, wires: &mut Wires) -> Result<(u64, MemberId, Vec<Seat>), Failure> {
        loop {
            wires.wait(self.probed.filter(|_| !self.is_ready).map(|at| at.after(PROBE_EVERY)))?;
            let now = wires.clock.now();
            match wires.caller.turn(now, &wires.talk)? {
                News::Welcome { run, slot } => self.welcome(context, wires, run, MemberId(slot))?,
                News::Wait { missing, gives_up_in } => {
                    let left = gives_up_in
                        .map_or_else(String::new, |left| format!(" (gives up in {})", talk::duration(left)));
                    self.waits_for = format!("{}{left}", talk::list(&missing));
                }
                News::Start(seats) => {
                    let (run, me) =
                        self.seat.ok_or_else(|| Failure::new(Exit::Bug, "started without a slot"))?;
                    wires.caller.turn_to(Ask::Alive);
                    return Ok((run, me, seats));
                }
                News::Unseated(_) => self.join_again(wires),
                News::End => return Err(Failure::new(Exit::Unavailable, "the run ended before it started")),
                _ => {}
            }
            self.listen(wires);
            self.probe(wires, now);
            if wires.caller.has_heard() {
                wires.say_waiting(now, &format!("waiting for {}", self.waits_for));
            }
            self.check_limits(now, wires)?;
        }
    }

    fn welcome(
        &mut self,
        context: &Context,
        wires: &mut Wires,
        run: u64,
        me: MemberId,
    ) -> Result<(), Failure> {
        self.seat = Some((run, me));
        self.waits_for = "its own probe to come back through the forwarder".to_owned();
        let endpoint = Port::Router.endpoint(&self.joining.host, self.joining.port_base);
        wires.dealer = Some(context.dealer(&endpoint, &route(&self.joining.group, &self.joining.id))?);
        wires.caller.turn_to(Ask::Alive);
        Ok(())
    }

    /// Its seat was given away while nothing was heard of it. Whether there is another one for it, the forwarder says.
    fn join_again(&mut self, wires: &mut Wires) {
        *self = Self::new(self.joining);
        wires.dealer = None;
        wires.caller.turn_to(Ask::Join);
    }

    /// Looks for the probes among what comes in; whatever else comes now belongs to no run of ours.
    fn listen(&mut self, wires: &Wires) {
        let Some((run, me)) = self.seat else { return };
        let is_ours = |frames: &Frames| {
            Header::peek(&frames.header)
                .is_ok_and(|header| header.kind == Kind::Probe && header.run == run && header.sender == me)
        };
        while let Some(heard) = wires.subscriber.hear(&wires.topic) {
            self.out_and_in |= heard.is_some_and(|frames| is_ours(&frames));
        }
        while let Some(heard) = wires.hear_direct() {
            self.router |= heard.is_some_and(|frames| is_ours(&frames));
        }
    }

    fn probe(&mut self, wires: &mut Wires, now: Time) {
        let Some((run, me)) = self.seat.filter(|_| !self.is_ready) else { return };
        if self.out_and_in && self.router {
            self.is_ready = true;
            self.waits_for = "the others".to_owned();
            return wires.caller.turn_to(Ask::Ready);
        }
        if self.probed.is_some_and(|at| now < at.after(PROBE_EVERY)) {
            return;
        }
        self.probed = Some(now);
        if !self.out_and_in {
            wires.publisher.publish(&wires.topic, &probe(run, me, To::Group));
        } else if let Some(dealer) = &wires.dealer {
            self.waits_for =
                format!("a router at {}", Port::Router.endpoint(&self.joining.host, self.joining.port_base));
            dealer.send_to(b"", &wires.topic, &probe(run, me, To::Member(me)));
        }
    }

    fn check_limits(&self, now: Time, wires: &Wires) -> Result<(), Failure> {
        let Some(timeout) = self.joining.timeout else { return Ok(()) };
        let waited = now.since(Time::ZERO);
        if self.out_and_in && !self.router && waited >= timeout.min(CONNECT_LIMIT) {
            let message = format!("gave up waiting for {}", self.waits_for);
            return Err(Failure::new(Exit::Unavailable, message)
                .help("what members send to single members goes through `router`: is it running?"));
        }
        if wires.caller.has_heard() && waited >= timeout {
            let message =
                format!("no start within {}: waited for {}", talk::duration(timeout), self.waits_for);
            return Err(Failure::new(Exit::TimedOut, message));
        }
        Ok(())
    }
}
