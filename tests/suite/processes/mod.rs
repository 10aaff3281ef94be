//! The real programs on loopback: start, traffic, faults, failover, signals and files; and the library in a program.

mod barrier;
mod commands;
mod failover;
mod files;
mod flow_control;
mod group;
mod hostile;
mod joining;
mod limits;
mod load;
mod middle;
mod names;
mod pipes;
mod programs;
mod signals;
mod soak;
mod trouble;
mod two_forwarders;
