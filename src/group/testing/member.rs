//! A member of an in-memory group: the protocol engines without sockets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::driver::endpoint::{Delivery, Endpoint, Event};
use crate::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::member::{App, Fence, Membership};
use crate::wire::control::Seat;
use crate::wire::{Kind, Packet};

/// A member of an in-memory group.
pub(super) struct Member {
    me: MemberId,
    membership: Membership,
    seats: BTreeMap<MemberId, Seat>,
    now: Time,
    effects: Effects<App, Packet>,
    /// Packets that the network has not taken yet.
    pub(super) sent: Vec<(To, Packet)>,
    pub(super) events: Vec<Event>,
    /// The time of the last event.
    pub(super) progress: Time,
    listens: bool,
    /// Packets received while this member did not listen.
    aside: VecDeque<Packet>,
    last_received: Time,
    departs: bool,
    /// The group has continued without this member, for this reason.
    pub(super) fenced: Option<Fence>,
    /// The view in which this member has reported that it has everything.
    pub(super) done: Option<u64>,
}

impl Member {
    pub(super) fn new(me: MemberId, membership: Membership, seats: &[Seat], now: Time) -> Self {
        Self {
            me,
            membership,
            seats: seats.iter().map(|seat| (MemberId(seat.slot), seat.clone())).collect(),
            now,
            effects: Effects::default(),
            sent: Vec::new(),
            events: Vec::new(),
            progress: now,
            listens: true,
            aside: VecDeque::new(),
            last_received: now,
            departs: false,
            fenced: None,
            done: None,
        }
    }

    /// Advances the time of this member.
    pub(super) fn advance(&mut self, now: Time) {
        self.now = now;
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.membership.next_deadline()
    }

    /// Returns whether packets that were put aside can be taken now.
    pub(super) fn has_packets(&self) -> bool {
        self.listens && !self.aside.is_empty()
    }

    /// Takes the packets that were put aside.
    pub(super) fn take_packets(&mut self) {
        while let Some(packet) = self.aside.pop_front() {
            self.handle(Input::Receive { from: packet.header.sender, message: packet });
        }
    }

    /// Receives a packet, or puts it aside.
    pub(super) fn receive(&mut self, packet: Packet) {
        self.last_received = self.now;
        if self.listens || packet.header.kind == Kind::Membership {
            self.handle(Input::Receive { from: packet.header.sender, message: packet });
        } else {
            self.aside.push_back(packet);
        }
    }

    pub(super) fn wake(&mut self) {
        self.handle(Input::Wake);
    }

    /// Takes note of the seats of the group.
    pub(super) fn seated(&mut self, seats: &[Seat]) {
        self.membership.seated(seats);
    }

    /// Tells the others that this member is gone.
    pub(super) fn leave(&mut self) {
        self.membership.leave(&mut self.effects);
        self.perform();
    }

    fn handle(&mut self, input: Input<App, Packet>) {
        self.membership.handle(self.now, input, &mut self.effects);
        self.perform();
    }

    fn perform(&mut self) {
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to, message } => self.sent.push((to, message)),
                Effect::Deliver { app: App::Fenced(why), .. } => self.fenced = Some(why),
                Effect::Deliver { from, number, app } => {
                    if let App::View(_, seats) = &app {
                        self.seats.extend(seats.iter().map(|seat| (MemberId(seat.slot), seat.clone())));
                    }
                    let at_us = self.now.as_micros();
                    self.events.push(Event::Delivery(Delivery { at_us, from, number, app }));
                    self.progress = self.now;
                }
                Effect::Drop { .. } => {}
            }
        }
    }
}

impl Endpoint for Member {
    fn me(&self) -> MemberId {
        self.me
    }

    fn view(&self) -> &View {
        self.membership.view()
    }

    fn find_seat(&self, member: MemberId) -> Option<&Seat> {
        self.seats.get(&member)
    }

    fn delivered_before(&self) -> Vec<(MemberId, u64)> {
        self.membership.delivered_before().collect()
    }

    fn now(&mut self) -> Time {
        self.now
    }

    fn window(&self, to: To) -> usize {
        self.membership.window(to)
    }

    fn submit(&mut self, to: To, app: App) {
        self.handle(Input::Submit { to, app });
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn is_changing(&self) -> bool {
        self.membership.is_changing()
    }

    fn is_settled(&self) -> bool {
        self.membership.is_settled()
    }

    fn listen(&mut self, listens: bool) {
        self.listens = listens;
    }

    fn depart(&mut self) {
        if !self.departs {
            self.departs = true;
            self.leave();
        }
    }

    fn departs(&self) -> bool {
        self.departs
    }

    fn done(&mut self) {
        self.done = Some(self.view().number);
    }

    fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        self.membership.slowest_receiver()
    }

    fn silence(&mut self) -> Duration {
        self.now.since(self.last_received)
    }

    fn ask_next_after(&self) -> Duration {
        // No time passes until the application of the member that is asked has replied.
        Duration::MAX
    }

    fn exclude(&mut self, member: MemberId, length: Duration) {
        self.membership.exclude(member, length, &mut self.effects);
        self.perform();
    }
}
