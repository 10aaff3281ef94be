//! The runner: starts, watches, collects and judges a whole run in one command.
//!
//! `tool` reads the command line and `scenario` the file. `clients` finds the clients, `plan` lists the processes,
//! `fault` their faults, and `folder` creates the folder of the run. `supervisor` starts the processes, reads their
//! events from `ears` and ends them all; `starve` takes processor time from them; `show` reports the progress. `judge`
//! judges the deliveries, and `verdict` the run.

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
