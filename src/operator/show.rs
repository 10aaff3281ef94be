//! `groupcast cluster status`: the members of a cluster on this machine, as each tells of itself, and the faults in force.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};

use super::folder::{Folder, Servers};
use super::{faults, folder};
use crate::cli;
use crate::cluster::faults::Faults;
use crate::cluster::request::{self, Asked};
use crate::cluster::status::{Other, Status, UNREACHABLE_AFTER, files};
use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::journal;
use crate::units;

/// The age after which a status is old: the member has ended, or is stopped.
const OLD: Duration = Duration::from_secs(5);

/// A status that was found.
pub(super) struct Found {
    pub(super) status: Status,
    age: Duration,
    /// True if the member has not ended, and its process is there, as far as this machine can tell.
    pub(super) is_running: bool,
    /// A change that an operator has asked it for, and that is not decided.
    asked: Option<Asked>,
}

/// The rest of the folder of a `cluster up`, beside its members.
struct Beside {
    faults: Result<Faults, String>,
    ids: Vec<String>,
    servers: Option<Servers>,
}

/// Shows the members.
pub(super) fn run(dir: &Path, json: bool) -> Result<Exit> {
    let unreadable = || Failure::new(Exit::NoInput, format!("cannot read {}", dir.display()));
    let paths = files(dir).with_context(unreadable)?;
    let mut statuses = Vec::new();
    let mut unreadable = None;
    for path in &paths {
        match read(path) {
            Ok(status) => statuses.push(status),
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
    }
    let beside = beside(dir);
    if statuses.is_empty() && unreadable.is_none() && beside.is_none() {
        let why = format!("there is no status of a member in {}", dir.display());
        return Err(Failure::new(Exit::NoInput, why)
            .help("name a folder that was given to --data, or one above it")
            .into());
    }
    let text = if json {
        format!("{:#}", in_json(&statuses, beside.as_ref()))
    } else {
        statuses.iter().map(describe).chain(beside.as_ref().map(describe_beside)).collect()
    };
    if !statuses.is_empty() || beside.is_some() {
        cli::print(text.trim_end())?;
    }
    // The others are shown all the same.
    unreadable.map_or(Ok(Exit::Ok), Err)
}

/// Returns the faults and the servers of a folder; none if it has neither faults nor servers of `up`.
fn beside(dir: &Path) -> Option<Beside> {
    // Another cluster file may have names, which take time to look up.
    let folder = if folder::is_of_up(dir) { Folder::open(dir).ok()? } else { return None };
    let faults = Faults::read(&folder.faults());
    Some(Beside { faults, ids: folder.cluster.ids(), servers: folder::servers(dir) })
}

fn in_json(statuses: &[Found], beside: Option<&Beside>) -> Value {
    let members: Vec<_> = statuses
        .iter()
        .map(|Found { status, age, is_running, asked }| {
            let mut value = json!(status);
            value["age_ms"] = json!(age.as_millis() as u64);
            value["running"] = json!(is_running);
            if let Some(asked) = asked {
                value["asked"] = json!(asked);
            }
            value
        })
        .collect();
    let mut value = json!({"v": 1, "members": members});
    if let Some(Beside { faults, servers, .. }) = beside {
        value["faults"] = match faults {
            Ok(faults) => json!(faults),
            Err(why) => json!({ "error": why }),
        };
        value["up"] = json!(servers);
    }
    value
}

/// Reads a status.
pub(super) fn read(path: &Path) -> Result<Found> {
    let cannot = || Failure::new(Exit::BadData, format!("cannot read {}", path.display()));
    let bytes = std::fs::read(path).with_context(cannot)?;
    let status: Status = serde_json::from_slice(&bytes).with_context(cannot)?;
    let written = std::fs::metadata(path).and_then(|file| file.modified()).with_context(cannot)?;
    let written = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = clock::calendar().saturating_sub(written);
    let dir = path.parent().unwrap_or(Path::new(""));
    let is_gone = !is_held(dir) && journal::last_holder(dir).is_some();
    let is_running = status.end.is_none() && age < OLD && !is_gone;
    // A member that is gone answers nobody.
    let asked = if is_running { request::asked(dir).ok().flatten() } else { None };
    Ok(Found { status, age, is_running, asked })
}

/// Returns whether the process that had the journal of a folder last is there.
pub(super) fn is_held(dir: &Path) -> bool {
    let process = journal::last_holder(dir).and_then(|process| i32::try_from(process).ok());
    process.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Describes a member in two lines or more.
fn describe(Found { status, age, is_running, asked }: &Found) -> String {
    let Status { id, cluster, life, confirmed, tentative, journal_bytes, epoch, members, .. } = status;
    let state = match &status.end {
        Some(reason) => format!("ended: {reason}"),
        None if *is_running => "running".to_owned(),
        None => {
            let age = units::duration(Duration::from_secs(age.as_secs()));
            format!("killed or stopped; its last status is {age} old")
        }
    };
    let mut text = format!("{id} of {cluster}, life {life}: {state}\n");
    let _ = writeln!(
        text,
        "  {} confirmed, {} tentative, {journal_bytes} bytes in the journal",
        counted(*confirmed, "message", "messages"),
        counted(*tentative, "entry", "entries"),
    );
    if !members.is_empty() {
        let _ = writeln!(text, "  epoch {epoch}: {}", members.join(", "));
    }
    if *is_running {
        let others: Vec<String> = status.others.iter().map(other).collect();
        let _ = writeln!(text, "  others: {}", others.join(", "));
        if !status.waits_for.is_empty() {
            let _ = writeln!(text, "  cannot confirm without {}", status.waits_for.join(", "));
        }
    }
    if status.other_keys > 0 {
        let dropped = counted(status.other_keys, "datagram", "datagrams");
        let _ = writeln!(text, "  dropped {dropped} with another key, or none");
    }
    if let Some(asked) = asked {
        let what = match asked {
            Asked::Add { id, udp } => format!("add {id} at {udp}"),
            Asked::Remove { id } => format!("remove {id}"),
        };
        let _ = writeln!(text, "  was asked to {what}, which is not decided");
    }
    text
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn other(Other { id, heard_ms, lacks }: &Other) -> String {
    let heard = match heard_ms {
        None => "never heard".to_owned(),
        Some(ms) if Duration::from_millis(*ms) >= UNREACHABLE_AFTER => format!("silent for {} s", ms / 1000),
        Some(_) => "heard".to_owned(),
    };
    let lacks =
        if *lacks > 0 { format!(", lacks {}", counted(*lacks, "entry", "entries")) } else { String::new() };
    format!("{id} ({heard}{lacks})")
}

/// Describes the faults, and the processes of a running `cluster up`.
fn describe_beside(Beside { faults, ids, servers }: &Beside) -> String {
    let mut text = match faults {
        Ok(faults) => format!("faults: {}\n", faults::words(faults, ids)),
        Err(why) => format!("faults: the file cannot be read: {why}\n"),
    };
    if let Some(Servers { pid, servers, .. }) = servers {
        let _ = writeln!(text, "servers of `groupcast cluster up` (pid {pid}):");
        for server in servers {
            let state = server.pid.map_or("does not run".to_owned(), |pid| format!("pid {pid}"));
            let _ = writeln!(text, "  {}  {}  {state}", server.url, server.id);
        }
    }
    text
}
