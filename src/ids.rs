//! The words of every engine: a moment, a member, a destination, a view.

use std::fmt;
use std::time::Duration;

/// A moment, in microseconds since the run began. Only a driver reads a clock; it passes the time to engines.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(u64);

impl Time {
    /// The moment the run began.
    pub const ZERO: Self = Self(0);

    /// Returns the moment `micros` microseconds after the run began.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the run began.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns this moment plus `wait`. Saturates instead of overflowing.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A process of the group: its slot in the list of members that `start` carried.
///
/// Engines know members by slot alone; ids (`c1`) exist only at the edges. A slot identifies a member, and is
/// no priority.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberId(pub u16);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// The destination of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum To {
    /// Every member of the group.
    Group,
    /// One member.
    Member(MemberId),
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => f.write_str("all"),
            Self::Member(member) => member.fmt(f),
        }
    }
}

/// A numbered list of members on which they agree. View 1 is the list that `start` carried.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct View {
    /// 1 for the first view of a run.
    pub number: u64,
    /// The members that multicast and deliver, ascending.
    pub clients: Vec<MemberId>,
    /// The member that assigns numbers, in an order with a sequencer.
    pub sequencer: Option<MemberId>,
    /// The members that can become the sequencer: standbys, and clients that offered it.
    pub candidates: Vec<MemberId>,
}

impl View {
    /// Returns the clients other than `me`, ascending.
    pub fn others(&self, me: MemberId) -> impl Iterator<Item = MemberId> {
        self.clients.iter().copied().filter(move |&client| client != me)
    }

    /// Returns every process that must receive multicasts: clients, sequencer and standbys, ascending.
    #[must_use]
    pub fn members(&self) -> Vec<MemberId> {
        let others = self.sequencer.iter().chain(&self.candidates);
        let mut all: Vec<MemberId> = self.clients.iter().chain(others).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
