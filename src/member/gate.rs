//! The gate before the network of a sequencer that keeps a log: nothing leaves before the records that it may follow from
//! are durable. So a member, or a survivor of a crash, never knows more than the log.
//!
//! Everything waits, whatever it says, and in its order: also what the sequencer says when a view changes. A view change
//! needs no case for records that are not durable yet.

use std::collections::VecDeque;

/// Packets, each with the place up to which the log must be durable before it leaves.
#[derive(Clone, Debug)]
pub struct Gate<T> {
    /// The last place that was given to the log.
    recorded: u64,
    /// All records up to this place are durable.
    durable: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Self { recorded: 0, durable: 0, waiting: VecDeque::new() }
    }
}

impl<T> Gate<T> {
    /// Takes note that the log has been given the records up to this place.
    pub fn record(&mut self, place: u64) {
        self.recorded = self.recorded.max(place);
    }

    /// Returns a packet if it may leave at once; else it waits. The windows of the senders bound how many do.
    pub fn pass(&mut self, packet: T) -> Option<T> {
        if self.recorded <= self.durable {
            return Some(packet);
        }
        self.waiting.push_back((self.recorded, packet));
        None
    }

    /// Takes note that the records up to this place are durable; returns the packets that may leave now.
    pub fn open(&mut self, place: u64) -> Vec<T> {
        self.durable = self.durable.max(place);
        let still = self.waiting.partition_point(|(needs, _)| *needs <= self.durable);
        self.waiting.drain(..still).map(|(_, packet)| packet).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_wait_for_the_records_before_them_and_keep_their_order() {
        let mut gate = Gate::default();
        assert_eq!(gate.pass("before"), Some("before"));
        gate.record(3);
        assert_eq!((gate.pass("3"), gate.pass("status")), (None, None));
        gate.record(5);
        assert_eq!(gate.pass("5"), None);
        assert_eq!(gate.open(2), [""; 0]);
        assert_eq!(gate.open(4), ["3", "status"]);
        assert_eq!(gate.pass("heartbeat"), None, "it may follow from what is not durable");
        assert_eq!(gate.open(5), ["5", "heartbeat"]);
        assert_eq!(gate.pass("after"), Some("after"));
    }
}
