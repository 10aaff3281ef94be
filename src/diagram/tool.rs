//! `groupcast diagram`: the command line.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Args as Arguments, ValueEnum};

use super::passages::Passages;
use super::sequence::{Place, sequence};
use super::svg::{Picture, svg};
use super::{html, shiviz, text};
use crate::check::{self, Message, Timeline};
use crate::cli::{self, Voice};
use crate::exit::{Exit, Failure};
use crate::nearest::nearest;
use crate::place::shown;
use crate::units;

/// The examples and notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast diagram results
  groupcast diagram results -o run.html
  groupcast diagram results -o run.svg --around c1/1/7

The files history_<id>.jsonl are drawn. Clients that are told --trace also write when messages arrived and what held \
them back. FILE ends with .html (zoom, search, everything about what is pointed at), .svg, .txt (for a terminal) or \
.shiviz (a log for ShiViz); without FILE the text goes to standard output. A large run is drawn in parts: --around a \
message, or --from and --to. Of a cluster, each life of a member has a history_<id>.<life>.jsonl; the picture shows \
what was shown where, and what was final when.";

/// The number of events shown before and after the chosen ones.
const AROUND: usize = 60;

/// The most events in one picture. A page with that many has 24 MB, about the most that browsers open.
const MOST_EVENTS: usize = 50_000;

/// The formats of a picture, named like the file suffixes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Page with zoom, search and details
    Html,
    /// Picture
    Svg,
    /// Text for a terminal
    Txt,
    /// Log for ShiViz
    Shiviz,
}

/// The arguments of `groupcast diagram`.
#[derive(Arguments, Clone, Debug)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub struct Args {
    /// Folder with the histories
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// File to write; its suffix selects the format: .html, .svg, .txt or .shiviz; - for standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format, if the file name has no such suffix
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Leave out events before this time since the start: 250ms, 1.5s
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    from: Option<Duration>,
    /// Leave out events after this time
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    to: Option<Duration>,
    /// Show the events around this message, or around the first violation
    #[arg(long, value_name = "ID|violation", conflicts_with_all = ["from", "to"])]
    around: Option<String>,
    /// Show the violation of this property. Default: the first violation of what the order promises
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(check::property_names()))]
    property: Option<String>,
    /// Group to draw, if the folder has histories of several
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    voice: Voice,
}

/// Draws a run.
///
/// # Errors
/// Exit 64 if the arguments are ambiguous, 65 if a history is malformed, 66 if there is none, 73 if the file cannot
/// be created, 74 if the file or standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let format = args.form()?;
    if check::has_more_events(&args.dir, MOST_EVENTS)? {
        args.prepare_for_many(format)?;
    }
    let timeline = Timeline::read(&args.dir, args.group.as_deref(), args.property.as_deref())?;
    let passages = Passages::of(&timeline);
    let all = sequence(&timeline, &passages);
    let part = args.part(&timeline, &all)?;
    let is_whole = part.len() == all.len();
    if format != Format::Shiviz && part.len() > MOST_EVENTS {
        anyhow::bail!(too_many(&format!("this part of the run has {} events", part.len())));
    }
    let picture = || Picture::new(&timeline, &passages, &part, is_whole);
    let drawn = match format {
        Format::Html => html::html(&picture()),
        Format::Svg => svg(&picture()),
        Format::Txt => text::text(&picture(), columns()),
        Format::Shiviz => shiviz::shiviz(&timeline, &passages, &part),
    };
    match &args.out {
        Some(path) if path.as_os_str() != "-" => {
            save(path, &drawn)?;
        }
        _ => cli::print(drawn.trim_end())?,
    }
    Ok(Exit::Ok)
}

fn too_many(found: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{found}, and one picture shows at most {MOST_EVENTS}")).help(
        "choose a part: `--around c1/1/7` is what happened around a message, `--around violation` around the first \
         violation, `--from 1s --to 1.2s` a time; `groupcast check` judges all of it",
    )
}

/// Draws the whole run in all formats but SVG, which the page contains.
pub(crate) fn drawings(timeline: &Timeline) -> Vec<String> {
    let passages = Passages::of(timeline);
    let all = sequence(timeline, &passages);
    let picture = Picture::new(timeline, &passages, &all, true);
    let shiviz = shiviz::shiviz(timeline, &passages, &all);
    vec![html::html(&picture), text::text(&picture, columns()), shiviz]
}

/// Writes a picture to a temporary file first, so that an earlier picture survives a failure.
fn save(path: &Path, picture: &str) -> anyhow::Result<()> {
    let is_file = path.metadata().map_or(true, |found| found.is_file());
    // Devices and pipes are written directly; of a link, the target is replaced.
    let target = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let target = target.unwrap_or_else(|| path.into());
    let part = if is_file { with_part(&target) } else { target.clone() };
    let cannot = |exit, what| {
        let part = shown(part.as_os_str().as_encoded_bytes());
        move || Failure::new(exit, format!("cannot {what} {part}"))
    };
    let mut file = File::create(&part).with_context(cannot(Exit::CannotCreate, "create"))?;
    let written = file.write_all(picture.as_bytes()).and_then(|()| match is_file {
        true => fs::rename(&part, &target),
        false => Ok(()),
    });
    if written.is_err() && is_file {
        // A partial picture is useless; should removal fail, the suffix `.part` marks it.
        let _ = fs::remove_file(&part);
    }
    written.with_context(cannot(Exit::Io, "write"))
}

/// Returns the name of the temporary file.
fn with_part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Returns the terminal width in columns, 80 if unknown.
fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.filter(|columns| *columns >= 20).unwrap_or(80)
}

impl Args {
    /// Refuses to draw a whole large run before reading it; announces that reading a part takes time.
    fn prepare_for_many(&self, format: Format) -> Result<(), Failure> {
        let is_whole = self.around.is_none() && self.from.is_none() && self.to.is_none();
        if is_whole && format != Format::Shiviz {
            return Err(too_many(&format!("this run has more than {MOST_EVENTS} events")));
        }
        let talk = self.voice.talk("groupcast");
        talk.say(format!("reading and judging a run of more than {MOST_EVENTS} events; this takes a while"));
        Ok(())
    }

    fn form(&self) -> Result<Format, Failure> {
        let Some(path) = self.out.as_ref().filter(|path| path.as_os_str() != "-") else {
            return match (self.format, &self.out) {
                (Some(format), _) => Ok(format),
                (None, None) => Ok(Format::Txt),
                (None, Some(_)) => Err(Failure::new(Exit::Usage, "standard output needs a --format")
                    .help("--format html, svg, txt or shiviz")),
            };
        };
        let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
        let named = Format::from_str(suffix, true).ok();
        self.format.or(named).ok_or_else(|| {
            let path = shown(path.as_os_str().as_encoded_bytes());
            Failure::new(Exit::Usage, format!("cannot tell the format of {path} from its name"))
                .help("give --format, or a name that ends with .html, .svg, .txt or .shiviz")
        })
    }

    /// Returns the requested part of the run.
    fn part(&self, timeline: &Timeline, all: &[Place]) -> Result<Vec<Place>, Failure> {
        if let Some(middle) = &self.around {
            return around(timeline, all, middle);
        }
        if self.from.is_none() && self.to.is_none() {
            return Ok(all.to_vec());
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (from, to) = (self.from.map_or(0, micros), self.to.map_or(u64::MAX, micros));
        if from > to {
            return Err(Failure::new(Exit::Usage, "--from is later than --to"));
        }
        let time = |&(lane, index): &Place| timeline.members[lane].events[index].time_us;
        let is_in = |place: &Place| (from..=to).contains(&time(place));
        let (Some(first), Some(last)) = (all.iter().position(is_in), all.iter().rposition(is_in)) else {
            let end = units::seconds(all.iter().map(time).max().unwrap_or_default());
            return Err(Failure::new(Exit::NoInput, "nothing happened in that time")
                .help(format!("the last event of this run is at {end}")));
        };
        Ok(all[first..=last].to_vec())
    }
}

/// Returns the events of one message or of the first violation, with some before and after them.
fn around(timeline: &Timeline, all: &[Place], middle: &str) -> Result<Vec<Place>, Failure> {
    let places: Vec<Place> = if middle == "violation" {
        let Some((_, witness)) = &timeline.violation else {
            return Err(Failure::new(Exit::NoInput, "nothing is violated in this run"));
        };
        super::svg::faults_of(timeline, witness).into_iter().collect()
    } else {
        let message = find(timeline, middle)?;
        let is_it = |&(lane, index): &Place| timeline.members[lane].events[index].is_of(message);
        all.iter().copied().filter(is_it).collect()
    };
    let is_in = |place: &Place| places.contains(place);
    let (first, last) = (all.iter().position(is_in), all.iter().rposition(is_in));
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(all.len().saturating_sub(1)));
    Ok(all[first.saturating_sub(AROUND)..(last + 1 + AROUND).min(all.len())].to_vec())
}

/// Finds the multicast with this id.
pub(crate) fn find(timeline: &Timeline, id: &str) -> Result<usize, Failure> {
    let multicasts = || timeline.messages.iter().filter(|message| message.to.is_none());
    if let Some(message) = multicasts().position(|message| message.id() == id) {
        return Ok(message);
    }
    let failure =
        Failure::new(Exit::NoInput, format!("nobody multicast or delivered {}", shown(id.as_bytes())));
    let stem = id.rsplit_once('/').map(|(stem, _)| format!("{stem}/"));
    let last = multicasts()
        .filter(|message| stem.as_ref().is_some_and(|stem| message.id().starts_with(stem)))
        .last();
    if let Some(last) = last {
        return Err(failure.help(format!("the last one of {} is {}", last.sender, last.id())));
    }
    let ids: Vec<String> = multicasts().map(Message::id).collect();
    Err(match nearest(id, ids.iter().map(String::as_str)) {
        Some(near) => failure.help(format!("did you mean {near}?")),
        None => failure.help("an id is <member>/<incarnation>/<number>, like c1/1/7"),
    })
}
