//! Station 9, in the middle: the sequencer inside the forwarder. It sees every packet as it passes, and publishes the
//! numbers behind the messages, on the same connections.
//!
//! The registry treats it as a member, but its requests and the answers take no network. It serves only orders whose
//! members multicast everything themselves.

use std::collections::BTreeMap;

use crate::defect::Defects;
use crate::driver::clock;
use crate::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, sooner};
use crate::member::StackConfig;
use crate::member::{App, DetectorConfig, Membership, MembershipConfig};
use crate::order::Order;
use crate::session::actions::{Actions, Asker};
use crate::session::attendance::{Attendance, News};
use crate::session::registry::Registry;
use crate::session::{LOST_AFTER, founders, view_of};
use crate::transport::zmq::Socket;
use crate::wire::control::{Ask, GroupEntry, Identity, Reply, Role, Seat};
use crate::wire::topic::{self, Audience};
use crate::wire::{Frames, Packet, Window};

/// Its member id.
const ID: &str = "sequencer";

/// The sequencer of every group that has none of its own.
#[derive(Default)]
pub(crate) struct Inside {
    /// By run number.
    desks: BTreeMap<String, Desk>,
}

/// The sequencer of one group.
struct Desk {
    order: &'static Order,
    group: String,
    asker: Asker,
    attendance: Attendance,
    seat: Option<MemberId>,
    /// Its topic, once it has a seat.
    topic: Vec<u8>,
    /// Its membership, once the group has started.
    line: Option<Membership>,
    is_over: bool,
    effects: Effects<App, Packet>,
}

impl Inside {
    /// Joins every group that needs it, and sends the requests that are due.
    pub(crate) fn attend(&mut self, now: Time, registry: &mut Registry, actions: &mut Actions) {
        for entry in registry.entries() {
            let order = Order::find(&entry.order, &entry.method);
            if let Some(order) = order.filter(|order| order.sequencer && !order.addressed) {
                let run = entry.run.clone();
                self.desks.entry(run).or_insert_with(|| Desk::new(now, order, entry));
            }
        }
        for desk in self.desks.values_mut() {
            if let Some(request) = desk.attendance.request(now) {
                registry.asked(now, desk.asker.clone(), Ok(request), actions);
            }
        }
    }

    /// Returns whether a request is due.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.desks.values().any(|desk| desk.attendance.next_deadline() <= now)
    }

    /// Handles an answer of the registry.
    pub(crate) fn answered(&mut self, now: Time, run: &str, reply: Reply) {
        if let Some(desk) = self.desks.get_mut(run) {
            desk.is_over = desk.answered(now, reply);
        }
        self.desks.retain(|_, desk| !desk.is_over);
    }

    /// Returns a copy of a passing packet, if its group is numbered here.
    pub(crate) fn overhear(&self, topic: &[u8], header: &[u8], body: &[u8]) -> Option<Frames> {
        // Packets for clients only also come as outlines.
        let group = topic::group(topic).filter(|_| !topic::is_for_clients(topic))?;
        let is_numbered = |desk: &Desk| desk.line.is_some() && desk.group == group;
        self.desks.values().any(is_numbered).then(|| Frames {
            header: bytes::Bytes::copy_from_slice(header),
            body: bytes::Bytes::copy_from_slice(body),
        })
    }

    /// Handles a packet that has passed.
    pub(crate) fn receive(&mut self, now: Time, topic: &[u8], frames: Frames, out: &Socket) {
        let group = topic::group(topic);
        let Some(desk) = self.desks.values_mut().find(|desk| Some(&*desk.group) == group) else { return };
        let Ok(packet) = Packet::parse(frames) else { return };
        let from = packet.header.sender;
        if desk.seat.is_some_and(|me| me != from) {
            desk.handle(now, Input::Receive { from, message: packet }, out);
        }
    }

    /// Wakes the groups whose deadline has come.
    pub(crate) fn wake(&mut self, now: Time, out: &Socket) {
        for desk in self.desks.values_mut() {
            if desk.deadline().is_some_and(|due| due <= now) {
                desk.handle(now, Input::Wake, out);
            }
        }
    }

    /// Returns when [`Inside::wake`] is next due.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.desks.values().map(Desk::deadline).fold(None, sooner)
    }
}

impl Desk {
    fn new(now: Time, order: &'static Order, entry: GroupEntry) -> Self {
        let asker = Asker::Inside(entry.run.clone());
        let who = Identity {
            group: entry.group.clone(),
            id: ID.to_owned(),
            role: Role::Sequencer,
            nonce: clock::nonce(),
            incarnation: 0,
            order: entry.order,
            method: entry.method,
            can_sequence: false,
            late: false,
        };
        let attendance = Attendance::new(now, who, Ask::Join, None);
        Self {
            order,
            group: entry.group,
            asker,
            attendance,
            seat: None,
            topic: Vec::new(),
            line: None,
            is_over: false,
            effects: Effects::default(),
        }
    }

    /// Handles an answer; returns whether its group is over.
    fn answered(&mut self, now: Time, reply: Reply) -> bool {
        match self.attendance.answered(now, reply) {
            News::Welcome { slot, .. } => {
                self.seat = Some(MemberId(slot));
                self.topic = topic::of_member(&self.group, Audience::All, MemberId(slot));
                // It sends and receives through the forwarder itself, so it is ready.
                self.attendance.turn_to(Ask::Ready);
            }
            News::Start { run, members } => self.start(now, run, &members),
            News::Seated(seats) => self.line.iter_mut().for_each(|line| line.seated(&seats)),
            News::End | News::Failed(_) => return true,
            _ => {}
        }
        false
    }

    fn start(&mut self, now: Time, run: u64, seats: &[Seat]) {
        let Some(seat) = seats.iter().find(|seat| Some(MemberId(seat.slot)) == self.seat) else { return };
        let (me, view, window) = (MemberId(seat.slot), view_of(seats), Window::default());
        let place =
            StackConfig { me, view: &view, run, seed: run ^ u64::from(me.0), window, defects: Defects::NONE };
        let membership_config = MembershipConfig {
            detector: Some(DetectorConfig::with_silence(LOST_AFTER)),
            ..MembershipConfig::default()
        };
        let mut membership =
            Membership::new(self.order, place, membership_config).with_seats(&founders(seats));
        membership.seated(seats);
        membership.restart_timeouts(now);
        self.line = Some(membership);
        self.attendance.started(run, seat, seats, true);
    }

    fn handle(&mut self, now: Time, input: Input<App, Packet>, out: &Socket) {
        let Some(line) = &mut self.line else { return };
        line.handle(now, input, &mut self.effects);
        for effect in self.effects.drain() {
            if let Effect::Send { to: To::Group, message } = effect {
                out.publish(&self.topic, &message.frames);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.line.as_ref().and_then(Membership::next_deadline)
    }
}
