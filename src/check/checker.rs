//! All files of one run, and the verdict they give on each property.
//!
//! Histories identify messages, so they are judged first; result files may add to what histories leave undecided. A
//! property that either of them shows violated or valid is so.

use super::cluster::{self, Stories};
use super::message_index::MessageIndex;
use super::read::Run;
use super::texts::Texts;
use super::verdict::Verdict;
use super::{PROPERTIES, Property, barrier, consistency, lives};
use crate::order::{ORDERS, Order, TENTATIVE};

/// A property of files: its name, its definition and its oracle.
type OfFiles = (&'static str, &'static str, fn(&Run, &MessageIndex<'_>) -> Verdict);

/// The properties that are judged from files and not from a history.
const OF_FILES: [OfFiles; 2] = [
    ("start-barrier", "all start once, with the same members, and miss nothing from then on", barrier::judge),
    ("consistency", "the files of each member tell the same", consistency::judge),
];

/// The same for clusters. Their members start when they like.
const OF_CLUSTER_FILES: [&str; 1] = ["consistency"];

/// Properties that apply to few runs: judged by default only if the run has such events.
const OPTIONAL: [&str; 4] = ["point-to-point", "view-synchrony", "across-groups", "membership"];

/// Returns the name and the definition of each property, in the order of reports.
pub(super) fn properties() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_histories = PROPERTIES.iter().map(|property| (property.name, property.says));
    of_histories.chain(OF_FILES.iter().map(|(name, says, _)| (*name, *says))).chain(of_clusters())
}

/// Returns the same of the properties that only clusters have.
pub(super) fn of_clusters() -> impl Iterator<Item = (&'static str, &'static str)> {
    cluster::PROPERTIES.iter().map(|property| (property.name, property.says))
}

/// The files of one run, indexed for judging.
pub(super) struct Checker<'r> {
    pub(super) run: &'r Run,
    pub(super) index: MessageIndex<'r>,
    /// The insertions and confirmations of a cluster.
    stories: Option<Stories<'r>>,
    texts: Option<Texts<'r>>,
    /// True if the promises of clusters count.
    pub(super) is_of_cluster: bool,
}

impl<'r> Checker<'r> {
    /// Indexes the files of a run. `order` is the order whose promises count, if not the one that the files name.
    pub(super) fn new(run: &'r Run, order: Option<&str>) -> Self {
        let only_results =
            run.members.iter().any(|member| member.history_file.is_none() && member.has_files());
        let stories = run.cluster.as_ref().map(Stories::new);
        // Result files do not record views, so they cannot judge a group or a cluster whose members changed.
        let records = &run.history.records;
        let has_changed = records.iter().any(|record| record.is_in_part() || record.views.len() > 1)
            || stories.as_ref().is_some_and(Stories::has_epochs);
        let is_of_cluster = order.map_or_else(|| run.is_of_cluster(), |order| order == TENTATIVE);
        let texts =
            (!has_changed && (only_results || run.has_commands)).then(|| Texts::new(run, is_of_cluster));
        Self { run, index: MessageIndex::new(&run.history), stories, texts, is_of_cluster }
    }

    /// Returns the properties to judge by default: those that every possible order of the run promises.
    pub(super) fn promised(&self, order: Option<&str>) -> Vec<&'static str> {
        if self.is_of_cluster {
            return self.all().filter(|name| !OPTIONAL.contains(name) || self.has_some(name)).collect();
        }
        let orders = self.orders(order);
        let by_all = |property: &Property| orders.iter().all(|order| (property.promised)(order));
        let is_promised = |name: &str| Property::find(name).is_none_or(by_all);
        let names = self.all().filter(|name| is_promised(name));
        names.filter(|name| !OPTIONAL.contains(name) || self.has_some(name)).collect()
    }

    /// Returns all properties that a group or a cluster can have.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        let of_groups =
            properties().map(|(name, _)| name).filter(|name| cluster::Property::find(name).is_none());
        let of_clusters = cluster::names().chain(OF_CLUSTER_FILES);
        let (of_groups, of_clusters) = match self.is_of_cluster {
            false => (Some(of_groups), None),
            true => (None, Some(of_clusters)),
        };
        of_groups.into_iter().flatten().chain(of_clusters.into_iter().flatten())
    }

    /// Words the order of the run.
    pub(super) fn order(&self, told: Option<&str>) -> String {
        if self.is_of_cluster {
            return TENTATIVE.to_owned();
        }
        let mut orders: Vec<String> = match &self.orders(told)[..] {
            [one] => vec![one.title()],
            all if all.len() == ORDERS.len() => vec!["order unknown".to_owned()],
            several => several.iter().map(|order| order.name.to_owned()).collect(),
        };
        orders.dedup();
        orders.join(" or ")
    }

    /// Returns the numbers of messages that members inserted, of a cluster with histories.
    pub(super) fn inserted(&self) -> Option<u64> {
        self.stories.as_ref().filter(|_| self.is_of_cluster).map(Stories::inserted)
    }

    /// Returns the possible orders of the run: from `--order`, else from the histories, else from the result files'
    /// suffix.
    pub(super) fn orders(&self, told: Option<&str>) -> Vec<&'static Order> {
        let started = self.run.starts().next().map(|(_, _, start)| start);
        let suffix = self.run.suffix.as_deref();
        let is_it = |order: &&Order| match (told, started) {
            (Some(told), _) => order.name == told,
            (None, Some(start)) => order.name == start.order,
            (None, None) => suffix.is_none_or(|suffix| order.suffix == suffix),
        };
        let mut orders: Vec<&Order> = ORDERS.iter().filter(is_it).collect();
        // Methods of one order promise the same, so an unknown method keeps all of them.
        let method = started.and_then(|start| start.method.as_deref());
        if orders.iter().any(|order| order.method.is_some() && order.method == method) {
            orders.retain(|order| order.method == method);
        }
        // For an unknown order, only the promises common to all orders count.
        if orders.is_empty() { ORDERS.iter().collect() } else { orders }
    }

    /// Returns true if the run has events that this optional property concerns.
    fn has_some(&self, name: &str) -> bool {
        match name {
            "view-synchrony" => self.has_changes(),
            "across-groups" => self.run.history.across.is_some(),
            "membership" => self.stories.as_ref().is_some_and(Stories::has_epochs),
            _ => self.has_directs(),
        }
    }

    fn has_directs(&self) -> bool {
        let asked = |member: &super::read::Member| {
            let received = member.received.as_ref().is_some_and(|file| file.lines().len() > 0);
            received || member.commands.as_ref().is_some_and(|commands| !commands.sends.is_empty())
        };
        let mut events = self.run.history.records.iter().flat_map(|record| &record.events);
        self.run.members.iter().any(asked) || events.any(super::Event::is_direct)
    }

    fn has_changes(&self) -> bool {
        self.run.history.records.iter().any(|record| record.views.len() > 1)
    }

    /// Judges the property of this name.
    pub(super) fn judge(&self, name: &str) -> Verdict {
        if let Some((_, _, judge)) = OF_FILES.iter().find(|(known, ..)| *known == name) {
            return match (&self.run.cluster, name) {
                (Some(_), "consistency") => lives::judge(self.run, &self.index),
                (Some(_), _) => Verdict::Undecided("members of a cluster start when they like".to_owned()),
                (None, _) => judge(self.run, &self.index),
            };
        }
        let by_histories = match cluster::Property::find(name) {
            Some(_) if !self.is_of_cluster => {
                return Verdict::Undecided("these are files of a group, not of a cluster".to_owned());
            }
            Some(property) => self.stories.as_ref().map(|stories| property.judge(stories)),
            None => Property::find(name)
                .filter(|property| self.run.has_histories() || property.name == "across-groups")
                .map(|property| property.judge(&self.index)),
        };
        let by_texts = self.texts.as_ref().map(|texts| texts.judge(name));
        match (by_histories, by_texts) {
            (Some(one), Some(other)) => stronger(one, other),
            (one, other) => {
                one.or(other).unwrap_or_else(|| Verdict::Undecided("nothing is known".to_owned()))
            }
        }
    }
}

/// Merges two verdicts on one property: violated before valid before undecided.
fn stronger(one: Verdict, other: Verdict) -> Verdict {
    let says_more = other.is_violated() && !one.is_violated();
    if says_more || matches!(one, Verdict::Undecided(_)) && other.is_valid() { other } else { one }
}
