//! The command lines of the four programs, for `bin/`, completions and man pages.

use clap::{Command, CommandFactory, Parser};

use crate::{cli, client, exit, forwarder, router, sequencer};

/// Passes what one member multicasts on to all, and lets a group start and finish together
#[derive(Parser)]
#[command(name = "forwarder", version, term_width = cli::HELP_WIDTH, after_help = after("Example:\n  forwarder --clients 4 --port-base 5559"))]
pub struct Forwarder {
    /// The options.
    #[command(flatten)]
    pub options: forwarder::Options,
}

/// Carries what one member sends to another
#[derive(Parser)]
#[command(name = "router", version, term_width = cli::HELP_WIDTH, after_help = after("Example:\n  router --port-base 5559"))]
pub struct Router {
    /// The options.
    #[command(flatten)]
    pub options: router::Options,
}

/// Gives every multicast of every group its place in the total order
#[derive(Parser)]
#[command(name = "sequencer", version, term_width = cli::HELP_WIDTH, after_help = after("Example:\n  sequencer --connect 127.0.0.1 --port-base 5559\n  sequencer --standby --id second"))]
pub struct Sequencer {
    /// The options.
    #[command(flatten)]
    pub options: sequencer::Options,
}

const CLIENT: &str = "\
Example:
  client --id c1 --commands c1.txt --out results
  producer | client --id c1 --lines | consumer
  client --id c1 --interactive

A command file has one operation a line:
  Multicast,c1,some text     multicast to the group
  sleep,1.5                  do nothing for so many seconds
  c1,c2,some text            send to one member
  leave                      leave the group before the run ends; the last line
Fields are separated by commas; a text with a comma, a quote or a line break is
quoted as in CSV. Blank lines and lines that start with # are skipped.

With --lines, each delivery is SENDER###TEXT on a line of standard output, where \
\\\\, \\n and \\r stand for backslash, line feed and carriage return, as in a result file. \
The end of standard input is the end of what this client sends; it goes on \
delivering until all have finished.

With --interactive, a line goes to everybody:
  @c2 some text              to c2 alone (// and @@ begin a text with / and @)
  /who                       lists the members
  /help                      lists the commands
  /quit or Ctrl-D            sends no more, and waits for the others";

/// One member of a group: replays a command file, is a pipe, or lets a person talk
#[derive(Parser)]
#[command(name = "client", version, term_width = cli::HELP_WIDTH, after_help = after(CLIENT))]
pub struct Client {
    /// The options.
    #[command(flatten)]
    pub options: client::Options,
}

/// Formats the part of a program's help after the options.
fn after(notes: &str) -> String {
    format!("{notes}\n\n{}\n\n{}", cli::ENVIRONMENT, exit::HELP)
}

/// Returns the four command lines.
#[must_use]
pub fn commands() -> [Command; 4] {
    [Forwarder::command(), Router::command(), Sequencer::command(), Client::command()]
}
