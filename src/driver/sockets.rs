//! The sockets of a member, its links to the forwarders, its signals and its clock.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::config::Joining;
use super::data_path::{DataPath, Due};
use super::door::Doors;
use super::{Clock, ForwarderLinks, clock};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::session::{CONNECT_LIMIT, SAY_EVERY};
use crate::talk::{self, Talk};
use crate::transport::address::{Port, Site};
use crate::transport::signals::{Signals, interruption};
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::{self, Context, Socket};
use crate::units;
use crate::wire::control::{Ask, Identity, Role};
use crate::wire::door::Door;
use crate::wire::packet::{Packet, probe};
use crate::wire::topic::{self, Audience};
use crate::wire::{Frames, Malformed};

/// The connections of a member to everything outside it.
pub(super) struct Sockets {
    pub(super) clock: Clock,
    pub(super) signals: Option<Signals>,
    leaves: Arc<AtomicBool>,
    pub(super) wakeup: Option<Wakeup>,
    pub(super) listens: bool,
    /// There is room for packets received while it does not listen.
    pub(super) overhears: bool,
    pub(super) talk: Talk,
    pub(super) forwarders: ForwarderLinks,
    sites: Vec<Site>,
    pub(super) data_path: DataPath,
    publisher: Socket,
    pub(super) subscriber: Socket,
    pub(super) doors: Doors,
    /// One socket to each router.
    pub(super) dealers: Vec<Socket>,
    pub(super) group: String,
    /// Its slot, once assigned, and the topics under which it publishes.
    me: Option<MemberId>,
    published: Topics,
    /// The audience it belongs to, beside the audience of all.
    pub(super) audience: Audience,
    /// The topic of its direct messages.
    direct_topic: Vec<u8>,
    reported: Time,
}

/// The topics under which a member publishes.
#[derive(Default)]
struct Topics {
    to_all: Vec<u8>,
    to_clients: Vec<u8>,
    to_sequencers: Vec<u8>,
    to_itself: Vec<u8>,
}

impl Topics {
    fn new(group: &str, me: MemberId) -> Self {
        let to = |audience| topic::of_member(group, audience, me);
        Self {
            to_all: to(Audience::All),
            to_clients: to(Audience::Clients),
            to_sequencers: to(Audience::Sequencers),
            to_itself: to(Audience::Own),
        }
    }
}

/// Returns the prefixes of the topics of the other members that are for a member of this audience.
fn topics_of_others(group: &str, audience: Audience, me: MemberId) -> impl Iterator<Item = Vec<u8>> {
    [audience, Audience::All].into_iter().flat_map(move |audience| topic::of_others(group, audience, me))
}

/// Returns the name by which the router knows a member.
pub(super) fn route(group: &str, id: &str) -> Vec<u8> {
    format!("{group}/{id}").into_bytes()
}

impl Sockets {
    pub(super) fn connect(
        context: &Context,
        joining: &Joining,
        signals: Option<Signals>,
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let mut clock = Clock::start();
        let now = clock.now();
        let who = Identity {
            order: joining.order.name.to_owned(),
            method: joining.order.method.unwrap_or_default().to_owned(),
            reliability: joining.order.reliability.told().to_owned(),
            can_sequence: joining.can_sequence,
            late: joining.late,
            ..Identity::new(&joining.group, &joining.id, joining.role, clock::nonce())
        };
        let limit = Some(joining.timeout.unwrap_or(CONNECT_LIMIT));
        let mut forwarders = ForwarderLinks::new(context, &joining.sites, now, &who, &Ask::Alive, limit)?;
        if joining.role == Role::Client {
            forwarders.takes_posts(false);
        }
        joining.log.iter().for_each(|log| forwarders.keeps_log(log));
        forwarders.wait_for_lost(joining.forwarder_timeout);
        joining.joins_at().into_iter().for_each(|at| forwarders.turn_one_to(at, Ask::Join));
        Ok(Self {
            clock,
            signals,
            leaves: Arc::clone(&joining.leaves),
            wakeup: None,
            listens: true,
            overhears: true,
            talk: talk.clone(),
            forwarders,
            sites: joining.sites.clone(),
            data_path: DataPath::new(now, joining.forwarder_timeout),
            publisher: context.publisher(&joining.sites)?,
            subscriber: context.subscriber(&joining.sites)?,
            doors: Doors::new(
                context.clone(),
                joining.order.sequencer && !joining.order.addressed,
                joining.may_open_door,
            ),
            dealers: Vec::new(),
            audience: if joining.role == Role::Client { Audience::Clients } else { Audience::Sequencers },
            direct_topic: topic::of_group(&joining.group),
            group: joining.group.clone(),
            me: None,
            published: Topics::default(),
            reported: now,
        })
    }

    /// Sets this member's slot and subscribes to all packets of its group, its own included.
    pub(super) fn subscribe_all(&mut self, me: MemberId) -> Result<(), Failure> {
        if self.me == Some(me) {
            return Ok(());
        }
        if let Some(before) = self.me.replace(me) {
            self.subscriptions_of(before).try_for_each(|topic| self.subscriber.unsubscribe(&topic))?;
        }
        self.published = Topics::new(&self.group, me);
        self.subscriptions_of(me).try_for_each(|topic| self.subscriber.subscribe(&topic))
    }

    /// Returns the topics it subscribes to. Its own comes last: once that subscription works, the others do.
    fn subscriptions_of(&self, me: MemberId) -> impl Iterator<Item = Vec<u8>> + '_ {
        let own = [Audience::Own, Audience::All].map(|audience| topic::of_member(&self.group, audience, me));
        topics_of_others(&self.group, self.audience, me).chain(own)
    }

    /// Sets this member's slot and subscribes to the packets of the other members.
    pub(super) fn subscribe_others(&mut self, me: MemberId) -> Result<(), Failure> {
        self.subscribe_all(me)?;
        self.subscriber.unsubscribe(&self.published.to_all)
    }

    /// Publishes a packet to all members; with an outline, the packet to the clients and the outline to the sequencers.
    pub(super) fn publish(&self, frames: &Frames, outline: Option<&Frames>) {
        let Some(outline) = outline else {
            return self.publisher.publish(&self.published.to_all, frames);
        };
        self.publisher.publish(&self.published.to_clients, frames);
        self.publisher.publish(&self.published.to_sequencers, outline);
    }

    /// Publishes a packet at the sequencer's door, if that is open. Returns whether it did.
    pub(super) fn publish_at_door(&mut self, frames: &Frames) -> bool {
        if self.doors.sockets().next().is_none() {
            return false;
        }
        let now = self.clock.now();
        self.doors.publish(now, &self.published.to_all, frames)
    }

    /// Returns the next packet from a door, if one is waiting.
    pub(super) fn hear_at_door(
        &mut self,
        now: Time,
        me: (u64, MemberId),
    ) -> Option<Result<Packet, Malformed>> {
        self.doors.hear(now, me, &self.published.to_all)
    }

    /// Connects to the door of the sequencer of the view, if this probe tells of one.
    pub(super) fn told_of_door(&mut self, now: Time, probe: Packet, view: &View, (run, me): (u64, MemberId)) {
        let sender = probe.header.sender;
        let is_said = probe.header.run == run && sender != me && view.sequencer == Some(sender);
        let Some(door) = Door::read(probe).ok().filter(|_| is_said) else { return };
        let others = topics_of_others(&self.group, self.audience, me);
        if let Err(failure) = self.doors.told(now, sender, door, others) {
            // The way through the forwarder remains.
            self.talk.detail(failure.message);
        }
    }

    /// Opens or closes this member's own door and leaves that of an earlier sequencer; tells of it.
    pub(super) fn look_after_door(&mut self, now: Time, view: &View, me: (u64, MemberId)) {
        let may_number = view.sequencer == Some(me.1) && self.audience == Audience::Sequencers;
        if let Some(packet) = self.doors.look_after(now, view, me, may_number, &self.published.to_all) {
            self.publish(&packet.frames, None);
        }
    }

    /// Sends to a single member through every router; with an empty route, to the routers themselves.
    pub(super) fn send_to(&self, route: &[u8], frames: &Frames) {
        for dealer in &self.dealers {
            dealer.send_to(route, &self.direct_topic, frames);
        }
    }

    /// Waits for input until `deadline` or the next request to a forwarder, at most [`clock::LONGEST_WAIT`].
    pub(super) fn wait(&mut self, deadline: Option<Time>) -> Result<(), Failure> {
        let limit = self.begin_wait(deadline);
        self.wait_on(&self.inputs(), limit)
    }

    /// Begins to wait for input until `deadline`; returns for how long.
    pub(super) fn begin_wait(&mut self, deadline: Option<Time>) -> Duration {
        for socket in [&self.publisher, &self.subscriber].into_iter().chain(&self.dealers) {
            socket.follow();
        }
        let now = self.clock.now();
        let until = self.forwarders.next_deadline().min(deadline.unwrap_or(Time::from_micros(u64::MAX)));
        until.since(now).min(clock::LONGEST_WAIT)
    }

    /// Returns the sockets at which it waits for input.
    pub(super) fn inputs(&self) -> Vec<&Socket> {
        let mut sockets: Vec<&Socket> = self.forwarders.sockets().collect();
        if self.listens || self.overhears {
            sockets.push(&self.subscriber);
            sockets.extend(self.doors.sockets());
            sockets.extend(&self.dealers);
        }
        sockets
    }

    /// Returns the descriptors of what may interrupt its waits.
    pub(super) fn interrupts(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let signals = self.signals.iter().flat_map(Signals::fds);
        signals.chain(self.wakeup.iter().map(Wakeup::fd))
    }

    pub(super) fn wait_on(&self, sockets: &[&Socket], limit: Duration) -> Result<(), Failure> {
        let has_come = zmq::wait(sockets, self.interrupts(), limit);
        self.end_wait(has_come)
    }

    /// Ends a wait; `has_come` if something has interrupted it.
    pub(super) fn end_wait(&self, has_come: bool) -> Result<(), Failure> {
        if self.leaves.load(Ordering::Relaxed) {
            return Err(interruption(Exit::Interrupted));
        }
        if !has_come {
            return Ok(());
        }
        if let Some(wakeup) = &self.wakeup {
            wakeup.clear();
        }
        match self.signals.as_ref().and_then(Signals::received) {
            Some(exit) => Err(interruption(exit)),
            None => Ok(()),
        }
    }

    /// Returns the next packet from a forwarder, if one is waiting.
    pub(super) fn hear_group(&mut self, now: Time) -> Option<Result<Frames, Malformed>> {
        self.subscriber.hear().inspect(|_| self.data_path.received(now))
    }

    /// Publishes a probe if one is due. Returns whether others may be silent only because the data ports are.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if no probe has come back for too long, although a forwarder answers.
    pub(super) fn look_after_data_path(&mut self, now: Time, run: u64) -> Result<bool, Failure> {
        let answering: Vec<&Site> = (0..)
            .zip(&self.sites)
            .filter(|&(at, _)| self.forwarders.is_in_touch(at, now))
            .map(|(_, site)| site)
            .collect();
        match (self.data_path.due(now, !answering.is_empty()), self.me) {
            (Due::GiveUp(silence), _) => return Err(stalled(&self.sites, &answering, silence)),
            (Due::Probe, Some(me)) => {
                self.publisher.publish(&self.published.to_itself, &probe(run, me, To::Group));
            }
            _ => {}
        }
        Ok(self.data_path.is_unsure(now))
    }

    /// Returns the next packet from a router, if one is waiting, with the route of its sender.
    pub(super) fn receive_direct(&self) -> Option<Result<(Vec<u8>, Frames), Malformed>> {
        self.dealers.iter().find_map(|dealer| dealer.hear_routed(&self.direct_topic))
    }

    pub(super) fn say_waiting(&mut self, now: Time, what: &str) {
        if now.since(self.reported) >= SAY_EVERY {
            self.reported = now;
            self.talk.say(what);
        }
    }
}

/// The end of a member that hears no packet, not even its own probes, although the sync ports of some sites answer.
fn stalled(sites: &[Site], answering: &[&Site], silence: Duration) -> Failure {
    let name = |site: &Site, port: Port| match site.path() {
        Some(_) => site.endpoint(port),
        None => format!("port {} of {}", port.number(site.port_base), site.host),
    };
    let outs: Vec<String> = sites.iter().map(|site| name(site, Port::Out)).collect();
    let ins: Vec<String> = sites.iter().map(|site| name(site, Port::In)).collect();
    let syncs: Vec<String> = answering.iter().map(|site| name(site, Port::Sync)).collect();
    let answer = if syncs.len() == 1 { "answers" } else { "answer" };
    let (from, length, sync) = (talk::list(&outs), units::duration(silence), talk::list(&syncs));
    let message = format!("nothing has come from {from} for {length}, although {sync} {answer}");
    let to = talk::list(&ins);
    Failure::new(Exit::Unavailable, message).help(format!(
        "members publish to {to} and hear from {from}: is a firewall, a tunnel or a proxy in the way of one of them?"
    ))
}
