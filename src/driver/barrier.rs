//! The start barrier at a member: join, receive its own probes, report ready, wait for the start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::config::Joining;
use super::sockets::{Sockets, route};
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::session::attendance::News;
use crate::session::{CONNECT_LIMIT, QUIET_AFTER};
use crate::talk;
use crate::transport::address::{Port, Site};
use crate::transport::zmq::Context;
use crate::units;
use crate::wire::control::{Ask, LogHead, LogStart, Role, Seat, run_as_text};
use crate::wire::packet::probe;
use crate::wire::{Frames, Header, Kind};

/// Interval between two probes.
pub const PROBE_EVERY: Duration = Duration::from_millis(50);

/// Time for which a member that starts waits for a forwarder named earlier, although a later one has answered.
pub const PREFER: Duration = Duration::from_millis(500);

/// The progress of one member through the start barrier.
pub(super) struct Barrier<'a> {
    joining: &'a Joining,
    /// The forwarder at which it joins: the first in order that answers. The others are asked now and then whether they
    /// know of the start.
    at: Option<usize>,
    /// The forwarder at which it joined before, until that one has confirmed the withdrawal.
    left: Option<usize>,
    seat: Option<(u64, MemberId)>,
    reaches_forwarder: bool,
    reaches_router: bool,
    probed: Option<Time>,
    is_ready: bool,
    /// The time since which the forwarder no longer knows this member, although it was ready.
    forgotten: Option<Time>,
    waits_for: String,
    /// The time at which the forwarder gives up, as last reported.
    gives_up: Option<Time>,
}

/// The start of a run, as the forwarder told it.
pub(super) struct StartInfo {
    /// The run number.
    pub(super) run: u64,
    /// This member.
    pub(super) me: MemberId,
    /// The seats of all members.
    pub(super) seats: Vec<Seat>,
    /// The log of the sequencer.
    pub(super) log: Option<LogStart>,
}

impl<'a> Barrier<'a> {
    pub(super) fn new(joining: &'a Joining) -> Self {
        Self {
            joining,
            at: joining.joins_at(),
            left: None,
            seat: None,
            reaches_forwarder: false,
            reaches_router: !joining.needs_router,
            probed: None,
            is_ready: false,
            forgotten: None,
            waits_for: "the forwarder".to_owned(),
            gives_up: None,
        }
    }

    /// Returns when the group starts.
    ///
    /// # Errors
    /// Fails if the forwarder refuses this member, no forwarder or router answers, or the time is over.
    pub(super) fn pass(mut self, context: &Context, sockets: &mut Sockets) -> Result<StartInfo, Failure> {
        loop {
            sockets.wait(self.probed.filter(|_| !self.is_ready).map(|at| at.after(PROBE_EVERY)))?;
            let now = sockets.clock.now();
            for (from, news) in sockets.forwarders.turn(now, &sockets.talk)? {
                if let Some(start) = self.handle(context, sockets, now, from, news)? {
                    return Ok(start);
                }
            }
            self.choose(sockets, now);
            self.take_probes(sockets);
            self.probe(sockets, now);
            if sockets.forwarders.has_heard() {
                let left = self.gives_up.map_or_else(String::new, |at| {
                    format!(" (gives up in {})", units::duration(at.since(now)))
                });
                sockets.say_waiting(now, &format!("waiting for {}{left}", self.waits_for));
            }
            self.check_limits(now, sockets)?;
        }
    }

    /// Handles news from the forwarder `from`.
    fn handle(
        &mut self,
        context: &Context,
        sockets: &mut Sockets,
        now: Time,
        from: usize,
        news: News,
    ) -> Result<Option<StartInfo>, Failure> {
        let is_ours = self.at == Some(from);
        match news {
            // Accepted from any forwarder: another may know of the start although ours failed before it could report it.
            News::Start { run, members, log } => {
                // The sequencer goes on telling of its clients' lives, too: a forwarder that is started again needs them.
                if self.joining.log.is_none()
                    && let Some(LogStart { run, place }) = log.clone()
                {
                    sockets.forwarders.keeps_log(&LogHead { run, place, lives: BTreeMap::new() });
                }
                let (me, seats) = self.start(sockets, from, run, members)?;
                return Ok(Some(StartInfo { run, me, seats, log }));
            }
            News::Welcome { run, slot, port_base } if is_ours => {
                sockets.doors.found(port_base, &self.joining.sites[from]);
                self.welcome(context, sockets, run, MemberId(slot))?;
            }
            News::Wait { missing, gives_up_in } if is_ours => {
                self.gives_up = gives_up_in.map(|left| now.after(left));
                self.waits_for =
                    if missing.is_empty() { "the start".to_owned() } else { talk::list(&missing) };
            }
            News::Forgotten if is_ours => self.on_forgotten(sockets, now, from),
            News::Bye if self.left == Some(from) => {
                self.left = None;
                sockets.forwarders.turn_one_to(from, self.request_to_others());
            }
            News::End if is_ours => {
                return Err(Failure::new(Exit::Unavailable, "the run ended before it started"));
            }
            News::Failed(failure) if is_ours => return Err(failure),
            News::Failed(failure) => sockets.forwarders.lose(from, failure, now, &sockets.talk)?,
            _ => {}
        }
        Ok(None)
    }

    fn start(
        &self,
        sockets: &mut Sockets,
        from: usize,
        run: u64,
        members: Vec<Seat>,
    ) -> Result<(MemberId, Vec<Seat>), Failure> {
        check_seats(&members, self.joining)?;
        let me = members.iter().find(|seat| is_me(seat, self.joining)).expect("checked").clone();
        sockets.subscribe_others(MemberId(me.slot))?;
        sockets.forwarders.started(from, run, &me, &members);
        Ok((MemberId(me.slot), members))
    }

    /// Joins at the first forwarder that answers. Moves when that one falls silent or one named earlier answers, so that
    /// all members end at the same one.
    fn choose(&mut self, sockets: &mut Sockets, now: Time) {
        if self.joining.joins_at().is_some() {
            return;
        }
        let Some(best) = (0..self.joining.sites.len()).find(|&at| sockets.forwarders.is_in_touch(at, now))
        else {
            return;
        };
        match self.at {
            None if best > 0 && now < Time::ZERO.after(PREFER) => return,
            None => {}
            Some(at) if best < at || !sockets.forwarders.is_in_touch(at, now) => {
                self.left = Some(at);
                sockets.forwarders.turn_one_to(at, Ask::Withdraw);
                let name = sockets.forwarders.name(best);
                sockets.talk.say(format!("joining at {name} instead of {}", sockets.forwarders.name(at)));
            }
            Some(_) => return,
        }
        self.join(sockets, best);
    }

    /// Starts the barrier again at this forwarder.
    fn join(&mut self, sockets: &mut Sockets, at: usize) {
        sockets.forwarders.turn_one_to(at, Ask::Join);
        let left = self.left.filter(|&left| left != at);
        *self = Self { at: Some(at), left, ..Self::new(self.joining) };
        sockets.forwarders.turn_others_to(&self.asked_apart(), &self.request_to_others());
    }

    /// Returns the forwarders that have a request of their own pending.
    fn asked_apart(&self) -> Vec<usize> {
        self.at.into_iter().chain(self.left).collect()
    }

    /// Returns the request to all other forwarders: report presence, and the start if it has happened.
    fn request_to_others(&self) -> Ask {
        self.seat.map_or(Ask::Alive, |(run, me)| Ask::Resume {
            run: run_as_text(run),
            slot: me.0,
            members: Vec::new(),
        })
    }

    fn welcome(
        &mut self,
        context: &Context,
        sockets: &mut Sockets,
        run: u64,
        me: MemberId,
    ) -> Result<(), Failure> {
        self.seat = Some((run, me));
        sockets.subscribe_all(me)?;
        self.waits_for = "its own probe to come back through the forwarder".to_owned();
        // The routers are the same wherever it joins: another forwarder may have started the group meanwhile.
        if sockets.dealers.is_empty() {
            let route = route(&self.joining.group, &self.joining.id);
            let dealer = |site: &Site| context.dealer(site, &route);
            sockets.dealers = self.joining.sites.iter().map(dealer).collect::<Result<_, _>>()?;
        }
        sockets.forwarders.turn_others_to(&self.asked_apart(), &self.request_to_others());
        self.at.into_iter().for_each(|at| sockets.forwarders.turn_one_to(at, Ask::Alive));
        Ok(())
    }

    /// Handles a restarted forwarder. If this member was ready, the previous one may have started the group without
    /// reporting it here; then the members that were started report it to this forwarder.
    fn on_forgotten(&mut self, sockets: &mut Sockets, now: Time, at: usize) {
        if !self.is_ready || self.forgotten.is_some_and(|since| now >= since.after(QUIET_AFTER)) {
            return self.join(sockets, at);
        }
        if self.forgotten.is_none() {
            self.forgotten = Some(now);
            sockets.forwarders.turn_one_to(at, self.request_to_others());
        }
    }

    /// Takes its own probes among the packets received; any other packet belongs to an earlier run.
    fn take_probes(&mut self, sockets: &Sockets) {
        let Some((run, me)) = self.seat else { return };
        let is_ours = |frames: &Frames| {
            Header::peek(&frames.header)
                .is_ok_and(|header| header.kind == Kind::Probe && header.run == run && header.sender == me)
        };
        while let Some(heard) = sockets.subscriber.hear() {
            if heard.is_ok_and(|frames| is_ours(&frames))
                && !std::mem::replace(&mut self.reaches_forwarder, true)
            {
                // The router is next, at once.
                self.probed = None;
            }
        }
        while let Some(heard) = sockets.receive_direct() {
            self.reaches_router |= heard.is_ok_and(|(_, frames)| is_ours(&frames));
        }
    }

    fn probe(&mut self, sockets: &mut Sockets, now: Time) {
        let Some((run, me)) = self.seat.filter(|_| !self.is_ready) else { return };
        if self.reaches_forwarder && self.reaches_router {
            // Ready at one forwarder only: two that are told could both start the group.
            let is_free = self.left.is_none_or(|left| !sockets.forwarders.is_in_touch(left, now));
            if let Some(at) = self.at.filter(|_| is_free) {
                self.is_ready = true;
                self.waits_for = "the others".to_owned();
                sockets.forwarders.awaits_router(false);
                sockets.forwarders.turn_one_to(at, Ask::Ready);
            }
            return;
        }
        if self.probed.is_some_and(|at| now < at.after(PROBE_EVERY)) {
            return;
        }
        self.probed = Some(now);
        if !self.reaches_forwarder {
            sockets.publish(&probe(run, me, To::Group), None);
            return;
        }
        let routers: Vec<String> =
            self.joining.sites.iter().map(|site| site.endpoint(Port::Router)).collect();
        self.waits_for = format!("a router at {}", routers.join(" or "));
        sockets.forwarders.awaits_router(true);
        sockets.send_to(b"", &probe(run, me, To::Member(me)));
    }

    fn check_limits(&self, now: Time, sockets: &Sockets) -> Result<(), Failure> {
        // With several forwarders the silence is noticed in `choose`.
        if let Some(at) = self
            .joining
            .joins_at()
            .filter(|&at| sockets.forwarders.silence(at, now) >= self.joining.forwarder_timeout)
            && sockets.forwarders.has_heard()
        {
            let message = format!("{} has gone silent", sockets.forwarders.name(at));
            return Err(Failure::new(Exit::Unavailable, message));
        }
        let Some(timeout) = self.joining.timeout else { return Ok(()) };
        let waited = now.since(Time::ZERO);
        if self.reaches_forwarder && !self.reaches_router && waited >= timeout.min(CONNECT_LIMIT) {
            let (id, waited) = (&self.joining.id, units::duration(waited));
            let message = format!("gave up waiting for {}, needed by {id} ({waited})", self.waits_for);
            return Err(Failure::new(Exit::Unavailable, message).help(
                "messages to single members go through `router`: is it running, on the same --port-base?",
            ));
        }
        if sockets.forwarders.has_heard() && waited >= timeout {
            let message =
                format!("no start within {}: waited for {}", units::duration(timeout), self.waits_for);
            return Err(Failure::new(Exit::TimedOut, message)
                .help("start what is missing, or give the start more time with --timeout"));
        }
        Ok(())
    }
}

/// Returns whether this is the seat of the joining member.
fn is_me(seat: &Seat, joining: &Joining) -> bool {
    // In a running group a sequencer joins as a standby.
    let stands_by = joining.role == Role::Sequencer && seat.role == Role::Standby;
    seat.id == joining.id && (seat.role == joining.role || stands_by)
}

/// Refuses a start in which this member or its sequencer has no seat, or two members share a slot.
fn check_seats(seats: &[Seat], joining: &Joining) -> Result<(), Failure> {
    let slots: BTreeSet<u16> = seats.iter().map(|seat| seat.slot).filter(|&slot| slot < u16::MAX).collect();
    let sequencers = seats.iter().filter(|seat| seat.role == Role::Sequencer).count();
    // In a running group the sequencer may be lost, or another member may be the sequencer.
    let is_sound = seats.iter().find(|seat| is_me(seat, joining)).is_some_and(|me| {
        slots.len() == seats.len() && (me.late || sequencers == usize::from(joining.order.sequencer))
    });
    if is_sound {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Bug,
            "the forwarder started the group with a list of members that contradicts itself",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::defect::Defects;
    use crate::member::MembershipConfig;
    use crate::order::Order;
    use crate::wire::Window;

    #[test]
    fn check_seats_missing_or_double_seat_is_refused() {
        let joining = Joining {
            sites: vec![Site { host: "127.0.0.1".to_owned(), port_base: 1 }],
            only_at: None,
            group: "main".to_owned(),
            id: "c1".to_owned(),
            role: Role::Client,
            order: Order::find("total", "bb").unwrap(),
            needs_router: false,
            timeout: None,
            forwarder_timeout: crate::session::LOST_AFTER,
            window: Window::default(),
            defects: Defects::NONE,
            membership_config: MembershipConfig::default(),
            can_sequence: false,
            may_open_door: false,
            late: false,
            log: None,
            leaves: Arc::default(),
        };
        let seat = |slot, id: &str, role| Seat {
            slot,
            id: id.to_owned(),
            incarnation: 1,
            role,
            can_sequence: false,
            late: false,
        };
        let (c1, c2) = (seat(0, "c1", Role::Client), seat(1, "c2", Role::Client));
        let sequencer = seat(2, "s", Role::Sequencer);
        let check = |seats: &[&Seat]| {
            let seats: Vec<Seat> = seats.iter().map(|&seat| seat.clone()).collect();
            check_seats(&seats, &joining).map_err(|failure| failure.exit)
        };
        assert_eq!(check(&[&c1, &c2, &sequencer]), Ok(()));
        let (twice, group) = (seat(1, "c3", Role::Client), seat(u16::MAX, "c3", Role::Client));
        for nonsense in [
            &[&c2, &sequencer][..],
            &[&c1, &c2],
            &[&c1, &c2, &twice, &sequencer],
            &[&c1, &group, &sequencer],
            &[&seat(0, "c9", Role::Client), &sequencer],
            &[],
        ] {
            assert_eq!(check(nonsense), Err(Exit::Bug), "{nonsense:?}");
        }
    }
}
