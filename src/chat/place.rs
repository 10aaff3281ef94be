//! Places of operations in the order, and ids of posts.

use crate::ids::MemberId;
use crate::replica::entry::Stamp;

/// The place of an operation: the stamp of its entry, then its index among the texts of the entry.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The place of the entry.
    pub stamp: Stamp,
    /// The index of the text, from 0; for what the journal has forgotten, the number of the operation.
    pub index: u64,
}

/// The id of an operation: the server that multicast it, and the number among its multicasts, from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OperationId {
    /// The server.
    pub origin: MemberId,
    /// The number.
    pub number: u64,
}

impl OperationId {
    /// Returns the id as others write it, given the names of the servers by slot: `s1-17`.
    #[must_use]
    pub fn shown(self, names: &[String]) -> String {
        let name = names.get(usize::from(self.origin.0)).map_or("", String::as_str);
        format!("{name}-{}", self.number)
    }

    /// Returns the id that is written so, if it names a server.
    #[must_use]
    pub fn parse(text: &str, names: &[String]) -> Option<Self> {
        let (name, number) = Self::split(text)?;
        let slot = names.iter().position(|known| known == name)?;
        Some(Self { origin: MemberId(u16::try_from(slot).ok()?), number })
    }

    /// Returns the name of the server and the number in an id, if it is written as one.
    #[must_use]
    pub fn split(text: &str) -> Option<(&str, u64)> {
        let (name, number) = text.rsplit_once('-')?;
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        let number = number.parse().ok().filter(|_| is_plain && !name.is_empty())?;
        Some((name, number))
    }
}
