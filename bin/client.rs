//! `client`: one member of a group; replays a command file and writes down what is delivered.

use std::process::ExitCode;

use clap::Parser;
use groupcast::{cli, client, exit};

const HELP: &str = "\
Example:
  client --id c1 --commands c1.txt --out results

A command file has one operation a line:
  Multicast,c1,some text     multicast to the group
  sleep,1.5                  do nothing for so many seconds
  c1,c2,some text            send to one member";

/// One member of a group: replays a command file and writes down what is delivered
#[derive(Parser)]
#[command(name = "client", version, about, after_help = format!("{HELP}\n\n{}", exit::HELP))]
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
