//! Beside the path: many short runs of real processes, each with a workload and faults of its own, from a seed.
//!
//! `draw` makes a scenario of a seed: pure, and the same for ever. [`tool`] lets `groupcast run` play it, some at a
//! time, and judges by what that says; `table` sums up.

mod draw;
mod table;
pub mod tool;
