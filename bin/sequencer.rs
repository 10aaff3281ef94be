//! `sequencer`: gives every multicast its place in the total order.

use std::process::ExitCode;

use clap::Parser;
use groupcast::{cli, exit, sequencer};

/// Gives every multicast of every group its place in the total order
#[derive(Parser)]
#[command(name = "sequencer", version, about, after_help = format!("Example:\n  sequencer --connect 127.0.0.1 --port-base 5559\n\n{}", exit::HELP))]
struct Program {
    #[command(flatten)]
    options: sequencer::Options,
}

fn main() -> ExitCode {
    cli::main::<Program>(
        |program| program.options.voice.talk(&program.options.id),
        |program, talk| sequencer::run(&program.options, talk),
    )
}
