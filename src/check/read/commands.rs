//! What the clients were asked to do: the command file of the client c1 is `c1.txt`.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::{Member, Run, cannot_read, file_name};
use crate::exit::{Exit, Failure};
use crate::place::shown;
use crate::script::{Line, Op, Script, check_id};

/// What one client was asked to do.
#[derive(Debug)]
pub(in crate::check) struct Commands {
    /// The file's name.
    pub(in crate::check) file: String,
    /// The texts that it should multicast, in order, with their lines.
    pub(in crate::check) multicasts: Vec<(u32, Bytes)>,
    /// What it should send: the line, the receiver, and the text.
    pub(in crate::check) sends: Vec<(u32, String, Bytes)>,
}

/// Gives every member what it was asked to do.
///
/// Result files alone do not say who took part. Then, if there is only one group, each further client that has a
/// command file took part, too.
pub(super) fn attach(dir: &Path, runs: &mut [Run]) -> Result<(), Failure> {
    let clients = clients(dir)?;
    let mut any = false;
    for run in runs.iter_mut() {
        run.has_commands = true;
        for member in &mut run.members {
            if clients.contains(&member.id) {
                member.commands = Some(Commands::read(dir, &member.id)?);
                any = true;
            }
        }
    }
    if !any {
        let dir = shown(dir.as_os_str().as_encoded_bytes());
        let message = format!("there are no commands of any of the members in {dir}");
        return Err(Failure::new(Exit::NoInput, message).help("the commands of c1 are in c1.txt"));
    }
    if let [run] = runs
        && !run.has_histories()
    {
        add_absent(dir, clients, run);
    }
    Ok(())
}

/// The clients that have a command file.
fn clients(dir: &Path) -> Result<Vec<String>, Failure> {
    let mut clients = Vec::new();
    for entry in fs::read_dir(dir).map_err(|reason| cannot_read(dir, &reason))? {
        let path = entry.map_err(|reason| cannot_read(dir, &reason))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(id) = name.strip_suffix(".txt").filter(|id| check_id(id).is_ok()) {
            clients.push(id.to_owned());
        }
    }
    clients.sort_unstable();
    Ok(clients)
}

fn add_absent(dir: &Path, clients: Vec<String>, run: &mut Run) {
    for id in clients {
        let is_known = run.members.iter().any(|member| member.id == id);
        // Whatever else lies in that folder need not be a command file.
        if !is_known && let Ok(commands) = Commands::read(dir, &id) {
            let open = Some(format!("{id} has no files here"));
            run.history.records.push(super::Record { name: id.clone(), open, ..Default::default() });
            run.members.push(Member { id, commands: Some(commands), ..Member::default() });
        }
    }
}

impl Commands {
    fn read(dir: &Path, id: &str) -> Result<Self, Failure> {
        let path = dir.join(format!("{id}.txt"));
        let script = Script::read(&path, id)?;
        let mut commands = Self { file: file_name(&path), multicasts: Vec::new(), sends: Vec::new() };
        for Line { line, op } in script.lines() {
            match op {
                Op::Multicast(text) => commands.multicasts.push((*line, text.clone())),
                Op::Send { to, text } => {
                    commands.sends.push((*line, script.receiver(*to).to_owned(), text.clone()));
                }
                Op::Sleep(_) | Op::Leave => {}
            }
        }
        Ok(commands)
    }
}
