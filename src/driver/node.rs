//! One member of one group: engines in the middle, sockets around them, the forwarder on the line.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::admission::{self, TakenIn};
use super::barrier::Barrier;
use super::clock;
pub use super::config::Joining;
use super::meter::Meter;
use super::wires::{Wires, route};
use super::words;
use crate::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::member::{App, Fence, Membership, Note, Watch};
use crate::session::{attendance::News, founders, view_of};
use crate::talk::{self, Talk};
use crate::transport::signals::Signals;
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::Context;
use crate::wire::control::{Ask, Role, Seat, Status, run_as_text};
use crate::wire::encoded::{OUTLINE_FROM, OUTLINE_TO, outline};
use crate::wire::topic::Audience;
use crate::wire::{Frames, Header, Kind};

/// Most packets taken before anything else gets its turn.
const PACKETS_PER_TURN: usize = 64;
/// Most packets put aside while a member does not listen; windows keep them far below.
const MAX_ASIDE: usize = 10_000;
/// Time after which a member that leaves goes in any case: it has left nothing open.
pub const PARTING: Duration = Duration::from_secs(5);

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
    membership: Membership,
    effects: Effects<App, Frames>,
    delivered: Vec<Delivery>,
    /// Who watches what is held back, and what it has noted.
    watch: Option<(Watch, Vec<(u64, Note)>)>,
    seats: BTreeMap<MemberId, Seat>,
    me: MemberId,
    run: u64,
    /// Whether it has said that it has everything.
    is_done: bool,
    is_over: bool,
    /// Why the group has gone on without this member, if it has.
    out_for: Option<Fence>,
    /// Since when it has asked to be let go.
    departs: Option<Time>,
    /// Who is not done yet, as a forwarder said last.
    missing: Vec<String>,
    /// What came while this member did not listen.
    aside: VecDeque<Frames>,
    /// When a packet of another member last came.
    heard: Time,
    meter: Meter,
    /// How many multicasts were delivered here.
    given: u64,
}

impl Node {
    /// Takes part in the start barrier; returns when the group starts or, if it runs already, has taken this member in.
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
        let admission = |wires: &mut Wires| {
            let (run, me, seats) = Barrier::new(joining).pass(context, wires)?;
            let is_late = seats.iter().any(|seat| seat.slot == me.0 && seat.late);
            let admission =
                if is_late { Some(admission::pass(joining, wires, run, me, &seats)?) } else { None };
            Ok((run, me, seats, admission))
        };
        match admission(&mut wires) {
            Ok((run, me, seats, None)) => Ok(Self::start(wires, joining, run, me, seats)),
            Ok((run, me, _, Some(admission))) => Ok(Self::start_late(wires, joining, run, me, &admission)),
            Err(failure) => {
                let now = wires.clock.now();
                wires.callers.leave(now, &failure);
                Err(failure)
            }
        }
    }

    fn start(wires: Wires, joining: &Joining, run: u64, me: MemberId, seats: Vec<Seat>) -> Self {
        let view = view_of(&seats);
        let membership = Membership::new(joining.order, joining.stack(run, me, &view), joining.keeping);
        let mut membership = membership.knowing(&founders(&seats));
        membership.seated(&seats);
        Self::begin(wires, membership, run, me, seats)
    }

    /// Begins in a view that is not the first.
    fn start_late(wires: Wires, joining: &Joining, run: u64, me: MemberId, taken_in: &TakenIn) -> Self {
        let (admission, given) = taken_in;
        let place = joining.stack(run, me, &admission.view);
        let mut membership = Membership::admitted(joining.order, place, joining.keeping, admission);
        membership.seated(given);
        Self::begin(wires, membership, run, me, admission.seats.clone())
    }

    fn begin(mut wires: Wires, mut membership: Membership, run: u64, me: MemberId, seats: Vec<Seat>) -> Self {
        let heard = wires.clock.now();
        wires.data_path.heard(heard);
        // The others have been there since now, however long this process has waited for them.
        membership.pardon(heard);
        Self {
            membership,
            wires,
            effects: Effects::default(),
            delivered: Vec::new(),
            watch: None,
            out_for: None,
            departs: None,
            seats: seats.into_iter().map(|seat| (MemberId(seat.slot), seat)).collect(),
            me,
            run,
            is_done: false,
            is_over: false,
            missing: Vec::new(),
            aside: VecDeque::new(),
            heard,
            meter: Meter::default(),
            given: 0,
        }
    }

    /// The view that the membership is in; what is delivered may still be of the one before.
    #[must_use]
    pub const fn view(&self) -> &View {
        self.membership.view()
    }

    /// Of each client: how many of its multicasts were delivered before the current view.
    pub fn delivered_before(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.membership.delivered_before()
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

    /// The name and incarnation of whoever ever was in the run.
    #[must_use]
    pub fn who(&self, member: MemberId) -> Option<&Seat> {
        self.seats.get(&member)
    }

    /// The name of a member, for people.
    #[must_use]
    pub fn name(&self, member: MemberId) -> String {
        self.who(member).map_or_else(|| member.to_string(), |seat| seat.id.clone())
    }

    /// The member that was this life of this name.
    #[must_use]
    pub fn life(&self, id: &str, incarnation: u32) -> Option<MemberId> {
        let is_it = |(_, seat): &(&MemberId, &Seat)| seat.id == id && seat.incarnation == incarnation;
        self.seats.iter().find(is_it).map(|(&member, _)| member)
    }

    /// The member with this name.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<MemberId> {
        self.view().clients.iter().copied().find(|client| self.seat(*client).id == id)
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
        self.membership.window(to)
    }

    /// How long nothing has been heard of the other members. In a group that is at rest that means nothing.
    pub fn silence(&mut self) -> Duration {
        self.wires.clock.now().since(self.heard)
    }

    /// The member that holds this one up, and up to which packet that one has everything.
    #[must_use]
    pub fn laggard(&self) -> Option<(MemberId, u64)> {
        self.membership.slowest_receiver()
    }

    /// Has the group go on without `member`, which has taken nothing for so long.
    pub fn exclude(&mut self, member: MemberId, length: Duration) {
        self.membership.exclude(member, length, &mut self.effects);
        self.perform();
    }

    /// How many batches wait here for what comes before them.
    #[must_use]
    pub fn held(&self) -> usize {
        self.membership.held()
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

    /// Who is not done yet, as far as is known to this member, which is.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// This member has everything that all have sent: tells the forwarders, which end the run when all have.
    pub fn done(&mut self) {
        self.is_done = true;
        let View { number, clients, .. } = self.view();
        let ask = Ask::Done { view: *number, clients: clients.iter().map(|client| client.0).collect() };
        self.wires.callers.turn_to(&ask);
    }

    /// Whether all others have delivered everything that was submitted here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.membership.is_settled()
    }

    /// Whether the view is being changed: nothing is sent or delivered meanwhile.
    #[must_use]
    pub const fn is_changing(&self) -> bool {
        self.membership.is_changing()
    }

    /// How many members are here, of how many, if they are too few to go on.
    #[must_use]
    pub fn lacks_majority(&self) -> Option<(usize, usize)> {
        self.membership.lacks_majority()
    }

    /// Leaves the group: [is over](Self::is_over) when a view without this member is installed, or after PARTING.
    pub fn depart(&mut self) {
        if self.departs.is_none() {
            self.departs = Some(self.wires.clock.now());
            self.membership.leave(&mut self.effects);
            self.perform();
        }
    }

    /// Whether it has asked to be let go.
    #[must_use]
    pub const fn departs(&self) -> bool {
        self.departs.is_some()
    }

    /// Learns the names of those who are new.
    fn take_in(&mut self, arrivals: &[Seat]) {
        if arrivals.is_empty() {
            return;
        }
        self.seats.extend(arrivals.iter().map(|seat| (MemberId(seat.slot), seat.clone())));
        let mut last: BTreeMap<&str, &Seat> = BTreeMap::new();
        for seat in self.seats.values() {
            last.insert(&seat.id, seat);
        }
        let last: Vec<Seat> = last.into_values().cloned().collect();
        self.wires.callers.members_are(&self.seats[&self.me], &last);
    }

    /// Tells the group, as far as it can be reached, that this member leaves before the end.
    pub fn leave(&mut self, failure: &Failure) {
        self.membership.leave(&mut self.effects);
        self.perform();
        let now = self.wires.clock.now();
        self.wires.callers.leave(now, failure);
    }

    /// Submits `app`. What this delivers here at once is among the next [`Node::delivered`].
    pub fn submit(&mut self, to: To, app: App) {
        let now = self.wires.clock.now();
        self.meter.submitted(Time::from_micros(self.wires.clock.elapsed_micros()), &app);
        self.membership.handle(now, Input::Submit { to, app }, &mut self.effects);
        self.perform();
    }

    /// Takes what has been delivered since the last call, in order of delivery.
    pub fn delivered(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.delivered)
    }

    /// From now on it is noted what arrives for the group, and what it waits for.
    pub fn watch(&mut self) {
        self.watch = Some(Default::default());
    }

    /// Takes what has been noted since the last call, each with its time in microseconds since this member began.
    pub fn noted(&mut self) -> Vec<(u64, Note)> {
        self.watch.as_mut().map(|(_, noted)| std::mem::take(noted)).unwrap_or_default()
    }

    /// From now on this member's waits end also when `wakeup` is woken.
    pub fn wake_by(&mut self, wakeup: Wakeup) {
        self.wires.wakeup = Some(wakeup);
    }

    /// Whether packets of the others are taken in. Not to listen is to hold them all back: the windows of the
    /// senders close when this member acknowledges nothing. Only what memberships say to each other is heard all the same.
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
        if let Some(why) = self.out_for.take() {
            return Err(words::fence(why, self.seat(self.me).role, &|member| self.name(member)));
        }
        let at_once = (self.wires.listens && !self.aside.is_empty()).then_some(Time::ZERO);
        self.wires.wait(self.membership.next_deadline().into_iter().chain(until).chain(at_once).min())?;
        let now = self.wires.clock.now();
        if self.wires.listens {
            self.take_packets(now);
        } else {
            self.overhear(now);
            // A member that does not listen must not conclude that the others are silent.
            self.membership.pardon(now);
            self.wires.data_path.heard(now);
        }
        if self.wires.look_after_data_path(now, self.run)? {
            self.membership.pardon(now);
        }
        if self.membership.next_deadline().is_some_and(|due| due <= now) {
            self.membership.handle(now, Input::Wake, &mut self.effects);
            self.perform();
        }
        self.is_over |= self.departs.is_some_and(|since| now.since(since) >= PARTING);
        self.wires.callers.tell(self.status());
        let news = self.wires.callers.turn(now, &self.wires.talk)?;
        if news.iter().any(|(_, news)| *news == News::End) {
            self.wires.callers.over(now, &run_as_text(self.run));
            return self.end();
        }
        news.into_iter().try_for_each(|(from, news)| self.hear(now, from, news))
    }

    /// The run is over. It does not end before all clients of its last view have everything: a client that has not is in that
    /// view no more, and was asleep or cut off when the others went on.
    fn end(&mut self) -> Result<(), Failure> {
        self.is_over = true;
        let is_client = self.view().clients.contains(&self.me);
        if is_client && !self.is_done && self.departs.is_none() {
            let why = "the group went on without this member, to the end of the run";
            return Err(Failure::new(Exit::Unavailable, why));
        }
        Ok(())
    }

    /// How far this member is, for those who watch.
    fn status(&self) -> Status {
        let view = self.view();
        let leader = view.sequencer.or(view.clients.last().copied()).unwrap_or(self.me);
        let held = self.held() as u64;
        Status { view: view.number, leader: leader.0, delivered: self.given, held }
    }

    /// What the forwarder `from` said.
    fn hear(&mut self, now: Time, from: usize, news: News) -> Result<(), Failure> {
        let Wires { callers, talk, .. } = &mut self.wires;
        match news {
            News::Forgotten => {
                talk.warn(format!("{} was started again; telling it of this run", callers.name(from)));
            }
            News::Wait { missing, .. } => {
                self.wires.say_waiting(now, &format!("waiting for {} to be done", talk::list(&missing)));
                self.missing = missing;
            }
            News::Seated(seats) => self.membership.seated(&seats),
            News::Failed(failure) => callers.lose(from, failure, now, talk)?,
            _ => {}
        }
        Ok(())
    }

    fn take_packets(&mut self, now: Time) {
        for _ in 0..PACKETS_PER_TURN {
            if let Some(frames) = self.aside.pop_front() {
                self.receive(now, frames);
                self.perform();
                continue;
            }
            let packets = [self.wires.hear_group(now), self.wires.hear_direct()];
            if packets.iter().all(Option::is_none) {
                break;
            }
            for frames in packets.into_iter().flatten().flatten() {
                self.receive(now, frames);
                self.perform();
            }
        }
    }

    /// Puts packets aside until this member listens again, but for what memberships say: a view changes also while
    /// somebody's user does not read.
    fn overhear(&mut self, now: Time) {
        for _ in 0..PACKETS_PER_TURN {
            self.wires.overhears = self.aside.len() < MAX_ASIDE;
            let packets = [self.wires.hear_group(now), self.wires.hear_direct()];
            if !self.wires.overhears || packets.iter().all(Option::is_none) {
                break;
            }
            for frames in packets.into_iter().flatten().flatten() {
                let Ok(header) = Header::peek(&frames.header) else { continue };
                if header.kind == Kind::Membership {
                    self.receive(now, frames);
                    self.perform();
                } else if header.sender != self.me {
                    self.aside.push_back(frames);
                }
            }
        }
    }

    fn receive(&mut self, now: Time, frames: Frames) {
        let Ok(header) = Header::peek(&frames.header) else { return };
        match header.kind {
            Kind::Undeliverable => {
                self.wires.talk.detail("the router could not deliver a packet; it will be sent again");
            }
            // Nothing to read, for whoever reads.
            Kind::Outline if self.wires.audience == Audience::Clients => {}
            Kind::Probe => {}
            // The last of what we heard of ourselves, or of who had our slot before.
            _ if header.sender == self.me => {}
            _ => {
                self.heard = now;
                self.meter.received(&frames);
                let input = Input::Receive { from: header.sender, message: frames };
                self.membership.handle(now, input, &mut self.effects);
            }
        }
    }

    fn perform(&mut self) {
        self.meter.holds(self.membership.held());
        if let Some((watch, noted)) = &mut self.watch {
            let at_us = self.wires.clock.elapsed_micros();
            let mut notes = Vec::new();
            watch.look(&self.membership, &self.effects, &mut notes);
            noted.extend(notes.into_iter().map(|note| (at_us, note)));
        }
        let has_bare_sequencer = self.has_bare_sequencer();
        let mut newcomers = Vec::new();
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to: To::Group, message } => {
                    self.meter.sent(&message);
                    let is_outlined =
                        has_bare_sequencer && (OUTLINE_FROM..=OUTLINE_TO).contains(&message.body.len());
                    let outline = if is_outlined { outline(&message) } else { None };
                    self.wires.publish(&message, outline.as_ref());
                }
                Effect::Send { to: To::Member(member), message } => {
                    if let Some(seat) = self.seats.get(&member) {
                        self.meter.sent(&message);
                        let route = route(&self.wires.group, &seat.id);
                        self.wires.send_to(&route, &message);
                    }
                }
                Effect::Deliver { app: App::Fenced(_), .. } if self.departs.is_some() => {
                    self.is_over = true;
                }
                Effect::Deliver { app: App::Fenced(why), .. } => self.out_for = Some(why),
                Effect::Deliver { from, number, app } => {
                    if let App::View(_, seats) = &app {
                        newcomers.extend(seats.iter().cloned());
                    }
                    let at_us = self.wires.clock.elapsed_micros();
                    self.meter.delivered(Time::from_micros(at_us), from == self.me, &app);
                    if let App::Multicast(batch) = &app {
                        self.given += u64::from(batch.count());
                    }
                    self.delivered.push(Delivery { at_us, from, number, app });
                }
                Effect::Drop { from, reason } => {
                    self.meter.dropped(reason);
                    self.wires.talk.detail(format!("dropped a packet of {from}: {reason}"));
                }
            }
        }
        self.take_in(&newcomers);
    }

    /// Whether somebody else numbers the messages of this group, and reads none.
    fn has_bare_sequencer(&self) -> bool {
        let sequencer = self.view().sequencer.filter(|&sequencer| sequencer != self.me);
        sequencer.and_then(|sequencer| self.who(sequencer)).is_some_and(|seat| seat.role == Role::Sequencer)
    }

    /// Says `what` is being waited for, but not too often.
    pub fn say_waiting(&mut self, what: &str) {
        let now = self.now();
        self.wires.say_waiting(now, what);
    }
}
