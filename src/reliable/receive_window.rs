//! The receiving side of one stream: the packets received, the gaps, and the time of the next NACK.

use std::time::Duration;

use super::{ACK_BYTES, ACK_PACKETS, MAX_NACK_RANGES, Received, WINDOW_PACKETS};
use crate::engine::{MemberId, Time};
use crate::prefix_set::{PrefixSet, Range};
use crate::prng::Prng;

/// Shortest wait from the discovery of a gap to a NACK …
pub const NACK_WAIT_MIN: Duration = Duration::from_millis(3);
/// … and the longest: the packet may only be late, or another member may send a NACK first.
pub const NACK_WAIT_MAX: Duration = Duration::from_millis(10);
/// Gap from the first NACK to the second, which doubles each time …
pub const NACK_AGAIN_FIRST: Duration = Duration::from_millis(20);
/// … and its maximum.
pub const NACK_AGAIN_MAX: Duration = Duration::from_millis(640);

/// The receiving side of one stream.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct ReceiveWindow {
    /// The numbers of the received packets, never more than a window beyond the complete ones.
    received: PrefixSet,
    /// The highest number known to have been sent.
    known: u64,
    /// The backlog of this sender.
    held: u64,
    /// The packets and bytes since the last acknowledgement.
    unacked_packets: u64,
    unacked_bytes: usize,
    nack_at: Option<Time>,
    nack_gap: Duration,
}

/// The result of a received packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// A new packet.
    New,
    /// A packet that has been received before.
    Duplicate,
    /// Further ahead than an honest sender can be.
    Outside,
}

impl Default for ReceiveWindow {
    fn default() -> Self {
        Self {
            received: PrefixSet::default(),
            known: 0,
            held: 0,
            unacked_packets: 0,
            unacked_bytes: 0,
            nack_at: None,
            nack_gap: NACK_AGAIN_FIRST,
        }
    }
}

impl ReceiveWindow {
    /// Records packet `number`.
    pub(super) fn receive(&mut self, now: Time, number: u64, jitter: &mut Prng) -> Arrival {
        let before = self.complete();
        if number > before + WINDOW_PACKETS {
            return Arrival::Outside;
        }
        if !self.received.insert(number) {
            return Arrival::Duplicate;
        }
        self.known = self.known.max(number);
        if self.complete() > before {
            // The next gap is a new one, so its NACKs begin at the shortest gap again.
            self.nack_at = None;
            self.nack_gap = NACK_AGAIN_FIRST;
        }
        self.look_for_gaps(now, jitter);
        Arrival::New
    }

    /// Counts a packet of this weight. Returns whether to acknowledge it at once, since its sender may be waiting: all
    /// windows have the same size.
    pub(super) const fn owes(&mut self, bytes: usize) -> bool {
        self.unacked_packets += 1;
        self.unacked_bytes += bytes;
        self.unacked_packets >= ACK_PACKETS || self.unacked_bytes >= ACK_BYTES
    }

    /// Records an acknowledgement of everything received.
    pub(super) const fn acknowledged(&mut self) {
        self.unacked_packets = 0;
        self.unacked_bytes = 0;
    }

    /// Records the announcement of the last packet sent; false if no honest sender could be that far.
    pub(super) fn announced(&mut self, now: Time, sent: u64, jitter: &mut Prng) -> bool {
        if sent > self.complete() + WINDOW_PACKETS {
            return false;
        }
        self.known = self.known.max(sent);
        self.look_for_gaps(now, jitter);
        true
    }

    fn look_for_gaps(&mut self, now: Time, jitter: &mut Prng) {
        if self.known <= self.complete() {
            self.nack_at = None;
            self.nack_gap = NACK_AGAIN_FIRST;
        } else if self.nack_at.is_none() {
            self.nack_at = Some(now.after(between(NACK_WAIT_MIN, NACK_WAIT_MAX, jitter)));
        }
    }

    /// Handles another member's NACK, which replaces our own if it covers all gaps.
    pub(super) fn overheard(&mut self, now: Time, asked: &[Range], jitter: &mut Prng) {
        let covers = |(first, last): &Range| asked.iter().any(|(from, to)| from <= first && last <= to);
        if self.nack_at.is_some() && self.missing().iter().all(covers) {
            self.back_off(now, jitter);
        }
    }

    /// Returns the gaps for a NACK, and sets the time of the next one.
    pub(super) fn ask(&mut self, now: Time, jitter: &mut Prng) -> Vec<Range> {
        self.back_off(now, jitter);
        self.missing()
    }

    fn back_off(&mut self, now: Time, jitter: &mut Prng) {
        self.nack_at = Some(now.after(between(self.nack_gap, self.nack_gap * 3 / 2, jitter)));
        self.nack_gap = (self.nack_gap * 2).min(NACK_AGAIN_MAX);
    }

    /// Returns the first ranges that were sent and have not been received.
    fn missing(&self) -> Vec<Range> {
        self.received.gaps(self.known).take(MAX_NACK_RANGES).collect()
    }

    /// Returns the time of the next NACK.
    pub(super) const fn nack_at(&self) -> Option<Time> {
        self.nack_at
    }

    /// Sets the backlog of this sender.
    pub(super) const fn set_backlog(&mut self, packets: u64) {
        self.held = packets;
    }

    /// Returns the number up to which all packets have been received.
    pub(super) const fn complete(&self) -> u64 {
        self.received.complete()
    }

    /// Returns the acknowledgement for the sender.
    pub(super) fn account(&self, sender: MemberId) -> Received {
        let complete = self.complete();
        let held = u16::try_from(self.held.min(complete)).unwrap_or(u16::MAX);
        Received { sender, complete, held }
    }
}

fn between(low: Duration, high: Duration, jitter: &mut Prng) -> Duration {
    Duration::from_micros(jitter.between(low.as_micros() as u64, high.as_micros() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Time = Time::ZERO;

    #[test]
    fn names_what_is_missing() {
        let (mut window, mut jitter) = (ReceiveWindow::default(), Prng::new(1));
        for number in [2, 3, 6] {
            assert_eq!(window.receive(T, number, &mut jitter), Arrival::New);
        }
        assert!(window.announced(T, 8, &mut jitter));
        assert_eq!(window.missing(), [(1, 1), (4, 5), (7, 8)]);
        assert_eq!(window.receive(T, 3, &mut jitter), Arrival::Duplicate);
        assert_eq!(window.receive(T, 1, &mut jitter), Arrival::New);
        assert_eq!(window.complete(), 3);
    }

    #[test]
    fn an_absurd_number_changes_nothing() {
        let (mut window, mut jitter) = (ReceiveWindow::default(), Prng::new(1));
        assert_eq!(window.receive(T, u64::MAX, &mut jitter), Arrival::Outside);
        assert!(!window.announced(T, u64::MAX, &mut jitter));
        assert_eq!((window.nack_at(), window.complete()), (None, 0));
    }

    #[test]
    fn does_not_ask_when_another_member_just_did() {
        let (mut window, mut jitter) = (ReceiveWindow::default(), Prng::new(1));
        let _ = window.receive(T, 3, &mut jitter);
        let first = window.nack_at();
        window.overheard(T, &[(2, 2)], &mut jitter);
        assert_eq!(window.nack_at(), first, "it asked for less than we miss");
        window.overheard(T, &[(1, 2)], &mut jitter);
        assert!(window.nack_at() > first);
    }
}
