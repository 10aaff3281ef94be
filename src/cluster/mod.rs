//! Clusters: groups without a broker, whose members send datagrams to one another (`--order tentative`).
//!
//! [`file`](mod@file) has the members of a cluster and their addresses, as a cluster file lists them. [`node`] is the
//! loop of a member, `records` what it finds in its journal, `join` the start of one that is added, [`list`] what a member
//! shows and has not confirmed, [`ledger`] how it is written (with the counts of `shown`), [`status`] what it tells of
//! itself, [`request`] what an operator asks it for, [`petition`] what it does then, `faults` what it drops on purpose.

pub(crate) mod faults;
pub mod file;
pub mod ledger;
pub mod list;
pub mod node;
pub mod petition;
pub mod request;
pub mod status;

mod draft;
mod join;
mod records;
mod shown;

#[cfg(test)]
mod tests;
