//! All files of one run, and the verdict they give on each property.
//!
//! Histories identify messages, so they are judged first; result files may add to what histories leave undecided. A
//! property that either of them shows violated or valid is so.

use super::message_index::MessageIndex;
use super::read::Run;
use super::texts::Texts;
use super::verdict::Verdict;
use super::{PROPERTIES, Property, barrier, consistency};
use crate::order::{ORDERS, Order};

/// A property of files: its name, its definition and its oracle.
type OfFiles = (&'static str, &'static str, fn(&Run, &MessageIndex<'_>) -> Verdict);

/// The properties that are judged from files and not from a history.
const OF_FILES: [OfFiles; 2] = [
    ("start-barrier", "all start once, with the same members, and miss nothing from then on", barrier::judge),
    ("consistency", "the files of each member tell the same", consistency::judge),
];

/// Properties that apply to few runs: judged by default only if the run has such events.
const OPTIONAL: [&str; 2] = ["point-to-point", "view-synchrony"];

/// Returns the name and the definition of each property, in the order of reports.
pub(super) fn properties() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_histories = PROPERTIES.iter().map(|property| (property.name, property.says));
    of_histories.chain(OF_FILES.iter().map(|(name, says, _)| (*name, *says)))
}

/// The files of one run, indexed for judging.
pub(super) struct Checker<'r> {
    pub(super) run: &'r Run,
    pub(super) index: MessageIndex<'r>,
    texts: Option<Texts<'r>>,
}

impl<'r> Checker<'r> {
    pub(super) fn new(run: &'r Run) -> Self {
        let only_results =
            run.members.iter().any(|member| member.history_file.is_none() && member.has_files());
        // Result files do not record views, so they cannot judge a group whose members changed.
        let has_changed =
            run.history.records.iter().any(|record| record.is_in_part() || record.views.len() > 1);
        let texts = (!has_changed && (only_results || run.has_commands)).then(|| Texts::new(run));
        Self { run, index: MessageIndex::new(&run.history), texts }
    }

    /// Returns the properties to judge by default: those that every possible order of the run promises.
    pub(super) fn promised(&self, order: Option<&str>) -> Vec<&'static str> {
        let orders = self.orders(order);
        let by_all = |property: &Property| orders.iter().all(|order| (property.promised)(order));
        let is_promised = |name: &str| Property::find(name).is_none_or(by_all);
        let names = properties().map(|(name, _)| name).filter(|name| is_promised(name));
        names.filter(|name| !OPTIONAL.contains(name) || self.has_some(name)).collect()
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
        if name == "view-synchrony" { self.has_changes() } else { self.has_directs() }
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
            return judge(self.run, &self.index);
        }
        let told = |property: &Property| property.judge(&self.index);
        let by_histories = Property::find(name).filter(|_| self.run.has_histories()).map(told);
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
