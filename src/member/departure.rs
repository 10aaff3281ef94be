//! Reasons for which members are not in a group any more, as values: the programs word them.

use std::time::Duration;

use crate::ids::MemberId;

/// The reason for which a view goes on without an earlier member, as far as is known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Departure {
    /// The member left.
    Left,
    /// Nothing was heard of the member for this long, here or elsewhere.
    Silent(Duration),
    /// Excluded by that member: it received nothing for this long.
    Excluded(MemberId, Duration),
    /// The member did not answer while the view changed.
    Unresponsive,
    /// A newer incarnation takes its place.
    Superseded,
    /// Left out by that member, which led the view change; the reason is not known here.
    LeftOutBy(MemberId),
}

/// The reason for which this member is not in its group any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fence {
    /// The group went on without it, to this view.
    WentOn(u64),
    /// Excluded by that member: it received nothing for this long. The group went on to this view.
    Excluded(MemberId, Duration, u64),
    /// Another part of the group went on to a view of the same number, which comes before its own.
    OtherPart(u64),
    /// The sequencer, that member, is gone for this reason, and no member can take its place.
    NoSequencer(Option<(MemberId, Departure)>),
}

/// Something about a member, for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// This member suspects it, for this reason; the next view decides.
    Suspected(Departure),
    /// The view that begins now goes on without it.
    Gone(Departure),
    /// No client is left in the group.
    NobodyLeft,
    /// The member, which would lead before this one, has not taken a newcomer in; this member calls an election.
    TookNobodyIn,
    /// The member has not welcomed that newcomer; this member does.
    DidNotWelcome(MemberId),
}
