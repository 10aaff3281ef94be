//! `forwarder`: what one member publishes, all receive.

use std::process::ExitCode;

use clap::Parser;
use groupcast::{cli, exit, forwarder};

/// Passes what one member multicasts on to all, and lets a group start and finish together
#[derive(Parser)]
#[command(name = "forwarder", version, about, after_help = format!("Example:\n  forwarder --clients 4 --port-base 5559\n\n{}", exit::HELP))]
struct Program {
    #[command(flatten)]
    options: forwarder::Options,
}

fn main() -> ExitCode {
    cli::main::<Program>(
        |program| program.options.voice.talk("forwarder"),
        |program, talk| forwarder::run(&program.options, talk),
    )
}
