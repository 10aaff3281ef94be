//! Station 5 of a cluster: the replicated log of `--order tentative`, which goes on under partition.
//!
//! [`entry`] has the entries of the log, [`message`] the messages between members, [`record`] the lines of a
//! member's journal.

pub mod entry;
pub mod message;
pub mod record;
