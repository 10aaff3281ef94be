//! The files of each member in a folder: `history_<id>.jsonl`, `test_result_<id>_<suffix>.txt`, and `.part` of each.
//!
//! A history of a cluster is first taken for that of a member `<id>.<life>`; its content tells the difference.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::cannot_read;
use crate::exit::{Exit, Failure};
use crate::order::ORDERS;
use crate::place::shown;
use crate::script::folder::listed;

/// The suffix of the result files of direct messages.
pub(super) const UNO: &str = "uno";

/// The suffix of the file with the whole list of a member of a cluster.
const NOW: &str = "now";

/// The files of one member.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) history: Option<PathBuf>,
    /// The result files by their suffix.
    pub(super) results: BTreeMap<String, PathBuf>,
    /// The whole list of a member of a cluster.
    pub(super) now: Option<PathBuf>,
}

/// The files of all members, by member name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) members: BTreeMap<String, Files>,
    /// The names of files that look like results but are not named so, sorted.
    pub(super) passed_over: Vec<String>,
}

/// The meaning of a file's name.
#[derive(Debug, Eq, PartialEq)]
enum Name<'a> {
    History { id: &'a str },
    Now { id: &'a str },
    Result { id: &'a str, suffix: &'a str },
}

impl Listing {
    /// Lists the files of a folder.
    pub(super) fn of(dir: &Path) -> Result<Self, Failure> {
        let entries = fs::read_dir(dir).map_err(|reason| cannot_read(dir, &reason))?;
        let mut listing = Self::default();
        for entry in entries {
            let path = entry.map_err(|reason| cannot_read(dir, &reason))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.and_then(parse) {
                listing.add(&name, &path)?;
            } else if looks_like_results(&path) {
                listing.passed_over.push(super::file_name(&path));
            }
        }
        listing.passed_over.sort_unstable();
        if listing.members.is_empty() {
            let dir = shown(dir.as_os_str().as_encoded_bytes());
            let there =
                listed(&listing.passed_over).map_or_else(String::new, |names| format!(", only {names}"));
            return Err(
                Failure::new(Exit::NoInput, format!("there are no results in {dir}{there}")).help(rule())
            );
        }
        Ok(listing)
    }

    fn add(&mut self, name: &Name<'_>, path: &Path) -> Result<(), Failure> {
        let earlier = match *name {
            Name::History { id } => {
                self.members.entry(id.to_owned()).or_default().history.replace(path.into())
            }
            Name::Now { id } => self.members.entry(id.to_owned()).or_default().now.replace(path.into()),
            Name::Result { id, suffix } => {
                let files = self.members.entry(id.to_owned()).or_default();
                files.results.insert(suffix.to_owned(), path.into())
            }
        };
        let Some(earlier) = earlier else { return Ok(()) };
        let mut both = [&earlier, path].map(super::file_name);
        both.sort_unstable_by_key(String::len);
        let message = format!("{} and {} are both there: they are of two runs", both[0], both[1]);
        Err(Failure::new(Exit::BadData, message).help("leave one of them in the folder"))
    }
}

/// Describes the names of the files that are judged.
pub(super) fn rule() -> String {
    let mut suffixes: Vec<&str> = ORDERS.iter().map(|order| order.suffix).chain([UNO]).collect();
    suffixes.sort_unstable();
    suffixes.dedup();
    let suffixes = suffixes.join(", ");
    format!("results are history_<id>.jsonl and test_result_<id>_<suffix>.txt; a suffix is one of {suffixes}")
}

/// Returns true if a file that is not judged may hold results: its name says so, or it begins with a delivery.
fn looks_like_results(path: &Path) -> bool {
    const BEGINNING: u64 = 256;
    let name = super::file_name(path).to_lowercase();
    if !path.is_file() {
        return false;
    }
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut start));
    let first = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    name.contains("result") || name.contains("history") || (read.is_ok() && !super::sender(first).is_empty())
}

/// Parses the name of a history or a result file.
fn parse(name: &str) -> Option<Name<'_>> {
    let name = name.strip_suffix(".part").unwrap_or(name);
    if let Some(id) = name.strip_prefix("history_").and_then(|name| name.strip_suffix(".jsonl")) {
        return (!id.is_empty()).then_some(Name::History { id });
    }
    let name = name.strip_prefix("test_result_")?.strip_suffix(".txt")?;
    let (id, suffix) = name.rsplit_once('_')?;
    if suffix == NOW && !id.is_empty() {
        return Some(Name::Now { id });
    }
    let is_known = suffix == UNO || ORDERS.iter().any(|order| order.suffix == suffix);
    (is_known && !id.is_empty()).then_some(Name::Result { id, suffix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_files_they_are() {
        for (name, expected) in [
            ("history_c1.jsonl", Some(Name::History { id: "c1" })),
            ("history_c1.jsonl.part", Some(Name::History { id: "c1" })),
            ("history_a.b-c_d.jsonl", Some(Name::History { id: "a.b-c_d" })),
            ("test_result_c1_tom.txt", Some(Name::Result { id: "c1", suffix: "tom" })),
            ("test_result_a_uno_fifo.txt.part", Some(Name::Result { id: "a_uno", suffix: "fifo" })),
            ("test_result_c1_uno.txt", Some(Name::Result { id: "c1", suffix: "uno" })),
            ("history_s1.2.jsonl", Some(Name::History { id: "s1.2" })),
            ("test_result_s1_now.txt", Some(Name::Now { id: "s1" })),
            ("test_result_c1_other.txt", None),
            ("test_result_tom.txt", None),
            ("history_.jsonl", None),
            ("history_c1.jsonl.gz", None),
            ("notes.txt", None),
        ] {
            assert_eq!(parse(name), expected, "{name}");
        }
    }
}
