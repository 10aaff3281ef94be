//! The chaos tool: many short runs of real processes, each with a workload and faults from its own seed.
//!
//! `draw` makes a scenario of a seed: pure, and always the same. [`tool`] lets `groupcast run` play several scenarios
//! at a time, and reads its verdicts; `table` sums up.

mod draw;
mod table;
pub(crate) mod tool;
