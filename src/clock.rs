//! Vector clocks (Fidge, Mattern), which show whether one event happened before another. They do not measure
//! time.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::ids::MemberId;
use crate::wire::{Malformed, Reader, Wire, Writer};

/// The number of messages of each member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct VectorClock(BTreeMap<MemberId, u64>);

impl VectorClock {
    /// Creates a clock that is zero for each member.
    #[must_use]
    pub fn new(members: &[MemberId]) -> Self {
        Self(members.iter().map(|&member| (member, 0)).collect())
    }

    /// Returns the count of this member.
    #[must_use]
    pub fn get(&self, member: MemberId) -> u64 {
        self.0.get(&member).copied().unwrap_or(0)
    }

    /// Returns each member with its count.
    pub fn iter(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.0.iter().map(|(&member, &count)| (member, count))
    }

    /// Adds `count` to the count of this member.
    pub fn advance(&mut self, member: MemberId, count: u64) {
        let entry = self.0.entry(member).or_default();
        *entry = entry.saturating_add(count);
    }

    /// Returns true if both clocks have the same members.
    #[must_use]
    pub fn is_over(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }
}

/// `a <= b` if no count in `a` exceeds that in `b`; concurrent clocks, and those of other members, do not
/// compare.
impl PartialOrd for VectorClock {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if !self.is_over(other) {
            return None;
        }
        let mut order = Ordering::Equal;
        for (own, theirs) in self.0.values().zip(other.0.values()) {
            match (order, own.cmp(theirs)) {
                (_, Ordering::Equal) => {}
                (Ordering::Equal, here) => order = here,
                (before, here) if before == here => {}
                _ => return None,
            }
        }
        Some(order)
    }
}

impl std::fmt::Display for VectorClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts: Vec<String> = self.0.values().map(u64::to_string).collect();
        write!(f, "({})", counts.join(","))
    }
}

impl Wire for VectorClock {
    fn write(&self, out: &mut Writer) {
        self.0.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let counts = BTreeMap::read(from)?;
        // No count that one more message would overflow.
        if counts.values().any(|&count| count == u64::MAX) { Err(Malformed) } else { Ok(Self(counts)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_clock_compares_by_happened_before() {
        let members = [MemberId(0), MemberId(1)];
        let clock = |a, b| {
            let mut clock = VectorClock::new(&members);
            clock.advance(members[0], a);
            clock.advance(members[1], b);
            clock
        };
        assert!(clock(1, 0) <= clock(1, 0));
        assert!(clock(1, 0) < clock(1, 2));
        assert_eq!(clock(1, 0).partial_cmp(&clock(0, 1)), None);
        assert_eq!(clock(0, 0).partial_cmp(&VectorClock::new(&members[..1])), None);
    }
}
