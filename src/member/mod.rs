//! Station 6: one member of the group: what a client asks for goes to its order, to one other member, or into
//! the announcement that it has finished; what comes back up is sorted the same way.

mod detector;
pub mod election;
mod finish;
pub mod flush;
mod log;
pub mod membership;
pub mod newcomer;
pub mod replay;
mod stable;
pub mod stack;
mod watch;
pub mod word;

use crate::engine::View;
use crate::wire::Batch;
use crate::wire::control::Seat;
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
    Fenced(String),
    /// Given, never submitted: something about a member, for people.
    Notice(String),
}
