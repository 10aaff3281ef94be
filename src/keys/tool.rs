//! `groupcast keys`: makes, lists and removes the keys in a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use super::attempt;
use super::certificate::Certificate;
use super::cluster;
use super::files::{self, PUBLIC, SECRET, make_folder, name, read_public, read_secret, write_new};
use super::folder::{FORWARDER, Folder, Keys, NEXT, check_name, id_of};
use super::own::{self, OwnKeys};
use super::permit::{Permit, Role};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::nearest::hint;
use crate::talk;
use crate::transport::address::{Addresses, addresses};
use crate::transport::curve::{self, KeyPair, PublicKey};

/// The example and the notes of `--help`.
const HELP: &str = "\
Example:
  groupcast keys init keys && groupcast keys add keys c1 c2 && \\
    groupcast keys check keys && groupcast keys pack keys c1 > c1.keys

The folder has the forwarder's key pair, and in `members` the public key of each member: the name of the file is its id, \
and the file may name the groups that it may join and the roles that it may have. `members/+.key` is a key for any id that has none of its own. The \
files are those of CZMQ and pyzmq. A secret key, in a file that ends in .key_secret or is made by `pack`, is for its owner \
alone: a file that others can read is refused.

All members of a cluster (`--order tentative`, `chat-server`) have one key, which `cluster` makes, for example in \
cluster.key_secret.

To replace the forwarder's key, `rotate` makes the next one, which members take along with the present one; when all have \
it, `rotate --finish` puts it in the place of the old one. A running forwarder and router take every change of the folder in, \
within some seconds, or at once at SIGHUP.

`check --connect` tries each port of a running forwarder and router, and says why one does not let a member in: 77 if it does \
not, 69 if nobody is there.";

/// Arguments of `groupcast keys`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Make a folder with a key pair of the forwarder
    Init {
        /// The folder; made if it is not there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Make keys for members, and accept them
    Add {
        /// The folder of all keys
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The ids of the members; + for a key that is good for any id
        #[arg(value_name = "ID", required = true, value_parser = member)]
        ids: Vec<String>,
        /// Groups that they may join, with commas between [default: every group]
        #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = cli::id)]
        group: Vec<String>,
        /// Roles that they may have, with commas between: client, sequencer, standby, router, observer [default: client]
        #[arg(long, value_name = "ROLE", value_delimiter = ',', value_parser = Role::parse)]
        role: Vec<Role>,
        /// Accept the public key in this file, instead of making one
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
        /// Add a further key for a member that has one: either is then good for it
        #[arg(long)]
        another: bool,
    },
    /// Print all that one member needs, as one file: its secret key, and the forwarder's public one
    Pack {
        /// The folder of all keys
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the member
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Remove all keys of a member
    Revoke {
        /// The folder of all keys
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the member, or the name of one of its keys, like c1.2
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Make the next key pair of the forwarder
    Rotate {
        /// The folder of all keys
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Put it in the place of the old one
        #[arg(long)]
        finish: bool,
    },
    /// Make the key of a cluster, which all its members need
    Cluster {
        /// The file; never replaced
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say whether all files are as they must be, and list the keys; or whether a forwarder lets them in
    Check {
        /// The folder of all keys, or the file of one member or a cluster
        #[arg(value_name = "DIR|FILE")]
        keys: PathBuf,
        /// Try the ports of the forwarder and the router at this address instead: HOST or HOST:PORT
        #[arg(long, value_name = "ADDRESS", value_parser = addresses)]
        connect: Option<Addresses>,
        /// First of the four ports of an address without one
        #[arg(long, value_name = "PORT", requires = "connect", default_value_t = cli::DEFAULT_PORT_BASE, value_parser = cli::port_base())]
        port_base: u16,
        /// Try with the keys of this member, from a folder [default: with those of the forwarder]
        #[arg(long, value_name = "ID", requires = "connect", value_parser = member)]
        id: Option<String>,
    },
}

/// Parses the id of a member that gets a key.
fn member(id: &str) -> Result<String, String> {
    check_name(id).map(|()| id.to_owned())
}

/// Does what the command line says.
///
/// # Errors
/// [`Exit::Config`] if ZeroMQ has no CURVE and is to, or others can read a secret; [`Exit::NoInput`] or [`Exit::BadData`] if a file
/// cannot be read; [`Exit::CannotCreate`] if one cannot be written, or is there; and [`Exit::Io`].
pub(crate) fn run(args: &Args) -> Result<Exit> {
    match &args.command {
        Command::Cluster { file } => make_cluster(file)?,
        Command::Check { keys, connect: None, .. } if keys.is_file() && cluster::read(keys).is_ok() => {
            check_cluster(keys)?;
        }
        of_curve => return run_curve(of_curve),
    }
    Ok(Exit::Ok)
}

/// Does what concerns keys of CURVE.
fn run_curve(command: &Command) -> Result<Exit> {
    curve::must_be_available()?;
    match command {
        Command::Cluster { .. } => {}
        Command::Init { dir } => init(&Folder(dir.clone()))?,
        Command::Add { dir, ids, group, role, public, another } => {
            let new = New { permit: Permit::new(group, role), public: public.as_deref(), another: *another };
            new.add(&Folder(dir.clone()), ids)?;
        }
        Command::Pack { dir, id } => pack(dir, id)?,
        Command::Revoke { dir, id } => revoke(&Folder(dir.clone()), id)?,
        Command::Rotate { dir, finish: false } => rotate(&Folder(dir.clone()))?,
        Command::Rotate { dir, finish: true } => finish(&Folder(dir.clone()))?,
        Command::Check { keys, connect: Some(to), port_base, id } => {
            return attempt::run(keys, id.as_deref(), to, *port_base);
        }
        Command::Check { keys, .. } if keys.is_dir() => check(&Folder(keys.clone()))?,
        Command::Check { keys, .. } => check_own(keys)?,
    }
    Ok(Exit::Ok)
}

fn make_cluster(file: &Path) -> Result<()> {
    let key = cluster::make(file)?;
    cli::print(&format!("cluster: key {}", key.short()))?;
    let file = name(file);
    cli::print(&format!("next: copy {file} to all members in a safe way; each needs --keys {file}"))
}

/// Shows the key in the file of a cluster.
fn check_cluster(file: &Path) -> Result<()> {
    cli::print(&format!("cluster: key {}", cluster::read(file)?.short()))
}

fn init(folder: &Folder) -> Result<()> {
    make_folder(&folder.members())?;
    let public = make(folder, FORWARDER, &folder.public(FORWARDER), Permit::new(&[], &[Role::Router]))?;
    let dir = name(&folder.0);
    cli::print(&format!("forwarder: key {}", public.short()))?;
    cli::print(&format!("next: `groupcast keys add {dir} ID` for each member"))
}

/// Makes a folder with the keys of a forwarder and of these members.
///
/// # Errors
/// [`Exit::CannotCreate`]; [`Exit::Config`] if ZeroMQ has no CURVE.
pub(crate) fn make_all<'a>(
    dir: &Path,
    members: impl Iterator<Item = (&'a str, Role)>,
) -> Result<(), Failure> {
    let folder = Folder(dir.to_owned());
    make_folder(&folder.members())?;
    make(&folder, FORWARDER, &folder.public(FORWARDER), Permit::new(&[], &[Role::Router]))?;
    for (id, role) in members {
        make(&folder, id, &folder.member(id), Permit::new(&[], &[role]))?;
    }
    Ok(())
}

/// Makes a pair: its secret file, and its public one at `open`.
fn make(folder: &Folder, owner: &str, open: &Path, permit: Permit) -> Result<PublicKey, Failure> {
    let (pair, secret) = (KeyPair::new()?, folder.secret(owner));
    let certificate = Certificate::of_secret(&pair, permit.clone());
    let kept = format!("The secret key of {owner}, for {owner} alone.");
    write_new(&secret, &certificate.text(&[&kept]), SECRET)?;
    let certificate = Certificate::of_public(pair.public, permit);
    let written = write_new(open, &certificate.text(&[&format!("The public key of {owner}.")]), PUBLIC);
    // A secret key that belongs to nothing would be in the way.
    written.inspect_err(|_| drop(fs::remove_file(&secret)))?;
    Ok(pair.public)
}

/// Keys of members to be added.
struct New<'a> {
    permit: Permit,
    /// The file with the public key.
    public: Option<&'a Path>,
    /// Whether a member may have a key already.
    another: bool,
}

impl New<'_> {
    fn add(&self, folder: &Folder, ids: &[String]) -> Result<()> {
        folder.forwarder()?;
        if self.public.is_some() && ids.len() != 1 {
            return Err(Failure::new(Exit::Usage, "--public is the key of one member").into());
        }
        let (names, has) = (self.names(folder, ids)?, if self.public.is_some() { "" } else { "made " });
        for key in &names {
            let public = self.add_one(folder, key)?;
            cli::print(&format!("{key}: {has}key {}, {}", public.short(), self.permit))?;
            if self.public.is_none() {
                let (dir, secret) = (name(&folder.0), name(&folder.secret(key)));
                cli::print(&format!(
                    "  {secret} is for {key} alone; with the forwarder's: groupcast keys pack {dir} {key}"
                ))?;
            }
        }
        Ok(())
    }

    /// Returns the names of the new keys.
    fn names(&self, folder: &Folder, ids: &[String]) -> Result<Vec<String>, Failure> {
        let mut known = folder.names()?;
        let mut names = Vec::new();
        for id in ids {
            let of_id = known.iter().filter(|key| id_of(key) == id).count();
            if of_id > 0 && !self.another {
                let dir = name(&folder.0);
                return Err(Failure::new(Exit::CannotCreate, format!("{id} has a key already")).help(format!(
                    "`groupcast keys revoke {dir} {id}` removes it; --another adds one, so that either is good"
                )));
            }
            let further = (2..).map(|number| format!("{id}.{number}"));
            let free = [id.clone()].into_iter().chain(further).find(|key| !known.contains(key));
            let free = free.unwrap_or_default();
            known.push(free.clone());
            names.push(free);
        }
        Ok(names)
    }

    fn add_one(&self, folder: &Folder, key: &str) -> Result<PublicKey, Failure> {
        let Some(file) = self.public else {
            return make(folder, key, &folder.member(key), self.permit.clone());
        };
        let public = read_public(file)?.public;
        let keys = folder.read()?;
        if public == keys.forwarder || keys.members.contains_key(&public) {
            let owner = keys.members.get(&public).map_or(FORWARDER, |member| &*member.name);
            return Err(Failure::new(Exit::BadData, format!("{} has the key of {owner}", name(file)))
                .help("each has a key of its own"));
        }
        let certificate = Certificate::of_public(public, self.permit.clone());
        let text = certificate.text(&[&format!("The public key of {key}.")]);
        write_new(&folder.member(key), &text, PUBLIC).map(|()| public)
    }
}

fn pack(dir: &Path, id: &str) -> Result<()> {
    let certificate = own::from_folder(dir, id)?;
    let comments =
        [&*format!("All that {id} needs to take part: --keys and this file."), "For its owner alone."];
    let text = certificate.text(&comments);
    files::keep_output().with_context(|| {
        Failure::new(Exit::Io, "cannot take the rights of others on standard output away")
    })?;
    cli::print(text.trim_end())
}

fn revoke(folder: &Folder, id: &str) -> Result<()> {
    let names = folder.names()?;
    let of_id: Vec<&String> = names.iter().filter(|key| *key == id || id_of(key) == id).collect();
    if of_id.is_empty() {
        let known = if names.is_empty() { "no member has a key".to_owned() } else { talk::list(&names) };
        return Err(Failure::new(Exit::NoInput, format!("{id} has no key"))
            .help(hint(id, names.iter().map(String::as_str), &known))
            .into());
    }
    for key in &of_id {
        let open = folder.member(key);
        let cannot = |path: &Path| Failure::new(Exit::Io, format!("cannot remove {}", name(path)));
        fs::remove_file(&open).with_context(|| cannot(&open))?;
        let secret = folder.secret(key);
        match fs::remove_file(&secret) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| cannot(&secret));
            }
            _ => {}
        }
    }
    let s = if of_id.len() == 1 { "" } else { "s" };
    cli::print(&format!("removed the key{s} {}", talk::list(&of_id)))
}

fn rotate(folder: &Folder) -> Result<()> {
    folder.forwarder()?;
    let dir = name(&folder.0);
    if folder.next()?.is_some() {
        let why = format!("{dir} has the next key of the forwarder already");
        return Err(Failure::new(Exit::CannotCreate, why)
            .help(format!("when all members have it: groupcast keys rotate {dir} --finish"))
            .into());
    }
    let public = make(folder, NEXT, &folder.public(NEXT), Permit::new(&[], &[Role::Router]))?;
    cli::print(&format!("forwarder: next key {}", public.short()))?;
    let next = name(&folder.public(NEXT));
    cli::print(&format!(
        "next: give {next} or a new pack to all members, then groupcast keys rotate {dir} --finish"
    ))
}

/// Puts the next key of the forwarder in the place of the present one. If that was interrupted, it goes on.
fn finish(folder: &Folder) -> Result<()> {
    let dir = name(&folder.0);
    let Some(next) = folder.next()? else {
        return Err(Failure::new(Exit::NoInput, format!("{dir} has no next key of the forwarder"))
            .help(format!("`groupcast keys rotate {dir}` makes one"))
            .into());
    };
    let rename = |from: PathBuf, to: PathBuf| {
        let why = || Failure::new(Exit::Io, format!("cannot rename {} to {}", name(&from), name(&to)));
        fs::rename(&from, &to).with_context(why)
    };
    if folder.secret(NEXT).exists() {
        folder.pair(NEXT)?;
        rename(folder.secret(NEXT), folder.secret(FORWARDER))?;
    }
    if read_secret(&folder.secret(FORWARDER))?.public != next {
        let secret = name(&folder.secret(NEXT));
        return Err(Failure::new(Exit::NoInput, format!("cannot finish without {secret}")).into());
    }
    rename(folder.public(NEXT), folder.public(FORWARDER))?;
    cli::print(&format!("forwarder: key {}", next.short()))
}

/// Lists the keys of a folder.
fn check(folder: &Folder) -> Result<()> {
    let Keys { forwarder, next, members } = folder.read()?;
    let secret = |owner: &str, public: PublicKey| {
        let path = folder.secret(owner);
        let found = path.exists().then(|| read_secret(&path)).transpose()?;
        match found {
            Some(found) if found.public != public => Err(Failure::new(
                Exit::BadData,
                format!("{} belongs to another key than {owner}", name(&path)),
            )),
            Some(_) => Ok("; its secret is here"),
            None => Ok(""),
        }
    };
    let mut lines = vec![format!("{FORWARDER}  {}{}", forwarder.short(), secret(FORWARDER, forwarder)?)];
    if let Some(next) = next {
        lines.push(format!("{NEXT}  {}{}", next.short(), secret(NEXT, next)?));
    }
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by_cached_key(|(_, member)| (talk::natural(id_of(&member.name)), member.name.clone()));
    for (public, member) in members {
        let has_secret = secret(&member.name, public)?;
        lines.push(format!("{}  {}  {}{has_secret}", member.name, public.short(), member.permit));
    }
    cli::print(&lines.join("\n"))
}

/// Shows the keys in the file of one member.
fn check_own(file: &Path) -> Result<()> {
    let OwnKeys { pair, forwarders } = OwnKeys::read(file, "")?;
    let forwarders: Vec<String> = forwarders.iter().map(PublicKey::short).collect();
    cli::print(&format!("{}  with the forwarder's {}", pair.public.short(), talk::list(&forwarders)))
}
