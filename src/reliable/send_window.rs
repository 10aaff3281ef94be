//! The sending side of one stream of numbered packets to one destination.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::{MemberId, Time};
use crate::wire::{Weight, Window, Wire};

/// Time after which a sender that has stopped announces its last packet, in a small group; it doubles each time …
pub const ANNOUNCE_FIRST: Duration = Duration::from_millis(40);
/// … up to this maximum.
pub const ANNOUNCE_MAX: Duration = Duration::from_millis(1000);
/// Shortest time between two transmissions of a packet, so that several NACKs cause one.
pub const RESEND_GAP: Duration = Duration::from_millis(10);

/// Most packets by which a sender may be ahead of the slowest receiver. Receivers rely on it.
pub const WINDOW_PACKETS: u64 = 64;
/// The sending side of one stream.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct SendWindow<M> {
    /// The progress of each receiver.
    acknowledged: BTreeMap<MemberId, Progress>,
    /// The number up to which all receivers have acknowledged.
    received: u64,
    /// Packets that some receiver lacks or holds back, by ascending number; the first has number `base`.
    sent: VecDeque<Sent<M>>,
    base: u64,
    /// The weight of all packets in `sent`.
    under_way: Weight,
    window: Window,
    /// Submissions that wait because the window is full.
    waiting: VecDeque<M>,
    /// Waiting packets without messages: others may wait for them, so they overtake messages.
    urgent: VecDeque<M>,
    announce_at: Option<Time>,
    announce_first: Duration,
    announce_gap: Duration,
}

/// The progress of a receiver.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Progress {
    /// Its cumulative acknowledgement.
    received: u64,
    /// The same number less its backlog.
    done: u64,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Sent<M> {
    message: M,
    at: Time,
}

impl<M: Wire> SendWindow<M> {
    pub(super) fn new(receivers: &[MemberId], window: Window, announce_first: Duration) -> Self {
        Self {
            acknowledged: receivers.iter().map(|&receiver| (receiver, Progress::default())).collect(),
            received: 0,
            sent: VecDeque::new(),
            base: 1,
            under_way: Weight::default(),
            window,
            waiting: VecDeque::new(),
            urgent: VecDeque::new(),
            announce_at: None,
            announce_first,
            announce_gap: announce_first,
        }
    }

    /// Queues a message; [`Self::next_to_send`] returns it when the window has room.
    pub(super) fn submit(&mut self, message: M) {
        let queue = if message.weight().messages == 0 { &mut self.urgent } else { &mut self.waiting };
        queue.push_back(message);
    }

    /// Returns the next packet to send, if the window has room.
    pub(super) fn next_to_send(&mut self, now: Time) -> Option<(u64, M)> {
        let may_go = |queue: &VecDeque<M>| queue.front().is_some_and(|message| self.admits(message.weight()));
        let message = if may_go(&self.urgent) {
            self.urgent.pop_front()
        } else if may_go(&self.waiting) {
            self.waiting.pop_front()
        } else {
            None
        };
        Some(self.sending(now, message?))
    }

    /// Returns the next packet to send, even beyond the window.
    pub(super) fn next_to_send_anyway(&mut self, now: Time) -> Option<(u64, M)> {
        let message = self.urgent.pop_front().or_else(|| self.waiting.pop_front())?;
        Some(self.sending(now, message))
    }

    /// Numbers a packet, and keeps it until no receiver lacks it or holds it back.
    fn sending(&mut self, now: Time, message: M) -> (u64, M) {
        let weight = message.weight();
        if self.acknowledged.is_empty() {
            self.base += 1; // A stream without receivers: stable at once.
            return (self.base - 1, message);
        }
        self.under_way.bytes += weight.bytes;
        self.under_way.messages += weight.messages;
        self.sent.push_back(Sent { message: message.clone(), at: now });
        self.announce_gap = self.announce_first;
        self.announce_at = Some(now.after(self.announce_gap));
        (self.last_sent(), message)
    }

    /// Returns whether the window has room for messages.
    fn is_open(&self) -> bool {
        let Weight { bytes, messages } = self.under_way;
        (self.sent.len() as u64) < WINDOW_PACKETS
            && bytes < self.window.bytes
            && messages < self.window.messages
    }

    /// Returns whether the window has room for a packet of this weight.
    ///
    /// A packet without messages carries what messages in hold-back queues wait for, so a receiver's backlog does not
    /// delay it. Only the receivers' windows limit it.
    fn admits(&self, weight: Weight) -> bool {
        if weight.messages == 0 {
            return self.last_sent() - self.received < WINDOW_PACKETS;
        }
        let before = self.under_way.messages;
        self.is_open() && (before == 0 || before.saturating_add(weight.messages) <= self.window.messages)
    }

    /// Returns how many more submissions the window admits.
    pub(super) fn room(&self) -> usize {
        if !self.is_open() {
            return 0;
        }
        (WINDOW_PACKETS as usize - self.sent.len()).saturating_sub(self.waiting.len())
    }

    /// Returns whether all receivers have everything and hold nothing back.
    pub(super) fn is_settled(&self) -> bool {
        self.sent.is_empty() && self.waiting.is_empty() && self.urgent.is_empty()
    }

    /// Returns how many packets without messages wait for the window.
    pub(super) fn urgent(&self) -> u64 {
        self.urgent.len() as u64
    }

    /// Returns the packets that some receiver lacks, sent or not.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &M> {
        let sent = (self.base..).zip(&self.sent).filter(|&(number, _)| number > self.received);
        sent.map(|(_, sent)| &sent.message).chain(&self.urgent).chain(&self.waiting)
    }

    /// Returns the number up to which all receivers have acknowledged, and how many packets they lack.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.received, self.last_sent() - self.received + self.unsent())
    }

    /// Returns how many packets wait for the window.
    pub(super) fn unsent(&self) -> u64 {
        (self.waiting.len() + self.urgent.len()) as u64
    }

    /// Returns the one receiver that is behind all others and lacks packets, and its cumulative acknowledgement. If
    /// several are equally far behind, the sender's own link may be to blame.
    pub(super) fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        let received = || self.acknowledged.iter().map(|(&receiver, progress)| (progress.received, receiver));
        let (least, last) = received().min()?;
        let is_alone = received().all(|(number, receiver)| receiver == last || number > least);
        (is_alone && least < self.last_sent()).then_some((last, least))
    }

    /// Returns the number of the last packet sent; 0 before the first.
    pub(super) fn last_sent(&self) -> u64 {
        self.base + self.sent.len() as u64 - 1
    }

    /// Records the cumulative acknowledgement of `from`, at most the last number sent, and its backlog. Drops the
    /// packets that no receiver lacks or holds back.
    pub(super) fn acknowledged(&mut self, now: Time, from: MemberId, received: u64, held: u64) {
        assert!(received <= self.last_sent(), "checked by the caller");
        let Some(known) = self.acknowledged.get_mut(&from) else { return };
        let done = received.saturating_sub(held).max(known.done);
        let received = received.max(known.received);
        if *known == (Progress { received, done }) {
            return;
        }
        *known = Progress { received, done };
        let least = |of: fn(&Progress) -> u64| self.acknowledged.values().map(of).min().unwrap_or(0);
        self.received = least(|progress| progress.received);
        let stable = least(|progress| progress.done);
        while self.base <= stable {
            let sent = self.sent.pop_front().expect("what is acknowledged was sent");
            let weight = sent.message.weight();
            self.under_way.bytes -= weight.bytes;
            self.under_way.messages -= weight.messages;
            self.base += 1;
        }
        self.announce_gap = self.announce_first;
        self.announce_at = (!self.sent.is_empty()).then(|| now.after(self.announce_gap));
    }

    /// Returns the kept packets of this range, except those sent just before.
    pub(super) fn again(&mut self, now: Time, (first, last): (u64, u64)) -> Vec<(u64, M)> {
        let mut packets = Vec::new();
        for number in first.max(self.base)..=last.min(self.last_sent()) {
            let sent = &mut self.sent[(number - self.base) as usize];
            if now.since(sent.at) >= RESEND_GAP {
                sent.at = now;
                packets.push((number, sent.message.clone()));
            }
        }
        packets
    }

    /// Returns the time of the next announcement; nothing while all packets are stable.
    pub(super) const fn announce_at(&self) -> Option<Time> {
        self.announce_at
    }

    /// Records an announcement, and sets the time of the next one.
    pub(super) fn announced(&mut self, now: Time) {
        self.announce_gap = (self.announce_gap * 2).min(ANNOUNCE_MAX);
        self.announce_at = Some(now.after(self.announce_gap));
    }
}
