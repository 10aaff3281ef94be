//! The benchmark: the speed of a workload on real processes, compared with baselines.
//!
//! `tool` reads the command line and runs the rounds; `round` starts the processes of one round and collects their
//! accounts; `report` formats the results, and `profile` where the time went, in which `threads`. A process `play`s a `part`: a groupcast `member`, one of a `cluster` (in a
//! `folder`), or one of a `baseline`, whose
//! `wires` are plain multicast (`plain`) or the upper bound of packing and numbering (`packed`). Each member is a
//! `player` of the `workload`, with a `ledger` of its deliveries and histograms of its `delays`.

mod baseline;
mod cluster;
mod delays;
mod folder;
mod ledger;
mod member;
mod packed;
mod part;
mod plain;
mod play;
mod player;
mod profile;
mod report;
mod round;
mod threads;
pub(crate) mod tool;
mod usage;
mod wires;
mod workload;
