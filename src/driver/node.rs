//! One member of one group: the protocol engines, its sockets, and its links to the forwarders. `access` is what a
//! participant does with it.

mod access;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::admission::{self, Admitted};
use super::barrier::{Barrier, StartInfo};
use super::clock;
pub use super::config::Joining;
use super::endpoint::{Delivery, Endpoint, Event};
use super::meter::Meter;
use super::sockets::{Sockets, route};
use super::words;
use crate::engine::{Effect, Effects, Engine, Input, MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::gate::Gate;
use crate::member::{App, Fence, Membership, Watch};
use crate::session::{attendance::News, founders, view_of};
use crate::talk::{self, Talk};
use crate::transport::signals::Signals;
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::Context;
use crate::wire::control::{LogStart, Post, Role, Seat, Status, run_as_text};
use crate::wire::packet::{OUTLINE_FROM, OUTLINE_TO};
use crate::wire::topic::Audience;
use crate::wire::{Header, Kind, Packet};

/// Most packets taken before other input gets its turn.
const PACKETS_PER_TURN: usize = 64;
/// Most packets put aside while a member does not listen; send windows keep them far below.
const MAX_ASIDE: usize = 10_000;
/// Upper bound on waiting for the reason, once the run is over without this member.
const REASON_WAIT: Duration = Duration::from_secs(1);
/// Upper bound on waiting for the view change after [`Endpoint::depart`].
pub const PARTING: Duration = Duration::from_secs(5);

/// One member of one group, from the start to the end of a run.
pub struct Node {
    pub(super) sockets: Sockets,
    membership: Membership,
    effects: Effects<App, Packet>,
    events: Vec<Event>,
    /// The observer of the hold-back queue.
    watch: Option<Watch>,
    seats: BTreeMap<MemberId, Seat>,
    me: MemberId,
    run: u64,
    /// This member has reported that it has everything.
    is_done: bool,
    is_over: bool,
    /// The time at which the run ended without this member.
    left_behind: Option<Time>,
    /// The reason for which the group continued without this member, once it has.
    fenced: Option<Fence>,
    /// The time at which it asked to leave.
    departs: Option<Time>,
    /// The members that are not done yet, as a forwarder last reported.
    missing: Vec<String>,
    /// Packets received while this member did not listen.
    aside: VecDeque<Packet>,
    /// Time of the last packet of another member.
    last_received: Time,
    meter: Meter,
    /// Number of multicast messages delivered here.
    delivered_count: u64,
    /// Texts of authors that forwarders have handed to this member.
    posts: Vec<Post>,
    /// The packets of a sequencer with a log that wait until their records are durable.
    gate: Option<Gate<(To, Packet)>>,
    /// The log of the sequencer.
    log: Option<LogStart>,
}

impl Node {
    /// Passes the start barrier; returns when the group starts or, if it is running, has admitted this member.
    ///
    /// # Errors
    /// Fails if this member is refused, times out or is interrupted, or no forwarder answers.
    pub fn join(
        context: &Context,
        joining: &Joining,
        signals: Option<Signals>,
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let mut sockets = Sockets::connect(context, joining, signals, talk)?;
        let admission = |sockets: &mut Sockets| {
            let start = Barrier::new(joining).pass(context, sockets)?;
            let StartInfo { run, me, ref seats, .. } = start;
            let is_late = seats.iter().any(|seat| seat.slot == me.0 && seat.late);
            let admission =
                if is_late { Some(admission::pass(joining, sockets, run, me, seats)?) } else { None };
            Ok((start, admission))
        };
        match admission(&mut sockets) {
            Ok((start, None)) => Ok(Self::start(sockets, joining, start)),
            Ok((start, Some(admission))) => Ok(Self::start_late(sockets, joining, &start, &admission)),
            Err(failure) => {
                let now = sockets.clock.now();
                sockets.forwarders.leave(now, &failure);
                Err(failure)
            }
        }
    }

    fn start(sockets: Sockets, joining: &Joining, start: StartInfo) -> Self {
        let StartInfo { run, me, seats, log } = start;
        let view = view_of(&seats);
        let membership =
            Membership::new(joining.order, joining.stack(run, me, &view), joining.membership_config);
        let place = log.as_ref().map_or(0, |log| log.place);
        let mut membership = membership.with_seats(&founders(&seats)).behind(place);
        membership.seated(&seats);
        Self { log, ..Self::begin(sockets, membership, run, me, seats) }
    }

    /// Starts in a view that is not the first.
    fn start_late(sockets: Sockets, joining: &Joining, start: &StartInfo, taken_in: &Admitted) -> Self {
        let ((admission, given), &StartInfo { run, me, .. }) = (taken_in, start);
        let config = joining.stack(run, me, &admission.view);
        let mut membership =
            Membership::admitted(joining.order, config, joining.membership_config, admission);
        membership.seated(given);
        let log = start.log.clone();
        Self { log, ..Self::begin(sockets, membership, run, me, admission.seats.clone()) }
    }

    fn begin(
        mut sockets: Sockets,
        mut membership: Membership,
        run: u64,
        me: MemberId,
        seats: Vec<Seat>,
    ) -> Self {
        let last_received = sockets.clock.now();
        sockets.data_path.received(last_received);
        // The silence of the others counts from now, however long this process has waited for them.
        membership.restart_timeouts(last_received);
        Self {
            membership,
            sockets,
            effects: Effects::default(),
            events: Vec::new(),
            watch: None,
            fenced: None,
            departs: None,
            seats: seats.into_iter().map(|seat| (MemberId(seat.slot), seat)).collect(),
            me,
            run,
            is_done: false,
            is_over: false,
            left_behind: None,
            missing: Vec::new(),
            aside: VecDeque::new(),
            last_received,
            meter: Meter::default(),
            delivered_count: 0,
            posts: Vec::new(),
            gate: None,
            log: None,
        }
    }

    /// Lets packets wait from now on until [`Node::recorded`] has told that the records before them are durable.
    pub fn keeps_a_log(&mut self) {
        self.gate = Some(Gate::default());
    }

    /// Sends what has waited for the records up to this place, which are durable.
    pub fn recorded(&mut self, place: u64) {
        for (to, packet) in self.gate.as_mut().map(|gate| gate.open(place)).unwrap_or_default() {
            self.send(to, &packet);
        }
    }

    /// Returns the seat of a member of the view.
    #[must_use]
    pub fn seat(&self, member: MemberId) -> &Seat {
        &self.seats[&member]
    }

    /// Returns the member that had this incarnation of this id.
    #[must_use]
    pub fn life(&self, id: &str, incarnation: u32) -> Option<MemberId> {
        let is_it = |(_, seat): &(&MemberId, &Seat)| seat.id == id && seat.incarnation == incarnation;
        self.seats.iter().find(is_it).map(|(&member, _)| member)
    }

    /// Returns the client of the view with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<MemberId> {
        self.view().clients.iter().copied().find(|client| self.seat(*client).id == id)
    }

    /// Returns the microseconds since this member began.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        self.sockets.clock.elapsed_micros()
    }

    /// Returns the number of batches in the hold-back queue.
    #[must_use]
    pub fn held(&self) -> usize {
        self.membership.held()
    }

    /// Returns the cost counters.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Returns whether the run is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns the members not done yet, as last reported by a forwarder. Valid once this member is done.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Returns the number of members reached and needed, if they are too few to continue.
    #[must_use]
    pub fn lacks_majority(&self) -> Option<(usize, usize)> {
        self.membership.lacks_majority()
    }

    /// Returns the reason for which the group continued without this member, once it has.
    #[must_use]
    pub const fn fenced(&self) -> Option<Fence> {
        self.fenced
    }

    /// Adds the seats of newcomers.
    fn add_seats(&mut self, arrivals: &[Seat]) {
        if arrivals.is_empty() {
            return;
        }
        self.seats.extend(arrivals.iter().map(|seat| (MemberId(seat.slot), seat.clone())));
        let mut last: BTreeMap<&str, &Seat> = BTreeMap::new();
        for seat in self.seats.values() {
            last.insert(&seat.id, seat);
        }
        let last: Vec<Seat> = last.into_values().cloned().collect();
        self.sockets.forwarders.members_are(&self.seats[&self.me], &last);
    }

    /// Reports to the group, as far as it can be reached, that this member leaves before the end.
    pub fn leave(&mut self, failure: &Failure) {
        self.membership.leave(&mut self.effects);
        self.perform();
        let now = self.sockets.clock.now();
        self.sockets.forwarders.leave(now, failure);
    }

    /// Starts to note, among the events, packets received for the group and the reasons why they are held back.
    pub fn watch(&mut self) {
        self.watch = Some(Default::default());
    }

    /// Makes `wakeup` end this member's waits.
    pub fn wake_by(&mut self, wakeup: Wakeup) {
        self.sockets.wakeup = Some(wakeup);
    }

    /// Waits, for a limited time, without taking part in the run any more.
    ///
    /// # Errors
    /// The interruption, if one came.
    pub fn linger(&mut self) -> Result<(), Failure> {
        self.sockets.wait_on(&[], clock::LONGEST_WAIT)
    }

    /// Runs one round: waits until there is input or `until` has come, and processes it.
    ///
    /// # Errors
    /// The cause, if the run ends early. Earlier deliveries are still returned by [`Endpoint::events`].
    pub fn turn(&mut self, until: Option<Time>) -> Result<(), Failure> {
        let deadline = self.begin_turn(until)?;
        self.sockets.wait(deadline)?;
        self.process()
    }

    /// Begins a round; returns the time until which to wait for input.
    pub(super) fn begin_turn(&self, until: Option<Time>) -> Result<Option<Time>, Failure> {
        if let Some(why) = self.fenced {
            return Err(words::fence(why, self.seat(self.me).role, &|member| self.name(member)));
        }
        let at_once = (self.sockets.listens && !self.aside.is_empty()).then_some(Time::ZERO);
        Ok(self.membership.next_deadline().into_iter().chain(until).chain(at_once).min())
    }

    /// Processes the input that has come.
    pub(super) fn process(&mut self) -> Result<(), Failure> {
        let now = self.sockets.clock.now();
        if self.sockets.listens {
            self.receive_packets(now);
        } else {
            self.overhear(now);
            // A member that does not listen must not take the others for silent.
            self.membership.restart_timeouts(now);
            self.sockets.data_path.received(now);
        }
        self.meter.note_held(self.membership.held());
        self.sockets.look_after_door(now, self.membership.view(), (self.run, self.me));
        if self.sockets.look_after_data_path(now, self.run)? {
            self.membership.restart_timeouts(now);
        }
        if self.membership.next_deadline().is_some_and(|due| due <= now) {
            self.membership.handle(now, Input::Wake, &mut self.effects);
            self.perform();
        }
        self.is_over |= self.departs.is_some_and(|since| now.since(since) >= PARTING);
        self.check_left_behind(now)?;
        if self.sockets.forwarders.is_quiet(now) {
            return Ok(());
        }
        self.sockets.forwarders.tell(self.status(now));
        let news = self.sockets.forwarders.turn(now, &self.sockets.talk)?;
        if news.iter().any(|(_, news)| *news == News::End) {
            self.sockets.forwarders.over(now, &run_as_text(self.run));
            self.end(now);
            return Ok(());
        }
        news.into_iter().try_for_each(|(from, news)| self.handle_news(now, from, news))
    }

    /// Ends the run. The run ends when all clients of the last view have everything, so a client that has not was left out
    /// of that view while it was stopped or cut off. The packet with the reason may still be on its way.
    fn end(&mut self, now: Time) {
        let is_client = self.view().clients.contains(&self.me);
        if is_client && !self.is_done && self.departs.is_none() {
            self.left_behind.get_or_insert(now);
        } else {
            self.is_over = true;
        }
    }

    /// Fails if the run has ended without this member, and the reason has not come.
    fn check_left_behind(&mut self, now: Time) -> Result<(), Failure> {
        if self.left_behind.is_none_or(|since| now.since(since) < REASON_WAIT) {
            return Ok(());
        }
        self.is_over = true;
        let why = "the group went on without this member, to the end of the run";
        Err(Failure::new(Exit::Unavailable, why))
    }

    /// Returns the progress that `groupcast members` shows.
    fn status(&self, now: Time) -> Status {
        let view = self.view();
        let leader = view.sequencer.or(view.clients.last().copied()).unwrap_or(self.me);
        let held = self.held() as u64;
        let at_door = self.sockets.doors.are_used(now);
        Status { view: view.number, leader: leader.0, delivered: self.delivered_count, held, at_door }
    }

    /// Handles news from the forwarder `from`.
    fn handle_news(&mut self, now: Time, from: usize, news: News) -> Result<(), Failure> {
        let Sockets { forwarders, talk, .. } = &mut self.sockets;
        match news {
            News::Forgotten => {
                talk.warn(format!("{} was started again; telling it of this run", forwarders.name(from)));
            }
            News::Wait { missing, .. } => {
                self.sockets.say_waiting(now, &format!("waiting for {} to be done", talk::list(&missing)));
                self.missing = missing;
            }
            News::Seated(seats) => self.membership.seated(&seats),
            News::Posts(posts) => self.posts.extend(posts),
            News::Failed(failure) => forwarders.lose(from, failure, now, talk)?,
            _ => {}
        }
        Ok(())
    }

    fn receive_packets(&mut self, now: Time) {
        for _ in 0..PACKETS_PER_TURN {
            if let Some(packet) = self.aside.pop_front() {
                self.receive(now, packet);
                continue;
            }
            let Some(packets) = self.hear(now) else { break };
            packets.into_iter().flatten().for_each(|packet| self.receive(now, packet));
        }
    }

    /// Reads the next packet from a door, from a forwarder and from a router; returns those that are good, or `None` if none
    /// was waiting.
    fn hear(&mut self, now: Time) -> Option<[Option<Packet>; 3]> {
        let at_door = self.sockets.hear_at_door(now, (self.run, self.me));
        let (of_group, direct) = (self.sockets.hear_group(now), self.sockets.receive_direct());
        if at_door.is_none() && of_group.is_none() && direct.is_none() {
            return None;
        }
        let of_group = of_group.and_then(|heard| Packet::parse(heard.ok()?).ok());
        let direct = direct.and_then(|heard| {
            let (from, frames) = heard.ok()?;
            Packet::parse(frames).ok().filter(|packet| self.is_sent_from(&from, packet.header))
        });
        Some([at_door.and_then(Result::ok), of_group, direct])
    }

    /// Returns whether a packet from a router is one of the router itself, or of the member whose route the router names.
    fn is_sent_from(&self, route: &[u8], header: Header) -> bool {
        if route.is_empty() {
            return matches!(header.kind, Kind::Undeliverable | Kind::Probe);
        }
        let of_group = route.strip_prefix(self.sockets.group.as_bytes());
        let id = of_group.and_then(|rest| rest.strip_prefix(b"/"));
        self.membership.seat(header.sender).is_some_and(|seat| id == Some(seat.id.as_bytes()))
    }

    /// Puts packets aside until this member listens again, except membership packets: a view change must not wait for a
    /// slow application.
    fn overhear(&mut self, now: Time) {
        for _ in 0..PACKETS_PER_TURN {
            self.sockets.overhears = self.aside.len() < MAX_ASIDE;
            let Some(packets) = self.hear(now).filter(|_| self.sockets.overhears) else { break };
            for packet in packets.into_iter().flatten() {
                if packet.header.kind == Kind::Membership {
                    self.receive(now, packet);
                } else if packet.header.sender != self.me {
                    self.aside.push_back(packet);
                }
            }
        }
    }

    fn receive(&mut self, now: Time, packet: Packet) {
        match packet.header.kind {
            Kind::Undeliverable => {
                self.sockets.talk.detail("the router could not deliver a packet; it will be sent again");
            }
            // Clients ignore outlines; they receive the full packet.
            Kind::Outline if self.sockets.audience == Audience::Clients => {}
            Kind::Probe => {
                let me = (self.run, self.me);
                self.sockets.told_of_door(now, packet, self.membership.view(), me);
            }
            // Its own last packets, or those of the previous member with its slot.
            _ if packet.header.sender == self.me => {}
            _ => {
                self.last_received = now;
                self.meter.received(&packet);
                let input = Input::Receive { from: packet.header.sender, message: packet };
                self.membership.handle(now, input, &mut self.effects);
                self.perform();
            }
        }
    }

    fn perform(&mut self) {
        if let Some(watch) = &mut self.watch {
            let at_us = self.sockets.clock.elapsed_micros();
            let mut notes = Vec::new();
            watch.look(&self.membership, &self.effects, &mut notes);
            self.events.extend(notes.into_iter().map(|note| Event::Note(at_us, note)));
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let passes = match &mut self.gate {
                        Some(gate) => gate.pass((to, message)),
                        None => Some((to, message)),
                    };
                    passes.into_iter().for_each(|(to, packet)| self.send(to, &packet));
                }
                Effect::Deliver { from, number, app } => self.deliver(from, number, app),
                Effect::Drop { from, reason } => {
                    self.meter.dropped(reason);
                    self.sockets.talk.detail(format!("dropped a packet of {from}: {reason}"));
                }
            }
        }
        self.effects = effects;
    }

    fn send(&mut self, to: To, packet: &Packet) {
        match to {
            To::Group => {
                let is_first = self.meter.sent(packet);
                // A longer one is worth an outline, and the forwarder's time rather than the sequencer's.
                let is_short = packet.frames.body.len() < OUTLINE_FROM;
                if is_first && is_short && self.sockets.publish_at_door(&packet.frames) {
                    return;
                }
                let is_long = (OUTLINE_FROM..=OUTLINE_TO).contains(&packet.frames.body.len());
                let outline = if is_long && self.has_outline_receiver() { packet.outline() } else { None };
                outline.iter().for_each(|outline| self.meter.outlined(outline));
                self.sockets.publish(&packet.frames, outline.as_ref());
            }
            To::Member(member) => {
                let Some(seat) = self.seats.get(&member) else { return };
                self.meter.sent(packet);
                self.sockets.send_to(&route(&self.sockets.group, &seat.id), &packet.frames);
            }
        }
    }

    fn deliver(&mut self, from: MemberId, number: Option<u64>, app: App) {
        match &app {
            App::Fenced(_) if self.departs.is_some() => self.is_over = true,
            App::Fenced(why) => self.fenced = Some(*why),
            App::View(_, newcomers) => self.add_seats(newcomers),
            App::Multicast(batch) => self.delivered_count += u64::from(batch.count()),
            App::Record(batch) => {
                self.delivered_count += u64::from(batch.count());
                let place = number.unwrap_or_default() + u64::from(batch.count()) - 1;
                self.gate.iter_mut().for_each(|gate| gate.record(place));
            }
            _ => {}
        }
        if !matches!(app, App::Fenced(_)) {
            let at_us = self.sockets.clock.elapsed_micros();
            self.meter.delivered(Time::from_micros(at_us), from == self.me, &app);
            self.events.push(Event::Delivery(Delivery { at_us, from, number, app }));
        }
    }

    /// Returns whether the sequencer is another member that is not a client, and so receives outlines.
    fn has_outline_receiver(&self) -> bool {
        let sequencer = self.view().sequencer.filter(|&sequencer| sequencer != self.me);
        sequencer
            .and_then(|sequencer| self.find_seat(sequencer))
            .is_some_and(|seat| seat.role == Role::Sequencer)
    }

    /// Reports that `what` is being waited for, at most once per interval.
    pub fn say_waiting(&mut self, what: &str) {
        let now = self.sockets.clock.now();
        self.sockets.say_waiting(now, what);
    }
}
