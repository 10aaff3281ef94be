//! What connects a member with the world: its sockets, its clock, signals, and whom it talks to.

use std::time::Duration;

use super::node::Joining;
use super::{Callers, Clock, clock};
use crate::engine::Time;
use crate::exit::Failure;
use crate::session::{CONNECT_LIMIT, SAY_EVERY};
use crate::talk::Talk;
use crate::transport::signals::{Signals, interruption};
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::{self, Context, Port, Socket, topic};
use crate::wire::Frames;
use crate::wire::control::{Ask, Identity};

/// What connects a member with the world.
pub(super) struct Wires {
    pub(super) clock: Clock,
    pub(super) signals: Option<Signals>,
    pub(super) wakeup: Option<Wakeup>,
    pub(super) listens: bool,
    /// Whether there is room for what comes while it does not listen.
    pub(super) overhears: bool,
    pub(super) talk: Talk,
    pub(super) callers: Callers,
    pub(super) publisher: Socket,
    pub(super) subscriber: Socket,
    /// To each router.
    pub(super) dealers: Vec<Socket>,
    pub(super) topic: Vec<u8>,
    pub(super) group: String,
    pub(super) said: Time,
}

/// The name by which the router knows a member.
pub(super) fn route(group: &str, id: &str) -> Vec<u8> {
    format!("{group}/{id}").into_bytes()
}

impl Wires {
    pub(super) fn connect(
        context: &Context,
        joining: &Joining,
        signals: Option<Signals>,
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let endpoints =
            |port: Port| -> Vec<String> { joining.sites.iter().map(|site| site.endpoint(port)).collect() };
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
            can_sequence: joining.can_sequence,
            late: joining.late,
        };
        let limit = Some(joining.timeout.unwrap_or(CONNECT_LIMIT));
        let mut callers = Callers::new(context, &joining.sites, now, &who, &Ask::Alive, limit)?;
        joining.joins_at().into_iter().for_each(|at| callers.turn_one_to(at, Ask::Join));
        Ok(Self {
            clock,
            signals,
            wakeup: None,
            listens: true,
            overhears: true,
            talk: talk.clone(),
            callers,
            publisher: context.publisher(&endpoints(Port::In))?,
            subscriber: context.subscriber(&endpoints(Port::Out), &joining.group)?,
            dealers: Vec::new(),
            topic: topic(&joining.group),
            group: joining.group.clone(),
            said: now,
        })
    }

    /// Waits for something to read, but no longer than until `deadline`, and no longer than is good.
    pub(super) fn wait(&mut self, deadline: Option<Time>) -> Result<(), Failure> {
        let now = self.clock.now();
        let until = self.callers.next_deadline().min(deadline.unwrap_or(Time::from_micros(u64::MAX)));
        let mut sockets: Vec<&Socket> = self.callers.sockets().collect();
        if self.listens || self.overhears {
            sockets.push(&self.subscriber);
            sockets.extend(&self.dealers);
        }
        self.wait_on(&sockets, until.since(now).min(clock::LONGEST_WAIT))
    }

    pub(super) fn wait_on(&self, sockets: &[&Socket], limit: Duration) -> Result<(), Failure> {
        let signals = self.signals.iter().flat_map(Signals::fds);
        if !zmq::wait(sockets, signals.chain(self.wakeup.iter().map(Wakeup::fd)), limit) {
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

    pub(super) fn hear_direct(&self) -> Option<Option<Frames>> {
        self.dealers.iter().find_map(|dealer| dealer.hear_routed(&self.topic))
    }

    pub(super) fn say_waiting(&mut self, now: Time, what: &str) {
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            self.talk.say(what);
        }
    }
}
