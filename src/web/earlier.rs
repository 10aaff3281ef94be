//! The operations that were confirmed before this server was added to the cluster.
//!
//! A server that is added gets the log from the place on up to which all others have forgotten it. The state of the chat
//! needs also what stands above: the lines of the result files of the others, which are the same everywhere. It takes
//! them from a server that has them, before it serves, and keeps them in a file beside its journal.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;

use crate::cluster::file::Cluster;
use crate::cluster::node::Node;
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::results::read_result;
use crate::talk::{Talk, list};

/// The name of the file.
const FILE: &str = "earlier.txt";
/// Most bytes of one answer. A line is much shorter.
const PAGE: u64 = 1 << 20;
/// Longest wait for a connection, and for an answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// The time between two rounds in which no server had more.
const PAUSE: Duration = Duration::from_millis(200);
/// The time without any progress after which a server gives up.
const LIMIT: Duration = Duration::from_secs(60);

/// The servers that a server which was added can ask.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    id: String,
    address: String,
}

impl Sources {
    /// Returns the other servers of a cluster that have a `web` address.
    ///
    /// # Errors
    /// Exit 78 if there are none.
    pub(super) fn of(cluster: &Cluster, me: MemberId, file: &Path) -> Result<Self, Failure> {
        let others = cluster.all().zip(0..).filter(|(_, slot)| MemberId(*slot) != me);
        let sources = others
            .filter_map(|(server, _)| Some(Source { id: server.id.clone(), address: server.web.clone()? }));
        let sources: Vec<Source> = sources.collect();
        if sources.is_empty() {
            let why =
                format!("cannot serve the chat: no other server in {} has a `web` address", file.display());
            return Err(Failure::new(Exit::Config, why).help(
                "a server that was added takes the posts from before it from another one: write the `web` address of \
                 one that runs into the cluster file",
            ));
        }
        Ok(Self(sources))
    }

    /// Takes the first `count` confirmed operations into the folder `data`, unless they are there. Returns their file.
    ///
    /// # Errors
    /// Exit 69 if no server gives them, interruption, exit 73 or 74 if they cannot be written.
    pub(super) fn take(
        &self,
        count: u64,
        data: &Path,
        node: &mut Node,
        talk: &Talk,
    ) -> Result<Option<PathBuf>, Failure> {
        let path = data.join(FILE);
        if count == 0 {
            return Ok(None);
        }
        if !path.is_file() {
            talk.say(format!("taking the first {count} operations from the others"));
            let part = data.join(format!("{FILE}.part"));
            let file = File::create(&part).map_err(|error| failed(Exit::CannotCreate, &part, &error))?;
            let mut taken = Taken { out: BufWriter::new(file), bytes: 0, lines: 0 };
            self.take_all(count, &mut taken, node, |error| failed(Exit::Io, &part, error))?;
            let finish = || {
                taken.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
                fs::rename(&part, &path)?;
                File::open(data)?.sync_all()
            };
            finish().map_err(|error| failed(Exit::Io, &part, &error))?;
        }
        Ok(Some(path))
    }

    /// Asks one server after the other, each for what follows on what there is: their lines are the same.
    fn take_all(
        &self,
        count: u64,
        taken: &mut Taken<impl Write>,
        node: &mut Node,
        failed: impl Fn(&io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let config = Agent::config_builder().http_status_as_error(false).proxy(None);
        let config = config.timeout_connect(Some(CONNECT_LIMIT)).timeout_global(Some(ANSWER_LIMIT)).build();
        let agent: Agent = config.into();
        let mut progress = node.now();
        while taken.lines < count {
            let (before, mut last) = (taken.lines, None);
            for source in &self.0 {
                node.pause(Duration::ZERO)?;
                match page(&agent, &source.address, taken.bytes) {
                    Ok(page) => taken.add(&page, count).map_err(|error| failed(&error))?,
                    Err(why) => last = Some(format!("{}: {why}", source.id)),
                }
                if taken.lines > before {
                    break;
                }
            }
            let now = node.now();
            if taken.lines > before {
                progress = now;
            } else if now.since(progress) < LIMIT {
                node.pause(PAUSE)?;
            } else {
                return Err(self.gave_too_few(count, taken.lines, last.as_deref()));
            }
        }
        Ok(())
    }

    fn gave_too_few(&self, count: u64, lines: u64, last: Option<&str>) -> Failure {
        let ids: Vec<&str> = self.0.iter().map(|source| source.id.as_str()).collect();
        let last = last.map(|last| format!(" ({last})")).unwrap_or_default();
        let why = format!(
            "cannot serve the chat: {} have given {lines} of the {count} operations from before this server was \
             added{last}",
            list(&ids)
        );
        Failure::new(Exit::Unavailable, why)
            .help("start one of the servers whose `web` address is in the cluster file, then this one again")
    }
}

/// The lines that have been taken.
struct Taken<W> {
    out: W,
    bytes: u64,
    lines: u64,
}

impl<W: Write> Taken<W> {
    /// Adds whole lines, but no more than `count` in all.
    fn add(&mut self, page: &[u8], count: u64) -> io::Result<()> {
        for line in page.split_inclusive(|&byte| byte == b'\n') {
            if self.lines == count || !line.ends_with(b"\n") {
                break;
            }
            self.out.write_all(line)?;
            self.bytes += line.len() as u64;
            self.lines += 1;
        }
        Ok(())
    }
}

/// Asks a server for the lines from a byte on. Returns none if it has no more.
fn page(agent: &Agent, address: &str, from: u64) -> Result<Vec<u8>, String> {
    let url = format!("http://{address}/api/operations?from={from}");
    let mut response = agent.get(&url).call().map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("it answers {status}"));
    }
    response.body_mut().with_config().limit(2 * PAGE).read_to_vec().map_err(|error| error.to_string())
}

/// The files with all confirmed operations of a server, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Files(pub(super) Vec<PathBuf>);

impl Files {
    /// Returns whole lines from a byte of all files on; none at the end.
    ///
    /// # Errors
    /// The failure of the system.
    pub(super) fn page(&self, from: u64) -> io::Result<Vec<u8>> {
        let mut skipped = from;
        for path in &self.0 {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            if skipped < length {
                file.seek(SeekFrom::Start(skipped))?;
                let mut page = Vec::new();
                file.take(PAGE).read_to_end(&mut page)?;
                let whole = page.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                page.truncate(whole);
                return Ok(page);
            }
            skipped -= length;
        }
        Ok(Vec::new())
    }
}

/// Hands each operation in a file, and the name of its server, to `see`.
///
/// # Errors
/// Exit 74 if it cannot be read.
pub(super) fn read(path: &Path, mut see: impl FnMut(&str, &[u8])) -> Result<(), Failure> {
    let cannot_read =
        |error: io::Error| Failure::new(Exit::Io, format!("cannot read {}: {error}", path.display()));
    for line in BufReader::new(File::open(path).map_err(cannot_read)?).split(b'\n') {
        let line = line.map_err(cannot_read)?;
        let (from, text) = read_result(&line);
        see(&from, &text);
    }
    Ok(())
}

fn failed(exit: Exit, path: &Path, error: &io::Error) -> Failure {
    Failure::new(exit, format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_pages_of_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let (earlier, later) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&earlier, "s1###one\ns2###two\n").unwrap();
        fs::write(&later, "s1###three\ns1###cut o").unwrap();
        let files = Files(vec![earlier, later]);
        let mut taken = Taken { out: Vec::new(), bytes: 0, lines: 0 };
        for count in [1, 2, 2, 3, 9, 9] {
            taken.add(&files.page(taken.bytes).unwrap(), count).unwrap();
        }
        assert_eq!((taken.lines, taken.out), (3, b"s1###one\ns2###two\ns1###three\n".to_vec()));
        assert!(files.page(1 << 40).unwrap().is_empty());
    }
}
