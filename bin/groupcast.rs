//! `groupcast`: the tools around the four programs.

use std::process::ExitCode;

use groupcast::talk::{Color, Level, Talk};
use groupcast::{cli, programs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main::<programs::Groupcast>(
        |_| Talk::new("groupcast", Level::Normal, Color::Auto),
        |program, _| program.run(),
    )
}
