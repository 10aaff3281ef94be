//! `forwarder`: what one member publishes, all receive.

use std::process::ExitCode;

use groupcast::{cli, forwarder, programs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::Forwarder>(
        |program| program.options.voice.talk("forwarder"),
        |program, talk| forwarder::run(&program.options, talk),
    )
}
