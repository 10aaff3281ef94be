//! The start barrier as a member passes it: join, hear its own probes come back, be ready, be told to start.

use std::collections::BTreeSet;
use std::time::Duration;

use super::config::Joining;
use super::wires::{Wires, route};
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::session::attendance::News;
use crate::session::{CONNECT_LIMIT, QUIET_AFTER};
use crate::talk;
use crate::transport::address::{Port, Site};
use crate::transport::zmq::Context;
use crate::wire::control::{Ask, Role, Seat, run_as_text};
use crate::wire::encoded::probe;
use crate::wire::{Frames, Header, Kind};

/// A member sends its probes again after this long.
pub const PROBE_EVERY: Duration = Duration::from_millis(50);

/// At the beginning, a forwarder that was named earlier is waited for this long when another is there.
pub const PREFER: Duration = Duration::from_millis(500);

/// How far a member has come.
pub(super) struct Barrier<'a> {
    joining: &'a Joining,
    /// The forwarder at which it joins: the first of those that answer. The others are asked now and then whether they
    /// have heard of the start.
    at: Option<usize>,
    /// The forwarder at which it joined before, until that one has let it go.
    left: Option<usize>,
    seat: Option<(u64, MemberId)>,
    out_and_in: bool,
    router: bool,
    probed: Option<Time>,
    is_ready: bool,
    /// Since when the forwarder does not know it, although it was ready.
    forgotten: Option<Time>,
    waits_for: String,
    /// When the forwarder gives up, as it said last.
    gives_up: Option<Time>,
}

/// What a member that may start knows: the run's number, itself, and everybody.
pub(super) type Beginning = (u64, MemberId, Vec<Seat>);

impl<'a> Barrier<'a> {
    pub(super) fn new(joining: &'a Joining) -> Self {
        Self {
            joining,
            at: joining.joins_at(),
            left: None,
            seat: None,
            out_and_in: false,
            router: !joining.needs_router,
            probed: None,
            is_ready: false,
            forgotten: None,
            waits_for: "the forwarder".to_owned(),
            gives_up: None,
        }
    }

    /// Returns when the group starts.
    pub(super) fn pass(mut self, context: &Context, wires: &mut Wires) -> Result<Beginning, Failure> {
        loop {
            wires.wait(self.probed.filter(|_| !self.is_ready).map(|at| at.after(PROBE_EVERY)))?;
            let now = wires.clock.now();
            for (from, news) in wires.callers.turn(now, &wires.talk)? {
                if let Some(beginning) = self.hear(context, wires, now, from, news)? {
                    return Ok(beginning);
                }
            }
            self.choose(wires, now);
            self.listen(wires);
            self.probe(wires, now);
            if wires.callers.has_heard() {
                let left = self.gives_up.map_or_else(String::new, |at| {
                    format!(" (gives up in {})", talk::duration(at.since(now)))
                });
                wires.say_waiting(now, &format!("waiting for {}{left}", self.waits_for));
            }
            self.check_limits(now, wires)?;
        }
    }

    /// What the forwarder `from` said.
    fn hear(
        &mut self,
        context: &Context,
        wires: &mut Wires,
        now: Time,
        from: usize,
        news: News,
    ) -> Result<Option<Beginning>, Failure> {
        let is_ours = self.at == Some(from);
        match news {
            // Also from another one: it may have heard of the start when ours had no time to tell us.
            News::Start { run, members } => return self.start(wires, from, run, members).map(Some),
            News::Welcome { run, slot } if is_ours => {
                self.welcome(context, wires, run, MemberId(slot))?;
            }
            News::Wait { missing, gives_up_in } if is_ours => {
                self.gives_up = gives_up_in.map(|left| now.after(left));
                self.waits_for =
                    if missing.is_empty() { "the start".to_owned() } else { talk::list(&missing) };
            }
            News::Forgotten if is_ours => self.is_forgotten(wires, now, from),
            News::Bye if self.left == Some(from) => {
                self.left = None;
                wires.callers.turn_one_to(from, self.aside());
            }
            News::End if is_ours => {
                return Err(Failure::new(Exit::Unavailable, "the run ended before it started"));
            }
            News::Failed(failure) if is_ours => return Err(failure),
            News::Failed(failure) => wires.callers.lose(from, failure, now, &wires.talk)?,
            _ => {}
        }
        Ok(None)
    }

    fn start(
        &self,
        wires: &mut Wires,
        from: usize,
        run: u64,
        members: Vec<Seat>,
    ) -> Result<Beginning, Failure> {
        check_seats(&members, self.joining)?;
        let me = members.iter().find(|seat| is_me(seat, self.joining)).expect("checked").clone();
        wires.hear_others_as(MemberId(me.slot))?;
        wires.callers.started(from, run, &me, &members);
        Ok((run, MemberId(me.slot), members))
    }

    /// Joins at the first forwarder that answers; goes to another when that one falls silent, or when one answers
    /// that was named earlier: so all members meet.
    fn choose(&mut self, wires: &mut Wires, now: Time) {
        if self.joining.joins_at().is_some() {
            return;
        }
        let Some(best) = (0..self.joining.sites.len()).find(|&at| wires.callers.is_in_touch(at, now)) else {
            return;
        };
        match self.at {
            None if best > 0 && now < Time::ZERO.after(PREFER) => return,
            None => {}
            Some(at) if best < at || !wires.callers.is_in_touch(at, now) => {
                self.left = Some(at);
                wires.callers.turn_one_to(at, Ask::Withdraw);
                let name = wires.callers.name(best);
                wires.talk.say(format!("joining at {name} instead of {}", wires.callers.name(at)));
            }
            Some(_) => return,
        }
        self.join(wires, best);
    }

    /// Begins anew at this forwarder.
    fn join(&mut self, wires: &mut Wires, at: usize) {
        wires.callers.turn_one_to(at, Ask::Join);
        let left = self.left.filter(|&left| left != at);
        *self = Self { at: Some(at), left, ..Self::new(self.joining) };
        wires.callers.turn_others_to(&self.spoken_for(), &self.aside());
    }

    /// The forwarders that are asked something particular.
    fn spoken_for(&self) -> Vec<usize> {
        self.at.into_iter().chain(self.left).collect()
    }

    /// What the others are asked: are you there, and have you heard of the start?
    fn aside(&self) -> Ask {
        self.seat.map_or(Ask::Alive, |(run, me)| Ask::Resume {
            run: run_as_text(run),
            slot: me.0,
            members: Vec::new(),
        })
    }

    fn welcome(
        &mut self,
        context: &Context,
        wires: &mut Wires,
        run: u64,
        me: MemberId,
    ) -> Result<(), Failure> {
        self.seat = Some((run, me));
        wires.hear_all_as(me)?;
        self.waits_for = "its own probe to come back through the forwarder".to_owned();
        // They are the same wherever it joins: another forwarder may have started the group meanwhile.
        if wires.dealers.is_empty() {
            let name = route(&self.joining.group, &self.joining.id);
            let dealer = |site: &Site| context.dealer(site, &name);
            wires.dealers = self.joining.sites.iter().map(dealer).collect::<Result<_, _>>()?;
        }
        wires.callers.turn_others_to(&self.spoken_for(), &self.aside());
        self.at.into_iter().for_each(|at| wires.callers.turn_one_to(at, Ask::Alive));
        Ok(())
    }

    /// The forwarder is another one. If this member was ready, the one before may have started the group without
    /// having told it so: then those who were told will tell this one.
    fn is_forgotten(&mut self, wires: &mut Wires, now: Time, at: usize) {
        if !self.is_ready || self.forgotten.is_some_and(|since| now >= since.after(QUIET_AFTER)) {
            return self.join(wires, at);
        }
        if self.forgotten.is_none() {
            self.forgotten = Some(now);
            wires.callers.turn_one_to(at, self.aside());
        }
    }

    /// Looks for the probes among what comes in; whatever else comes now belongs to no run of ours.
    fn listen(&mut self, wires: &Wires) {
        let Some((run, me)) = self.seat else { return };
        let is_ours = |frames: &Frames| {
            Header::peek(&frames.header)
                .is_ok_and(|header| header.kind == Kind::Probe && header.run == run && header.sender == me)
        };
        while let Some(heard) = wires.subscriber.hear() {
            self.out_and_in |= heard.is_some_and(|frames| is_ours(&frames));
        }
        while let Some(heard) = wires.hear_direct() {
            self.router |= heard.is_some_and(|frames| is_ours(&frames));
        }
    }

    fn probe(&mut self, wires: &mut Wires, now: Time) {
        let Some((run, me)) = self.seat.filter(|_| !self.is_ready) else { return };
        if self.out_and_in && self.router {
            // Nobody is ready at two forwarders: both might start.
            let is_free = self.left.is_none_or(|left| !wires.callers.is_in_touch(left, now));
            if let Some(at) = self.at.filter(|_| is_free) {
                self.is_ready = true;
                self.waits_for = "the others".to_owned();
                wires.callers.awaits_router(false);
                wires.callers.turn_one_to(at, Ask::Ready);
            }
            return;
        }
        if self.probed.is_some_and(|at| now < at.after(PROBE_EVERY)) {
            return;
        }
        self.probed = Some(now);
        if !self.out_and_in {
            wires.publish(&probe(run, me, To::Group), None);
            return;
        }
        let routers: Vec<String> =
            self.joining.sites.iter().map(|site| site.endpoint(Port::Router)).collect();
        self.waits_for = format!("a router at {}", routers.join(" or "));
        wires.callers.awaits_router(true);
        wires.send_to(b"", &probe(run, me, To::Member(me)));
    }

    fn check_limits(&self, now: Time, wires: &Wires) -> Result<(), Failure> {
        // Where another forwarder answers, this silence is not noticed elsewhere.
        if let Some(at) = self
            .joining
            .joins_at()
            .filter(|&at| wires.callers.silence(at, now) >= self.joining.forwarder_timeout)
            && wires.callers.has_heard()
        {
            let message = format!("{} has gone silent", wires.callers.name(at));
            return Err(Failure::new(Exit::Unavailable, message));
        }
        let Some(timeout) = self.joining.timeout else { return Ok(()) };
        let waited = now.since(Time::ZERO);
        if self.out_and_in && !self.router && waited >= timeout.min(CONNECT_LIMIT) {
            let (id, waited) = (&self.joining.id, talk::duration(waited));
            let message = format!("gave up waiting for {}, needed by {id} ({waited})", self.waits_for);
            return Err(Failure::new(Exit::Unavailable, message).help(
                "messages to single members go through `router`: is it running, on the same --port-base?",
            ));
        }
        if wires.callers.has_heard() && waited >= timeout {
            let message =
                format!("no start within {}: waited for {}", talk::duration(timeout), self.waits_for);
            return Err(Failure::new(Exit::TimedOut, message)
                .help("start what is missing, or give the start more time with --timeout"));
        }
        Ok(())
    }
}

/// Whether this is the place of the member that joins.
fn is_me(seat: &Seat, joining: &Joining) -> bool {
    // A sequencer stands by in a group that runs already.
    let stands_by = joining.role == Role::Sequencer && seat.role == Role::Standby;
    seat.id == joining.id && (seat.role == joining.role || stands_by)
}

/// Refuses a start in which this member or its sequencer has no place, or two members have one.
fn check_seats(seats: &[Seat], joining: &Joining) -> Result<(), Failure> {
    let slots: BTreeSet<u16> = seats.iter().map(|seat| seat.slot).filter(|&slot| slot < u16::MAX).collect();
    let sequencers = seats.iter().filter(|seat| seat.role == Role::Sequencer).count();
    // Of a group that runs, the sequencer may be lost by now, and somebody else have its place.
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
    use crate::member::Keeping;
    use crate::order::Order;
    use crate::wire::Window;

    #[test]
    fn a_start_without_a_place_for_everybody_is_refused() {
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
            keeping: Keeping::default(),
            can_sequence: false,
            late: false,
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
