//! What people at a prompt like to have: completions, manual pages, and examples to copy.

pub mod completions;
pub mod examples;
pub mod man;

use clap::Command;

use crate::programs;

/// The command lines of all programs; that of `groupcast` is given.
fn all(groupcast: Command) -> Vec<Command> {
    let mut commands = Vec::from(programs::commands());
    commands.push(groupcast.name("groupcast"));
    commands
}
