//! The assembly of runs: a run belongs to one group, and a folder may hold files of several runs.
//!
//! The `start` of a history names its group and the members. Two runs of groups with one name have no member in common,
//! or the files of one would have replaced those of the other. A member without a `start` belongs to the run that lists
//! it, or to the only run there is. Result files that belong to no history are runs of their own, one for each suffix:
//! another program may have written them.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::{Files, Listing, UNO};
use super::roll::{ANY_LIFE, Roll};
use super::{Account, History, Member, Record, ResultFile, Run, Start, history_file};
use crate::check::history::Event;
use crate::check::parallel;
use crate::exit::{Exit, Failure};
use crate::order::ORDERS;

/// The files of one member, read.
struct Loaded {
    id: String,
    history: Option<(Account, Record)>,
    /// The result files by their suffix.
    results: BTreeMap<String, ResultFile>,
}

/// All members that the histories of one run list.
struct Roster {
    group: String,
    members: BTreeSet<String>,
}

/// The identity of a run: its roster, or the suffix of result files without a history.
type Key = (Option<usize>, Option<String>);

/// Members with their records, before they are sorted.
type Parts = BTreeMap<Key, Vec<(Member, Option<Record>)>>;

/// Reads the listed files and assembles the runs.
pub(super) fn assemble(listing: &Listing, roll: &mut Roll) -> Result<Vec<Run>, Failure> {
    let members: Vec<(&String, &Files)> = listing.members.iter().collect();
    let mut loaded = Vec::new();
    for read in parallel::each(&members, |(id, files)| Loaded::read(id, files)) {
        let (mut one, own_roll) = read?;
        one.enrol(&own_roll, roll)?;
        loaded.push(one);
    }
    let rosters = rosters(&loaded);
    let mut parts = Parts::new();
    for loaded in loaded {
        loaded.divide(&rosters, &mut parts);
    }
    let mut runs = Vec::new();
    for ((roster, suffix), mut members) in parts {
        let roster = roster.map(|roster| &rosters[roster]);
        for absent in roster.iter().flat_map(|roster| &roster.members) {
            if members.iter().all(|(member, _)| member.id != *absent) {
                members.push((Member { id: absent.clone(), ..Member::default() }, None));
            }
        }
        runs.push(run(roster.map(|roster| roster.group.clone()), suffix, members, roll)?);
    }
    Ok(runs)
}

/// Returns the rosters, sorted by group and members. Lists of one group that share a member are of one run.
fn rosters(loaded: &[Loaded]) -> Vec<Roster> {
    let mut rosters: Vec<Roster> = Vec::new();
    for (loaded, start) in loaded.iter().filter_map(|loaded| Some((loaded, loaded.start()?))) {
        let views = loaded.history.iter().flat_map(|(account, _)| &account.views);
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
    /// Reads the files of one member, with a name table of its own.
    fn read(id: &str, files: &Files) -> Result<(Self, Roll), Failure> {
        let mut roll = Roll::default();
        let history =
            files.history.as_ref().map(|path| history_file::read(path, id, &mut roll)).transpose()?;
        let results =
            files.results.iter().map(|(suffix, path)| Ok((suffix.clone(), ResultFile::read(path)?)));
        let results = results.collect::<Result<_, Failure>>()?;
        Ok((Self { id: id.to_owned(), history, results }, roll))
    }

    /// Replaces the slots of the member's own name table by those of the common one.
    fn enrol(&mut self, own: &Roll, roll: &mut Roll) -> Result<(), Failure> {
        let of_all = own.names().map(|(name, life)| roll.slot(name, life)).collect::<Result<Vec<_>, _>>()?;
        let events = self.history.iter_mut().flat_map(|(_, record)| &mut record.events);
        events.flat_map(slots).for_each(|slot| *slot = of_all[usize::from(*slot)]);
        Ok(())
    }

    /// Adds each file of the member to its run.
    fn divide(mut self, rosters: &[Roster], parts: &mut Parts) {
        let received = self.results.remove(UNO);
        let roster = self.roster(rosters);
        if roster.is_some() || self.history.is_some() {
            let delivered = self.own_suffix().and_then(|suffix| self.results.remove(&suffix));
            self.add((roster, None), delivered, received, parts);
        } else if let Some((suffix, delivered)) = self.results.pop_first() {
            self.add((None, Some(suffix)), Some(delivered), received, parts);
        } else {
            self.add((None, Some(UNO.to_owned())), None, received, parts);
        }
        while let Some((suffix, delivered)) = self.results.pop_first() {
            self.add((None, Some(suffix)), Some(delivered), None, parts);
        }
    }

    fn start(&self) -> Option<&Start> {
        self.history.as_ref().and_then(|(account, _)| account.starts.first())
    }

    /// Returns the roster of the member: the one that lists it under its group, or the only one.
    fn roster(&self, rosters: &[Roster]) -> Option<usize> {
        let group = self.start().map(|start| &start.group);
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
        let (account, record) = self.history.take().unzip();
        let member = Member { id: self.id.clone(), account, delivered, received, commands: None };
        parts.entry(key).or_default().push((member, record));
    }
}

fn run(
    group: Option<String>,
    suffix: Option<String>,
    mut members: Vec<(Member, Option<Record>)>,
    roll: &Roll,
) -> Result<Run, Failure> {
    members.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
    let (members, records): (Vec<Member>, Vec<Option<Record>>) = members.into_iter().unzip();
    let records =
        members.iter().zip(records).map(|(member, record)| record.unwrap_or_else(|| absent(member)));
    let mut history = History { records: records.collect(), strangers: Vec::new() };
    Names::new(roll, &members).settle(&mut history)?;
    mark_replaced(&members, &mut history);
    let suffix = suffix.filter(|suffix| suffix != UNO);
    Ok(Run { group, suffix, members, history, has_commands: false })
}

/// Marks the records of incarnations that no file describes as replaced, if the group went on to later views.
fn mark_replaced(members: &[Member], history: &mut History) {
    let has_changed = history.records.iter().any(|record| record.ended && record.views.len() > 1);
    for record in &mut history.records[members.len()..] {
        record.replaced = has_changed;
    }
}

/// Returns the empty record of a member without a history.
fn absent(member: &Member) -> Record {
    let what = if member.has_files() { "history" } else { "files" };
    let open = Some(format!("{} has no {what} here", member.id));
    Record { name: member.id.clone(), open, ..Record::default() }
}

/// The members, missing incarnations and strangers of one run, by slot.
struct Names<'r> {
    roll: &'r Roll,
    members: &'r [Member],
    /// The slots of incarnations that no file describes.
    lives: Vec<u16>,
    /// The names that are no members, in order of appearance.
    strangers: BTreeMap<&'r str, usize>,
}

impl<'r> Names<'r> {
    const fn new(roll: &'r Roll, members: &'r [Member]) -> Self {
        Self { roll, members, lives: Vec::new(), strangers: BTreeMap::new() }
    }

    /// Replaces the slots in the events by record indices; adds records for incarnations that no file describes.
    fn settle(mut self, history: &mut History) -> Result<(), Failure> {
        let mut used = vec![false; self.roll.len()];
        for slot in history.records.iter_mut().flat_map(|record| &mut record.events).flat_map(slots) {
            used[usize::from(*slot)] = true;
        }
        let used = (0..self.roll.len()).filter(|&slot| used[slot]).map(|slot| slot as u16);
        let used: Vec<u16> = used.collect();
        used.iter().for_each(|&slot| self.enrol(slot));
        if self.members.len() + self.lives.len() + self.strangers.len() > usize::from(u16::MAX) {
            return Err(Failure::new(Exit::BadData, "a run has at most 65,535 members"));
        }
        let mut indices = vec![0; self.roll.len()];
        for slot in used {
            indices[usize::from(slot)] = self.index(slot) as u16;
        }
        for slot in history.records.iter_mut().flat_map(|record| &mut record.events).flat_map(slots) {
            *slot = indices[usize::from(*slot)];
        }
        history.records.extend(self.lives.iter().map(|&slot| self.untold(slot)));
        let mut strangers: Vec<_> = self.strangers.into_iter().collect();
        strangers.sort_unstable_by_key(|&(_, place)| place);
        history.strangers = strangers.into_iter().map(|(name, _)| name.to_owned()).collect();
        Ok(())
    }

    fn member(&self, name: &str) -> Option<usize> {
        self.members.binary_search_by(|member| member.id.as_str().cmp(name)).ok()
    }

    /// Returns true if the member's file describes this incarnation, or does not say which one it describes.
    fn tells(&self, member: usize, life: u32) -> bool {
        let account = self.members[member].account().filter(|account| !account.starts.is_empty());
        let is_it = |account: &Account| account.starts.iter().any(|start| start.incarnation == life);
        life == ANY_LIFE || account.is_none_or(is_it)
    }

    fn enrol(&mut self, slot: u16) {
        let (name, life) = self.roll.name(slot);
        match self.member(name) {
            Some(member) if self.tells(member, life) => {}
            Some(_) => self.lives.push(slot),
            None => {
                let next = self.strangers.len();
                self.strangers.entry(name).or_insert(next);
            }
        }
    }

    fn index(&self, slot: u16) -> usize {
        let (name, life) = self.roll.name(slot);
        match self.member(name) {
            Some(member) if self.tells(member, life) => member,
            Some(_) => self.members.len() + self.lives.partition_point(|&known| known < slot),
            None => {
                let stranger = self.strangers.get(name).copied().unwrap_or_default();
                self.members.len() + self.lives.len() + stranger
            }
        }
    }

    fn untold(&self, slot: u16) -> Record {
        let (name, life) = self.roll.name(slot);
        let open = Some(format!("no history here tells life {life} of {name}"));
        Record { name: name.to_owned(), open, ..Record::default() }
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
