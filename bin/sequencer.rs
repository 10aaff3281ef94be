//! `sequencer`: gives every multicast its place in the total order.

use std::process::ExitCode;

use groupcast::{cli, programs, sequencer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::Sequencer>(
        |program| program.options.voice.talk(&program.options.id),
        |program, talk| sequencer::run(&program.options, talk),
    )
}
