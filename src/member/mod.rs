//! Station 6: one member of the group: what a client asks for goes to its order, to one other member, or into
//! the announcement that it has finished; what comes back up is sorted the same way.

mod departure;
mod detector;
pub mod election;
mod finish;
pub mod flush;
mod log;
pub mod membership;
pub mod newcomer;
pub mod replay;
mod seats;
mod stable;
pub mod stack;
mod watch;
pub mod word;

use crate::engine::View;
use crate::wire::Batch;
use crate::wire::control::Seat;
pub use departure::{Departure, Fence, Notice};
pub use detector::Patience;
pub use finish::{Finish, Tally};
pub use membership::{Keeping, Membership};
pub use newcomer::Newcomer;
use replay::Replay;
pub use stack::{Message, ProtocolStack, StackConfig};
pub use watch::{Note, Watch};

/// What a client submits and is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum App {
    /// Messages for the group, in the group's order.
    Multicast(Batch),
    /// Messages for one member, in the order they were sent.
    Direct(Batch),
    /// The submitting client will send nothing more.
    Finished(Tally),
    /// To one member: about what was before a newcomer came.
    Replay(Replay),
    /// Given, never submitted: from here on the group is this one; with those who are new in it.
    View(View, Vec<Seat>),
    /// Given, never submitted: this member is not in the group any more, for this reason.
    Fenced(Fence),
    /// Given, never submitted: something about a member, for people.
    Notice(Notice),
    /// Given, never submitted: messages of our own that will not reach the one member they are for, which is the `from` of
    /// the effect.
    Undeliverable(Batch, Undelivered),
}

/// Why a message to one member is undeliverable: its receiver is not in the group any more, and …
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Undelivered {
    /// … the message was never sent: the receiver does not have it.
    NotSent,
    /// … the receiver has not acknowledged the message, which it may have received all the same.
    NotAcknowledged,
}
