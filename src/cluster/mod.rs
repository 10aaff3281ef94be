//! Clusters: groups without a broker, whose members send datagrams to one another (`--order tentative`).
//!
//! [`file`](mod@file) has the members of a cluster and their addresses, as a cluster file lists them.

pub mod file;

mod draft;

#[cfg(test)]
mod tests;
