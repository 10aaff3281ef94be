//! Station 9, in the middle: the sequencer inside the forwarder. It sees every packet as it passes, and publishes the
//! numbers behind the messages, on the same connections.
//!
//! The registry treats it as a member, but its requests and the answers take no network. It serves only orders whose
//! members multicast everything themselves. It also joins a group with a log, unless a thread with a log serves it, so that
//! the group is refused.

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
pub(crate) struct EmbeddedSequencer {
    is_on: bool,
    /// Whether a thread of this process serves the other orders.
    has_log: bool,
    /// By run number.
    groups: BTreeMap<String, GroupSequencer>,
}

/// The sequencer of one group.
struct GroupSequencer {
    order: &'static Order,
    name: String,
    asker: Asker,
    attendance: Attendance,
    seat: Option<MemberId>,
    /// Its topic, once it has a seat.
    topic: Vec<u8>,
    /// Its membership, once the group has started.
    membership: Option<Membership>,
    is_over: bool,
    effects: Effects<App, Packet>,
}

impl EmbeddedSequencer {
    /// Returns a sequencer that numbers for no group yet, and for none at all unless it `is_on`.
    pub(crate) const fn new(is_on: bool, has_log: bool) -> Self {
        Self { is_on, has_log, groups: BTreeMap::new() }
    }

    /// Joins every group that needs it, and sends the requests that are due.
    pub(crate) fn attend(&mut self, now: Time, registry: &mut Registry, actions: &mut Actions) {
        if !self.is_on {
            return;
        }
        for entry in registry.entries() {
            let order = Order::find(&entry.order, &entry.method);
            let lacks_log = |order: &Order| order.is_logged() && !self.has_log;
            if let Some(order) =
                order.filter(|order| order.sequencer && (!order.addressed || lacks_log(order)))
            {
                let run = entry.run.clone();
                self.groups.entry(run).or_insert_with(|| GroupSequencer::new(now, order, entry));
            }
        }
        for group in self.groups.values_mut() {
            if let Some(request) = group.attendance.request(now) {
                registry.asked(now, group.asker.clone(), Ok(request), actions);
            }
        }
    }

    /// Returns whether a request is due.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.groups.values().any(|group| group.attendance.next_deadline() <= now)
    }

    /// Handles an answer of the registry.
    pub(crate) fn answered(&mut self, now: Time, run: &str, reply: Reply) {
        if let Some(group) = self.groups.get_mut(run) {
            group.is_over = group.answered(now, reply);
        }
        self.groups.retain(|_, group| !group.is_over);
    }

    /// Returns a copy of a passing packet, if its group is numbered here.
    pub(crate) fn overhear(&self, topic: &[u8], header: &[u8], body: &[u8]) -> Option<Frames> {
        if self.groups.is_empty() {
            return None;
        }
        // Packets for clients only also come as outlines.
        let name = topic::group(topic).filter(|_| !topic::is_for_clients(topic))?;
        let is_numbered = |group: &GroupSequencer| group.membership.is_some() && group.name == name;
        self.groups.values().any(is_numbered).then(|| Frames {
            header: bytes::Bytes::copy_from_slice(header),
            body: bytes::Bytes::copy_from_slice(body),
        })
    }

    /// Handles a packet that has passed.
    pub(crate) fn receive(&mut self, now: Time, topic: &[u8], frames: Frames, out: &Socket) {
        let name = topic::group(topic);
        let Some(group) = self.groups.values_mut().find(|group| Some(&*group.name) == name) else { return };
        let Ok(packet) = Packet::parse(frames) else { return };
        let from = packet.header.sender;
        if group.seat.is_some_and(|me| me != from) {
            group.handle(now, Input::Receive { from, message: packet }, out);
        }
    }

    /// Wakes the groups whose deadline has come.
    pub(crate) fn wake(&mut self, now: Time, out: &Socket) {
        for group in self.groups.values_mut() {
            if group.deadline().is_some_and(|due| due <= now) {
                group.handle(now, Input::Wake, out);
            }
        }
    }

    /// Returns when [`EmbeddedSequencer::wake`] is next due.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.groups.values().map(GroupSequencer::deadline).fold(None, sooner)
    }
}

impl GroupSequencer {
    fn new(now: Time, order: &'static Order, entry: GroupEntry) -> Self {
        let asker = Asker::Embedded(entry.run.clone());
        let who = Identity {
            order: entry.order,
            method: entry.method,
            ..Identity::new(&entry.group, ID, Role::Sequencer, clock::nonce())
        };
        let attendance = Attendance::new(now, who, Ask::Join, None);
        Self {
            order,
            name: entry.group,
            asker,
            attendance,
            seat: None,
            topic: Vec::new(),
            membership: None,
            is_over: false,
            effects: Effects::default(),
        }
    }

    /// Handles an answer; returns whether its group is over.
    fn answered(&mut self, now: Time, reply: Reply) -> bool {
        match self.attendance.answered(now, reply) {
            News::Welcome { slot, .. } => {
                self.seat = Some(MemberId(slot));
                self.topic = topic::of_member(&self.name, Audience::All, MemberId(slot));
                // It sends and receives through the forwarder itself, so it is ready.
                self.attendance.turn_to(Ask::Ready);
            }
            News::Start { run, members, .. } => self.start(now, run, &members),
            News::Seated(seats) => {
                if let Some(membership) = &mut self.membership {
                    membership.seated(&seats);
                }
            }
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
        self.membership = Some(membership);
        self.attendance.started(run, seat, seats, true);
    }

    fn handle(&mut self, now: Time, input: Input<App, Packet>, out: &Socket) {
        let Some(membership) = &mut self.membership else { return };
        membership.handle(now, input, &mut self.effects);
        for effect in self.effects.drain() {
            if let Effect::Send { to: To::Group, message } = effect {
                out.publish(&self.topic, &message.frames);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.membership.as_ref().and_then(Membership::next_deadline)
    }
}
