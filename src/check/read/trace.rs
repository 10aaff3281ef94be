//! The events that `client --trace` adds to a history: the arrivals of messages and the reasons of their waits.
//!
//! No property depends on them. The diagram and `explain` show them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// An event of this kind.
#[derive(Debug)]
pub(in crate::check) struct Trace {
    pub(in crate::check) line: u32,
    pub(in crate::check) time_us: u64,
    /// The message id, as in the file.
    pub(in crate::check) id: String,
    pub(in crate::check) what: Noted,
}

/// The kind of a traced event.
#[derive(Clone, Debug)]
pub(in crate::check) enum Noted {
    /// The message arrived.
    Arrived {
        /// The member's clock after the arrival, as text.
        clock: Option<String>,
        /// The message's global number.
        number: Option<u64>,
    },
    /// The message began to wait, for this reason.
    Waits(Reason),
}

/// The reason why a message waits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reason {
    /// The kind of reason: `earlier`, `cause`, `number`, …
    pub(crate) what: String,
    /// The global number that must be delivered first.
    pub(crate) place: Option<u64>,
    /// The messages that must be delivered first, like `c1/1/7` or `c1/1/7-9`.
    pub(crate) messages: Vec<String>,
    /// The members from which a packet must arrive.
    pub(crate) members: Vec<String>,
}

/// A logical clock, as in a history.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Clock {
    Lamport(u64),
    Vector(BTreeMap<String, u64>),
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lamport(time) => write!(f, "{time}"),
            Self::Vector(counts) => {
                let counts: Vec<String> =
                    counts.iter().map(|(member, count)| format!("{member} {count}")).collect();
                write!(f, "({})", counts.join(", "))
            }
        }
    }
}
