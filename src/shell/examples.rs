//! `groupcast examples`: commands to copy, by topic. Each text is a file in `examples/`; its parts that are indented by
//! four spaces are scripts, and the tests run them.

use std::fmt::Write as _;

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::cli;
use crate::exit::Exit;

/// The example of `--help`.
const HELP: &str = "\
Examples:
  groupcast examples
  groupcast examples start";

/// All topics with their texts; the first line of each is its title.
const TOPICS: [(&str, &str); 12] = [
    ("run", include_str!("examples/run.md")),
    ("start", include_str!("examples/start.md")),
    ("files", include_str!("examples/files.md")),
    ("pipes", include_str!("examples/pipes.md")),
    ("orders", include_str!("examples/orders.md")),
    ("boards", include_str!("examples/boards.md")),
    ("clusters", include_str!("examples/clusters.md")),
    ("service", include_str!("examples/service.md")),
    ("groups", include_str!("examples/groups.md")),
    ("diagram", include_str!("examples/diagram.md")),
    ("check", include_str!("examples/check.md")),
    ("sim", include_str!("examples/sim.md")),
];

/// Arguments of `groupcast examples`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// Topic to show [default: a list of the topics]
    #[arg(value_name = "TOPIC", value_parser = PossibleValuesParser::new(TOPICS.map(|(name, _)| name)))]
    topic: Option<String>,
}

/// Prints a topic, or the list of them.
///
/// # Errors
/// [`Exit::Io`] if standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let chosen = TOPICS.iter().find(|(name, _)| Some(*name) == args.topic.as_deref());
    match chosen {
        Some((_, text)) => cli::print(text.trim_end())?,
        None => cli::print(list().trim_end())?,
    }
    Ok(Exit::Ok)
}

fn list() -> String {
    let mut list = String::new();
    for (name, text) in TOPICS {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let _ = writeln!(list, "groupcast examples {name:<9}{title}");
    }
    list
}
