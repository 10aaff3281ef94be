//! The assembly of clusters: each member has a history for each of its lives, and result files that grow through all of
//! them.
//!
//! The first line of a history tells that it is of a cluster. The `start` of each life names the cluster, as its group,
//! and lists the members by slot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::life_file::{self, Kind, LifeFile};
use super::listing::{Files, Listing, UNO};
use super::{HistoryFile, Member, ResultFile, Run};
use crate::check::cluster::{self, ClusterHistory, Happening, MemberStory, Stories};
use crate::check::parallel;
use crate::exit::{Exit, Failure};

/// The suffix of the files with confirmed texts.
const CONFIRMED: &str = "tom";

/// A history that belongs to a cluster: the member, the life, the file.
type Found = (String, u32, PathBuf);

/// The lives of the members of one cluster, by number.
type Lives = BTreeMap<String, BTreeMap<u32, LifeFile>>;

/// Takes the files of clusters out of the listing, and assembles a run for each cluster.
pub(super) fn assemble(listing: &mut Listing) -> Result<Vec<Run>, Failure> {
    let found = take(listing)?;
    let read = parallel::each(&found, |(member, life, path)| {
        Ok((member.clone(), *life, LifeFile::read(path, member)?))
    });
    let read = read.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let mut clusters: BTreeMap<String, Lives> = BTreeMap::new();
    let (started, others): (Vec<_>, Vec<_>) =
        read.into_iter().partition(|(_, _, file)| !file.file.starts.is_empty());
    for (member, life, file) in started {
        let cluster = file.file.starts[0].group.clone();
        let name = file.file.file.clone();
        let lives = clusters.entry(cluster).or_default().entry(member.clone()).or_default();
        if let Some(other) = lives.insert(life, file) {
            let why = format!("{} and {name} are both of life {life} of {member}", other.file.file);
            return Err(Failure::new(Exit::BadData, why).help("take one of them away"));
        }
    }
    // A life without a start says nothing, but it was there.
    for (member, life, file) in others {
        if let Some(lives) = clusters.values_mut().find_map(|lives| lives.get_mut(&member)) {
            lives.entry(life).or_insert(file);
        }
    }
    clusters.into_iter().map(|(name, lives)| run(name, lives, listing)).collect()
}

/// Takes the histories of clusters out of the listing.
fn take(listing: &mut Listing) -> Result<Vec<Found>, Failure> {
    let (mut found, mut empty) = (Vec::new(), Vec::new());
    for (id, files) in &listing.members {
        let Some(path) = &files.history else { continue };
        let (member, life) = member_and_life(id);
        match life_file::kind(path)? {
            Kind::Cluster => found.push((id.clone(), (member, life, path.clone()))),
            Kind::Empty => empty.push((id.clone(), (member, life, path.clone()))),
            Kind::Group => {}
        }
    }
    empty.retain(|(_, (member, ..))| found.iter().any(|(_, (known, ..))| known == member));
    found.append(&mut empty);
    for (id, _) in &found {
        if let Some(files) = listing.members.get_mut(id) {
            files.history = None;
        }
    }
    listing.members.retain(|_, files| !files.is_empty());
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

/// Splits `s1.2` into the member and the life.
fn member_and_life(id: &str) -> (String, u32) {
    let number = |life: &str| life.parse().ok().filter(|number: &u32| number.to_string() == life);
    let split = id.rsplit_once('.').and_then(|(member, life)| Some((member, number(life)?)));
    let (member, life) = split.unwrap_or((id, 1));
    (member.to_owned(), life)
}

/// Assembles the run of one cluster.
fn run(name: String, mut lives: Lives, listing: &mut Listing) -> Result<Run, Failure> {
    let starts: Vec<_> =
        lives.values().flat_map(|lives| lives.values()).flat_map(|life| &life.file.starts).collect();
    // Members that were added stand behind the others. One that never ran is known from the epochs of the others.
    let rosters = starts.iter().map(|start| &start.roster);
    let of_epochs = lives.values().flat_map(|lives| lives.values()).flat_map(LifeFile::rosters);
    let all = rosters.cloned().chain(of_epochs);
    let mut names: Vec<String> =
        all.fold(Vec::new(), |most, next| if next.len() > most.len() { next } else { most });
    names.extend(lives.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    let mut history = ClusterHistory::default();
    let mut files = Vec::new();
    for id in &names {
        let lives = lives.remove(id).unwrap_or_default();
        let (story, of_lives) = story(id, lives, &names, &mut history.strangers)?;
        files.push((story.began(), of_lives));
        history.members.push(story);
    }
    let history = history.with_whole_lists().with_rest();
    let mut members = Vec::new();
    for (story, (began, files)) in history.members.iter().zip(files) {
        let results =
            listing.members.get_mut(&story.name).map_or_else(Files::default, Files::take_of_cluster);
        members.push(Member { began, ..member(&story.name, files, &results, story.is_settled())? });
    }
    listing.members.retain(|_, files| !files.is_empty());
    let delivered = cluster::deliveries(&Stories::new(&history));
    let (group, cluster) = (Some(name), Some(history));
    Ok(Run { group, suffix: None, members, history: delivered, cluster, has_commands: false })
}

/// Joins the lives of a member, in their order.
fn story(
    id: &str,
    lives: BTreeMap<u32, LifeFile>,
    names: &[String],
    strangers: &mut Vec<String>,
) -> Result<(MemberStory, Vec<(u32, HistoryFile)>), Failure> {
    let missing = (1..).zip(lives.keys()).find(|(expected, life)| expected != *life).map(|(life, _)| life);
    let open = missing.map(|life| format!("there is no history of life {life} of {id} here"));
    let mut story = MemberStory { name: id.to_owned(), open, ..MemberStory::default() };
    let mut files = Vec::new();
    for (number, mut file) in lives {
        let slots = file.names.names().map(|(name, _)| slot(name, names, strangers));
        let slots = slots.collect::<Result<Vec<u16>, Failure>>()?;
        let mut map = |slot: &mut u16| *slot = slots[usize::from(*slot)];
        file.life.events.iter_mut().for_each(|happening| for_each_slot(happening, &mut map));
        if let Some(line) = file.file.cut_off
            && file.life.end.is_some()
        {
            let name = &file.file.file;
            story.open.get_or_insert_with(|| format!("the history of {id} is cut off ({name}:{line})"));
        }
        // Nothing is judged from a life that follows on one that is not known.
        if missing.is_none_or(|missing| number < missing) {
            story.lives.push(file.life);
        }
        files.push((number, file.file));
    }
    Ok((story, files))
}

/// Returns the slot of a name: of a member, or of a stranger behind the members.
fn slot(name: &str, names: &[String], strangers: &mut Vec<String>) -> Result<u16, Failure> {
    let mut all = names.iter().chain(strangers.iter());
    let place = all.position(|known| known == name).unwrap_or_else(|| {
        strangers.push(name.to_owned());
        names.len() + strangers.len() - 1
    });
    u16::try_from(place).map_err(|_| Failure::new(Exit::BadData, "these files name more than 65,536 members"))
}

/// Hands the slots of the members that an event names to `change`.
fn for_each_slot(happening: &mut Happening, mut change: impl FnMut(&mut u16)) {
    match happening {
        Happening::Insert { id, .. } | Happening::Withdraw { id } => change(&mut id.0),
        Happening::Send { to, .. } | Happening::Undeliverable { to, .. } => change(to),
        Happening::Receive { from, .. } => change(from),
        Happening::Epoch { members, removed, .. } => members.iter_mut().chain(removed).for_each(change),
        Happening::Multicast { .. }
        | Happening::Stored { .. }
        | Happening::Confirm { .. }
        | Happening::Recover { .. } => {}
    }
}

/// Reads the result files of a member. Those of a member that is not settled may have less or more than its history.
fn member(
    id: &str,
    lives: Vec<(u32, HistoryFile)>,
    files: &Files,
    is_settled: bool,
) -> Result<Member, Failure> {
    let read =
        |path: Option<&PathBuf>| path.map(|path| ResultFile::read_growing(path, is_settled)).transpose();
    Ok(Member {
        id: id.to_owned(),
        began: 0,
        history_file: lives.last().map(|(_, last)| last.summary(&lives)),
        delivered: read(files.results.get(CONFIRMED))?,
        received: read(files.results.get(UNO))?,
        now: read(files.now.as_ref())?,
        lives,
        commands: None,
        has_labels: false,
    })
}

impl Files {
    fn is_empty(&self) -> bool {
        self.history.is_none() && self.now.is_none() && self.results.is_empty()
    }

    /// Takes the result files of a member of a cluster.
    fn take_of_cluster(&mut self) -> Self {
        let taken = [CONFIRMED, UNO].into_iter().filter_map(|suffix| self.results.remove_entry(suffix));
        Self { history: None, results: taken.collect(), now: self.now.take() }
    }
}

impl HistoryFile {
    /// Returns what several lives have in common with the history of a group.
    fn summary(&self, lives: &[(u32, Self)]) -> Self {
        let starts = lives.iter().flat_map(|(_, file)| &file.starts).cloned().collect();
        Self { file: self.file.clone(), starts, lines: self.lines, ..Self::default() }
    }
}
