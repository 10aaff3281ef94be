//! What `client --trace` adds to a history: when messages arrived, and what they waited for.
//!
//! Nothing is judged by it. It is for those who draw and explain a run.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// A line of this kind.
#[derive(Debug)]
pub(in crate::check) struct Trace {
    pub(in crate::check) line: u32,
    pub(in crate::check) time_us: u64,
    /// The message, as the file has it.
    pub(in crate::check) id: String,
    pub(in crate::check) what: Noted,
}

/// What it says.
#[derive(Clone, Debug)]
pub(in crate::check) enum Noted {
    /// The message is here from now on.
    Arrived {
        /// The member's clock from then on, in words.
        clock: Option<String>,
        /// The message's place in the total order.
        number: Option<u64>,
    },
    /// It waits for this from now on.
    Waits(Reason),
}

/// What a message waits for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reason {
    /// The word for it: `earlier`, `cause`, `number`, …
    pub(crate) what: String,
    /// The place in the total order that must come first.
    pub(crate) place: Option<u64>,
    /// The messages that must come first, like `c1/1/7` or `c1/1/7-9`.
    pub(crate) messages: Vec<String>,
    /// The members that must say something.
    pub(crate) members: Vec<String>,
}

/// A clock as a history has it.
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
