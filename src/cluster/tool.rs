//! `groupcast cluster`: the members of a cluster on this machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;

use super::status::{Other, Status, files};
use crate::cli;
use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::units;

/// The example and the notes of `--help`.
const HELP: &str = "\
Example:
  groupcast cluster status runs/latest

A member writes its status once a second into the folder of its journal.";

/// The age after which a status is old: the member has ended, or is stopped.
const OLD: Duration = Duration::from_secs(5);
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
}

/// Shows the members.
///
/// # Errors
/// Exit 66 if there is no status, 74 if standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let Command::Status { dir, json } = &args.command;
    let unreadable = || Failure::new(Exit::NoInput, format!("cannot read {}", dir.display()));
    let paths = files(dir).with_context(unreadable)?;
    let mut statuses = Vec::new();
    for path in &paths {
        statuses.push(read(path)?);
    }
    if statuses.is_empty() {
        let why = format!("there is no status of a member in {}", dir.display());
        return Err(Failure::new(Exit::NoInput, why)
            .help("name a folder that was given to --data, or one above it")
            .into());
    }
    let text = if *json {
        let members: Vec<_> = statuses
            .iter()
            .map(|(status, age)| {
                let mut value = json!(status);
                value["age_ms"] = json!(age.as_millis() as u64);
                value
            })
            .collect();
        format!("{:#}", json!({"v": 1, "members": members}))
    } else {
        statuses.iter().map(|(status, age)| describe(status, *age)).collect()
    };
    cli::print(text.trim_end())?;
    Ok(Exit::Ok)
}

/// Reads a status; returns also its age.
fn read(path: &Path) -> Result<(Status, Duration)> {
    let cannot = || Failure::new(Exit::BadData, format!("cannot read {}", path.display()));
    let status = serde_json::from_slice(&std::fs::read(path).with_context(cannot)?).with_context(cannot)?;
    let written = std::fs::metadata(path).and_then(|file| file.modified()).with_context(cannot)?;
    let written = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok((status, clock::calendar().saturating_sub(written)))
}

/// Describes a member in two lines or three.
fn describe(status: &Status, age: Duration) -> String {
    let Status { id, cluster, life, confirmed, tentative, journal_bytes, .. } = status;
    let state = match &status.end {
        Some(reason) => format!("ended: {reason}"),
        None if age >= OLD => {
            format!("no sign for {}", units::duration(Duration::from_secs(age.as_secs())))
        }
        None => "running".to_owned(),
    };
    let mut text = format!("{id} of {cluster}, life {life}: {state}\n");
    let _ = writeln!(
        text,
        "  {confirmed} confirmed, {tentative} tentative, {journal_bytes} bytes in the journal"
    );
    if status.end.is_none() {
        let others: Vec<String> = status.others.iter().map(other).collect();
        let _ = writeln!(text, "  hears {}", others.join(", "));
        if !status.waits_for.is_empty() {
            let _ = writeln!(text, "  cannot confirm without {}", status.waits_for.join(", "));
        }
    }
    text
}

fn other(Other { id, heard_ms, lacks }: &Other) -> String {
    let heard = match heard_ms {
        None => " (never)".to_owned(),
        Some(ms) if *ms >= UNREACHABLE => format!(" (not for {} s)", ms / 1000),
        Some(_) => String::new(),
    };
    let lacks = if *lacks > 0 { format!(" (lacks {lacks})") } else { String::new() };
    format!("{id}{heard}{lacks}")
}
