//! `groupcast cluster`: the members of a cluster on this machine, and the requests of an operator to change them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use super::request::{self, Asked};
use super::status::{Other, Status, files};
use crate::cli;
use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::journal;
use crate::script::check_id;
use crate::transport::signals::{Signals, interruption};
use crate::transport::wakeup::wait;
use crate::units;

/// The example and the notes of `--help`.
const HELP: &str = "\
Example:
  groupcast cluster status runs/latest

A member writes its status once a second into the folder of its journal. `cluster add data/s1 s6 10.0.0.6:5600` and
`cluster remove data/s1 s4` ask the running member with the folder data/s1.";

/// The age after which a status is old: the member has ended, or is stopped.
const OLD: Duration = Duration::from_secs(5);
/// The time between two looks for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The silence after which a member counts as not reachable.
const UNREACHABLE: u64 = 10_000;

/// Arguments of `groupcast cluster`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show each member: life, what is confirmed, for whom it waits, whom it hears
    Status {
        /// The folder of one journal, of several, or of a run
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a member to a running cluster; then it can be started, with `added = true` in its cluster file
    Add {
        /// The folder of the journal of a running member on this machine (its --data)
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the new member
        id: String,
        /// The address of its datagrams
        #[arg(value_name = "IP:PORT")]
        udp: SocketAddr,
        /// The time to wait for the others' agreement
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::parse_duration)]
        timeout: Duration,
    },
    /// Remove a member, dead or alive, from a running cluster
    Remove {
        /// The folder of the journal of another, running member on this machine (its --data)
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the member that is to go
        id: String,
        /// The time to wait for the others' agreement
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::parse_duration)]
        timeout: Duration,
    },
}

/// Shows the members, or changes them.
///
/// # Errors
/// Exit 66 if there is no status, 69 if the member does not run, is busy or refuses, 74 if standard output cannot be
/// written, 75 if nothing is decided in time.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    match &args.command {
        Command::Status { dir, json } => show(dir, *json),
        Command::Add { dir, id, udp, timeout } => {
            check_id(id).map_err(|why| Failure::new(Exit::Usage, why))?;
            change(dir, &Asked::Add { id: id.clone(), udp: *udp }, *timeout)
        }
        Command::Remove { dir, id, timeout } => change(dir, &Asked::Remove { id: id.clone() }, *timeout),
    }
}

/// Asks the member of a folder for a change, and waits for the answer.
fn change(dir: &Path, asked: &Asked, limit: Duration) -> Result<Exit> {
    let cannot = |what: &str| Failure::new(Exit::Io, format!("cannot {what} in {}", dir.display()));
    let status = dir.join("status.json");
    let found = if status.is_file() { read(&status)? } else { return Err(no_member(dir).into()) };
    let Found { status, is_running: true, .. } = found else { return Err(no_member(dir).into()) };
    if request::asked(dir).with_context(|| cannot("read the request"))?.is_some_and(|other| other != *asked) {
        let why = format!("cannot change the cluster: {} is still busy with another change", status.id);
        return Err(Failure::new(Exit::Unavailable, why)
            .help("one at a time: run this again in a while")
            .into());
    }
    let signals = Signals::catch()?;
    request::ask(dir, asked).with_context(|| cannot("write a request"))?;
    let start = clock::calendar();
    while clock::calendar().saturating_sub(start) < limit {
        wait(signals.fds(), LOOK_EVERY);
        if let Some(exit) = signals.received() {
            request::take_back(dir).with_context(|| cannot("take the request back"))?;
            return Err(interruption(exit).into());
        }
        let answer = request::answered(dir).with_context(|| cannot("read the answer"))?;
        let Some(answer) = answer.filter(|answer| answer.asked == *asked) else { continue };
        if let Some(why) = answer.refused {
            return Err(Failure::new(Exit::Unavailable, format!("cannot change the cluster: {why}")).into());
        }
        let done = match asked {
            Asked::Add { id, udp } => format!("{id} at {udp} was added"),
            Asked::Remove { id } => format!("{id} was removed"),
        };
        cli::print(&format!("{done}: epoch {}", answer.epoch.unwrap_or_default()))?;
        return Ok(Exit::Ok);
    }
    request::take_back(dir).with_context(|| cannot("take the request back"))?;
    let why = format!("cannot change the cluster: no majority has agreed within {}", units::duration(limit));
    Err(Failure::new(Exit::TimedOut, why)
        .help(format!(
            "{} may still go on with it: `groupcast cluster status {}` shows its members",
            status.id,
            dir.display()
        ))
        .into())
}

fn no_member(dir: &Path) -> Failure {
    let why =
        format!("cannot ask for a change: no member of a cluster runs with the folder {}", dir.display());
    Failure::new(Exit::Unavailable, why)
        .help("name the folder that was given to the --data of a running member of this machine")
}

/// Shows the members.
fn show(dir: &Path, json: bool) -> Result<Exit> {
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
    if statuses.is_empty() && unreadable.is_none() {
        let why = format!("there is no status of a member in {}", dir.display());
        return Err(Failure::new(Exit::NoInput, why)
            .help("name a folder that was given to --data, or one above it")
            .into());
    }
    let text = if json {
        let members: Vec<_> = statuses
            .iter()
            .map(|Found { status, age, is_running }| {
                let mut value = json!(status);
                value["age_ms"] = json!(age.as_millis() as u64);
                value["running"] = json!(is_running);
                value
            })
            .collect();
        format!("{:#}", json!({"v": 1, "members": members}))
    } else {
        statuses.iter().map(describe).collect()
    };
    if !statuses.is_empty() {
        cli::print(text.trim_end())?;
    }
    // The others are shown all the same.
    unreadable.map_or(Ok(Exit::Ok), Err)
}

/// A status that was found.
struct Found {
    status: Status,
    age: Duration,
    /// True if the member has not ended, and its process is there, as far as this machine can tell.
    is_running: bool,
}

/// Reads a status.
fn read(path: &Path) -> Result<Found> {
    let cannot = || Failure::new(Exit::BadData, format!("cannot read {}", path.display()));
    let bytes = std::fs::read(path).with_context(cannot)?;
    let status: Status = serde_json::from_slice(&bytes).with_context(cannot)?;
    let written = std::fs::metadata(path).and_then(|file| file.modified()).with_context(cannot)?;
    let written = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = clock::calendar().saturating_sub(written);
    let process =
        path.parent().and_then(journal::last_holder).and_then(|process| i32::try_from(process).ok());
    let is_gone =
        process.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH));
    let is_running = status.end.is_none() && age < OLD && !is_gone;
    Ok(Found { status, age, is_running })
}

/// Describes a member in two lines or three.
fn describe(Found { status, age, is_running }: &Found) -> String {
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
        "  {confirmed} confirmed, {tentative} tentative, {journal_bytes} bytes in the journal"
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
    text
}

fn other(Other { id, heard_ms, lacks }: &Other) -> String {
    let heard = match heard_ms {
        None => "never heard".to_owned(),
        Some(ms) if *ms >= UNREACHABLE => format!("silent for {} s", ms / 1000),
        Some(_) => "heard".to_owned(),
    };
    let lacks = if *lacks > 0 { format!(", lacks {lacks} entries") } else { String::new() };
    format!("{id} ({heard}{lacks})")
}
