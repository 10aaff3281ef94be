//! What was sent and may still be asked for: one stream of numbered packets to one destination.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::{MemberId, Time};
use crate::wire::{Weight, Window, Wire};

/// A sender that has fallen silent announces how far it got after this long, and then ever more rarely …
pub const ANNOUNCE_FIRST: Duration = Duration::from_millis(40);
/// … up to this.
pub const ANNOUNCE_MAX: Duration = Duration::from_millis(1000);
/// A packet is not sent again sooner than this after it was last sent: several requests for it are one.
pub const RESEND_GAP: Duration = Duration::from_millis(10);

/// How many packets a sender may be ahead of the slowest receiver. Receivers count on it.
pub const WINDOW_PACKETS: u64 = 64;
/// The sending side of one stream.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct SendWindow<M> {
    /// Of each receiver: how far it got.
    acknowledged: BTreeMap<MemberId, Progress>,
    /// All receivers have everything up to this number.
    received: u64,
    /// Sent and not yet done with everywhere, by ascending number; the first has number `base`.
    sent: VecDeque<Sent<M>>,
    base: u64,
    /// What `sent` carries.
    under_way: Weight,
    window: Window,
    /// Submitted and not yet sent, because the window is full.
    waiting: VecDeque<M>,
    /// The same of what carries no messages: it may be what the others wait for, so it does not wait behind them.
    urgent: VecDeque<M>,
    announce_at: Option<Time>,
    announce_gap: Duration,
}

/// How far a receiver got.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Progress {
    /// It has everything up to this number.
    received: u64,
    /// As many packets, less those that it holds back.
    done: u64,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Sent<M> {
    message: M,
    at: Time,
}

impl<M: Wire> SendWindow<M> {
    pub(super) fn new(receivers: &[MemberId], window: Window) -> Self {
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
            announce_gap: ANNOUNCE_FIRST,
        }
    }

    /// Takes a message; [`Self::next_to_send`] tells when it may go.
    pub(super) fn submit(&mut self, message: M) {
        let queue = if message.weight().messages == 0 { &mut self.urgent } else { &mut self.waiting };
        queue.push_back(message);
    }

    /// The next packet to send, while the window has room.
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

    /// The next packet to send, whether or not the window has room.
    pub(super) fn next_to_send_anyway(&mut self, now: Time) -> Option<(u64, M)> {
        let message = self.urgent.pop_front().or_else(|| self.waiting.pop_front())?;
        Some(self.sending(now, message))
    }

    /// Numbers a packet and remembers it until all are done with it.
    fn sending(&mut self, now: Time, message: M) -> (u64, M) {
        let weight = message.weight();
        if self.acknowledged.is_empty() {
            self.base += 1; // A stream without receivers: stable at once.
            return (self.base - 1, message);
        }
        self.under_way.bytes += weight.bytes;
        self.under_way.messages += weight.messages;
        self.sent.push_back(Sent { message: message.clone(), at: now });
        self.announce_gap = ANNOUNCE_FIRST;
        self.announce_at = Some(now.after(self.announce_gap));
        (self.last_sent(), message)
    }

    /// Whether a packet with messages may go.
    fn is_open(&self) -> bool {
        let Weight { bytes, messages } = self.under_way;
        (self.sent.len() as u64) < WINDOW_PACKETS
            && bytes < self.window.bytes
            && messages < self.window.messages
    }

    /// Whether a packet of this weight may go.
    ///
    /// What orders say to one another besides messages must not wait for messages that are held back: it is what
    /// those wait for. It only may not get further than receivers keep an account of.
    fn admits(&self, weight: Weight) -> bool {
        if weight.messages == 0 {
            return self.last_sent() - self.received < WINDOW_PACKETS;
        }
        let before = self.under_way.messages;
        self.is_open() && (before == 0 || before.saturating_add(weight.messages) <= self.window.messages)
    }

    /// How many submissions are welcome.
    pub(super) fn room(&self) -> usize {
        if !self.is_open() {
            return 0;
        }
        (WINDOW_PACKETS as usize - self.sent.len()).saturating_sub(self.waiting.len())
    }

    /// Whether all receivers are done with all that was submitted.
    pub(super) fn is_settled(&self) -> bool {
        self.sent.is_empty() && self.waiting.is_empty() && self.urgent.is_empty()
    }

    /// How many packets wait for the window.
    pub(super) fn unsent(&self) -> u64 {
        (self.waiting.len() + self.urgent.len()) as u64
    }

    /// The one receiver that has not got all that was sent and has fallen behind all others, and up to which number it
    /// has everything. If all have fallen behind it is the way out that is to blame, and none of them.
    pub(super) fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        let received = || self.acknowledged.iter().map(|(&receiver, progress)| (progress.received, receiver));
        let (least, last) = received().min()?;
        let is_alone = received().all(|(number, receiver)| receiver == last || number > least);
        (is_alone && least < self.last_sent()).then_some((last, least))
    }

    /// The number of the last packet sent; 0 before the first.
    pub(super) fn last_sent(&self) -> u64 {
        self.base + self.sent.len() as u64 - 1
    }

    /// `from` has everything up to `received`, which must have been sent, and holds back `held` of it. What all are
    /// done with is forgotten.
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
        self.announce_gap = ANNOUNCE_FIRST;
        self.announce_at = (!self.sent.is_empty()).then(|| now.after(self.announce_gap));
    }

    /// The packets of this range that are not yet stable and were not sent just now.
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

    /// When to announce how far we got; nothing while everything is stable.
    pub(super) const fn announce_at(&self) -> Option<Time> {
        self.announce_at
    }

    /// It has been announced; the next time comes later.
    pub(super) fn announced(&mut self, now: Time) {
        self.announce_gap = (self.announce_gap * 2).min(ANNOUNCE_MAX);
        self.announce_at = Some(now.after(self.announce_gap));
    }
}
