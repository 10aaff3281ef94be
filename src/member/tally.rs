//! The tally: the announcement of a client that it sends nothing more.

use std::collections::BTreeMap;

use crate::ids::MemberId;
use crate::wire::wire_struct;

/// The messages of a client in the whole run, counted. Travels in the client's own stream, after everything else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// The number of messages it multicast.
    pub multicasts: u64,
    /// The number of direct messages to each receiver that got any.
    pub sent: BTreeMap<MemberId, u64>,
}

wire_struct!(Tally { multicasts, sent });
