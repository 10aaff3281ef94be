//! The submissions of a client and the deliveries to it.

use super::departure::{Fence, Notice};
use super::replay::Replay;
use super::tally::Tally;
use crate::ids::View;
use crate::wire::Batch;
use crate::wire::control::Seat;

/// A submission of a client, or a delivery to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum App {
    /// Messages for the group, in the group's order.
    Multicast(Batch),
    /// Direct messages, in the order in which they were sent.
    Direct(Batch),
    /// The submitting client will send nothing more.
    Finished(Tally),
    /// Submitted only: this member, which is in several groups, waits until no later delivery has a number up to this
    /// one.
    Advance(u64),
    /// To or from a newcomer: the time before it joined.
    Replay(Replay),
    /// Delivered only, to a sequencer that keeps a log: messages that it is to record. Nothing that it sends from
    /// then on may leave before they are durable.
    Record(Batch),
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
