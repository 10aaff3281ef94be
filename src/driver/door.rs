//! The short way of packets: a sequencer's door, two ports of its own at which its members publish and hear. A multicast
//! and its number then travel two hops instead of four.
//!
//! Only data packets pass the door, and each only the first time. All else, and all that is sent again, goes through the
//! forwarders, so the door may lose anything at any time. It is open while all members of the view hear at it. It is on
//! the loopback address: there is none where the forwarder is on another machine, has keys or UNIX sockets, which not
//! everybody on this machine may use, or is reached by way of something in between, whose faults the door would evade.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::LONGEST_WAIT;
use crate::engine::{MemberId, Time, To, View};
use crate::exit::Failure;
use crate::transport::address::{MAX_PORT_BASE, Site};
use crate::transport::zmq::{Context, Socket};
use crate::wire::door::Door;
use crate::wire::packet::probe;
use crate::wire::{Frames, Header, Kind, Malformed, Packet, topic};

/// Interval at which a sequencer tells of its door …
pub const DOOR_EVERY: Duration = Duration::from_secs(1);
/// … and at which it does while it is closed, for a while after the start of a view.
const HURRY_EVERY: Duration = LONGEST_WAIT;
const HURRY_FOR: Duration = Duration::from_secs(3);
/// Time after which a member, or a door, that has said nothing at the door is not there.
pub const DOOR_ABSENT_AFTER: Duration = Duration::from_millis(3500);
/// Time without an answer after which a member publishes through the forwarders again, in an order whose sequencer numbers
/// all that members publish: the number takes a millisecond or so.
pub const DOOR_UNANSWERED: Duration = Duration::from_millis(300);

/// The doors that a member has to do with. `topic` is always the one under which this member publishes, and `me` the run and
/// its slot.
pub(super) struct Doors {
    context: Context,
    /// Whether this process connects to the ports of a forwarder of this machine itself, without keys.
    is_direct: bool,
    /// Whether every packet that members publish is answered with its number.
    are_numbered: bool,
    /// Whether this process may have a door of its own.
    may_open: bool,
    own: Option<OwnDoor>,
    link: Option<DoorLink>,
}

/// The door of this process, a sequencer.
struct OwnDoor {
    port: u16,
    input: Socket,
    output: Socket,
    /// The members of the view, ascending.
    members: Vec<MemberId>,
    /// The last time at which each member said that it hears at the door.
    heard: BTreeMap<MemberId, Time>,
    is_open: bool,
    /// The number and the start of the view.
    view: (u64, Time),
    due: Time,
}

/// The connections of this member to the sequencer's door.
struct DoorLink {
    sequencer: MemberId,
    port: u16,
    publisher: Socket,
    subscriber: Socket,
    is_open: bool,
    heard: Time,
    /// The time of the first packet published since the last one heard.
    unanswered: Option<Time>,
}

impl Doors {
    pub(super) const fn new(context: Context, are_numbered: bool, may_open: bool) -> Self {
        Self { context, is_direct: false, are_numbered, may_open, own: None, link: None }
    }

    /// Notes the first port of the forwarder, as it names it itself, and the site to which this member connects.
    pub(super) fn found(&mut self, port_base: u16, site: &Site) {
        let is_local = site.is_local() && site.path().is_none();
        self.is_direct = self.context.key().is_none() && is_local && site.port_base == port_base;
    }

    /// Returns whether this member publishes at a door.
    pub(super) fn are_used(&self, now: Time) -> bool {
        self.own.as_ref().is_some_and(|own| own.is_open)
            || self.link.as_ref().is_some_and(|link| link.is_usable(now))
    }

    /// Returns the sockets to poll.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        let own = self.own.iter().map(|own| &own.input);
        own.chain(self.link.iter().map(|link| &link.subscriber))
    }

    /// Publishes a packet at the door, if that is open. Returns whether it did.
    pub(super) fn publish(&mut self, now: Time, topic: &[u8], frames: &Frames) -> bool {
        if let Some(own) = self.own.as_ref().filter(|own| own.is_open) {
            own.output.publish(topic, frames);
            return true;
        }
        let Some(link) = self.link.as_mut().filter(|link| link.is_usable(now)) else { return false };
        link.publisher.publish(topic, frames);
        if self.are_numbered {
            link.unanswered.get_or_insert(now);
        }
        true
    }

    /// Returns the next packet from a door, if one is waiting.
    pub(super) fn hear(
        &mut self,
        now: Time,
        me: (u64, MemberId),
        topic: &[u8],
    ) -> Option<Result<Packet, Malformed>> {
        if let Some(heard) = self.own.as_mut().and_then(|own| own.pass_on(now, me.0, topic)) {
            return Some(heard);
        }
        let link = self.link.as_mut()?;
        let heard = link.subscriber.hear()?.and_then(Packet::parse);
        Some(heard.inspect(|packet| link.heard(now, packet, me, topic)))
    }

    /// Connects to the door of the sequencer of the view, of which it has told through a forwarder or the door itself;
    /// `heard` are the prefixes of the topics that this member hears.
    ///
    /// # Errors
    /// A failure to create a socket.
    pub(super) fn told(
        &mut self,
        now: Time,
        sequencer: MemberId,
        door: Door,
        heard: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), Failure> {
        let known = self.link.as_mut().filter(|link| (link.sequencer, link.port) == (sequencer, door.port));
        if let Some(link) = known {
            link.is_open &= door.is_open;
        } else if self.is_direct {
            self.link = Some(DoorLink::connect(&self.context, now, (sequencer, door.port), heard)?);
        }
        Ok(())
    }

    /// Leaves the door of a sequencer of an earlier view, opens or closes this one's own, and tells of it. Returns a packet
    /// to publish through the forwarders, too. `may_number`: this process is the sequencer of the view, and no client.
    pub(super) fn look_after(
        &mut self,
        now: Time,
        view: &View,
        me: (u64, MemberId),
        may_number: bool,
        topic: &[u8],
    ) -> Option<Packet> {
        if self.link.as_ref().is_some_and(|link| view.sequencer != Some(link.sequencer)) {
            self.link = None;
        }
        if !may_number {
            self.own = None;
            return None;
        }
        if self.own.is_none() && self.is_direct && self.may_open {
            self.own = OwnDoor::listen(&self.context, now);
            // If no ports are free now, it does not try in each turn.
            self.may_open = self.own.is_some();
        }
        self.own.as_mut()?.look_after(now, view, me, topic)
    }
}

impl OwnDoor {
    /// Listens on two ports that are free; returns nothing if none were found.
    fn listen(context: &Context, now: Time) -> Option<Self> {
        let (port, input, output) = context.listen_on_free_ports()?;
        let (members, heard) = (Vec::new(), BTreeMap::new());
        Some(Self { port, input, output, members, heard, is_open: false, view: (0, now), due: now })
    }

    /// Passes the next waiting packet on to all members, and returns it.
    fn pass_on(&mut self, now: Time, run: u64, own: &[u8]) -> Option<Result<Packet, Malformed>> {
        let Self { input, output, members, heard, due, .. } = self;
        let passes = |topic: &[u8], header: &Header, _: Option<&str>| {
            let is_member = header.run == run && members.binary_search(&header.sender).is_ok();
            if !is_member || !topic::are_alike(topic, own) || topic::slot(topic) != Some(header.sender.0) {
                return false;
            }
            if header.kind == Kind::Probe && heard.insert(header.sender, now).is_none() {
                *due = now;
            }
            header.kind == Kind::Data && header.to == To::Group
        };
        let mut passed = Err(Malformed);
        let keep = |_: &[u8], header: &[u8], body: &[u8]| {
            let copy = bytes::Bytes::copy_from_slice;
            passed = Packet::parse(Frames { header: copy(header), body: copy(body) });
        };
        input.forward(output, passes, keep)?;
        Some(passed)
    }

    /// Opens or closes the door, and tells of it at the door. Returns the packet if it must also go through the forwarders.
    fn look_after(
        &mut self,
        now: Time,
        view: &View,
        (run, me): (u64, MemberId),
        topic: &[u8],
    ) -> Option<Packet> {
        let is_new = self.view.0 != view.number;
        if now < self.due && !is_new {
            return None;
        }
        if is_new {
            self.view = (view.number, now);
            self.members = view.members();
        }
        self.heard.retain(|_, heard| now.since(*heard) < DOOR_ABSENT_AFTER);
        let is_there = |member: &MemberId| *member == me || self.heard.contains_key(member);
        let was_open = std::mem::replace(&mut self.is_open, self.members.iter().all(is_there));
        let hurries = !self.is_open && now.since(self.view.1) < HURRY_FOR;
        self.due = now.after(if hurries { HURRY_EVERY } else { DOOR_EVERY });
        let packet = Door { port: self.port, is_open: self.is_open }.packet(run, me);
        self.output.publish(topic, &packet.frames);
        (!self.is_open || !was_open).then_some(packet)
    }
}

impl DoorLink {
    fn connect(
        context: &Context,
        now: Time,
        (sequencer, port): (MemberId, u16),
        mut heard: impl Iterator<Item = Vec<u8>>,
    ) -> Result<Self, Failure> {
        let site = [Site { host: "127.0.0.1".to_owned(), port_base: port.min(MAX_PORT_BASE) }];
        let (publisher, subscriber) = (context.publisher(&site)?, context.subscriber(&site)?);
        // Nothing that leaves late is worth waiting for: it is sent again through the forwarders.
        publisher.linger(Duration::ZERO);
        heard.try_for_each(|topic| subscriber.subscribe(&topic))?;
        Ok(Self { sequencer, port, publisher, subscriber, is_open: false, heard: now, unanswered: None })
    }

    /// Returns whether packets published at the door still come back from it.
    fn is_usable(&self, now: Time) -> bool {
        let is_answered = self.unanswered.is_none_or(|since| now.since(since) < DOOR_UNANSWERED);
        self.is_open && is_answered && now.since(self.heard) < DOOR_ABSENT_AFTER
    }

    /// Notes a packet from the door, and answers its sequencer.
    fn heard(&mut self, now: Time, packet: &Packet, (run, me): (u64, MemberId), topic: &[u8]) {
        if packet.header.run != run {
            return;
        }
        self.heard = now;
        self.unanswered = None;
        if (packet.header.kind, packet.header.sender) == (Kind::Probe, self.sequencer)
            && let Ok(door) = Door::read(packet.clone())
        {
            self.is_open = door.is_open;
            self.publisher.publish(topic, &probe(run, me, To::Member(self.sequencer)));
        }
    }
}
