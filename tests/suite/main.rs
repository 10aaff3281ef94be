//! The test suite: one binary, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod oracles;
mod simulation;
mod tidy;
