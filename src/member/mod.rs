//! Station 6: one member of the group. Submissions go to the order, to one other member, or into the announcement of
//! the finish; received packets take the same ways back.

mod departure;
mod detector;
pub mod election;
pub mod flush;
mod log;
pub mod membership;
pub mod newcomer;
pub mod replay;
mod seats;
mod stable;
pub mod stack;
mod tally;
mod watch;
pub mod word;

use crate::engine::View;
use crate::wire::Batch;
use crate::wire::control::Seat;
pub use departure::{Departure, Fence, Notice};
pub use detector::Patience;
pub use membership::{Keeping, Membership};
pub use newcomer::Newcomer;
use replay::Replay;
pub use stack::{Message, ProtocolStack, StackConfig};
pub use tally::Tally;
pub use watch::{Note, Watch};

/// A submission of a client, or a delivery to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum App {
    /// Messages for the group, in the group's order.
    Multicast(Batch),
    /// Direct messages, in the order in which they were sent.
    Direct(Batch),
    /// The submitting client will send nothing more.
    Finished(Tally),
    /// To or from a newcomer: the time before it joined.
    Replay(Replay),
    /// Delivered only: a new view, with the seats of its newcomers.
    View(View, Vec<Seat>),
    /// Delivered only: this member is not in the group any more, for this reason.
    Fenced(Fence),
    /// Delivered only: a notice about a member, for people.
    Notice(Notice),
    /// Delivered only: own direct messages that will not be delivered; their receiver is the `from` of the effect.
    Undeliverable(Batch, Undelivered),
}

/// The reason for which a direct message is undeliverable: its receiver is not in the group any more, and …
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Undelivered {
    /// … the message was never sent: the receiver does not have it.
    NotSent,
    /// … the receiver has not acknowledged the message, which it may have received all the same.
    NotAcknowledged,
}
