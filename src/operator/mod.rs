//! `groupcast cluster`: what an operator does with a cluster on this machine.
//!
//! `tool` has the command lines. `show` shows the members, `change` asks them to add or remove one. `up` runs the chat
//! servers of a folder, which `folder` makes and finds again, at the ports of `ports`; `health` asks a server whether it
//! answers, `errand` has the running `up` kill or start one. `faults` parts the servers and loses their datagrams.

pub(crate) mod tool;

mod change;
mod errand;
mod faults;
mod folder;
mod health;
mod ports;
mod show;
mod up;
