//! A process that wants to be in a group that is running: it asks all members, until one says in which view it is.
//!
//! It listens before it asks. What it misses of its first view until it is told, the others send again; what belongs to
//! the views before is none of its business, unless it asks for it ([`super::replay`]).

use std::time::Duration;

use super::word::{Admission, Word};
use crate::engine::{MemberId, Time};
use crate::wire::control::Seat;
use crate::wire::{Frames, Header};

/// Who has had no answer asks again after this long.
pub const ADMIT_EVERY: Duration = Duration::from_millis(100);

/// What a newcomer was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// It is in this view.
    Welcome(Box<Admission>),
    /// It was in a view, and the group has gone on without it before it knew: to this one.
    Behind(u64),
}

/// A process that asks to be taken in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    seat: Seat,
    run: u64,
    ask_at: Time,
}

impl Newcomer {
    /// One that begins to ask now.
    #[must_use]
    pub const fn new(seat: Seat, run: u64, now: Time) -> Self {
        Self { seat, run, ask_at: now }
    }

    /// What to multicast now, if it is time to ask.
    pub fn ask(&mut self, now: Time) -> Option<Frames> {
        if now < self.ask_at {
            return None;
        }
        self.ask_at = now.after(ADMIT_EVERY);
        Some(Word::Admit(self.seat.clone()).encode((self.run, 0), self.me()))
    }

    /// When to ask again.
    #[must_use]
    pub const fn next_deadline(&self) -> Time {
        self.ask_at
    }

    /// What a packet says to it.
    #[must_use]
    pub fn hear(&self, frames: &Frames) -> Option<Told> {
        let header = Header::peek(&frames.header).ok()?;
        if header.run != self.run {
            return None;
        }
        match Word::decode(frames).ok()? {
            Word::Welcome(to, admission) if to == self.me() && self.is_in(&admission) => {
                Some(Told::Welcome(admission))
            }
            Word::Behind(to, view, _) if to == self.me() => Some(Told::Behind(view)),
            _ => None,
        }
    }

    /// Whether this process is a member of the view, and it is said who the others are.
    fn is_in(&self, Admission { view, seats, .. }: &Admission) -> bool {
        let members = view.members();
        let is_named = |member: &MemberId| seats.iter().any(|seat| seat.slot == member.0);
        seats.contains(&self.seat) && members.contains(&self.me()) && members.iter().all(is_named)
    }

    const fn me(&self) -> MemberId {
        MemberId(self.seat.slot)
    }
}
