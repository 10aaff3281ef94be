//! The test suite: one binary, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod barrier;
mod bench;
mod commands;
mod doctor;
mod examples;
mod failover;
mod files;
mod flags;
mod flow;
mod fuzzed;
mod group;
mod harness;
mod hostile;
mod in_memory;
mod joining;
mod liars;
mod limits;
mod links;
mod load;
mod members;
mod middle;
mod model;
mod names;
mod namespaces;
mod oracles;
mod orders;
mod peers;
mod pictures;
mod pipes;
mod programs;
mod proxy;
mod run;
mod scenarios;
mod shell;
mod signals;
mod simulation;
mod soak;
mod tidy;
mod traces;
mod trouble;
mod two_forwarders;
mod views;
mod wire;
