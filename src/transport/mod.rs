//! Station 8: the only I/O. [`zmq`] is all of ZeroMQ, with the [`options`] of every socket, and [`plain`] is ZeroMQ as it
//! comes, for comparison; no order is known here.
//!
//! [`udp`] is all of UDP, for clusters.
//!
//! [`address`] parses the addresses of programs; [`resolve`] looks host names up, so that ZeroMQ need not.
//!
//! [`stdio`] and [`terminal`] are the standard streams of a process that must not block on them; the loop can wait for
//! [`signals`] and [`wakeup`] beside sockets. [`holder`] finds the process that holds a port, [`limits`] has those of
//! the system; `key` draws random keys. [`curve`] has the keys by which processes encrypt and know one another, [`z85`] their
//! form as text; [`keyring`] has those of this process, which `link` uses for each connection; [`zap`] decides which keys are
//! let in, and [`monitor`] tells whether this side was let in. `listening` asks all peers again, `attempt`
//! tries whether a port lets a key in.

pub mod address;
pub(crate) mod attempt;
pub mod curve;
pub mod holder;
pub(crate) mod key;
pub mod keyring;
pub mod limits;
mod link;
mod listener;
mod listening;
pub mod monitor;
pub mod options;
pub mod plain;
pub mod requests;
pub mod resolve;
pub mod routed;
pub mod signals;
pub mod stdio;
pub mod terminal;
pub mod udp;
pub mod wakeup;
pub mod z85;
pub mod zap;
pub mod zmq;
