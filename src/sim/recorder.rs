//! The log of a simulated sequencer: a disk that takes time to sync, and has lost at a crash all that it had not synced.
//!
//! Each packet of the sequencer passes the same gate as in a real process. At each delivery the log is judged as if all of
//! its unsynced records were lost at this moment: what a member delivers must be in the rest.

use std::collections::BTreeMap;

use crate::engine::{MemberId, To};
use crate::member::gate::Gate;
use crate::wire::Packet;

/// A record: the sender, and the numbers of its messages.
pub(super) type Written = (MemberId, u64, u32);

/// The log of one sequencer.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) gate: Gate<(To, Packet)>,
    /// By the places of their first messages: the records that are not durable.
    pub(super) written: BTreeMap<u64, Written>,
    pub(super) durable: BTreeMap<u64, Written>,
    /// The last place of the sync that is under way.
    pub(super) syncing: Option<u64>,
}

impl Recorder {
    /// Returns a packet that may leave at once.
    pub(super) fn pass(&mut self, to: To, packet: Packet) -> Option<(To, Packet)> {
        self.gate.pass((to, packet))
    }

    /// Returns whether a batch has this place also if all unsynced records are lost.
    pub(super) fn keeps(&self, place: u64, written: Written) -> bool {
        self.durable.get(&place) == Some(&written)
    }
}
