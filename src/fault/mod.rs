//! Faults: what goes wrong in a real run on purpose, and when.
//!
//! A fault concerns connections (`link`) or a process or the machine (`process`). `script` parses faults of connections
//! as `groupcast proxy` takes them, and `table` parses both kinds as tables of a scenario. Each kind is displayed by one
//! function, for messages and files. `report` has the effect of a fault.

use std::fmt;

pub(crate) mod link;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod script;
pub(crate) mod table;

/// A fault of a run.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Link(link::Fault),
    Process(process::Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(fault) => fault.fmt(f),
            Self::Process(fault) => fault.fmt(f),
        }
    }
}
