//! The operations that the clients were given: the command file of the client c1 is `c1.txt`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Member, Run, cannot_read, file_name};
use crate::exit::{Exit, Failure};
use crate::place::shown;
use crate::script::folder::Folder;
use crate::script::{Line, Op, Script};

/// The command file of one client.
#[derive(Debug)]
pub(in crate::check) struct Commands {
    /// The file's name.
    pub(in crate::check) file: String,
    /// The texts to multicast, in order, with their lines.
    pub(in crate::check) multicasts: Vec<(u32, Bytes)>,
    /// The messages to send: the line, the receiver and the text.
    pub(in crate::check) sends: Vec<(u32, String, Bytes)>,
}

/// Gives each member its command file. Returns warnings that name the files passed over.
///
/// Result files do not list the members. If they are all there is, and of one group, each further client with a command
/// file counts as a member.
pub(super) fn attach(dir: &Path, runs: &mut [Run]) -> Result<Vec<String>, Failure> {
    let folder = Folder::read(dir).map_err(|reason| cannot_read(dir, &reason))?;
    let clients = clients(&folder);
    let mut warnings: Vec<String> = folder.warning(dir).into_iter().collect();
    let mut any = false;
    for run in runs.iter_mut() {
        run.has_commands = true;
        for member in &mut run.members {
            if clients.contains(&member.id) {
                let groups = member.groups().to_vec();
                member.commands = Some(Commands::read(dir, &member.id, run.group.as_deref(), &groups)?);
                any = true;
            }
        }
    }
    if !any {
        let dir = shown(dir.as_os_str().as_encoded_bytes());
        let message = format!("there are no commands of any of the members in {dir}");
        let members: BTreeSet<&str> =
            runs.iter().flat_map(|run| &run.members).map(|member| &*member.id).collect();
        let members: Vec<&str> = members.into_iter().collect();
        let help = format!("the commands of c1 are in c1.txt; the members are {}", members.join(", "));
        return Err(Failure::new(Exit::NoInput, message).help(help));
    }
    if let [run] = runs
        && !run.has_histories()
    {
        warnings.extend(add_absent(dir, clients, run));
    }
    Ok(warnings)
}

/// Returns the ids of the clients that have a command file, sorted.
fn clients(folder: &Folder) -> Vec<String> {
    let id = |path: &PathBuf| path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
    let mut clients: Vec<String> = folder.files.iter().filter_map(id).collect();
    clients.sort_unstable();
    clients
}

/// Adds clients that have a command file and no results; returns a warning for each file that is no command file.
fn add_absent(dir: &Path, clients: Vec<String>, run: &mut Run) -> Vec<String> {
    let mut warnings = Vec::new();
    for id in clients {
        if run.members.iter().any(|member| member.id == id) {
            continue;
        }
        match Commands::read(dir, &id, None, &[]) {
            Ok(commands) => {
                let open = Some(format!("{id} has no files here"));
                run.history.records.push(super::Record { name: id.clone(), open, ..Default::default() });
                run.members.push(Member { id, commands: Some(commands), ..Member::default() });
            }
            // Other files in the folder need not be command files.
            Err(failure) => warnings.push(format!("passed over: {}", failure.message)),
        }
    }
    warnings
}

impl Commands {
    /// Reads the operations of a client in this group; of one in several `groups`, those that concern this one.
    fn read(dir: &Path, id: &str, group: Option<&str>, groups: &[String]) -> Result<Self, Failure> {
        let is_first = groups.first().is_none_or(|first| Some(&**first) == group);
        let path = dir.join(format!("{id}.txt"));
        let script = Script::read_foreign(&path, id)?;
        let mut commands = Self { file: file_name(&path), multicasts: Vec::new(), sends: Vec::new() };
        for Line { line, op } in script.lines() {
            match op {
                Op::MulticastTo { group: named, text } if !groups.is_empty() => {
                    if Some(script.group(*named)) == group {
                        commands.multicasts.push((*line, text.clone()));
                    }
                }
                Op::Multicast(_) | Op::Send { .. } if !is_first => {}
                Op::Multicast(text) | Op::MulticastTo { text, .. } => {
                    commands.multicasts.push((*line, text.clone()));
                }
                Op::Send { to, text } => {
                    commands.sends.push((*line, script.receiver(*to).to_owned(), text.clone()));
                }
                Op::Sleep(_) | Op::Leave => {}
            }
        }
        Ok(commands)
    }
}
