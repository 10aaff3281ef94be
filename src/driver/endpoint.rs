//! The access of a client to its group, whatever carries its packets: a [`Node`](super::Node), or a member of an
//! in-memory group.

use std::time::Duration;

use crate::engine::{MemberId, Time, To, View};
use crate::member::{App, Note};
use crate::wire::control::{Post, Receipt, Seat};

/// Silence of a member after which a newcomer asks the next one for the past.
pub const ASK_NEXT: Duration = Duration::from_secs(3);

/// A delivery to this member.
#[derive(Debug)]
pub struct Delivery {
    /// Time of the delivery, in microseconds since this member began.
    pub at_us: u64,
    /// The sender.
    pub from: MemberId,
    /// The global number of its first message, if the order has one.
    pub number: Option<u64>,
    /// The content.
    pub app: App,
}

/// An event at this member.
#[derive(Debug)]
pub enum Event {
    /// A delivery.
    Delivery(Delivery),
    /// A note about the hold-back queue, with its time in microseconds since this member began.
    Note(u64, Note),
}

/// The endpoint of a member: it submits, and has the events that follow.
pub trait Endpoint {
    /// Returns this member.
    fn me(&self) -> MemberId;

    /// Returns the view of the membership. [`events`](Self::events) may still have deliveries of the one before.
    fn view(&self) -> &View;

    /// Returns the seat of a past or present member of the run.
    fn find_seat(&self, member: MemberId) -> Option<&Seat>;

    /// Returns the number of multicasts of each client delivered before the current view.
    fn delivered_before(&self) -> Vec<(MemberId, u64)>;

    /// Returns the highest global number that was given before the current view.
    fn numbers_before(&self) -> u64 {
        0
    }

    /// Returns the number of the log of the group's sequencer, [as text](crate::wire::control::run_as_text), if it keeps one.
    fn log(&self) -> Option<&str> {
        None
    }

    /// Returns the protocol time.
    fn now(&mut self) -> Time;

    /// Returns the number of submissions to `to` that the send window allows now.
    fn window(&self, to: To) -> usize;

    /// Submits `app`. Deliveries that follow at once are among the next [`events`](Self::events).
    fn submit(&mut self, to: To, app: App);

    /// Takes the events since the last call, in their order.
    fn events(&mut self) -> Vec<Event>;

    /// Sets whether packets of the others are processed. While they are not, this member acknowledges nothing and so
    /// closes the send windows of the others; membership packets are processed all the same.
    fn listen(&mut self, listens: bool);

    /// Returns whether a view change is under way, during which nothing is sent or delivered.
    fn is_changing(&self) -> bool;

    /// Returns whether all others have delivered everything submitted here.
    fn is_settled(&self) -> bool;

    /// Returns the lowest global number that a delivery after the next [`events`](Self::events) can have, in an order
    /// that has a sequencer.
    fn next_number(&self) -> Option<u64> {
        None
    }

    /// Returns the receiver that holds the send window back, and its cumulative acknowledgement.
    fn slowest_receiver(&self) -> Option<(MemberId, u64)>;

    /// Returns the time since the last packet of another member. In an idle group a long silence is normal.
    fn silence(&mut self) -> Duration;

    /// Excludes `member`, which has acknowledged nothing for `length`.
    fn exclude(&mut self, member: MemberId, length: Duration);

    /// Reports that this member has everything sent in its view.
    fn done(&mut self);

    /// Asks the others to leave this member out of the next view.
    fn depart(&mut self);

    /// Returns whether it has asked to leave.
    fn departs(&self) -> bool;

    /// Returns the silence of a member after which a newcomer asks the next one for the past.
    fn ask_next_after(&self) -> Duration {
        ASK_NEXT
    }

    /// Sets whether this member multicasts texts of authors, and takes those that have come from forwarders.
    fn posts(&mut self, _takes: bool) -> Vec<Post> {
        Vec::new()
    }

    /// Reports to the forwarders what has become of a text of an author.
    fn report(&mut self, _receipt: &Receipt) {}

    /// Returns the name of a member for messages.
    fn name(&self, member: MemberId) -> String {
        self.find_seat(member).map_or_else(|| member.to_string(), |seat| seat.id.clone())
    }
}
