//! The reader that turns a folder of histories and result files into runs, one for each group.

mod clusters;
mod commands;
mod history_file;
mod life_file;
mod listing;
mod name_table;
mod overlap;
mod result_file;
mod runs;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bytes::Bytes;

use super::cluster::ClusterHistory;
use super::history::{History, Record};
use super::verdict::Place;
use crate::exit::{Exit, Failure};
use crate::place::{obstacle, shown, without_mark};
use crate::script::folder::listed;
pub(super) use commands::Commands;
pub(super) use history_file::{HistoryFile, Start};
use listing::Listing;
pub(super) use result_file::{ResultFile, SEPARATOR, sender};

/// A run of one group, as the files of its members record it.
#[derive(Debug)]
pub(super) struct Run {
    /// The group; `None` if there are only result files, which do not name it.
    pub(super) group: Option<String>,
    /// The suffix of the result files.
    pub(super) suffix: Option<String>,
    /// All members that have a file here or are in a list of members, by name.
    pub(super) members: Vec<Member>,
    /// The messages of the histories: first the record of each of `members`, then a record for each incarnation that no
    /// file describes.
    pub(super) history: History,
    /// The insertions and confirmations of a cluster, whose `history` has the confirmed messages as deliveries.
    pub(super) cluster: Option<ClusterHistory>,
    /// Whether command files were read.
    pub(super) has_commands: bool,
}

/// The files of one member.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) id: String,
    /// The contents of its history other than the messages.
    pub(super) history_file: Option<HistoryFile>,
    /// The same of each life of a member of a cluster, with its number; then `history_file` is of the last one.
    pub(super) lives: Vec<(u32, HistoryFile)>,
    /// The number of messages that were confirmed when it was added to a cluster: its files begin after them.
    pub(super) began: u64,
    /// The multicasts that it delivered.
    pub(super) delivered: Option<ResultFile>,
    /// The direct messages that it received.
    pub(super) received: Option<ResultFile>,
    /// The whole list of a member of a cluster, also what is not confirmed.
    pub(super) now: Option<ResultFile>,
    /// The operations that it was given.
    pub(super) commands: Option<Commands>,
    /// Whether its result file named the group in each line, and no history tells of its groups.
    pub(super) has_labels: bool,
}

impl Run {
    /// Returns the start events of the histories with their members and records.
    pub(super) fn starts(&self) -> impl Iterator<Item = (&Member, &Record, &Start)> {
        self.with_records().flat_map(|(member, record)| {
            let starts = member.history_file.iter().flat_map(|history_file| &history_file.starts);
            starts.map(move |start| (member, record, start))
        })
    }

    /// Returns true if the files are of a cluster, as far as they tell.
    pub(super) fn is_of_cluster(&self) -> bool {
        self.cluster.is_some() || self.members.iter().any(|member| member.now.is_some())
    }

    /// Returns true if any member has a history.
    pub(super) fn has_histories(&self) -> bool {
        self.members.iter().any(|member| member.history_file.is_some())
    }

    /// Returns the members with their records.
    pub(super) fn with_records(&self) -> impl Iterator<Item = (&Member, &Record)> {
        self.members.iter().zip(&self.history.records)
    }
}

impl Member {
    /// Returns the groups of a member that is in several, the first one first; nothing for a member of one.
    pub(super) fn groups(&self) -> &[String] {
        let start = self.history_file.as_ref().and_then(|history_file| history_file.starts.first());
        start.map_or(&[], |start| &start.groups)
    }

    /// Returns these lines of the member's history.
    pub(super) fn place(&self, lines: impl Into<Vec<u32>>) -> Place {
        let file = self.history_file.as_ref().map(|history_file| history_file.file.clone());
        Place { member: self.id.clone(), file, lines: lines.into(), also: vec![] }
    }

    /// Returns true if the member has any file here.
    pub(super) const fn has_files(&self) -> bool {
        self.history_file.is_some() || self.delivered.is_some() || self.received.is_some()
    }

    /// Returns true if a file of the member has a line. A newcomer that failed while joining leaves empty files.
    pub(super) fn has_said_something(&self) -> bool {
        let has_lines = |file: &ResultFile| file.lines().len() > 0;
        self.history_file.as_ref().is_some_and(|history_file| history_file.lines.is_some())
            || self.delivered.iter().chain(&self.received).any(has_lines)
    }
}

/// Reads the folder `dir` and, if given, the folder of command files. Also returns warnings that name the files that are
/// not judged.
///
/// # Errors
/// Exit 66 if a folder or a file cannot be read, or there is nothing to judge; exit 65 if a file is malformed or two
/// files are of the same kind and member.
pub(super) fn read(dir: &Path, commands: Option<&Path>) -> Result<(Vec<Run>, Vec<String>), Failure> {
    let mut listing = Listing::of(dir)?;
    let mut runs = clusters::assemble(&mut listing)?;
    runs.extend(runs::assemble(&listing)?);
    overlap::judge(&mut runs);
    let passed_over = listed(&listing.passed_over);
    let mut warnings: Vec<String> =
        passed_over.map(|names| format!("not judged: {names}; {}", listing::rule())).into_iter().collect();
    if let Some(commands) = commands {
        warnings.extend(commands::attach(commands, &mut runs)?);
    }
    Ok((runs, warnings))
}

/// Returns true if the histories in `dir` have more events than `most`, without reading more of them than that needs.
///
/// # Errors
/// Exit 66 if the folder or a history cannot be read.
pub(crate) fn has_more_events(dir: &Path, most: usize) -> Result<bool, Failure> {
    let listing = Listing::of(dir)?;
    let mut count = 0;
    for path in listing.members.values().filter_map(|files| files.history.as_ref()) {
        let file = fs::File::open(path).map_err(|reason| cannot_read(path, &reason))?;
        let mut reader = BufReader::new(file);
        while count <= most {
            let block = reader.fill_buf().map_err(|reason| cannot_read(path, &reason))?;
            if block.is_empty() {
                break;
            }
            // A history has one event a line.
            count += block.iter().filter(|&&byte| byte == b'\n').count();
            let length = block.len();
            reader.consume(length);
        }
    }
    Ok(count > most)
}

/// Reads a file; returns its name and its content.
fn read_file(path: &Path) -> Result<(String, Bytes), Failure> {
    let content = fs::read(path).map_err(|reason| cannot_read(path, &reason))?;
    Ok((file_name(path), without_mark(content.into())))
}

/// Returns the last part of a path, made printable.
fn file_name(path: &Path) -> String {
    shown(path.file_name().unwrap_or(path.as_os_str()).as_encoded_bytes())
}

fn cannot_read(path: &Path, reason: &std::io::Error) -> Failure {
    let name = shown(path.as_os_str().as_encoded_bytes());
    if reason.kind() == std::io::ErrorKind::NotADirectory {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Failure::new(Exit::NoInput, format!("cannot read {name}: {}", obstacle(path, reason)))
            .help(format!("name the folder that it is in, {}", above.display()));
    }
    Failure::new(Exit::NoInput, format!("cannot read {name}: {reason}"))
}
