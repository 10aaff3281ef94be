//! `client`: one member of a group; replays a command file, is a pipe, or lets a person talk.

use std::process::ExitCode;

use groupcast::{cli, client, programs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::Client>(
        |program| program.options.voice.talk(&program.options.id),
        |program, talk| client::run(&program.options, talk),
    )
}
