//! The runner: starts, watches, collects and judges a whole run in one command.
//!
//! `tool` reads the command line and `scenario` the file. `clients` finds the clients, `plan` lists the processes, and
//! `folder` creates the folder of the run. `supervisor` watches the processes
//! from their start to their end; `starve` takes processor time from them; `show` reports the progress. `judge` judges
//! the deliveries, and `verdict` the run.

mod clients;
mod folder;
mod judge;
mod plan;
mod process;
mod scenario;
mod show;
mod starve;
mod supervisor;
pub(crate) mod tool;
mod verdict;

pub(crate) use scenario::objection;
