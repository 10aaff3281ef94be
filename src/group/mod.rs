//! The library: a member of a group in a program.
//!
//! The crate's documentation has an introduction. `handle` has the handles that an application uses, `shared` the queues between
//! them and the `worker`, which takes part in the run; `state` lets newcomers catch up, and [`testing`] has groups in memory.

mod builder;
mod error;
mod event;
mod handle;
mod shared;
mod state;
pub mod testing;
mod worker;

pub use crate::driver::slow_member::SlowMember;
pub use crate::member::Undelivered;
pub use crate::wire::Window;
pub use builder::{Builder, Method, Order, Start};
pub use error::Error;
pub use event::{Delivery, Direct, Event, StateRequest, Undeliverable, View};
pub use handle::{Group, Receiver, Sender};

/// Longest state that a newcomer is given, in bytes.
pub const MAX_STATE: usize = 256 << 20;
/// Longest payload of a message, in bytes.
pub const MAX_PAYLOAD: usize = crate::wire::batch::MAX_TEXT;
