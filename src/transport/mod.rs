//! Station 8: the only I/O. All of ZeroMQ is in [`zmq`], with its traps closed; no order is known here.

pub mod signals;
pub mod zmq;
