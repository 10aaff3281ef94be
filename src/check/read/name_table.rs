//! The name table: a small number (slot) for each member and incarnation, so that a million events are looked up fast.

use std::collections::BTreeMap;

use crate::exit::{Exit, Failure};

/// Stands for any incarnation of a member: a send event does not name the receiver's.
pub(super) const ANY_INCARNATION: u32 = 0;

/// The members and incarnations that events name, in order of appearance.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    slots: BTreeMap<String, Vec<(u32, u16)>>,
    names: Vec<(String, u32)>,
}

impl NameTable {
    /// Returns the slot of an incarnation of the named member; a new one for a new name.
    pub(super) fn slot(&mut self, name: &str, incarnation: u32) -> Result<u16, Failure> {
        let known = self
            .slots
            .get(name)
            .and_then(|incarnations| incarnations.iter().find(|(known, _)| *known == incarnation));
        if let Some(&(_, slot)) = known {
            return Ok(slot);
        }
        let slot = u16::try_from(self.names.len())
            .map_err(|_| Failure::new(Exit::BadData, "these files name more than 65,536 members"))?;
        self.names.push((name.to_owned(), incarnation));
        self.slots.entry(name.to_owned()).or_default().push((incarnation, slot));
        Ok(slot)
    }

    /// Returns all names and incarnations, in the order of their slots.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, u32)> {
        self.names.iter().map(|(name, incarnation)| (name.as_str(), *incarnation))
    }

    /// Returns the number of slots.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}
