//! `groupcast log`: shows and checks the logs of a sequencer. They are not changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::record::Entry;
use super::{Content, read};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::talk::{list, on_one_line, printable};
use crate::wire::control::run_as_text;

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast log info orders
  groupcast log dump orders --group main
  groupcast log verify orders

A log has the multicasts of a group with --method log in their order, and each with its place. `info` has a line for each \
group, or with --json an object. `dump` prints the messages of one group: the place, the message as SENDER/INCARNATION/NUMBER, \
and its text. `verify` says whether each file is as it was written, the places rise, and each sender's messages are there once \
and in their order; the exit code is 0 if so, and 65 otherwise. A log that a sequencer has open cannot be read.";

/// The action on the logs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Action {
    /// Print what each log has
    Info,
    /// Print the messages of a log
    Dump,
    /// Say whether the logs are whole, and have each message once
    Verify,
}

/// Arguments of `groupcast log`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// Action
    #[arg(value_enum)]
    action: Action,
    /// Folder of the logs: --log of the sequencer
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The group; for `dump` needed if there are several
    #[arg(long, value_name = "NAME", value_parser = cli::id)]
    group: Option<String>,
    /// Answer in JSON: one object a line
    #[arg(long)]
    json: bool,
}

/// Shows or checks logs.
///
/// # Errors
/// Those of [`read`]; [`Exit::NoInput`] if the folder has no log; [`Exit::Usage`] if `dump` has to choose a group.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let groups = match &args.group {
        Some(group) => vec![group.clone()],
        None => groups(&args.dir)?,
    };
    if args.action == Action::Dump {
        let [group] = &groups[..] else {
            let why = format!("{} has the logs of {}: one can be printed", args.dir.display(), list(&groups));
            return Err(Failure::new(Exit::Usage, why).help("choose with --group NAME").into());
        };
        return dump(args, group);
    }
    for group in &groups {
        let (_, content) = read(&args.dir.join(group), &mut |_| {})?;
        cli::print(&match args.json {
            true => object(args.action, group, &content).to_string(),
            false => line(args.action, group, &content),
        })?;
    }
    Ok(Exit::Ok)
}

/// Returns the groups that have a log in a folder, sorted.
///
/// # Errors
/// [`Exit::NoInput`] if there is none.
pub(crate) fn groups(dir: &Path) -> Result<Vec<String>, Failure> {
    let cannot = |error| Failure::new(Exit::NoInput, format!("cannot read {}: {error}", dir.display()));
    let mut groups = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().into_string().ok();
        groups.extend(name.filter(|_| entry.path().join(crate::journal::FILE).is_file()));
    }
    groups.sort();
    if groups.is_empty() {
        let why = format!("{} has no log of a group", dir.display());
        return Err(Failure::new(Exit::NoInput, why).help("it is the folder that a sequencer has as --log"));
    }
    Ok(groups)
}

fn dump(args: &Args, group: &str) -> anyhow::Result<Exit> {
    // A closed pipe ends the printing, and the rest is only checked.
    let mut printed = Ok(true);
    let mut each = |entry: Entry| {
        for text in words(&entry, args.json) {
            if let Ok(true) = printed {
                printed = cli::is_read(&text);
            }
        }
    };
    read(&args.dir.join(group), &mut each)?;
    printed.map(|_| Exit::Ok)
}

/// Returns the messages of an entry as lines.
fn words(entry: &Entry, in_json: bool) -> Vec<String> {
    let (id, incarnation) = &entry.sender;
    let messages = (entry.place..).zip(entry.batch.entries());
    messages
        .map(|(place, (number, author, text))| {
            let id = format!("{}/{incarnation}/{number}", printable(id));
            let author = author.map(|author| author.name);
            if in_json {
                let text = String::from_utf8_lossy(text);
                let mut object =
                    json!({ "v": 1, "place": place, "id": id, "time_us": entry.time_us, "text": text });
                author.iter().for_each(|author| object["author"] = json!(author));
                return object.to_string();
            }
            let by = author.map_or_else(String::new, |author| format!(" by {author}"));
            format!("{place}  {id}{by}  {}", on_one_line(text))
        })
        .collect()
}

fn line(action: Action, group: &str, content: &Content) -> String {
    let ok = if action == Action::Verify { "ok  " } else { "" };
    let group = printable(group);
    let run = run_as_text(content.run);
    let Some((first, last)) = content.times() else {
        return format!("{ok}{group}: log {run}, empty, last place {}", content.table.place);
    };
    let senders = content.table.senders.iter();
    let senders: Vec<String> =
        senders.map(|(id, sender)| format!("{} {}", printable(id), sender.messages)).collect();
    format!(
        "{ok}{group}: log {run}, places {} to {} in {} entries, {} to {}; messages of {}",
        content.begins_after() + 1,
        content.table.place,
        content.entries(),
        time(first),
        time(last),
        list(&senders)
    )
}

fn object(action: Action, group: &str, content: &Content) -> Value {
    let senders = content.table.senders.iter().map(|(id, sender)| {
        let newest =
            json!({ "incarnation": sender.incarnation, "last": sender.last, "messages": sender.messages });
        (id.clone(), newest)
    });
    let mut object = json!({
        "v": 1,
        "group": group,
        "log": run_as_text(content.run),
        "begins_after": content.begins_after(),
        "place": content.table.place,
        "entries": content.entries(),
        "first_us": content.times().map(|(first, _)| first),
        "last_us": content.times().map(|(_, last)| last),
        "senders": senders.collect::<serde_json::Map<_, _>>(),
    });
    if action == Action::Verify {
        object["verdict"] = json!("ok");
    }
    object
}

/// Returns a time of the calendar in words.
fn time(micros: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_micros(micros));
    time.map_or_else(|| micros.to_string(), |time| humantime::format_rfc3339_seconds(time).to_string())
}
