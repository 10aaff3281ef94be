//! Station 7: bytes. A parser answers bad input from a peer with [`Malformed`] and never panics.
//!
//! [`field`] has the primitives, [`batch`] the messages, [`header`] the start of every packet; [`encoded`] turns
//! packets into frames and back, [`topic`] has the topics of the frames, [`control`] the messages on the sync port.

pub mod batch;
pub mod control;
pub mod encoded;
pub mod field;
pub mod header;
pub mod topic;
pub mod weight;

pub use batch::{Batch, BatchBuilder};
pub use encoded::Frames;
pub use field::{Malformed, Reader, Wire, Writer};
pub use header::{Header, Kind};
pub use weight::{Weight, Window};
