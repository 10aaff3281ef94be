//! The seats of a run by their slots: who sits in each, and as which process of its name.

use std::collections::BTreeMap;

use crate::engine::MemberId;
use crate::wire::control::Seat;

/// Seats of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(BTreeMap<MemberId, Seat>);

impl Seats {
    /// Takes note of these seats. A later report about a slot replaces an earlier one.
    pub(super) fn learn(&mut self, seats: &[Seat]) {
        self.0.extend(seats.iter().map(|seat| (MemberId(seat.slot), seat.clone())));
    }

    /// The seat with this slot.
    pub(super) fn get(&self, member: MemberId) -> Option<&Seat> {
        self.0.get(&member)
    }

    /// Whether exactly this seat is among them.
    pub(super) fn has(&self, seat: &Seat) -> bool {
        self.get(MemberId(seat.slot)) == Some(seat)
    }

    /// The slots of all processes of this name, with their incarnations.
    pub(super) fn of_name<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (MemberId, u32)> + 'a {
        self.0.iter().filter(move |(_, seat)| seat.id == id).map(|(&member, seat)| (member, seat.incarnation))
    }

    /// Whether a later process has the name of this seat.
    pub(super) fn has_later(&self, seat: &Seat) -> bool {
        self.of_name(&seat.id).any(|(_, incarnation)| incarnation > seat.incarnation)
    }

    /// All of them, by slot.
    pub(super) fn all(&self) -> Vec<Seat> {
        self.0.values().cloned().collect()
    }
}
