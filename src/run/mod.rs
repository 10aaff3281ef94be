//! Beside the path: a whole run in one command: everything is started, watched, collected and judged.
//!
//! `tool` reads the command line and `scenario` the file; `clients` finds who takes part, `plan` says what will be
//! started and `fault` what happens to it, `folder` is where all of it is kept. `supervisor` starts the processes, hears
//! them through `ears` and sees that none is left behind, `starve` keeps the processor from them, `show` tells people or programs about it,
//! `judge` looks at what was delivered and `verdict` says what it means.

mod clients;
pub(crate) mod ears;
pub(crate) mod end;
mod fault;
mod folder;
mod judge;
mod plan;
pub(crate) mod ports;
pub(crate) mod process;
mod scenario;
mod show;
mod starve;
mod supervisor;
pub mod tool;
mod verdict;

pub(crate) use scenario::objection;
