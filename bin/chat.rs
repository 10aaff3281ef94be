//! `chat`: the terminal client of the replicated chat.

use std::process::ExitCode;

use groupcast::{cli, programs, talker};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::Chat>(
        |program| program.options.voice.talk("chat"),
        |program, talk| talker::run(&program.options, talk),
    )
}
