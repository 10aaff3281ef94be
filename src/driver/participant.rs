//! A member as its user handles it, whatever carries its packets: a [`Node`], or a member of an in-memory group.

use std::time::Duration;

use super::Node;
use super::catch_up::ASK_NEXT;
use crate::engine::{MemberId, Time, To, View};
use crate::member::App;
use crate::wire::control::Seat;

/// A member that takes part in a run.
pub trait Participant {
    /// Returns this member.
    fn me(&self) -> MemberId;

    /// Returns the view that the membership is in; what is delivered may still belong to the one before.
    fn view(&self) -> &View;

    /// Returns the seat of a member that is or was in the run.
    fn who(&self, member: MemberId) -> Option<&Seat>;

    /// Returns the number of multicasts of each client that were delivered before the current view.
    fn delivered_before(&self) -> Vec<(MemberId, u64)>;

    /// Returns the time of the protocols.
    fn now(&mut self) -> Time;

    /// Returns how many submissions to `to` are accepted now.
    fn window(&self, to: To) -> usize;

    /// Submits `app`.
    fn submit(&mut self, to: To, app: App);

    /// Returns whether the view is being changed.
    fn is_changing(&self) -> bool;

    /// Returns whether all others have delivered everything that was submitted here.
    fn is_settled(&self) -> bool;

    /// Takes packets of the others in, or holds them back.
    fn listen(&mut self, listens: bool);

    /// Asks the others to go on without this member.
    fn depart(&mut self);

    /// Returns whether this member has asked to be let go.
    fn departs(&self) -> bool;

    /// Reports that this member has delivered everything that was sent.
    fn done(&mut self);

    /// Returns the slowest receiver, and up to which packet it has acknowledged.
    fn slowest_receiver(&self) -> Option<(MemberId, u64)>;

    /// Returns the time since a packet of another member was last received.
    fn silence(&mut self) -> Duration;

    /// Excludes `member`, which has acknowledged nothing for this long.
    fn exclude(&mut self, member: MemberId, length: Duration);

    /// Returns the silence of a member after which a newcomer asks the next one for the past.
    fn ask_next_after(&self) -> Duration {
        ASK_NEXT
    }

    /// Returns the name of a member, for people.
    fn name(&self, member: MemberId) -> String {
        self.who(member).map_or_else(|| member.to_string(), |seat| seat.id.clone())
    }
}

impl Participant for Node {
    fn me(&self) -> MemberId {
        Self::me(self)
    }

    fn view(&self) -> &View {
        Self::view(self)
    }

    fn who(&self, member: MemberId) -> Option<&Seat> {
        Self::who(self, member)
    }

    fn delivered_before(&self) -> Vec<(MemberId, u64)> {
        Self::delivered_before(self).collect()
    }

    fn now(&mut self) -> Time {
        Self::now(self)
    }

    fn window(&self, to: To) -> usize {
        Self::window(self, to)
    }

    fn submit(&mut self, to: To, app: App) {
        Self::submit(self, to, app);
    }

    fn is_changing(&self) -> bool {
        Self::is_changing(self)
    }

    fn is_settled(&self) -> bool {
        Self::is_settled(self)
    }

    fn listen(&mut self, listens: bool) {
        Self::listen(self, listens);
    }

    fn depart(&mut self) {
        Self::depart(self);
    }

    fn departs(&self) -> bool {
        Self::departs(self)
    }

    fn done(&mut self) {
        Self::done(self);
    }

    fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        Self::slowest_receiver(self)
    }

    fn silence(&mut self) -> Duration {
        Self::silence(self)
    }

    fn exclude(&mut self, member: MemberId, length: Duration) {
        Self::exclude(self, member, length);
    }
}
