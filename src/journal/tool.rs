//! `groupcast journal`: shows and checks the journal of a member of a cluster. The journal is not changed.

use std::path::PathBuf;

use bytes::Bytes;
use clap::ValueEnum;
use serde_json::json;

use super::audit::{Flaw, Summary, audit};
use super::{FILE, Identity, Recovered, damaged, read, words};
use crate::cli;
use crate::exit::Exit;
use crate::talk::printable;

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast journal show data/s1
  groupcast journal check data/s1

A journal has all that a member of a cluster remembers. `show` prints its records, each with its index, in words or, with \
--json, as objects; an entry is named by the slot of its sender and its number, a place in the order by time and slot. \
`check` says whether the file is as it was written and the records agree: chains of digests, times, causes. The exit code \
is 0 if they do, and 65 otherwise.";

/// The action on a journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Action {
    /// Print the records
    Show,
    /// Say whether the records are whole and agree
    Check,
}

/// Arguments of `groupcast journal`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// Action
    #[arg(value_enum)]
    action: Action,
    /// Folder of the journal: --data of the member
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Answer in JSON: one object a line
    #[arg(long)]
    json: bool,
}

/// Shows or checks a journal.
///
/// # Errors
/// Those of [`read`]; [`Exit::BadData`] also if the records do not agree.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (owner, recovered) = read(&args.dir)?;
    match args.action {
        Action::Show => show(args, &owner, &recovered)?,
        Action::Check => {
            let flaws = |flaws: Vec<Flaw>| damaged(&args.dir.join(FILE), told(&flaws));
            let summary = audit(&recovered.records).map_err(flaws)?;
            cli::print(&verdict(args, &owner, &recovered, summary))?;
        }
    }
    Ok(Exit::Ok)
}

fn show(args: &Args, owner: &Identity, recovered: &Recovered) -> anyhow::Result<()> {
    if !args.json && !cli::is_read(&title(owner, recovered))? {
        return Ok(());
    }
    let width = recovered.next.to_string().len();
    for (index, bytes) in &recovered.records {
        let line = match args.json {
            true => words::json(*index, bytes).to_string(),
            false => format!("{index:>width$}  {}", words::line(bytes)),
        };
        if !cli::is_read(&line)? {
            break;
        }
    }
    Ok(())
}

fn title(owner: &Identity, recovered: &Recovered) -> String {
    let records = recovered.records.len();
    let owner = printable(&owner.to_string());
    format!("{owner}: {records} records, {} bytes; next {}", size(recovered), recovered.next)
}

fn size(recovered: &Recovered) -> usize {
    recovered.records.iter().map(|(_, record)| record.len()).sum()
}

fn verdict(args: &Args, owner: &Identity, recovered: &Recovered, summary: Summary) -> String {
    let Summary { life, entries, confirmed } = summary;
    if args.json {
        return json!({
            "v": 1,
            "verdict": "ok",
            "cluster": format!("{:012x}", owner.cluster),
            "member": owner.member,
            "slot": owner.slot,
            "records": recovered.records.len(),
            "bytes": size(recovered),
            "next": recovered.next,
            "life": life,
            "entries": entries,
            "confirmed": confirmed.count,
        })
        .to_string();
    }
    let title = title(owner, recovered);
    format!("ok  {title}; life {life}, {entries} entries, {} messages confirmed", confirmed.count)
}

/// Returns all that the tool tells of these records.
pub(crate) fn told_of(records: &[(u64, Bytes)]) -> Vec<String> {
    let lines = records.iter().map(|(_, record)| words::line(record));
    let objects = records.iter().map(|(index, record)| words::json(*index, record).to_string());
    lines.chain(objects).chain(audit(records).err().map(|flaws| told(&flaws))).collect()
}

/// Returns the flaws in words: the first ones, and how many more there are.
fn told(flaws: &[Flaw]) -> String {
    const TOLD: usize = 3;
    let first = flaws.iter().take(TOLD).map(ToString::to_string);
    let first = first.collect::<Vec<_>>().join("; ");
    match flaws.len().checked_sub(TOLD) {
        None | Some(0) => first,
        Some(more) => format!("{first}; and {more} more"),
    }
}
