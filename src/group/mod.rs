//! The library: a member of a group in a program.
//!
//! The crate's documentation has an introduction. `handle` has the handles that an application uses, `shared` the queues between
//! them and the `worker`, which is the application of a participant; `state` keeps states for newcomers, and [`testing`] has
//! groups in memory.

mod builder;
mod error;
mod event;
mod handle;
mod join;
mod shared;
mod state;
pub mod testing;
mod worker;

pub use crate::member::Undelivered;
pub use crate::participant::catch_up::MAX_STATE;
pub use crate::participant::slow_member::SlowMember;
pub use crate::wire::Window;
pub use builder::{Builder, Method, Order, Start};
pub use error::Error;
pub use event::{Delivery, Direct, Event, StateRequest, Undeliverable, View};
pub use handle::{Group, Receiver, Sender};

/// Longest payload of a message, in bytes.
pub const MAX_PAYLOAD: usize = crate::wire::batch::MAX_TEXT;
