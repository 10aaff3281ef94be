//! A process that joins a running group: it asks all members until one tells it its view.
//!
//! It subscribes before it asks: packets of its first view that it lacks are resent to it. Packets of earlier views are
//! not for it, unless it asks for a replay ([`super::replay`]).

use std::time::Duration;

use super::seats::Seats;
use super::view_message::{Admission, ViewMessage};
use crate::ids::{MemberId, Time};
use crate::wire::Packet;
use crate::wire::control::Seat;

/// Time after which a request without an answer is repeated.
pub const ADMIT_EVERY: Duration = Duration::from_millis(100);
/// Time after which another member takes in or welcomes a newcomer instead, and after as long again the next one.
pub const TAKE_OVER: Duration = ADMIT_EVERY.saturating_mul(5);

/// An answer to a newcomer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// It is in this view.
    Welcome(Box<Admission>),
    /// It was in a view without knowing it, and the group has gone on without it, to this view.
    Behind(u64),
}

/// A process that asks to be taken in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    seat: Seat,
    run: u64,
    ask_at: Time,
    /// The seats that the forwarders have given, as far as they were reported here.
    given: Seats,
}

impl Newcomer {
    /// Returns a newcomer that begins to ask now.
    #[must_use]
    pub fn new(seat: Seat, run: u64, now: Time) -> Self {
        Self { seat, run, ask_at: now, given: Seats::default() }
    }

    /// Records seats that a forwarder has given.
    pub fn seated(&mut self, seats: &[Seat]) {
        self.given.learn(seats);
    }

    /// Returns the seats that the forwarders have given, as far as they were reported here.
    #[must_use]
    pub fn given(&self) -> Vec<Seat> {
        self.given.all()
    }

    /// Returns the request to multicast, if it is due.
    pub fn ask(&mut self, now: Time) -> Option<Packet> {
        if now < self.ask_at {
            return None;
        }
        self.ask_at = now.after(ADMIT_EVERY);
        Some(ViewMessage::Admit(self.seat.clone()).encode((self.run, 0), self.me()))
    }

    /// Returns the time of the next request.
    #[must_use]
    pub const fn next_deadline(&self) -> Time {
        self.ask_at
    }

    /// Returns the answer in a packet, if its sender has a seat and can be in the view that it reports.
    #[must_use]
    pub fn hear(&self, packet: Packet) -> Option<Told> {
        let header = packet.header;
        if header.run != self.run {
            return None;
        }
        let (from, is_said_in) = (self.given.get(header.sender)?, |view: u64| header.view == view as u16);
        match ViewMessage::decode(packet).ok()? {
            ViewMessage::Welcome(to, admission) if to == self.me() && is_said_in(admission.view.number) => {
                let is_client = admission.view.clients.contains(&header.sender);
                let is_true = is_client && header.sender != to && self.is_in(&admission);
                is_true.then_some(Told::Welcome(admission))
            }
            ViewMessage::Behind(to, view, _) if to == self.me() && is_said_in(view) && view > 1 => {
                (header.sender != to && !self.given.has_later(from)).then_some(Told::Behind(view))
            }
            _ => None,
        }
    }

    /// Returns whether this process is a member of the view, and every member has a seat.
    fn is_in(&self, Admission { view, seats, .. }: &Admission) -> bool {
        let members = view.members();
        let is_named = |member: &MemberId| seats.iter().any(|seat| seat.slot == member.0);
        // No seat contradicts the forwarder.
        let is_given = |seat: &Seat| {
            let given = self.given.get(MemberId(seat.slot));
            given.is_none_or(|given| (&given.id, given.incarnation) == (&seat.id, seat.incarnation))
        };
        let is_true = seats.iter().filter(|seat| members.contains(&MemberId(seat.slot))).all(is_given);
        is_true && seats.contains(&self.seat) && members.contains(&self.me()) && members.iter().all(is_named)
    }

    const fn me(&self) -> MemberId {
        MemberId(self.seat.slot)
    }
}
