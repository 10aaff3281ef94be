//! The test suite: one binary, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod barrier;
mod commands;
mod flags;
mod harness;
mod hostile;
mod load;
mod model;
mod oracles;
mod orders;
mod pipes;
mod programs;
mod proxy;
mod run;
mod scenarios;
mod simulation;
mod tidy;
mod trouble;
mod wire;
