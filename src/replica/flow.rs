//! Flow control of a replica's own entries: as many datagrams are under way as the slowest receiver can take.
//!
//! A burst must fit the socket buffer that each receiver announces, because a datagram that does not fit is lost. A
//! receiver that has acknowledged nothing for a while is left out, and catches up from the logs of the others.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::Time;

/// Most datagrams under way.
const MOST_UNDER_WAY: u64 = 1024;
/// Fewest datagrams under way, whatever receivers announce.
const LEAST_UNDER_WAY: u64 = 8;
/// The silence after which a receiver is left out.
const LEFT_OUT_AFTER: Duration = Duration::from_secs(1);

/// The state of one receiver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Receiver {
    /// The last entry that it has received.
    received: u64,
    /// The number of datagrams that its socket buffer holds.
    room: u64,
    /// The time of its last progress, or of the first entry sent after it had everything.
    since: Time,
}

/// The own entries of a replica on their way to the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    receivers: Vec<Receiver>,
    me: usize,
    /// The number of the last entry that has been sent.
    sent: u64,
    /// For each of the last entries: its number, and the number of datagrams sent with it.
    datagrams: VecDeque<(u64, u64)>,
    /// The number of datagrams sent.
    total: u64,
}

impl Flow {
    /// Returns the state of a member that has sent `sent` entries in earlier lives.
    pub(super) fn new(me: usize, members: usize, sent: u64) -> Self {
        let receivers = vec![Receiver { received: sent, ..Receiver::default() }; members];
        Self { receivers, me, sent, datagrams: [(sent, 0)].into(), total: 0 }
    }

    /// Returns the number of the last entry that has been sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Records that entry `number` is sent, or need not be, in so many datagrams.
    pub(super) fn send(&mut self, now: Time, number: u64, datagrams: u64) {
        for receiver in &mut self.receivers {
            if receiver.received >= self.sent {
                receiver.since = now;
            }
        }
        self.sent = number;
        self.total += datagrams;
        self.datagrams.push_back((number, self.total));
        if self.datagrams.len() > MOST_UNDER_WAY as usize * 2 {
            self.datagrams.pop_front();
        }
    }

    /// Records an acknowledgement.
    pub(super) fn acknowledged(&mut self, now: Time, receiver: usize, received: u64, room: u64) {
        let state = &mut self.receivers[receiver];
        state.room = room;
        if received > state.received && received <= self.sent {
            state.received = received;
            state.since = now;
        }
        let least = self.others().map(|receiver| receiver.received).min().unwrap_or(self.sent);
        while self.datagrams.get(1).is_some_and(|&(number, _)| number <= least) {
            self.datagrams.pop_front();
        }
    }

    /// Returns how many datagrams may be sent now.
    pub(super) fn window(&self, now: Time) -> u64 {
        let members = self.receivers.len() as u64;
        let room = self.counted(now).map(|receiver| receiver.room).filter(|&room| room > 0).min();
        let most = room.map_or(LEAST_UNDER_WAY, |room| room / members);
        most.clamp(LEAST_UNDER_WAY, MOST_UNDER_WAY).saturating_sub(self.under_way(now))
    }

    /// Returns the datagrams that a counted receiver has not acknowledged.
    fn under_way(&self, now: Time) -> u64 {
        let least = self.counted(now).map(|receiver| receiver.received).min().unwrap_or(self.sent);
        let at = self.datagrams.partition_point(|&(number, _)| number <= least);
        self.total - at.checked_sub(1).map_or(0, |at| self.datagrams[at].1)
    }

    /// Returns whether a counted receiver still lacks an entry.
    pub(super) fn is_outstanding(&self, now: Time) -> bool {
        self.counted(now).any(|receiver| receiver.received < self.sent)
    }

    /// Returns the time at which the next receiver that lacks an entry is left out.
    pub(super) fn next_left_out(&self, now: Time) -> Option<Time> {
        let lacking = self.counted(now).filter(|receiver| receiver.received < self.sent);
        lacking.map(|receiver| receiver.since.after(LEFT_OUT_AFTER)).min()
    }

    fn counted(&self, now: Time) -> impl Iterator<Item = &Receiver> {
        let is_counted = move |receiver: &&Receiver| {
            receiver.received >= self.sent || now.since(receiver.since) < LEFT_OUT_AFTER
        };
        self.others().filter(is_counted)
    }

    fn others(&self) -> impl Iterator<Item = &Receiver> {
        self.receivers.iter().enumerate().filter(|&(slot, _)| slot != self.me).map(|(_, receiver)| receiver)
    }
}
