//! Tests of replicas among themselves, without a simulator.

mod contract;
mod epochs;
mod hostile;
mod kit;
mod old_copy;
mod recovery;
mod sending;
