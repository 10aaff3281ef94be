//! Everything that there is about one run, and what it says about each property.
//!
//! Histories know which message was which, so they are asked first; where they are missing, texts may still show
//! something. What one of them shows violated is violated; what one of them shows valid is valid.

use super::catalogue::Catalogue;
use super::read::Run;
use super::texts::Texts;
use super::verdict::Verdict;
use super::{PROPERTIES, Property, barrier, consistency};
use crate::order::{ORDERS, Order};

/// A property of files: its name, what it says, and who judges it.
type OfFiles = (&'static str, &'static str, fn(&Run, &Catalogue<'_>) -> Verdict);

/// The properties of files, beside those of histories.
const OF_FILES: [OfFiles; 2] = [
    ("start-barrier", "all start once, with the same members, and miss nothing from then on", barrier::judge),
    ("consistency", "the files of each member tell the same", consistency::judge),
];

/// The properties that are vacuous in many a good run: they are judged by default only if there is something to judge.
const OPTIONAL: [&str; 2] = ["point-to-point", "view-synchrony"];

/// The name of each property with what it says, in the order in which they are reported.
pub(super) fn properties() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_histories = PROPERTIES.iter().map(|property| (property.name, property.says));
    of_histories.chain(OF_FILES.iter().map(|(name, says, _)| (*name, *says)))
}

/// A run, ready to be asked.
pub(super) struct Evidence<'r> {
    pub(super) run: &'r Run,
    pub(super) catalogue: Catalogue<'r>,
    texts: Option<Texts<'r>>,
}

impl<'r> Evidence<'r> {
    pub(super) fn new(run: &'r Run) -> Self {
        let only_results = run.members.iter().any(|member| member.account.is_none() && member.has_files());
        // Of a group that has changed, only histories tell who was there for what.
        let has_changed =
            run.history.records.iter().any(|record| record.is_in_part() || record.views.len() > 1);
        let texts = (!has_changed && (only_results || run.has_commands)).then(|| Texts::new(run));
        Self { run, catalogue: Catalogue::new(&run.history), texts }
    }

    /// What is judged if nobody says what: whatever all the orders promise that it may have been.
    pub(super) fn promised(&self, order: Option<&str>) -> Vec<&'static str> {
        let orders = self.orders(order);
        let by_all = |property: &Property| orders.iter().all(|order| (property.promised)(order));
        let is_promised = |name: &str| Property::find(name).is_none_or(by_all);
        let names = properties().map(|(name, _)| name).filter(|name| is_promised(name));
        names.filter(|name| !OPTIONAL.contains(name) || self.has_some(name)).collect()
    }

    /// The orders that it may have been: as told, or as the histories say, or as the result files are called.
    pub(super) fn orders(&self, told: Option<&str>) -> Vec<&'static Order> {
        let started = self.run.starts().next().map(|(_, _, start)| start);
        let suffix = self.run.suffix.as_deref();
        let is_it = |order: &&Order| match (told, started) {
            (Some(told), _) => order.name == told,
            (None, Some(start)) => order.name == start.order,
            (None, None) => suffix.is_none_or(|suffix| order.suffix == suffix),
        };
        let mut orders: Vec<&Order> = ORDERS.iter().filter(is_it).collect();
        // Its methods promise the same; which it was is told if it is known.
        let method = started.and_then(|start| start.method.as_deref());
        if orders.iter().any(|order| order.method.is_some() && order.method == method) {
            orders.retain(|order| order.method == method);
        }
        // Of an order that nobody knows, only what all promise can be expected.
        if orders.is_empty() { ORDERS.iter().collect() } else { orders }
    }

    /// Whether there is something that this property is about.
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

    /// Whether the property of this name holds.
    pub(super) fn judge(&self, name: &str) -> Verdict {
        if let Some((_, _, judge)) = OF_FILES.iter().find(|(known, ..)| *known == name) {
            return judge(self.run, &self.catalogue);
        }
        let told = |property: &Property| property.judge(&self.catalogue);
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

/// Of two verdicts that cannot both be wrong, the one that says more.
fn stronger(one: Verdict, other: Verdict) -> Verdict {
    let says_more = other.is_violated() && !one.is_violated();
    if says_more || matches!(one, Verdict::Undecided(_)) && other.is_valid() { other } else { one }
}
