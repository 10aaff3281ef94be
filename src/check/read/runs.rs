//! The assembly of runs: a run belongs to one group, and a folder may hold files of several runs.
//!
//! The `start` of a history names its group and the members. Two runs of groups with one name have no member in common,
//! or the files of one would have replaced those of the other. A member without a `start` belongs to the run that lists
//! it, or to the only run there is. Result files that belong to no history are runs of their own, one for each suffix:
//! another program may have written them.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::{Files, Listing, UNO};
use super::name_table::{ANY_INCARNATION, NameTable};
use super::{History, HistoryFile, Member, Record, ResultFile, Run, Start, history_file};
use crate::check::history::Event;
use crate::check::parallel;
use crate::exit::{Exit, Failure};
use crate::order::ORDERS;

/// The files of one member, read.
struct Loaded {
    id: String,
    history: Option<(HistoryFile, Record, NameTable)>,
    /// The result files by their suffix.
    results: BTreeMap<String, ResultFile>,
    /// The whole list of a member of a cluster.
    now: Option<ResultFile>,
    /// The group that the lines of the result files name, if there is no history.
    label: Option<String>,
}

/// All members that the histories of one run list.
struct Roster {
    group: String,
    members: BTreeSet<String>,
}

/// The identity of a run: its roster, or the suffix of result files without a history and the group that they name.
type Key = (Option<usize>, Option<String>, Option<String>);

/// Members with their records, before they are sorted.
type Parts = BTreeMap<Key, Vec<(Member, Option<(Record, NameTable)>)>>;

/// Reads the listed files and assembles the runs.
pub(super) fn assemble(listing: &Listing) -> Result<Vec<Run>, Failure> {
    let members: Vec<(&String, &Files)> = listing.members.iter().collect();
    let loaded = parallel::each(&members, |(id, files)| Loaded::read(id, files));
    let loaded = loaded.into_iter().collect::<Result<Vec<Vec<_>>, _>>()?;
    let loaded: Vec<Loaded> = loaded.into_iter().flatten().collect();
    let rosters = rosters(&loaded);
    let mut parts = Parts::new();
    for loaded in loaded {
        loaded.divide(&rosters, &mut parts);
    }
    let mut runs = Vec::new();
    for ((roster, suffix, label), mut members) in parts {
        let roster = roster.map(|roster| &rosters[roster]);
        for absent in roster.iter().flat_map(|roster| &roster.members) {
            if members.iter().all(|(member, _)| member.id != *absent) {
                members.push((Member { id: absent.clone(), ..Member::default() }, None));
            }
        }
        runs.push(run(roster.map(|roster| roster.group.clone()).or(label), suffix, members)?);
    }
    Ok(runs)
}

/// Returns the rosters, sorted by group and members. Lists of one group that share a member are of one run.
fn rosters(loaded: &[Loaded]) -> Vec<Roster> {
    let mut rosters: Vec<Roster> = Vec::new();
    for (loaded, start) in loaded.iter().filter_map(|loaded| Some((loaded, loaded.start()?))) {
        let views = loaded.history.iter().flat_map(|(_, record, _)| &record.views);
        // The views list newcomers, which the other members' starts do not.
        let named = views.flat_map(|view| &view.members).chain(&start.members);
        let mut members: BTreeSet<String> = named.chain([&loaded.id]).cloned().collect();
        rosters.retain(|known| {
            let is_it = known.group == start.group && !known.members.is_disjoint(&members);
            if is_it {
                members.extend(known.members.iter().cloned());
            }
            !is_it
        });
        rosters.push(Roster { group: start.group.clone(), members });
    }
    rosters.sort_by(|one, other| (&one.group, &one.members).cmp(&(&other.group, &other.members)));
    rosters
}

impl Loaded {
    /// Reads the files of one member; of one in several groups, the part of each.
    fn read(id: &str, files: &Files) -> Result<Vec<Self>, Failure> {
        let histories = files.history.as_ref().map(|path| history_file::read(path, id)).transpose()?;
        let results =
            files.results.iter().map(|(suffix, path)| Ok((suffix.clone(), ResultFile::read(path)?)));
        let results: BTreeMap<String, ResultFile> = results.collect::<Result<_, Failure>>()?;
        let mut now = files.now.as_deref().map(ResultFile::read).transpose()?;
        let whole = |history, results| Self { id: id.to_owned(), history, results, now: None, label: None };
        let groups_of = |history: &history_file::Read| {
            history.0.starts.first().map(|start| start.groups.clone()).unwrap_or_default()
        };
        let mut read: Vec<Self> = match histories {
            Some(histories) if histories.iter().any(|history| !groups_of(history).is_empty()) => {
                let of_group = |history: history_file::Read| {
                    let group = history.0.starts.first().map(|start| start.group.clone()).unwrap_or_default();
                    let is_first = groups_of(&history).first() == Some(&group);
                    whole(Some(history), part_of(&results, &group, is_first))
                };
                histories.into_iter().map(of_group).collect()
            }
            Some(mut histories) => vec![whole(histories.pop(), results)],
            None => {
                let labels: BTreeSet<String> = results
                    .iter()
                    .filter(|(suffix, _)| *suffix != UNO)
                    .flat_map(|(_, file)| file.labels())
                    .collect();
                if labels.is_empty() {
                    vec![whole(None, results)]
                } else {
                    let of_label = |(place, label): (usize, String)| Self {
                        label: Some(label.clone()),
                        ..whole(None, part_of(&results, &label, place == 0))
                    };
                    labels.into_iter().enumerate().map(of_label).collect()
                }
            }
        };
        if let Some(first) = read.first_mut() {
            first.now = now.take();
        }
        Ok(read)
    }

    /// Adds each file of the member to its run.
    fn divide(mut self, rosters: &[Roster], parts: &mut Parts) {
        let received = self.results.remove(UNO);
        let roster = self.roster(rosters);
        if roster.is_some() || self.history.is_some() {
            let delivered = self.own_suffix().and_then(|suffix| self.results.remove(&suffix));
            self.add((roster, None, None), delivered, received, parts);
        } else if let Some((suffix, delivered)) = self.results.pop_first() {
            self.add((None, Some(suffix), self.label.clone()), Some(delivered), received, parts);
        } else {
            self.add((None, Some(UNO.to_owned()), None), None, received, parts);
        }
        while let Some((suffix, delivered)) = self.results.pop_first() {
            self.add((None, Some(suffix), self.label.clone()), Some(delivered), None, parts);
        }
    }

    fn start(&self) -> Option<&Start> {
        self.history.as_ref().and_then(|(history_file, ..)| history_file.starts.first())
    }

    /// Returns the roster of the member: the one that lists it under its group, or the only one.
    fn roster(&self, rosters: &[Roster]) -> Option<usize> {
        let group = self.start().map(|start| &start.group).or(self.label.as_ref());
        let lists_it = |roster: &Roster| {
            roster.members.contains(&self.id) && group.is_none_or(|group| *group == roster.group)
        };
        let only = (rosters.len() == 1).then_some(0);
        rosters.iter().position(lists_it).or(only)
    }

    /// Returns the suffix of the result file that goes with the history, or the only suffix if the history has no
    /// start.
    fn own_suffix(&self) -> Option<String> {
        let order = self.start().and_then(|start| ORDERS.iter().find(|order| order.name == start.order));
        let only = || self.results.keys().next().filter(|_| self.results.len() == 1).cloned();
        order.map_or_else(only, |order| Some(order.suffix.to_owned()))
    }

    fn add(
        &mut self,
        key: Key,
        delivered: Option<ResultFile>,
        received: Option<ResultFile>,
        parts: &mut Parts,
    ) {
        let (history_file, record) =
            self.history.take().map(|(history_file, record, names)| (history_file, (record, names))).unzip();
        let (id, now) = (self.id.clone(), self.now.take());
        let has_labels = self.label.is_some();
        let member = Member { id, history_file, delivered, received, now, has_labels, ..Member::default() };
        parts.entry(key).or_default().push((member, record));
    }
}

/// Returns the part of the result files that is of one group; the direct messages are of the first.
fn part_of(
    results: &BTreeMap<String, ResultFile>,
    group: &str,
    is_first: bool,
) -> BTreeMap<String, ResultFile> {
    let mut parts = BTreeMap::new();
    for (suffix, file) in results {
        if suffix != UNO {
            parts.insert(suffix.clone(), file.of_group(group));
        } else if is_first {
            parts.insert(suffix.clone(), file.whole());
        }
    }
    parts
}

fn run(
    group: Option<String>,
    suffix: Option<String>,
    mut members: Vec<(Member, Option<(Record, NameTable)>)>,
) -> Result<Run, Failure> {
    members.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
    let (members, records): (Vec<Member>, Vec<_>) = members.into_iter().unzip();
    let read = |(member, record): (&Member, Option<_>)| record.unwrap_or_else(|| absent(member));
    let records = members.iter().zip(records).map(read).collect();
    let history = history(&members, records)?;
    let suffix = suffix.filter(|suffix| suffix != UNO);
    Ok(Run { group, suffix, members, history, cluster: None, has_commands: false })
}

/// Returns the empty record of a member without a history.
fn absent(member: &Member) -> (Record, NameTable) {
    let what = if member.has_files() { "history" } else { "files" };
    let open = Some(format!("{} has no {what} here", member.id));
    (Record { name: member.id.clone(), open, ..Record::default() }, NameTable::default())
}

/// Replaces the slots in the records, each by its own name table, by indices of records and strangers; adds a record
/// for each incarnation that no file describes.
fn history(members: &[Member], records: Vec<(Record, NameTable)>) -> Result<History, Failure> {
    let (mut records, tables): (Vec<Record>, Vec<NameTable>) = records.into_iter().unzip();
    let mut names = Names { members, incarnations: NameTable::default(), strangers: NameTable::default() };
    // The indices are final only when all names have been seen.
    for (name, incarnation) in tables.iter().flat_map(NameTable::names) {
        names.index(name, incarnation)?;
    }
    if members.len() + names.incarnations.len() + names.strangers.len() > usize::from(u16::MAX) {
        return Err(Failure::new(Exit::BadData, "a run has at most 65,535 members"));
    }
    for (record, table) in records.iter_mut().zip(&tables) {
        let indices = table.names().map(|(name, incarnation)| names.index(name, incarnation));
        let indices = indices.collect::<Result<Vec<usize>, _>>()?;
        record.events.iter_mut().flat_map(slots).for_each(|slot| *slot = indices[usize::from(*slot)] as u16);
    }
    // A group that went on to later views replaced them.
    let replaced = records.iter().any(|record| record.ended && record.views.len() > 1);
    records.extend(names.incarnations.names().map(|(name, incarnation)| {
        let open = Some(format!("no history here tells life {incarnation} of {name}"));
        Record { name: name.to_owned(), open, replaced, ..Record::default() }
    }));
    let strangers = names.strangers.names().map(|(name, _)| name.to_owned()).collect();
    Ok(History { records, strangers, across: None })
}

/// The names in the records of one run.
struct Names<'m> {
    members: &'m [Member],
    /// The incarnations of members that no file describes.
    incarnations: NameTable,
    /// The names that are no members.
    strangers: NameTable,
}

impl Names<'_> {
    /// Returns the index of a member's record, of the record of another incarnation, or of a stranger.
    fn index(&mut self, name: &str, incarnation: u32) -> Result<usize, Failure> {
        let members = self.members.len();
        Ok(match self.members.binary_search_by(|member| member.id.as_str().cmp(name)) {
            Ok(member) if self.describes(member, incarnation) => member,
            Ok(_) => members + usize::from(self.incarnations.slot(name, incarnation)?),
            Err(_) => {
                members + self.incarnations.len() + usize::from(self.strangers.slot(name, ANY_INCARNATION)?)
            }
        })
    }

    /// Returns true if the member's file describes this incarnation, or does not say which one it describes.
    fn describes(&self, member: usize, incarnation: u32) -> bool {
        let starts = self.members[member]
            .history_file
            .as_ref()
            .map_or(&[][..], |history_file| &history_file.starts[..]);
        incarnation == ANY_INCARNATION
            || starts.is_empty()
            || starts.iter().any(|start| start.incarnation == incarnation)
    }
}

/// Returns the slots in an event.
fn slots(event: &mut Event) -> impl Iterator<Item = &mut u16> {
    let (id, to) = match event {
        Event::Send { id, to, .. } | Event::Undeliverable { id, to, .. } => (id, Some(to)),
        Event::Multicast { id, .. } | Event::Deliver { id, .. } | Event::Receive { id, .. } => (id, None),
    };
    std::iter::once(&mut id.member).chain(to)
}
