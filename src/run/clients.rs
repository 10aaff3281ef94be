//! The clients of a run and their command files, all checked before any process starts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::scenario::{Commands, Scenario};
use crate::exit::{Exit, Failure};
use crate::place::obstacle;
use crate::script::folder::Folder;
use crate::script::{Op, Script, check_client_id};
use crate::talk::{list, natural};

/// The default number of clients of a workload without command files.
const MEMBERS: usize = 4;
/// The group of a client without `--group`.
pub(super) const MAIN: &str = "main";
/// The names of the other processes of a run.
pub(super) const SERVERS: [&str; 5] = ["forwarder", "router", PROXY, "sequencer", STANDBY];
/// The proxy between members and servers, for faults of links.
pub(super) const PROXY: &str = "proxy";
/// Begins the name of the proxy of one client; no id has this character.
const OF: &str = "proxy@";

/// Returns the name of the proxy of one client.
pub(super) fn proxy_of(client: &str) -> String {
    format!("{OF}{client}")
}

/// Returns true if a process is the proxy of all, or of one client.
pub(super) fn is_proxy(name: &str) -> bool {
    name == PROXY || name.starts_with(OF)
}

/// The standby, if the scenario has one.
pub(super) const STANDBY: &str = "standby";

/// One client of a run.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) source: Source,
    /// The groups that it is in, if the scenario names them.
    pub(super) groups: Vec<String>,
    /// The number of its operations, and of the multicasts among them.
    pub(super) operations: u64,
    pub(super) multicasts: u64,
}

/// The source of a client's operations.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File(PathBuf),
    /// A generated workload of this many multicasts.
    Made(u64),
}

impl Client {
    /// Writes the client's command file to `path`.
    pub(super) fn write_commands(&self, path: &Path) -> io::Result<()> {
        match &self.source {
            Source::File(file) => fs::copy(file, path).map(drop),
            Source::Made(count) => fs::write(path, workload(&self.id, *count)),
        }
    }
}

fn workload(id: &str, count: u64) -> String {
    (1..=count).map(|number| format!("Multicast,{id},message {number}\n")).collect()
}

/// Returns the clients of a scenario. Sets `passed_over` to a warning if its folder has entries that are no command
/// files.
///
/// # Errors
/// [`Exit::Usage`] if the scenario has no operations, contradicts itself or names too many members, [`Exit::NoInput`]
/// and [`Exit::BadData`] for files.
pub(super) fn clients(scenario: &Scenario, passed_over: &mut Option<String>) -> Result<Vec<Client>, Failure> {
    let found = match (&scenario.commands, scenario.messages) {
        (Some(_), Some(_)) => {
            let message = "there are command files, so there is nothing to make: leave out --messages";
            return Err(Failure::new(Exit::Usage, message));
        }
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "there is nothing to run")
                .help("name a folder of command files or a scenario, or give --messages"));
        }
        (None, Some(count)) => {
            let made = |number| Client {
                id: format!("c{number}"),
                source: Source::Made(count),
                groups: scenario.groups.get(&format!("c{number}")).cloned().unwrap_or_default(),
                operations: count,
                multicasts: count,
            };
            let made: Vec<Client> = (1..=scenario.members.unwrap_or(MEMBERS)).map(made).collect();
            return check_groups(scenario, &made).map(|()| made);
        }
        (Some(Commands::Folder(folder)), None) => command_files(folder, passed_over)?,
        (Some(Commands::Files(files)), None) => files.clone(),
    };
    let wanted = scenario.members.unwrap_or(found.len());
    if wanted > found.len() {
        let message = format!("{wanted} members are asked for, and there are {} command files", found.len());
        return Err(Failure::new(Exit::Usage, message));
    }
    let clients = read(&found[..wanted], &scenario.groups)?;
    check_groups(scenario, &clients).map(|()| clients)
}

/// Checks that the groups of the scenario are of its clients.
fn check_groups(scenario: &Scenario, clients: &[Client]) -> Result<(), Failure> {
    let is_client = |name: &&String| clients.iter().any(|client| client.id == **name);
    match scenario.groups.keys().find(|name| !is_client(name)) {
        Some(name) => {
            let names: Vec<&str> = clients.iter().map(|client| client.id.as_str()).collect();
            let why = format!("the groups name {name}, and the clients are {}", list(&names));
            Err(Failure::new(Exit::BadData, why))
        }
        None => Ok(()),
    }
}

/// Returns the `*.txt` files of a folder, `c2` before `c10`.
fn command_files(dir: &Path, passed_over: &mut Option<String>) -> Result<Vec<PathBuf>, Failure> {
    let mut folder = Folder::read(dir).map_err(|reason| cannot_read(dir, &reason))?;
    *passed_over = folder.warning(dir);
    folder.files.sort_by_cached_key(|path| natural(path.to_string_lossy().trim_end_matches(".txt")));
    if folder.files.is_empty() {
        let message = format!("there are no command files (*.txt) in {}", dir.display());
        let failure = Failure::new(Exit::NoInput, message);
        return Err(match passed_over.take() {
            Some(warning) => failure.help(warning),
            None => failure,
        });
    }
    Ok(folder.files)
}

fn cannot_read(dir: &Path, reason: &io::Error) -> Failure {
    let name = dir.display();
    let message = format!("cannot read {name}: {}", obstacle(dir, reason));
    let failure = Failure::new(Exit::NoInput, message);
    if !dir.is_file() {
        return failure;
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let id = dir.file_stem().unwrap_or_default().display();
    failure.help(format!(
        "run takes a folder with a command file of each client, such as {}, or a scenario (*.toml); \
         one client alone is started by `client --id {id} --commands {name} --out results`",
        above.display()
    ))
}

fn read(files: &[PathBuf], groups: &BTreeMap<String, Vec<String>>) -> Result<Vec<Client>, Failure> {
    let ids = files.iter().map(|file| id(file)).collect::<Result<Vec<_>, _>>()?;
    for (place, id) in ids.iter().enumerate() {
        if ids[..place].contains(id) {
            return Err(Failure::new(Exit::Usage, format!("two command files are for a client {id}")));
        }
    }
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let groups = |id: &String| groups.get(id).cloned().unwrap_or_default();
    files.iter().zip(&ids).map(|(file, id)| client(file, id, groups(id), &names)).collect()
}

fn client(file: &Path, id: &str, groups: Vec<String>, members: &[&str]) -> Result<Client, Failure> {
    let script = Script::read(file, id)?;
    let all = if groups.is_empty() { vec![MAIN.to_owned()] } else { groups.clone() };
    if let Some(failure) = script.unknown_group(&all) {
        return Err(failure);
    }
    if let Some(failure) = script.unknown_receiver(members) {
        return Err(failure);
    }
    let multicasts = script
        .lines()
        .iter()
        .filter(|line| matches!(line.op, Op::Multicast(_) | Op::MulticastTo { .. }))
        .count() as u64;
    let operations = script.lines().len() as u64;
    Ok(Client { id: id.to_owned(), source: Source::File(file.to_owned()), groups, operations, multicasts })
}

/// Returns the client id that is the name of a command file.
fn id(file: &Path) -> Result<String, Failure> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let objection = if SERVERS.contains(&&*stem) {
        Err(format!("{} are names of the other processes", list(&SERVERS)))
    } else {
        check_client_id(&stem)
    };
    objection.map(|()| stem).map_err(|objection| {
        Failure::new(Exit::BadData, format!("no client can be named after {}: {objection}", file.display()))
            .help(
                "a command file has the name of its client, such as c1.txt: rename it, or move it elsewhere",
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn of(folder: &tempfile::TempDir, members: Option<usize>) -> Result<Vec<Client>, Failure> {
        let commands = Some(Commands::Folder(folder.path().to_owned()));
        clients(&Scenario { commands, members, ..Scenario::default() }, &mut None)
    }

    #[test]
    fn the_first_files_are_the_first_by_number() {
        let files = [("c10.txt", "sleep,1"), ("c2.txt", "Multicast,c2,x\nsleep,1"), ("notes.md", "")];
        let found = of(&folder(&files), None).unwrap();
        assert_eq!(found.iter().map(|client| &*client.id).collect::<Vec<_>>(), ["c2", "c10"]);
        assert_eq!((found[0].operations, found[0].multicasts), (2, 1));
        assert_eq!(of(&folder(&files), Some(1)).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_run_is_refused_before_anything_starts() {
        let refused = |files, members| of(&folder(files), members).unwrap_err();
        assert_eq!(refused(&[], None).exit, Exit::NoInput);
        assert_eq!(refused(&[("c1.txt", "")], Some(2)).exit, Exit::Usage);
        assert_eq!(refused(&[("router.txt", "")], None).exit, Exit::BadData);
        let unknown = refused(&[("c1.txt", "c1,c2,x"), ("c2.txt", "")], Some(1));
        assert!(unknown.message.contains("c1.txt:1:4: `c2` is not a member"), "{unknown}");
    }

    #[test]
    fn a_workload_can_be_made() {
        let scenario = Scenario { messages: Some(3), members: Some(2), ..Scenario::default() };
        let made = clients(&scenario, &mut None).unwrap();
        assert_eq!((made.len(), &*made[1].id), (2, "c2"));
        assert_eq!(workload("c2", 2), "Multicast,c2,message 1\nMulticast,c2,message 2\n");
    }
}
