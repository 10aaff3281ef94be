//! `router`: carries what one member sends to another.

use std::process::ExitCode;

use groupcast::{cli, programs, router};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::Router>(
        |program| program.options.voice.talk("router"),
        |program, talk| router::run(&program.options, talk),
    )
}
