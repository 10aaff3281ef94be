//! The test suite: one binary, one module per subject.

mod simulation;
mod tidy;
