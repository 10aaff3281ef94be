//! Station 1: the operations of the user: a command file, validated as a whole before anything connects.
//!
//! On the path: [`Script::read`] reads the file, `csv` splits it, `rules` turns its records into operations; the client
//! replays them. A mistake ends the program with exit 65 and shows its place.

mod csv;
pub(crate) mod folder;
mod id;
mod rules;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

pub use id::{MAX_ID, check_client_id, check_id};

use crate::exit::{Exit, Failure};
use crate::nearest::hint;
use crate::place::{Flaw, Source, quoted, shown, unreadable, without_mark};
use csv::Splitter;
use rules::{Ids, Rules};

/// Largest command file, in bytes: an endless pipe has to end somewhere.
pub const MAX_FILE: u64 = 256 << 20;
/// Longest sleep of one operation: a day.
pub const MAX_SLEEP: Duration = Duration::from_secs(86_400);

/// Most members that a message lists.
const LISTED: usize = 20;

/// The operations of one client, in order.
#[derive(Debug)]
pub struct Script {
    source: Source,
    lines: Vec<Line>,
    receivers: Vec<Named>,
    groups: Vec<Named>,
}

/// One operation and its line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The line of the file that it starts on, from 1.
    pub line: u32,
    /// The operation.
    pub op: Op,
}

/// One operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Multicast a text of at most [`crate::wire::batch::MAX_TEXT`] bytes to the group, the first of several.
    Multicast(Bytes),
    /// Multicast a text to one of several groups.
    MulticastTo {
        /// The group; [`Script::group`] returns its name.
        group: GroupId,
        /// At most [`crate::wire::batch::MAX_TEXT`] bytes.
        text: Bytes,
    },
    /// Do nothing for this long, at most [`MAX_SLEEP`].
    Sleep(Duration),
    /// Leave the group; the last operation.
    Leave,
    /// Send a text to one member.
    Send {
        /// The receiver; [`Script::receiver`] returns its id.
        to: ReceiverId,
        /// At most [`crate::wire::batch::MAX_TEXT`] bytes.
        text: Bytes,
    },
}

/// A receiver of one script, shared by all operations that name it. It counts from 0 in order of appearance.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ReceiverId(pub u32);

/// A group that one script names, shared by all operations that name it. It counts from 0 in order of appearance.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GroupId(pub u32);

/// A receiver or a group of the script, and the span in which it is first named.
#[derive(Debug)]
struct Named {
    id: String,
    span: Range<usize>,
}

impl Script {
    /// Reads and validates the command file of the client `me`; the path `-` is standard input.
    ///
    /// # Errors
    /// Exit 66 if the file cannot be read; exit 65 if it is longer than [`MAX_FILE`], of which no more is read, or
    /// malformed.
    pub fn read(path: &Path, me: &str) -> Result<Self, Failure> {
        let (name, file) = read_named(path)?;
        Self::of(&name, file, me, Ids::Ours)
    }

    /// Reads the command file of a member of another program, whose ids need not be what [`check_id`] accepts.
    ///
    /// # Errors
    /// As [`Script::read`].
    pub(crate) fn read_foreign(path: &Path, me: &str) -> Result<Self, Failure> {
        let (name, file) = read_named(path)?;
        Self::of(&name, file, me, Ids::Any)
    }

    /// Validates the command file of the client `me`, whose id [`check_id`] has accepted. Errors call it `name`.
    ///
    /// # Errors
    /// Exit 65 with the place of the first mistake.
    pub fn parse(name: &str, file: Bytes, me: &str) -> Result<Self, Failure> {
        Self::of(name, file, me, Ids::Ours)
    }

    fn of(name: &str, file: Bytes, me: &str, ids: Ids) -> Result<Self, Failure> {
        let source = Source { name: name.into(), text: without_mark(file) };
        match parse(&source.text, me, ids) {
            Ok((lines, (receivers, groups))) => Ok(Self { source, lines, receivers, groups }),
            Err(flaw) => Err(source.failure(flaw)),
        }
    }

    /// Returns the operations, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the id of a receiver of this script.
    ///
    /// # Panics
    /// If `receiver` is of another script, it may be unknown here.
    #[must_use]
    pub fn receiver(&self, receiver: ReceiverId) -> &str {
        &self.receivers[receiver.0 as usize].id
    }

    /// Returns the ids of all receivers, that of `ReceiverId(0)` first.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.receivers.iter().map(|receiver| &*receiver.id)
    }

    /// Returns the name of a group of this script.
    ///
    /// # Panics
    /// If `group` is of another script, it may be unknown here.
    #[must_use]
    pub fn group(&self, group: GroupId) -> &str {
        &self.groups[group.0 as usize].id
    }

    /// Returns the names of the groups in `Multicast@<group>`, that of `GroupId(0)` first.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| &*group.id)
    }

    /// Returns the failure of a script that multicasts to a group which is not among those of its client: exit 65 with
    /// the first place that does.
    #[must_use]
    pub fn unknown_group(&self, groups: &[String]) -> Option<Failure> {
        let unknown = self.groups.iter().find(|named| !groups.contains(&named.id))?;
        let message = format!("{} is not a group of this client", quoted(unknown.id.as_bytes()));
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let rest = format!("it is in {}; name all its groups with --group, like --group a,b", list(&names));
        let help = hint(&unknown.id, names.iter().copied(), &rest);
        Some(self.source.failure(Flaw::new(unknown.span.clone(), message).help(help)))
    }

    /// Returns the failure of a script that sends to a receiver which is not among `members`: exit 65 with the first
    /// place that does.
    #[must_use]
    pub fn unknown_receiver(&self, members: &[&str]) -> Option<Failure> {
        let known: BTreeSet<&str> = members.iter().copied().collect();
        let unknown = self.receivers.iter().find(|receiver| !known.contains(&*receiver.id))?;
        let message = format!("{} is not a member of this run", quoted(unknown.id.as_bytes()));
        let rest = format!("the members are {}", list(members));
        let help = hint(&unknown.id, members.iter().copied(), &rest);
        Some(self.source.failure(Flaw::new(unknown.span.clone(), message).help(help)))
    }
}

/// Lists the operations, each with its line in the file, as `--dry-run` prints them. Fit for a terminal.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { line, op } in &self.lines {
            match op {
                Op::Multicast(text) => writeln!(f, "{line:>6}  multicast  {}", shown(text))?,
                Op::MulticastTo { group, text } => {
                    writeln!(f, "{line:>6}  multicast to group {}  {}", self.group(*group), shown(text))?;
                }
                Op::Sleep(duration) => writeln!(f, "{line:>6}  sleep      {duration:?}")?,
                Op::Leave => writeln!(f, "{line:>6}  leave")?,
                Op::Send { to, text } => {
                    writeln!(f, "{line:>6}  send to {}  {}", self.receiver(*to), shown(text))?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a command file; returns its name for errors, and its content.
fn read_named(path: &Path) -> Result<(String, Bytes), Failure> {
    let stdin = path.as_os_str() == "-";
    let name = if stdin { "<stdin>".into() } else { shown(path.as_os_str().as_encoded_bytes()) };
    let file = if stdin { read_all(io::stdin().lock()) } else { File::open(path).and_then(read_all) };
    let file = file.map_err(|reason| {
        let failure = Failure::new(Exit::NoInput, format!("cannot read the commands {name}: {reason}"));
        if path.is_dir() { failure.help("name a command file, not a folder") } else { failure }
    })?;
    if file.len() as u64 > MAX_FILE {
        let message = format!("the commands {name} are longer than {} MiB", MAX_FILE >> 20);
        return Err(Failure::new(Exit::BadData, message));
    }
    Ok((name, file.into()))
}

fn read_all(input: impl Read) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    input.take(MAX_FILE + 1).read_to_end(&mut file)?;
    Ok(file)
}

/// The operations of a file, and the receivers and groups that they name.
type Parsed = (Vec<Line>, (Vec<Named>, Vec<Named>));

fn parse(file: &Bytes, me: &str, ids: Ids) -> Result<Parsed, Flaw> {
    if let Some(flaw) = unreadable(file) {
        return Err(flaw);
    }
    let mut rules = Rules::new(me, ids);
    let mut lines = Vec::new();
    for record in Splitter::new(file.clone()) {
        let record = record?;
        lines.push(Line { line: record.line, op: rules.op(record)? });
    }
    Ok((lines, rules.names()))
}

fn list(members: &[&str]) -> String {
    let listed = members[..members.len().min(LISTED)].join(", ");
    match members.len().saturating_sub(LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
