//! The oracles of clusters: what members show, in which order, and what they confirm.
//!
//! A member of a cluster shows a message at once and *inserts* it at its place in the order; later it *confirms* that
//! nothing will come before it any more. Six oracles judge insertions and confirmations, and a seventh the
//! changes of the members, one file each. The oracles of
//! groups judge the confirmed messages as deliveries. All of them take a [`ClusterHistory`], in time n log n.

mod closure;
mod confirmed;
mod convergence;
mod deliveries;
mod durable;
mod history;
mod list;
mod membership;
mod newcomers;
mod once;
mod placement;
mod rest;
mod stories;

#[cfg(test)]
mod tests;

use super::message_index::MessageIndex;
use super::verdict::Verdict;
pub(super) use deliveries::deliveries;
pub use history::{ClusterHistory, Happening, Life, MemberStory};
pub(super) use history::{Id, Moment};
pub(super) use list::List;
pub(super) use stories::{Stories, unsettled};

/// Something that is true or false of a run of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// The name, as on the command line and in reports.
    pub name: &'static str,
    /// The definition, in one line.
    pub says: &'static str,
    judge: fn(&Stories<'_>) -> Verdict,
}

/// The properties of clusters alone, in the order of reports.
pub const PROPERTIES: [Property; 7] = [
    Property {
        name: "once",
        says: "an id has one text everywhere and always, and no member inserts it twice",
        judge: once::judge,
    },
    Property {
        name: "placement",
        says: "a message has one place everywhere; those of a sender rise with its numbers",
        judge: placement::judge,
    },
    Property {
        name: "closure",
        says: "all that a sender had shown is shown before its message, and stands above it",
        judge: closure::judge,
    },
    Property {
        name: "confirmed",
        says: "confirmed messages are the same everywhere, and nothing comes before them any more",
        judge: confirmed::judge,
    },
    Property {
        name: "convergence",
        says: "members that settled have the same list, all of it confirmed",
        judge: convergence::judge,
    },
    Property {
        name: "durable",
        says: "what its sender stored, or anybody confirmed, is in every settled list",
        judge: durable::judge,
    },
    Property {
        name: "membership",
        says: "the members change everywhere in the same steps, and show nothing of a later one",
        judge: membership::judge,
    },
];

/// The properties of groups that the confirmed messages of a cluster have, too, if they are taken as deliveries.
pub const OF_DELIVERIES: [&str; 8] =
    ["no-creation", "no-duplicate", "validity", "agreement", "fifo", "causal", "total", "point-to-point"];

impl Property {
    /// Returns the property of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PROPERTIES.iter().find(|property| property.name == name)
    }

    /// Judges the property.
    pub(super) fn judge(&self, stories: &Stories<'_>) -> Verdict {
        (self.judge)(stories)
    }
}

/// Returns the names of all properties of a cluster, in the order of reports.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.iter().map(|property| property.name).chain(OF_DELIVERIES)
}

/// Judges all properties of a cluster; `point-to-point` only if there are direct messages, and `membership` only if the
/// members changed.
#[must_use]
pub fn judge(history: &ClusterHistory) -> Vec<(&'static str, Verdict)> {
    let stories = Stories::new(history);
    let asked = PROPERTIES.iter().filter(|property| property.name != "membership" || stories.has_epochs());
    let of_clusters = asked.map(|property| (property.name, property.judge(&stories)));
    let mut verdicts: Vec<_> = of_clusters.collect();
    let delivered = deliveries(&stories);
    let index = MessageIndex::new(&delivered);
    let has_directs = delivered.records.iter().flat_map(|record| &record.events).any(super::Event::is_direct);
    let asked = OF_DELIVERIES.iter().filter(|name| has_directs || **name != "point-to-point");
    verdicts.extend(
        asked.filter_map(|name| super::Property::find(name)).map(|known| (known.name, known.judge(&index))),
    );
    verdicts
}
