//! Flow control of a replica's own entries: as many datagrams are under way as the slowest receiver can take.
//!
//! A burst must fit the socket buffer that each receiver announces, because a datagram that does not fit is lost. A
//! receiver that has acknowledged nothing for a while is left out, and catches up from the logs of the others. It counts
//! again when it is near.

use std::collections::VecDeque;
use std::time::Duration;

use super::epoch::Membership;
use crate::ids::Time;

/// Most datagrams under way.
const MOST_UNDER_WAY: u64 = 1024;
/// Fewest datagrams under way, whatever receivers announce.
const LEAST_UNDER_WAY: u64 = 8;
/// The silence after which a receiver is left out.
const LEFT_OUT_AFTER: Duration = Duration::from_secs(1);

/// The state of one receiver.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Receiver {
    /// The last entry that it has received.
    received: u64,
    /// The number of datagrams that its socket buffer holds.
    room: u64,
    /// The time of its last progress, or of the first entry sent after it had everything.
    since: Time,
}

/// The own entries of a replica on their way to the others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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

    /// Makes room for so many slots.
    pub(super) fn widen(&mut self, slots: usize) {
        self.receivers.resize(slots, Receiver::default());
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
        // A receiver that lacks more than may be under way is far behind.
        while self.datagrams.front().is_some_and(|&(_, at)| self.total - at > MOST_UNDER_WAY) {
            self.datagrams.pop_front();
        }
        self.sent = number;
        self.total += datagrams;
        self.datagrams.push_back((number, self.total));
    }

    /// Records an acknowledgement: how much a receiver has, and for how many datagrams it has room.
    pub(super) fn acknowledged(
        &mut self,
        now: Time,
        receiver: usize,
        (received, room): (u64, u64),
        members: &Membership,
    ) {
        let state = &mut self.receivers[receiver];
        state.room = room;
        if received > state.received && received <= self.sent {
            state.received = received;
            state.since = now;
        }
        let least = self.others(members).map(|receiver| receiver.received).min().unwrap_or(self.sent);
        while self.datagrams.get(1).is_some_and(|&(number, _)| number <= least) {
            self.datagrams.pop_front();
        }
    }

    /// Returns how many datagrams may be sent now.
    pub(super) fn window(&self, now: Time, members: &Membership) -> u64 {
        let senders = self.others(members).count() as u64 + 1;
        let room = self.counted(now, members).map(|receiver| receiver.room).filter(|&room| room > 0).min();
        let most = room.map_or(LEAST_UNDER_WAY, |room| room / senders);
        most.clamp(LEAST_UNDER_WAY, MOST_UNDER_WAY).saturating_sub(self.under_way(now, members))
    }

    /// Returns the datagrams that a counted receiver has not acknowledged.
    fn under_way(&self, now: Time, members: &Membership) -> u64 {
        let least = self.counted(now, members).map(|receiver| receiver.received).min().unwrap_or(self.sent);
        let at = self.datagrams.partition_point(|&(number, _)| number <= least);
        self.total - at.checked_sub(1).map_or(0, |at| self.datagrams[at].1)
    }

    /// Returns whether a counted receiver still lacks an entry.
    pub(super) fn is_outstanding(&self, now: Time, members: &Membership) -> bool {
        self.counted(now, members).any(|receiver| receiver.received < self.sent)
    }

    /// Returns the time at which the next receiver that lacks an entry is left out.
    pub(super) fn next_left_out(&self, now: Time, members: &Membership) -> Option<Time> {
        let lacking = self.counted(now, members).filter(|receiver| receiver.received < self.sent);
        lacking.map(|receiver| receiver.since.after(LEFT_OUT_AFTER)).min()
    }

    /// Returns the receivers for which a sender waits: those that have everything, or are near and make progress.
    fn counted(&self, now: Time, members: &Membership) -> impl Iterator<Item = &Receiver> {
        let near = self.datagrams.front().map_or(self.sent, |&(number, _)| number);
        let is_counted = move |receiver: &&Receiver| {
            let is_near = receiver.received >= near && now.since(receiver.since) < LEFT_OUT_AFTER;
            receiver.received >= self.sent || is_near
        };
        self.others(members).filter(is_counted)
    }

    fn others(&self, members: &Membership) -> impl Iterator<Item = &Receiver> {
        members.others(self.me).filter_map(|slot| self.receivers.get(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Membership {
        Membership::new(3)
    }

    /// The state of a member of three that has sent `count` datagrams, one an entry, at the start.
    fn sent(count: u64) -> Flow {
        let mut flow = Flow::new(0, 3, 0);
        (1..3).for_each(|receiver| flow.acknowledged(Time::ZERO, receiver, (0, 92), &three()));
        (1..=count).for_each(|number| flow.send(Time::ZERO, number, 1));
        flow
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1_000)
    }

    #[test]
    fn flow_window_follows_the_smallest_room_of_those_that_are_counted() {
        assert_eq!(
            (
                sent(0).window(at(0), &three()),
                sent(10).window(at(0), &three()),
                sent(30).window(at(0), &three())
            ),
            (30, 20, 0)
        );
        let mut flow = sent(10);
        flow.acknowledged(at(1), 1, (10, 3_000), &three());
        assert_eq!(flow.window(at(1), &three()), 20, "the other has room for few");
        flow.acknowledged(at(1), 2, (5, 3_000), &three());
        assert_eq!(flow.window(at(1), &three()), 1_000 - 5);
        flow.acknowledged(at(1), 2, (10, u64::MAX), &three());
        flow.acknowledged(at(1), 1, (10, u64::MAX), &three());
        assert_eq!(flow.window(at(1), &three()), MOST_UNDER_WAY);
        flow.acknowledged(at(1), 1, (10, 1), &three());
        assert_eq!(flow.window(at(1), &three()), LEAST_UNDER_WAY);
    }

    #[test]
    fn flow_receiver_without_progress_is_left_out_after_a_second() {
        let mut flow = sent(30);
        flow.acknowledged(at(900), 1, (30, 92), &three());
        assert_eq!((flow.window(at(999), &three()), flow.window(at(1_000), &three())), (0, 30));
        assert_eq!(flow.next_left_out(at(999), &three()), Some(at(1_000)));
        // A word without progress does not bring it back, progress does.
        flow.acknowledged(at(1_100), 2, (0, 92), &three());
        assert_eq!((flow.window(at(1_100), &three()), flow.is_outstanding(at(1_100), &three())), (30, false));
        flow.acknowledged(at(1_200), 2, (20, 92), &three());
        assert_eq!((flow.window(at(1_200), &three()), flow.is_outstanding(at(1_200), &three())), (20, true));
    }

    #[test]
    fn flow_acknowledgement_of_what_was_never_sent_is_ignored() {
        let mut flow = sent(30);
        for receiver in 1..3 {
            flow.acknowledged(at(1), receiver, (31, 92), &three());
            flow.acknowledged(at(1), receiver, (u64::MAX, 92), &three());
        }
        assert_eq!(flow, sent(30));
    }

    #[test]
    fn flow_receiver_that_comes_back_far_behind_is_left_out_until_it_is_near() {
        let mut flow = sent(0);
        for number in 1..=5_000 {
            flow.send(at(number), number, 1);
            flow.acknowledged(at(number), 1, (number, 92), &three());
        }
        assert_eq!(flow.window(at(5_000), &three()), 30);
        // It makes progress all the time, from the logs of others.
        for received in 1..=3_900 {
            flow.acknowledged(at(5_000), 2, (received, 92), &three());
            assert_eq!(flow.window(at(5_000), &three()), 30, "nobody waits for it at {received}");
        }
        flow.acknowledged(at(5_000), 2, (4_990, 92), &three());
        assert_eq!(flow.window(at(5_000), &three()), 20, "now it is counted");
        assert!(flow.datagrams.len() <= MOST_UNDER_WAY as usize + 2);
    }
}
