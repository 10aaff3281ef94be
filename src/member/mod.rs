//! Station 6: one member of the group. Submissions go to the order, to one other member, or into the announcement of
//! the finish; received packets take the same ways back.

mod app;
pub mod arrivals;
mod departure;
mod detector;
mod directs;
pub mod early;
pub mod election;
pub mod flush;
pub mod gate;
mod log;
pub mod membership;
pub mod newcomer;
mod offsets;
pub mod replay;
mod seats;
mod stable;
pub mod stack;
mod tally;
pub mod view_message;
mod watch;

pub use app::{App, Undelivered};
pub use departure::{Departure, Fence, Notice};
pub use detector::DetectorConfig;
pub use membership::{Membership, MembershipConfig};
pub use newcomer::Newcomer;
pub use stack::{Message, ProtocolStack, StackConfig};
pub use tally::Tally;
pub use watch::{Note, Watch};
