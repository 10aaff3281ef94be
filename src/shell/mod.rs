//! Help for people at a prompt: completions, manual pages, and examples to copy.

pub mod completions;
pub mod examples;
pub mod man;

use clap::Command;

use crate::programs;

/// Returns the command lines of all programs, including `groupcast`.
fn all(groupcast: Command) -> Vec<Command> {
    let mut commands = Vec::from(programs::commands());
    commands.push(groupcast.name("groupcast"));
    commands
}
