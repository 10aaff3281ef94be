//! The start barrier as a member passes it: join, hear its own probes come back, be ready, be told to start.

use std::collections::BTreeSet;
use std::time::Duration;

use super::node::{Joining, Wires, route};
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::session::CONNECT_LIMIT;
use crate::session::attendance::News;
use crate::talk;
use crate::transport::zmq::{Context, Port};
use crate::wire::control::{Ask, Role, Seat};
use crate::wire::encoded::probe;
use crate::wire::{Frames, Header, Kind};

/// A member sends its probes again after this long.
pub const PROBE_EVERY: Duration = Duration::from_millis(50);

/// How far a member has come.
pub(super) struct Barrier<'a> {
    joining: &'a Joining,
    seat: Option<(u64, MemberId)>,
    out_and_in: bool,
    router: bool,
    probed: Option<Time>,
    is_ready: bool,
    waits_for: String,
}

impl<'a> Barrier<'a> {
    pub(super) fn new(joining: &'a Joining) -> Self {
        Self {
            joining,
            seat: None,
            out_and_in: false,
            router: !joining.needs_router,
            probed: None,
            is_ready: false,
            waits_for: "the forwarder".to_owned(),
        }
    }

    /// Returns when the group starts: the run's number, this member, and everybody.
    pub(super) fn pass(
        mut self,
        context: &Context,
        wires: &mut Wires,
    ) -> Result<(u64, MemberId, Vec<Seat>), Failure> {
        loop {
            wires.wait(self.probed.filter(|_| !self.is_ready).map(|at| at.after(PROBE_EVERY)))?;
            let now = wires.clock.now();
            match wires.caller.turn(now, &wires.talk)? {
                News::Welcome { run, slot } => self.welcome(context, wires, run, MemberId(slot))?,
                News::Wait { missing, gives_up_in } => {
                    let left = gives_up_in
                        .map_or_else(String::new, |left| format!(" (gives up in {})", talk::duration(left)));
                    self.waits_for = format!("{}{left}", talk::list(&missing));
                }
                News::Start(seats) => {
                    let (run, me) =
                        self.seat.ok_or_else(|| Failure::new(Exit::Bug, "started without a slot"))?;
                    check_seats(&seats, me, self.joining)?;
                    wires.caller.started(run, me.0);
                    wires.caller.turn_to(Ask::Alive);
                    return Ok((run, me, seats));
                }
                News::Forgotten => {
                    wires.dealer = None;
                    wires.caller.turn_to(Ask::Join);
                    self = Self::new(self.joining);
                }
                News::End => return Err(Failure::new(Exit::Unavailable, "the run ended before it started")),
                _ => {}
            }
            self.listen(wires);
            self.probe(wires, now);
            if wires.caller.has_heard() {
                wires.say_waiting(now, &format!("waiting for {}", self.waits_for));
            }
            self.check_limits(now, wires)?;
        }
    }

    fn welcome(
        &mut self,
        context: &Context,
        wires: &mut Wires,
        run: u64,
        me: MemberId,
    ) -> Result<(), Failure> {
        self.seat = Some((run, me));
        self.waits_for = "its own probe to come back through the forwarder".to_owned();
        let endpoint = Port::Router.endpoint(&self.joining.host, self.joining.port_base);
        wires.dealer = Some(context.dealer(&endpoint, &route(&self.joining.group, &self.joining.id))?);
        wires.caller.turn_to(Ask::Alive);
        Ok(())
    }

    /// Looks for the probes among what comes in; whatever else comes now belongs to no run of ours.
    fn listen(&mut self, wires: &Wires) {
        let Some((run, me)) = self.seat else { return };
        let is_ours = |frames: &Frames| {
            Header::peek(&frames.header)
                .is_ok_and(|header| header.kind == Kind::Probe && header.run == run && header.sender == me)
        };
        while let Some(heard) = wires.subscriber.hear(&wires.topic) {
            self.out_and_in |= heard.is_some_and(|frames| is_ours(&frames));
        }
        while let Some(heard) = wires.hear_direct() {
            self.router |= heard.is_some_and(|frames| is_ours(&frames));
        }
    }

    fn probe(&mut self, wires: &mut Wires, now: Time) {
        let Some((run, me)) = self.seat.filter(|_| !self.is_ready) else { return };
        if self.out_and_in && self.router {
            self.is_ready = true;
            self.waits_for = "the others".to_owned();
            return wires.caller.turn_to(Ask::Ready);
        }
        if self.probed.is_some_and(|at| now < at.after(PROBE_EVERY)) {
            return;
        }
        self.probed = Some(now);
        if !self.out_and_in {
            wires.publisher.publish(&wires.topic, &probe(run, me, To::Group));
        } else if let Some(dealer) = &wires.dealer {
            self.waits_for =
                format!("a router at {}", Port::Router.endpoint(&self.joining.host, self.joining.port_base));
            dealer.send_to(b"", &wires.topic, &probe(run, me, To::Member(me)));
        }
    }

    fn check_limits(&self, now: Time, wires: &Wires) -> Result<(), Failure> {
        let Some(timeout) = self.joining.timeout else { return Ok(()) };
        let waited = now.since(Time::ZERO);
        if self.out_and_in && !self.router && waited >= timeout.min(CONNECT_LIMIT) {
            let message = format!("gave up waiting for {}", self.waits_for);
            return Err(Failure::new(Exit::Unavailable, message)
                .help("what members send to single members goes through `router`: is it running?"));
        }
        if wires.caller.has_heard() && waited >= timeout {
            let message =
                format!("no start within {}: waited for {}", talk::duration(timeout), self.waits_for);
            return Err(Failure::new(Exit::TimedOut, message));
        }
        Ok(())
    }
}

/// Refuses a start in which this member or its sequencer has no place, or two members have one.
fn check_seats(seats: &[Seat], me: MemberId, joining: &Joining) -> Result<(), Failure> {
    let is_me = |seat: &Seat| seat.slot == me.0 && seat.id == joining.id && seat.role == joining.role;
    let slots: BTreeSet<u16> = seats.iter().map(|seat| seat.slot).filter(|&slot| slot < u16::MAX).collect();
    let sequencers = seats.iter().filter(|seat| seat.role == Role::Sequencer).count();
    let is_sound = seats.iter().any(is_me)
        && slots.len() == seats.len()
        && sequencers == usize::from(joining.order.sequencer);
    if is_sound { Ok(()) } else { Err(Failure::new(Exit::Bug, "started with members that make no group")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defect::Defects;
    use crate::order::Order;
    use crate::wire::Window;

    #[test]
    fn a_start_without_a_place_for_everybody_is_refused() {
        let joining = Joining {
            host: "127.0.0.1".to_owned(),
            port_base: 1,
            group: "main".to_owned(),
            id: "c1".to_owned(),
            role: Role::Client,
            order: Order::find("total", "bb").unwrap(),
            needs_router: false,
            timeout: None,
            window: Window::default(),
            defects: Defects::NONE,
        };
        let seat = |slot, id: &str, role| Seat { slot, id: id.to_owned(), incarnation: 1, role };
        let (c1, c2) = (seat(0, "c1", Role::Client), seat(1, "c2", Role::Client));
        let sequencer = seat(2, "s", Role::Sequencer);
        let check = |seats: &[&Seat]| {
            let seats: Vec<Seat> = seats.iter().map(|&seat| seat.clone()).collect();
            check_seats(&seats, MemberId(0), &joining).map_err(|failure| failure.exit)
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
