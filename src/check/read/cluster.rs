//! The reader of the folder of a cluster: `history_<id>.<life>.jsonl` for each life of each member, and its result files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{cannot_read, read_file};
use crate::check::cluster::{ClusterHistory, Happening, Life, MemberStory};
use crate::check::history::Source as Lines;
use crate::exit::{Exit, Failure};
use crate::order::TENTATIVE;
use crate::place::{Source, unreadable};
use crate::results::history::{HistoryEvent, MessageId, Row};

/// A run of a cluster, as the files of its members record it.
#[derive(Debug)]
pub(in crate::check) struct ClusterRun {
    /// The name of the cluster.
    pub(in crate::check) group: String,
    /// The stories of all members, by slot. A member without files has no lives.
    pub(in crate::check) history: ClusterHistory,
    /// The lines of the file with the confirmed texts of each member, if it is there.
    pub(in crate::check) confirmed: Vec<Option<Vec<Bytes>>>,
}

/// The start of a life.
struct Begin {
    group: String,
    members: Vec<String>,
}

/// Reads the run of a cluster, if the folder has one.
///
/// # Errors
/// Exit 66 if the folder or a file cannot be read; exit 65 if a file is malformed.
pub(in crate::check) fn read(dir: &Path) -> Result<Option<ClusterRun>, Failure> {
    let entries = fs::read_dir(dir).map_err(|reason| cannot_read(dir, &reason))?;
    let mut files: BTreeMap<(String, u32), PathBuf> = BTreeMap::new();
    for entry in entries.flatten() {
        if let Some(key) = entry.file_name().to_str().and_then(life_of) {
            files.insert(key, entry.path());
        }
    }
    let mut run: Option<ClusterRun> = None;
    for ((id, _), path) in &files {
        let file = LifeFile::open(path)?;
        let Some(begin) = file.begin()? else { continue };
        let run = run.get_or_insert_with(|| ClusterRun::new(begin.group.clone(), &begin.members));
        let names: Vec<&str> = run.history.members.iter().map(|member| member.name.as_str()).collect();
        if begin.group != run.group || !begin.members.iter().eq(names.iter()) {
            let message = format!("{}: the members are others than in the first history", file.source.name);
            return Err(Failure::new(Exit::BadData, message).help("give each run a folder of its own"));
        }
        let Some(slot) = names.iter().position(|name| name == id) else {
            let message = format!("{}: {id} is not among the members of its cluster", file.source.name);
            return Err(Failure::new(Exit::BadData, message));
        };
        let life = file.read(&names)?;
        run.history.members[slot].lives.push(life);
    }
    if let Some(run) = &mut run {
        run.read_results(dir)?;
    }
    Ok(run)
}

/// Returns the member and the life of a history's name.
fn life_of(name: &str) -> Option<(String, u32)> {
    let (id, life) = name.strip_prefix("history_")?.strip_suffix(".jsonl")?.rsplit_once('.')?;
    Some((id.to_owned(), life.parse().ok().filter(|&life| life > 0)?))
}

impl ClusterRun {
    fn new(group: String, members: &[String]) -> Self {
        let story = |name: &String| MemberStory { name: name.clone(), ..MemberStory::default() };
        let history =
            ClusterHistory { members: members.iter().map(story).collect(), ..ClusterHistory::default() };
        Self { group, history, confirmed: Vec::new() }
    }

    fn read_results(&mut self, dir: &Path) -> Result<(), Failure> {
        for member in &self.history.members {
            let path = dir.join(format!("test_result_{}_tom.txt", member.name));
            let lines = if path.is_file() {
                let (_, text) = read_file(&path)?;
                // A line that a crash has cut off is none.
                let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                let lines = text[..whole].split_inclusive(|&byte| byte == b'\n');
                Some(lines.map(|line| text.slice_ref(&line[..line.len() - 1])).collect())
            } else {
                None
            };
            self.confirmed.push(lines);
        }
        Ok(())
    }
}

/// The history of one life.
struct LifeFile {
    source: Source,
}

impl LifeFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let (name, text) = read_file(path)?;
        let source = Source { name, text };
        match unreadable(&source.text) {
            Some(flaw) => Err(source.failure(flaw)),
            None => Ok(Self { source }),
        }
    }

    /// Calls `add` with each event and its line. The last line of a member that was killed may be cut off.
    fn events(
        &self,
        mut add: impl FnMut(HistoryEvent<'_>, u32) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut next = 0;
        for (text, number) in self.source.text.split_inclusive(|&byte| byte == b'\n').zip(1..) {
            let start = next;
            next += text.len();
            let line = text.trim_ascii_end();
            if line.is_empty() {
                continue;
            }
            // A later life takes such a line for none, and tells its event again.
            if !text.ends_with(b"\n") {
                break;
            }
            let event = Row::parse(line).map_err(|flaw| self.source.failure(flaw.moved(start)))?;
            let event = event.event().map_err(|flaw| self.source.failure(flaw.moved(start)))?;
            if !add(event, number)? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the start, if it is one of a cluster.
    fn begin(&self) -> Result<Option<Begin>, Failure> {
        let mut begin = None;
        self.events(|event, _| {
            if let HistoryEvent::Start(start) = event
                && start.order == TENTATIVE
            {
                let members = start.members.iter().map(|&member| member.to_owned()).collect();
                begin = Some(Begin { group: start.group.to_owned(), members });
            }
            Ok(false)
        })?;
        Ok(begin)
    }

    fn read(&self, names: &[&str]) -> Result<Life, Failure> {
        let mut life = Life::default();
        let mut lines = Vec::new();
        self.events(|event, line| {
            if let HistoryEvent::End { reason, .. } = &event {
                life.end = Some((*reason).to_owned());
            } else if let Some(happening) = self.happening(event, names, line)? {
                life.events.push(happening);
                lines.push(line);
            }
            Ok(true)
        })?;
        life.source = Some(Lines { file: self.source.name.clone(), lines, ..Lines::default() });
        Ok(life)
    }

    fn happening(
        &self,
        event: HistoryEvent<'_>,
        names: &[&str],
        line: u32,
    ) -> Result<Option<Happening>, Failure> {
        let slot = |name: &str| {
            names.iter().position(|known| *known == name).map(|slot| slot as u16).ok_or_else(|| {
                let message = format!("{}:{line}: {name} is not a member of the cluster", self.source.name);
                Failure::new(Exit::BadData, message)
            })
        };
        let id = |id: MessageId<'_>| Ok::<_, Failure>((slot(id.member)?, id.number));
        let bytes = |text: &[u8]| Bytes::copy_from_slice(text);
        Ok(Some(match event {
            HistoryEvent::Multicast { id, text, .. } => {
                Happening::Multicast { number: id.number, text: bytes(&text) }
            }
            HistoryEvent::Stored { id, .. } => Happening::Stored { number: id.number },
            HistoryEvent::Insert { id: message, text, at, deps, .. } => {
                Happening::Insert { id: id(message)?, at, deps: deps.into_owned(), text: bytes(&text) }
            }
            HistoryEvent::Confirm { upto, number, count, digest, .. } => {
                Happening::Confirm { upto, number, count, digest: digest.0 }
            }
            HistoryEvent::Withdraw { id: message, .. } => Happening::Withdraw { id: id(message)? },
            HistoryEvent::Recover { entries, confirmed, .. } => Happening::Recover { entries, confirmed },
            HistoryEvent::Send { id, to, text, .. } => {
                Happening::Send { to: slot(to)?, number: id.number, text: bytes(&text) }
            }
            HistoryEvent::Receive { id, from, text, .. } => {
                Happening::Receive { from: slot(from)?, number: id.number, text: bytes(&text) }
            }
            _ => return Ok(None),
        }))
    }
}
