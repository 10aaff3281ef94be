//! Station 7: bytes. Everything that reads what a stranger may have written; nothing here panics on input.
//!
//! [`field`] are the primitives, [`batch`] the messages, [`header`] what every packet begins with, [`encoded`]
//! turns packets into frames and back, [`topic`] is what they are published under, [`control`] the talk
//! on the sync port.

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
