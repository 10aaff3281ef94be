//! The folder of a cluster on this machine: its cluster file, its faults, and the `cluster up` that runs in it.
//!
//! ```text
//! cluster.toml    the servers, with their addresses on 127.0.0.1
//! cluster.key_secret    the key of the cluster, after `up --keys`
//! data/s1 …       the journal of each server
//! results/        result files and histories of all
//! log/s1.txt …    what each server says
//! faults.json     the faults in force
//! up.lock         locked while a `cluster up` runs, and names its process
//! up.json         the processes of its servers
//! errands/        what other commands ask it for
//! ```

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ports::{self, Claims};
use crate::cluster::file::{Cluster, Server};
use crate::exit::{Exit, Failure};
use crate::keys;
use crate::place::obstacle;
use crate::transport::wakeup::wait;

/// The time that a server has to answer, if nothing else is said.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The name of each cluster that `up` makes. Its number depends on its ports, too.
const NAME: &str = "chat";
/// The number of servers of a new cluster.
const SERVERS: u16 = 5;
/// Names that a folder may have before `up` has written its cluster file.
const OWN: [&str; 6] = ["data", "results", "log", ERRANDS, LOCK, STATE];
const FILE: &str = "cluster.toml";
const KEY: &str = "cluster.key_secret";
const FAULTS: &str = "faults.json";
const LOCK: &str = "up.lock";
const STATE: &str = "up.json";
const ERRANDS: &str = "errands";

/// The folder of a cluster.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) cluster: Cluster,
}

impl Folder {
    /// Opens the folder of a cluster.
    ///
    /// # Errors
    /// Those of [`Cluster::read`].
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let cluster = Cluster::read(&dir.join(FILE), None);
        let cluster = cluster.map_err(|failure| match failure.exit {
            Exit::NoInput => failure.help("name a folder in which `groupcast cluster up` has made a cluster"),
            _ => failure,
        })?;
        Ok(Self { dir: dir.to_owned(), cluster })
    }

    /// Returns the file of faults.
    pub(super) fn faults(&self) -> PathBuf {
        self.dir.join(FAULTS)
    }

    /// Returns the cluster file.
    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Returns the file of the cluster's key: the one that is wanted, or the folder's own, which is made if that is wanted.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`] if it cannot be made; as [`keys::cluster::read`] if it is none.
    pub(super) fn key(&self, wanted: Option<Option<&Path>>) -> Result<Option<PathBuf>, Failure> {
        let own = self.dir.join(KEY);
        let file = match wanted {
            Some(Some(file)) => file.to_owned(),
            Some(None) if !own.exists() => return keys::cluster::make(&own).map(|_| Some(own)),
            None if !own.exists() => return Ok(None),
            Some(None) | None => own,
        };
        keys::cluster::read(&file).map(|_| Some(file))
    }

    /// Returns the folder of a server's journal.
    pub(super) fn data(&self, id: &str) -> PathBuf {
        self.dir.join("data").join(id)
    }

    /// Returns the folder of the results of all servers.
    pub(super) fn results(&self) -> PathBuf {
        self.dir.join("results")
    }

    /// Returns the file with what a server has said.
    pub(super) fn log(&self, id: &str) -> PathBuf {
        self.dir.join("log").join(format!("{id}.txt"))
    }

    /// Refuses an id that is none of a server.
    ///
    /// # Errors
    /// [`Exit::Usage`].
    pub(super) fn check(&self, id: &str) -> Result<(), Failure> {
        if self.cluster.slot(id).is_some() {
            return Ok(());
        }
        let why = format!("{id} is no server of the cluster in {}", self.dir.display());
        let ids = self.cluster.ids().join(", ");
        Err(Failure::new(Exit::Usage, why).help(format!("its servers are {ids}")))
    }

    /// Makes the folder of a cluster, or finds the one of an earlier run. Its ports are free.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`] if it has other things in it; [`Exit::Usage`] if it has other servers than the two options
    /// say; [`Exit::Unavailable`] if `up` runs in it already, or a port is taken; and those of [`Self::open`].
    pub(super) fn make(
        dir: &Path,
        servers: Option<u16>,
        port_base: Option<u16>,
    ) -> Result<(Self, UpLock, Claims), Failure> {
        let cannot = |error: &io::Error| {
            let reason = obstacle(dir, error);
            Failure::new(Exit::CannotCreate, format!("cannot make a cluster in {}: {reason}", dir.display()))
        };
        fs::create_dir_all(dir).map_err(|error| cannot(&error))?;
        let is_new = !dir.join(FILE).is_file();
        if is_new {
            refuse_others(dir, &cannot)?;
        }
        let lock = UpLock::take(dir)?;
        let mut claims = Claims::default();
        if is_new {
            let count = servers.unwrap_or(SERVERS);
            let (found, ports) = ports::choose(usize::from(count), port_base)?;
            claims = found;
            write_whole(&dir.join(FILE), text(&ports).as_bytes()).map_err(|error| cannot(&error))?;
        }
        let folder = Self::open(dir)?;
        folder.check_wanted(servers, port_base)?;
        for server in folder.cluster.all() {
            fs::create_dir_all(folder.data(&server.id)).map_err(|error| cannot(&error))?;
            ports::check(web(server, &folder.file())?, server.udp)?;
        }
        for path in [folder.results(), dir.join("log")] {
            fs::create_dir_all(path).map_err(|error| cannot(&error))?;
        }
        Ok((folder, lock, claims))
    }

    /// Refuses options that the folder of an earlier run contradicts.
    fn check_wanted(&self, servers: Option<u16>, port_base: Option<u16>) -> Result<(), Failure> {
        let dir = self.dir.display();
        let count = self.cluster.servers.len();
        let help = "leave the option out to go on with it, or name another folder";
        if servers.is_some_and(|wanted| usize::from(wanted) != count) {
            let why = format!("the cluster in {dir} has {count} servers");
            return Err(Failure::new(Exit::Usage, why).help(help));
        }
        let first = self.cluster.servers.first().map(|server| web(server, &self.file())).transpose()?;
        if let (Some(wanted), Some(first)) = (port_base, first)
            && first.port() != wanted
        {
            let why = format!("the cluster in {dir} has its ports from {} on", first.port());
            return Err(Failure::new(Exit::Usage, why).help(help));
        }
        Ok(())
    }
}

/// Returns the address of a server's web pages.
///
/// # Errors
/// [`Exit::Config`] if the cluster file `file` names none on this machine.
pub(super) fn web(server: &Server, file: &Path) -> Result<SocketAddr, Failure> {
    let web = server.web.as_ref().and_then(|web| web.parse().ok());
    web.filter(|web: &SocketAddr| web.ip().is_loopback()).ok_or_else(|| {
        let why = format!(
            "cannot start {}: {} names no web address on this machine for it",
            server.id,
            file.display()
        );
        Failure::new(Exit::Config, why).help("`up` needs web = \"127.0.0.1:PORT\" for each server")
    })
}

/// Refuses a folder that is not empty, unless `up` left it before it had made the cluster.
fn refuse_others(dir: &Path, cannot: &dyn Fn(&io::Error) -> Failure) -> Result<(), Failure> {
    for entry in fs::read_dir(dir).map_err(|error| cannot(&error))? {
        let name = entry.map_err(|error| cannot(&error))?.file_name();
        if !OWN.iter().any(|own| name == *own) {
            let why = format!("it has other things in it, such as {}", name.to_string_lossy());
            return Err(cannot(&io::Error::other(why)).help("name a new folder, or an empty one"));
        }
    }
    Ok(())
}

/// Returns the cluster file of servers with these ports: of the web pages, and of the datagrams.
fn text(ports: &[(u16, u16)]) -> String {
    let mut text = format!("name = \"{NAME}\"\n");
    for (number, (web, udp)) in (1..).zip(ports) {
        let _ = write!(
            text,
            "\n[[server]]\nid = \"s{number}\"\nudp = \"127.0.0.1:{udp}\"\nweb = \"127.0.0.1:{web}\"\n"
        );
    }
    text
}

/// Writes a file so that a reader finds the old one or the new one, never a part.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    // Two processes may write at once.
    part.push(format!(".{}.part", std::process::id()));
    fs::write(&part, content)?;
    fs::rename(part, path)
}

/// The lock of a folder in which `up` runs.
#[derive(Debug)]
pub(super) struct UpLock {
    dir: PathBuf,
    file: File,
}

impl UpLock {
    /// Locks a folder, in which no errands of earlier times are left.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if another process has it, [`Exit::CannotCreate`] if the lock cannot be made.
    fn take(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(LOCK);
        let cannot = |path: &Path, error: &io::Error| {
            Failure::new(Exit::CannotCreate, format!("cannot create {}: {error}", path.display()))
        };
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|error| cannot(&path, &error))?;
        // Somebody who looks whether it is locked locks it for a moment.
        let mut is_taken = true;
        for _ in 0..5 {
            is_taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            if !is_taken {
                break;
            }
            wait([], Duration::from_millis(20));
        }
        if is_taken {
            let holder = holder(&path).map_or("another process".to_owned(), |pid| format!("process {pid}"));
            let why = format!("cannot start the cluster in {}: {holder} runs it already", dir.display());
            return Err(Failure::new(Exit::Unavailable, why)
                .help("end that with Ctrl-C, or name another folder for another cluster"));
        }
        // Nobody asks for an errand before this process is named.
        let errands = errands(dir);
        remake(&errands).map_err(|error| cannot(&errands, &error))?;
        let named = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        named.map_err(|error| cannot(&path, &error))?;
        Ok(Self { dir: dir.to_owned(), file })
    }
}

impl Drop for UpLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.dir.join(STATE));
        // Closing the file is not enough: a child that has just been forked holds it until it executes its program.
        let _ = self.file.unlock();
    }
}

/// Makes a folder, or empties it.
fn remake(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir(dir),
    }
}

/// Returns the folder of errands.
pub(super) fn errands(dir: &Path) -> PathBuf {
    dir.join(ERRANDS)
}

/// Returns the process that a lock names.
fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Returns whether `up` has run in a folder, or faults were made in it.
pub(super) fn is_of_up(dir: &Path) -> bool {
    dir.join(LOCK).is_file() || dir.join(FAULTS).is_file()
}

/// Returns the process of the `up` that runs in a folder; none if there is none.
pub(super) fn is_up(dir: &Path) -> Option<u32> {
    let path = dir.join(LOCK);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => holder(&path),
        Ok(()) => {
            let _ = file.unlock();
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// The servers of a running `up`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Servers {
    v: u64,
    /// The process of `up`.
    pub(super) pid: u32,
    /// The time that `up` gives a server to answer, in milliseconds.
    #[serde(default)]
    pub(super) start_timeout_ms: u64,
    pub(super) servers: Vec<Process>,
}

/// A server of a running `up`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Process {
    pub(super) id: String,
    /// The address of its pages.
    pub(super) url: String,
    /// Its process; none if it does not run.
    pub(super) pid: Option<u32>,
}

impl Servers {
    pub(super) fn new(start_timeout: Duration, servers: Vec<Process>) -> Self {
        let start_timeout_ms = u64::try_from(start_timeout.as_millis()).unwrap_or(u64::MAX);
        Self { v: 1, pid: std::process::id(), start_timeout_ms, servers }
    }

    /// Writes them into a folder.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let path = dir.join(STATE);
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        text.and_then(|text| write_whole(&path, &text))
            .map_err(|error| Failure::new(Exit::Io, format!("cannot write {}: {error}", path.display())))
    }
}

/// Returns the servers of the `up` that runs in a folder.
pub(super) fn servers(dir: &Path) -> Option<Servers> {
    let pid = is_up(dir)?;
    let servers: Servers = serde_json::from_slice(&fs::read(dir.join(STATE)).ok()?).ok()?;
    (servers.pid == pid).then_some(servers)
}
