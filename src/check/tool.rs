//! `groupcast check`: the command line that judges the results of a run.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args as Arguments, ValueEnum};

use super::checker::{self, Checker};
use super::report::{self, Judgement};
use super::verdict::Verdict;
use super::{cluster, logged, parallel, property_names, read};
use crate::cli::{self, Voice};
use crate::exit::{Exit, Failure};
use crate::order;

/// Stands for all properties.
const ALL: &str = "all";

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast check results
  groupcast check results --commands testdata/banks
  groupcast check results --property total,agreement --format json
  groupcast check results --log orders

Judged are history_<id>.jsonl, test_result_<id>_<suffix>.txt and test_result_<id>_uno.txt, also with .part behind \
the name; each group apart. Of a cluster (`--order tentative`), each life of a member has a history_<id>.<life>.jsonl. \
Result files alone do not show everything: what they do not show is undecided.";

/// The format of the verdicts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people: one line per property.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// JUnit's XML, for continuous integration.
    Junit,
}

/// Arguments of `groupcast check`.
#[derive(Arguments, Clone, Debug)]
#[command(after_help = help())]
pub struct Args {
    /// The folder with the results
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The folder with the command files, of client c1 c1.txt: then it is known what should have happened
    #[arg(long, value_name = "DIR")]
    commands: Option<PathBuf>,
    /// The folder of the sequencer's logs: whether all that was delivered is there, at its place
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Properties to judge, separated by commas, or `all` [default: those that the order promises]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', hide_possible_values = true,
          value_parser = PossibleValuesParser::new(property_names().chain([ALL])))]
    property: Vec<String>,
    /// The order whose promises count; if not given, the one that the histories name
    #[arg(long, value_parser = PossibleValuesParser::new(order::all_names()))]
    order: Option<String>,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    voice: Voice,
}

fn help() -> String {
    let listed = |properties: Vec<(&str, &str)>| {
        let entries: Vec<String> = properties.iter().map(|(name, says)| entry(name, says)).collect();
        entries.join("\n")
    };
    let (of_clusters, of_groups): (Vec<_>, Vec<_>) =
        checker::properties().partition(|(name, _)| cluster::Property::find(name).is_some());
    let (groups, clusters) = (listed(of_groups), listed(of_clusters));
    let also = entry("also", &format!("{}, of confirmed messages", cluster::OF_DELIVERIES.join(", ")));
    format!(
        "{HELP}\n\nProperties:\n{groups}\n\nProperties of clusters:\n{clusters}\n{also}\n\n{}",
        crate::exit::HELP
    )
}

/// Formats a property for the help: its name, and its definition in a column of its own.
fn entry(name: &str, says: &str) -> String {
    const NAMES: usize = 18;
    let mut lines = vec![format!("  {name}")];
    for word in says.split(' ') {
        let last = lines.last_mut().expect("there is always a line");
        if last.chars().count() + 1 + word.chars().count() > cli::HELP_WIDTH {
            lines.push(format!("{:NAMES$}{word}", ""));
        } else {
            *last = format!("{last:<width$}{word}", width = NAMES.max(last.chars().count() + 1));
        }
    }
    lines.join("\n")
}

/// Judges the results and prints the verdicts.
///
/// # Errors
/// Exit 65 if a file is malformed, 66 if something cannot be read or there is nothing to judge, 74 if standard
/// output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let talk = args.voice.talk("groupcast");
    let (runs, warnings) = read::read(&args.dir, args.commands.as_deref())?;
    warnings.iter().for_each(|warning| talk.warn(warning));
    talk.detail(format!("{} has {} groups", args.dir.display(), runs.len()));
    let judged = runs.iter().map(|run| {
        let in_log = args.log.as_ref().map(|dir| logged::judge(run, dir)).transpose()?;
        Ok(judgement(run, &args.property, args.order.as_deref(), in_log))
    });
    let judgements: Vec<Judgement> = judged.collect::<Result<_, Failure>>()?;
    let text = match args.format {
        Format::Text => report::text(&judgements),
        Format::Json => report::json(&judgements),
        Format::Junit => report::junit(&judgements),
    };
    cli::print(text.trim_end())?;
    Ok(report::exit(judgements.iter().flat_map(Judgement::verdicts)))
}

/// Judges the properties that its order promises of the run in `dir`; `commands` is the folder of command files.
///
/// # Errors
/// As [`run`].
pub fn judge_folder(dir: &Path, commands: &Path) -> Result<Vec<Judgement>, Failure> {
    let (runs, _) = read::read(dir, Some(commands))?;
    Ok(runs.iter().map(|run| judgement(run, &[], None, None)).collect())
}

/// Judges all properties of the run in `dir` and reports them in every format.
pub(crate) fn reports(dir: &Path) -> Result<Vec<String>, Failure> {
    let (runs, _) = read::read(dir, None)?;
    let judgements: Vec<Judgement> =
        runs.iter().map(|run| judgement(run, &[ALL.to_owned()], None, None)).collect();
    Ok(vec![report::text(&judgements), report::json(&judgements), report::junit(&judgements)])
}

/// Judges the properties `asked` for; if none, those that the order promises. The verdict on its log comes last, if there is
/// one.
fn judgement(run: &read::Run, asked: &[String], order: Option<&str>, in_log: Option<Verdict>) -> Judgement {
    let checker = Checker::new(run, order);
    let is_named = |name: &str| asked.iter().any(|one| one == name);
    let names: Vec<&str> = if asked.is_empty() {
        checker.promised(order)
    } else if is_named(ALL) {
        checker.all().collect()
    } else {
        property_names().filter(|name| is_named(name)).collect()
    };
    let mut verdicts = parallel::each(&names, |name| (*name, checker.judge(name)));
    verdicts.extend(in_log.map(|verdict| (logged::IN_LOG, verdict)));
    Judgement::new(&checker, order, verdicts)
}
