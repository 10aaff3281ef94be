//! `router`: carries what one member sends to another.

use std::process::ExitCode;

use clap::Parser;
use groupcast::{cli, exit, router};

/// Carries what one member sends to another
#[derive(Parser)]
#[command(name = "router", version, about, after_help = format!("Example:\n  router --port-base 5559\n\n{}", exit::HELP))]
struct Program {
    #[command(flatten)]
    options: router::Options,
}

fn main() -> ExitCode {
    cli::main::<Program>(
        |program| program.options.voice.talk("router"),
        |program, talk| router::run(&program.options, talk),
    )
}
