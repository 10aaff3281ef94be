//! `chat-server`: one server of the replicated chat.

use std::process::ExitCode;

use groupcast::{cli, programs, web};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::ChatServer>(
        |program| program.options.voice.talk(&program.options.id),
        |program, talk| web::run(&program.options, talk),
    )
}
