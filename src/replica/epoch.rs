//! Epochs: the lists of members of a cluster, one after the other, and the changes between them.
//!
//! The first list is that of the cluster file. A change adds a member or removes one. Slots are never given twice, so a
//! vector with a place for each slot only ever grows.

use std::net::SocketAddr;

use super::entry::MOST_MEMBERS;
use crate::ids::MemberId;
use crate::wire::{Malformed, Reader, Wire, Writer};

/// Longest id of a member, in bytes.
const LONGEST_NAME: usize = 64;
/// Longest address as a text, in bytes.
const LONGEST_ADDRESS: usize = 64;

/// The request of an operator.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Request {
    /// A new member, which gets the next slot.
    Add {
        /// Its id.
        name: String,
        /// The address of its datagrams.
        udp: SocketAddr,
    },
    /// The member in this slot leaves.
    Remove(MemberId),
}

/// A change from one epoch to the next, as it is decided.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Change {
    /// The request.
    pub request: Request,
    /// A bound of all clocks by which anything was confirmed in the old epoch. A new member begins above it.
    pub clock: u64,
    /// For each slot of the old epoch, the number up to which a majority has stored its entries: all that may have been
    /// confirmed, and more. Of a removed member, everything after it is void.
    pub stored: Vec<u64>,
}

impl Change {
    /// Returns the member that is added: its slot, its id and its address.
    #[must_use]
    pub fn added(&self) -> Option<(MemberId, &str, SocketAddr)> {
        match &self.request {
            Request::Add { name, udp } => Some((MemberId(self.stored.len() as u16), name, *udp)),
            Request::Remove(_) => None,
        }
    }
}

/// A round in which one member proposes a change. Higher ones win.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ballot {
    /// The number of the round, from 1.
    pub round: u32,
    /// The proposer.
    pub proposer: MemberId,
}

/// The present epoch.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Membership {
    /// The changes since the first epoch.
    changes: Vec<Change>,
    /// For each slot, the last number of its member if it was removed.
    cuts: Vec<Option<u64>>,
}

impl Membership {
    /// Returns the first epoch.
    pub(super) fn new(members: usize) -> Self {
        Self { changes: Vec::new(), cuts: vec![None; members] }
    }

    /// Returns the number of the epoch, from 1.
    pub(super) const fn epoch(&self) -> u16 {
        // A cluster has few slots, each of which is added and removed once.
        self.changes.len() as u16 + 1
    }

    /// Returns the number of slots.
    pub(super) const fn slots(&self) -> usize {
        self.cuts.len()
    }

    /// Returns whether the slot has a member.
    pub(super) fn is_member(&self, slot: usize) -> bool {
        self.cuts.get(slot) == Some(&None)
    }

    /// Returns the number of members.
    pub(super) fn members(&self) -> usize {
        self.cuts.iter().filter(|cut| cut.is_none()).count()
    }

    /// Returns the slots of the members other than that of slot `me`.
    pub(super) fn others(&self, me: usize) -> impl Iterator<Item = usize> {
        (0..self.slots()).filter(move |&slot| slot != me && self.is_member(slot))
    }

    /// Returns the number of members that decide.
    pub(super) fn majority(&self) -> usize {
        self.members() / 2 + 1
    }

    /// Returns the number of the last entry of a removed member.
    pub(super) fn cut(&self, slot: usize) -> Option<u64> {
        self.cuts.get(slot).copied().flatten()
    }

    /// Returns the change that led to epoch `number`.
    pub(super) fn change(&self, number: u16) -> Option<&Change> {
        self.changes.get(usize::from(number.checked_sub(2)?))
    }

    /// Returns whether a request can be met in this epoch.
    pub(super) fn allows(&self, request: &Request) -> bool {
        match request {
            Request::Add { name, udp } => {
                let is_same = |change: &Change| match &change.request {
                    Request::Add { name: known, udp: at } => known == name || at == udp,
                    Request::Remove(_) => false,
                };
                self.slots() < MOST_MEMBERS && !self.changes.iter().any(is_same)
            }
            Request::Remove(slot) => self.is_member(usize::from(slot.0)) && self.members() > 1,
        }
    }

    /// Returns whether this change can lead to the next epoch.
    pub(super) fn allows_change(&self, change: &Change) -> bool {
        change.stored.len() == self.slots() && self.allows(&change.request)
    }

    /// Adds a change that is allowed. Returns the slot that changes, and the last number of its member if it leaves.
    pub(super) fn install(&mut self, change: Change) -> (usize, Option<u64>) {
        let slot = match change.request {
            Request::Add { .. } => self.slots(),
            Request::Remove(slot) => usize::from(slot.0),
        };
        let cut = change.stored.get(slot).copied();
        match self.cuts.get_mut(slot) {
            Some(known) => *known = Some(cut.unwrap_or(0)),
            None => self.cuts.push(None),
        }
        self.changes.push(change);
        (slot, cut)
    }
}

const ADD: u8 = 1;
const REMOVE: u8 = 2;

impl Wire for Request {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Add { name, udp } => {
                out.u8(ADD);
                write_text(name, out);
                write_text(&udp.to_string(), out);
            }
            Self::Remove(slot) => {
                out.u8(REMOVE);
                out.member(*slot);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            ADD => {
                let name = read_text(from, LONGEST_NAME)?;
                let address = read_text(from, LONGEST_ADDRESS)?;
                let udp: SocketAddr = address.parse().map_err(|_| Malformed)?;
                let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                // An address has one form, like every message.
                let is_id = !name.is_empty() && name.bytes().all(is_letter) && udp.to_string() == address;
                if is_id { Ok(Self::Add { name, udp }) } else { Err(Malformed) }
            }
            REMOVE => Ok(Self::Remove(from.member()?)),
            _ => Err(Malformed),
        }
    }
}

impl Wire for Change {
    fn write(&self, out: &mut Writer) {
        self.request.write(out);
        out.varint(self.clock);
        out.varints(&self.stored);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { request: Wire::read(from)?, clock: from.varint()?, stored: from.varints(MOST_MEMBERS)? })
    }
}

impl Wire for Ballot {
    fn write(&self, out: &mut Writer) {
        out.u32(self.round);
        out.member(self.proposer);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { round: from.u32()?, proposer: from.member()? })
    }
}

/// Appends a text of at most 255 bytes.
fn write_text(text: &str, out: &mut Writer) {
    out.u8(u8::try_from(text.len()).expect("ids and addresses are short"));
    out.raw(text.as_bytes());
}

fn read_text(from: &mut Reader, most: usize) -> Result<String, Malformed> {
    let length = usize::from(from.u8()?);
    if length > most {
        return Err(Malformed);
    }
    String::from_utf8(from.raw(length)?.to_vec()).map_err(|_| Malformed)
}
