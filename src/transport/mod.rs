//! Station 8: the only I/O. [`zmq`] is all of ZeroMQ, with the [`options`] of every socket, and [`plain`] is ZeroMQ as it
//! comes, for comparison; no order is known here.
//!
//! [`address`] is where programs listen, as it is written; [`resolve`] looks names of hosts up, so that ZeroMQ need not.
//!
//! [`stdio`] and [`terminal`] are the standard streams of a process that must not block on them, [`signals`] and
//! [`wakeup`] are what its loop can wait on beside sockets. [`holder`] tells who has a port that we want, [`limits`]
//! are those that the system sets.

pub mod address;
pub mod holder;
pub mod limits;
pub mod options;
pub mod plain;
pub mod resolve;
pub mod signals;
pub mod stdio;
pub mod terminal;
pub mod wakeup;
pub mod zmq;
