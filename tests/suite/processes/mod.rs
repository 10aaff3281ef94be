//! The real programs on loopback: start, traffic, faults, failover, signals and files; and the library in a program.

mod barrier;
#[cfg(feature = "web")]
mod chat;
#[cfg(feature = "web")]
mod chat_added;
#[cfg(feature = "web")]
mod chat_page;
#[cfg(feature = "web")]
mod chat_terminal;
mod clusters;
mod commands;
mod door;
mod failover;
mod files;
mod flow_control;
mod group;
mod groups;
pub(crate) mod hostile;
mod joining;
mod limits;
mod load;
mod logs;
mod memberships;
mod names;
mod open_groups;
mod output;
mod pipes;
mod programs;
mod servers;
mod signals;
mod soak;
mod stay;
mod support;
mod timeouts;
mod two_forwarders;
mod up;
