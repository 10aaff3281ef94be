//! What arrived of one sender's stream, what is missing, and when to ask for it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ACK_BYTES, ACK_PACKETS, MAX_NACK_RANGES, Received, WINDOW_PACKETS};
use crate::engine::{MemberId, Time};
use crate::prng::Prng;

/// After a gap shows, wait from this long …
pub const NACK_WAIT_MIN: Duration = Duration::from_millis(3);
/// … to this long before asking: the packet may only be late, or another member may ask first.
pub const NACK_WAIT_MAX: Duration = Duration::from_millis(10);
/// Ask again after this long, and then ever more rarely …
pub const NACK_AGAIN_FIRST: Duration = Duration::from_millis(20);
/// … up to this.
pub const NACK_AGAIN_MAX: Duration = Duration::from_millis(640);

/// The receiving side of one stream.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct ReceiveWindow {
    /// Everything below has arrived.
    next: u64,
    /// What arrived at or above `next`: never more than a window.
    early: BTreeSet<u64>,
    /// The highest number known to have been sent.
    known: u64,
    /// How many of those that arrived are held back above.
    held: u64,
    /// What has come since the last acknowledgement.
    unacked_packets: u64,
    unacked_bytes: usize,
    nack_at: Option<Time>,
    nack_gap: Duration,
}

/// What an arriving number means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// The first time.
    New,
    /// It was here before.
    Duplicate,
    /// Further ahead than any honest sender may be.
    Outside,
}

impl Default for ReceiveWindow {
    fn default() -> Self {
        Self {
            next: 1,
            early: BTreeSet::new(),
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
    /// Packet `number` has arrived.
    pub(super) fn receive(&mut self, now: Time, number: u64, jitter: &mut Prng) -> Arrival {
        if number < self.next || self.early.contains(&number) {
            return Arrival::Duplicate;
        }
        if number >= self.next + WINDOW_PACKETS {
            return Arrival::Outside;
        }
        self.known = self.known.max(number);
        let before = self.next;
        if number == before {
            self.next += 1;
        } else {
            self.early.insert(number);
        }
        while !self.early.is_empty() && self.early.remove(&self.next) {
            self.next += 1;
        }
        if self.next > before {
            // The next gap is another one: it is not asked for as rarely as this one came to be.
            self.nack_at = None;
            self.nack_gap = NACK_AGAIN_FIRST;
        }
        self.look_for_gaps(now, jitter);
        Arrival::New
    }

    /// A packet of this weight has come; whether it is time to acknowledge it at once, so that its sender, whose window
    /// is as large as everybody's, need not wait.
    pub(super) const fn owes(&mut self, bytes: usize) -> bool {
        self.unacked_packets += 1;
        self.unacked_bytes += bytes;
        self.unacked_packets >= ACK_PACKETS || self.unacked_bytes >= ACK_BYTES
    }

    /// All that has come is acknowledged.
    pub(super) const fn acknowledged(&mut self) {
        self.unacked_packets = 0;
        self.unacked_bytes = 0;
    }

    /// The sender says that it has sent up to `sent`; false if no honest sender could be that far.
    pub(super) fn announced(&mut self, now: Time, sent: u64, jitter: &mut Prng) -> bool {
        if sent >= self.next + WINDOW_PACKETS {
            return false;
        }
        self.known = self.known.max(sent);
        self.look_for_gaps(now, jitter);
        true
    }

    fn look_for_gaps(&mut self, now: Time, jitter: &mut Prng) {
        if self.known < self.next {
            self.nack_at = None;
            self.nack_gap = NACK_AGAIN_FIRST;
        } else if self.nack_at.is_none() {
            self.nack_at = Some(now.after(between(NACK_WAIT_MIN, NACK_WAIT_MAX, jitter)));
        }
    }

    /// Another member has asked for these: as good as having asked, if it is all that we miss.
    pub(super) fn overheard(&mut self, now: Time, asked: &[(u64, u64)], jitter: &mut Prng) {
        let covers = |(first, last): &(u64, u64)| asked.iter().any(|(from, to)| from <= first && last <= to);
        if self.nack_at.is_some() && self.missing().iter().all(covers) {
            self.back_off(now, jitter);
        }
    }

    /// What to ask for now; the next time comes later.
    pub(super) fn ask(&mut self, now: Time, jitter: &mut Prng) -> Vec<(u64, u64)> {
        self.back_off(now, jitter);
        self.missing()
    }

    fn back_off(&mut self, now: Time, jitter: &mut Prng) {
        self.nack_at = Some(now.after(between(self.nack_gap, self.nack_gap * 3 / 2, jitter)));
        self.nack_gap = (self.nack_gap * 2).min(NACK_AGAIN_MAX);
    }

    /// The first few ranges of numbers that are known to have been sent and have not arrived.
    fn missing(&self) -> Vec<(u64, u64)> {
        let mut ranges = Vec::new();
        let mut from = self.next;
        for &arrived in self.early.iter().chain([&(self.known + 1)]) {
            if from < arrived {
                ranges.push((from, arrived - 1));
            }
            from = arrived + 1;
            if ranges.len() == MAX_NACK_RANGES {
                break;
            }
        }
        ranges
    }

    /// When to ask for what is missing.
    pub(super) const fn nack_at(&self) -> Option<Time> {
        self.nack_at
    }

    /// Notes how many packets of this sender the order holds back.
    pub(super) const fn set_backlog(&mut self, packets: u64) {
        self.held = packets;
    }

    /// The number up to which everything has arrived.
    pub(super) const fn complete(&self) -> u64 {
        self.next - 1
    }

    /// What its sender is told.
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
