//! The oracles, one file each. An oracle judges one property of a [`History`] in time linear in its length.
//!
//! The table below names the properties. The same oracles judge simulated runs and real ones. Definitions follow
//! Hadzilacos and Toueg (*A Modular Approach to Fault-Tolerant Broadcasts and Related Problems*, 1994).

pub(crate) mod across;
mod agreement;
mod barrier;
mod boards;
mod causal;
mod checker;
pub mod cluster;
mod consistency;
mod creation;
mod departures;
mod direct;
mod duplicates;
mod fifo;
mod history;
mod lives;
mod logged;
mod message_index;
mod numbers;
mod parallel;
mod read;
mod replay;
mod report;
mod sequences;
mod streams;
mod synchrony;
mod texts;
mod timeline;
pub mod tool;
mod total;
mod validity;
mod verdict;

#[cfg(test)]
mod tests;

use crate::order::{Order, Promise};
pub(crate) use boards::{Board, Boards, Item};
pub use history::{Event, History, Installed, MessageId, Record, Source};
pub(crate) use history::{EventKind, Inserted};
pub use message_index::MessageIndex;
pub(crate) use read::has_more_events;
pub(crate) use report::escaped;
pub use report::{Judgement, exit};
pub(crate) use timeline::{Member, Message, Timeline, TimelineEvent};
pub use tool::judge_folder;
pub use verdict::{Place, Verdict, Witness};

/// Something that is true or false of a run.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// The name, as on the command line and in reports.
    pub name: &'static str,
    /// The definition, in one line.
    pub says: &'static str,
    promised: fn(&Order) -> bool,
    judge: fn(&MessageIndex<'_>) -> Verdict,
}

/// All properties, in the order of reports. Later ones mean little where an earlier one is violated.
pub const PROPERTIES: [Property; 11] = [
    Property {
        name: "no-creation",
        says: "what is delivered was multicast",
        promised: |_| true,
        judge: creation::judge,
    },
    Property {
        name: "no-duplicate",
        says: "nothing is delivered twice",
        promised: |_| true,
        judge: duplicates::judge,
    },
    Property {
        name: "validity",
        says: "a member delivers what it multicasts",
        promised: |_| true,
        judge: validity::judge,
    },
    Property {
        name: "agreement",
        says: "what one member delivers, all deliver",
        promised: |_| true,
        judge: agreement::judge,
    },
    Property {
        name: "fifo",
        says: "a sender's messages are delivered in the order it multicast them",
        promised: |order| order.promises.contains(&Promise::Fifo),
        judge: fifo::judge,
    },
    Property {
        name: "causal",
        says: "what happened before a multicast is delivered before it",
        promised: |order| order.promises.contains(&Promise::Causal),
        judge: causal::judge,
    },
    Property {
        name: "total",
        says: "all members deliver in the same order",
        promised: |order| order.promises.contains(&Promise::Total),
        judge: total::judge,
    },
    Property {
        name: "numbers",
        says: "every member delivers numbers 1, 2, 3, …, each the same message everywhere",
        promised: |order| order.sequencer,
        judge: numbers::judge,
    },
    Property {
        name: "across-groups",
        says: "of overlapping groups, all members deliver what they get of all groups in one order",
        promised: |order| order.sequencer,
        judge: across::judge,
    },
    Property {
        name: "view-synchrony",
        says: "members that go from one view to the next have delivered the same in the first",
        promised: |_| true,
        judge: synchrony::judge,
    },
    Property {
        name: "point-to-point",
        says: "what is sent to one member is received exactly once, in order, or said to be undeliverable",
        promised: |_| true,
        judge: direct::judge,
    },
];

impl Property {
    /// Returns the property of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PROPERTIES.iter().find(|property| property.name == name)
    }

    /// Returns the properties that this order promises.
    pub fn promised_by(order: &Order) -> impl Iterator<Item = &'static Self> {
        PROPERTIES.iter().filter(move |property| property.is_promised_by(order))
    }

    /// Returns true if this order promises the property.
    #[must_use]
    pub fn is_promised_by(&self, order: &Order) -> bool {
        (self.promised)(order)
    }

    /// Judges the property.
    #[must_use]
    pub fn judge(&self, index: &MessageIndex<'_>) -> Verdict {
        (self.judge)(index)
    }
}

/// Returns the names of all properties that can be judged from files.
pub(crate) fn property_names() -> impl Iterator<Item = &'static str> {
    checker::properties().map(|(name, _)| name)
}

/// Judges these properties of `history`, in their order.
pub fn judge<'p>(
    history: &History,
    properties: impl IntoIterator<Item = &'p Property>,
) -> Vec<(&'static str, Verdict)> {
    let index = MessageIndex::new(history);
    properties.into_iter().map(|property| (property.name, property.judge(&index))).collect()
}
