//! The tools of `groupcast`, and the command lines, help texts and examples of all programs.

mod bench;
mod boards;
mod cluster_pictures;
mod clusters;
mod doctor;
mod examples;
mod flags;
mod journal;
mod keys;
mod links;
mod members;
mod namespaces;
mod oracles;
mod pictures;
mod proxy;
mod reliabilities;
mod run;
mod run_scenarios;
mod shell;
mod sim;
mod traces;
