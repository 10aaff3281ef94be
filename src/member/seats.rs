//! The seats of a run by slot.

use std::collections::BTreeMap;

use crate::ids::MemberId;
use crate::wire::control::Seat;

/// Seats of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(BTreeMap<MemberId, Seat>);

impl Seats {
    /// Records these seats. A later report about a slot replaces an earlier one.
    pub(super) fn learn(&mut self, seats: &[Seat]) {
        self.0.extend(seats.iter().map(|seat| (MemberId(seat.slot), seat.clone())));
    }

    /// Returns the seat with this slot.
    pub(super) fn get(&self, member: MemberId) -> Option<&Seat> {
        self.0.get(&member)
    }

    /// Returns whether exactly this seat is among them.
    pub(super) fn has(&self, seat: &Seat) -> bool {
        self.get(MemberId(seat.slot)) == Some(seat)
    }

    /// Returns the slots and incarnations of all processes with this id.
    pub(super) fn of_name<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (MemberId, u32)> + 'a {
        self.0.iter().filter(move |(_, seat)| seat.id == id).map(|(&member, seat)| (member, seat.incarnation))
    }

    /// Returns whether there is a later incarnation of this seat's id.
    pub(super) fn has_later(&self, seat: &Seat) -> bool {
        self.of_name(&seat.id).any(|(_, incarnation)| incarnation > seat.incarnation)
    }

    /// Returns all seats, by slot.
    pub(super) fn all(&self) -> Vec<Seat> {
        self.0.values().cloned().collect()
    }
}
