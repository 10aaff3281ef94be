//! Beside the path: how fast is it here? A workload on real processes, and on the same processes without any order.
//!
//! `tool` reads the command line and runs the rounds; `round` starts the processes of one of them and listens to
//! them; `report` says what came of it. A process is a `part`: a `member` of ours, or one of a `baseline`, which is
//! plain multicast (`plain`) or the bound that packing and numbering have (`packed`). Each of them is a `player` of the
//! `workload`, who keeps a `ledger` of the order in which it was given what, and histograms of its `delays`.

mod baseline;
mod delays;
mod ledger;
mod member;
mod packed;
mod part;
mod plain;
mod player;
mod report;
mod round;
pub mod tool;
mod usage;
mod workload;
