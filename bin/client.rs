//! `client`: one member of a group; replays a command file, is a pipe, or lets a person talk.

use std::process::ExitCode;

use clap::Parser;
use groupcast::{cli, client, exit};

const HELP: &str = "\
Example:
  client --id c1 --commands c1.txt --out results
  producer | client --id c1 --lines | consumer
  client --id c1 --interactive

A command file has one operation a line:
  Multicast,c1,some text     multicast to the group
  sleep,1.5                  do nothing for so many seconds
  c1,c2,some text            send to one member

With --lines, each delivery is SENDER###TEXT on a line of standard output, where \\, \\n and \\r
stand for backslash, line feed and carriage return: as in a result file. The end of standard
input is the end of what this client sends; it goes on delivering until all have finished.

With --interactive, a line goes to everybody:
  @c2 some text              to c2 alone (// and @@ begin a text with / and @)
  /who                       lists the members
  /quit or Ctrl-D            sends no more, and waits for the others";

/// One member of a group: replays a command file, is a pipe, or lets a person talk
#[derive(Parser)]
#[command(name = "client", version, after_help = format!("{HELP}\n\n{}", exit::HELP))]
struct Program {
    #[command(flatten)]
    options: client::Options,
}

fn main() -> ExitCode {
    cli::main::<Program>(
        |program| program.options.voice.talk(&program.options.id),
        |program, talk| client::run(&program.options, talk),
    )
}
