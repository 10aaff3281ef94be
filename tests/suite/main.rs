//! The test suite: one binary, one folder per area, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
mod harness;
mod keys;
mod processes;
mod protocol;
mod repository;
mod tools;
