//! Station 7: bytes. A parser answers bad input from a peer with [`Malformed`] and never panics.
//!
//! [`field`] has the primitives, [`batch`] the messages, [`header`] the start of every packet; [`packet`] their
//! frames, [`topic`] has the topics of the frames, [`control`] the messages on the sync port. [`door`] has what a
//! sequencer and its members say of its own ports. [`datagram`] has the packets of a cluster, and [`sealed`] those of a cluster with a key.

pub mod batch;
pub mod control;
pub mod datagram;
pub mod door;
pub mod field;
pub mod header;
pub mod packet;
pub mod sealed;
pub mod topic;
pub mod weight;

pub use batch::{Author, Batch, BatchBuilder};
pub use field::{Entry, Malformed, Reader, Wire, Writer, varint_length};
pub(crate) use field::{wire_enum, wire_struct};
pub use header::{Header, Kind};
pub use packet::{Frames, Packet};
pub use weight::{Weight, Window};
