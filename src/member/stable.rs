//! Uniform delivery: deliveries of the stack are held until they are stable, that is, until every client of the view
//! has all packets from which they follow. Then every survivor delivers them at the same place, even if this member
//! fails at once. A sequencer that is no client delivers nothing, so nobody waits for it.
//!
//! Each member acknowledges as soon as it holds a delivery and no input waits: the others wait for the same.
//!
//! A delivery follows from packets: the message, its number, clocks. Only the order knows which ones, so all packets
//! are taken that were received when it was delivered, and all own ones that were submitted. An own packet may be owed
//! and not sent yet (`lamport`: this member's clock has seen the message, and the others do not know it): then the
//! delivery waits until that packet is sent.

use std::collections::VecDeque;
use std::time::Duration;

use super::app::App;
use crate::engine::sooner;
use crate::ids::{MemberId, Time};

/// Time after which the others are asked for acknowledgements, since the packets with them may be lost …
const ASK_FIRST: Duration = Duration::from_millis(40);
/// … and the longest gap between later requests, which doubles each time.
const ASK_MAX: Duration = Duration::from_millis(1_000);

/// The sender, the global number, and the delivery.
type Item = (MemberId, Option<u64>, App);

/// The highest packet number received from each sender.
type Came = Vec<(MemberId, u64)>;

/// The deliveries that are not stable.
#[derive(Debug, Default)]
pub(super) struct Unstable {
    /// Deliveries of the stack since the last call of [`Self::take_stable`].
    fresh: Vec<Item>,
    /// Deliveries, with the packets that were received when they were made.
    held: VecDeque<(Came, Vec<Item>)>,
    /// The time at which the packets of the fresh deliveries are acknowledged.
    acknowledge_at: Option<Time>,
    ask_at: Option<Time>,
    ask_gap: Duration,
}

impl Unstable {
    /// Holds a delivery of the stack.
    pub(super) fn hold(&mut self, now: Time, item: Item) {
        self.fresh.push(item);
        self.acknowledge_at = sooner(self.acknowledge_at, Some(now));
    }

    /// Returns whether there are fresh deliveries.
    pub(super) const fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Records that the fresh deliveries follow from these packets at most.
    pub(super) fn follow_from(&mut self, came: Came) {
        self.held.push_back((came, std::mem::take(&mut self.fresh)));
    }

    /// Returns whether to acknowledge now, since the others wait for it.
    pub(super) const fn take_acknowledgement(&mut self) -> bool {
        self.acknowledge_at.take().is_some()
    }

    /// Returns the deliveries that are stable now, in order. `known` returns the number up to which every client has
    /// the packets of a sender.
    pub(super) fn take_stable(&mut self, now: Time, known: impl Fn(MemberId) -> u64) -> Vec<Item> {
        let is_stable = |came: &Came| came.iter().all(|&(sender, number)| known(sender) >= number);
        let mut stable = Vec::new();
        while self.held.front().is_some_and(|(came, _)| is_stable(came)) {
            stable.extend(self.held.pop_front().into_iter().flat_map(|(_, items)| items));
            self.ask_at = None;
        }
        if self.held.is_empty() {
            self.ask_at = None;
        } else if self.ask_at.is_none() {
            self.ask_gap = ASK_FIRST;
            self.ask_at = Some(now.after(ASK_FIRST));
        }
        stable
    }

    /// Returns all deliveries, in order: the view has ended, and all survivors have the packets.
    pub(super) fn end(&mut self) -> Vec<Item> {
        (self.ask_at, self.acknowledge_at) = (None, None);
        let held = std::mem::take(&mut self.held).into_iter().flat_map(|(_, items)| items);
        held.chain(std::mem::take(&mut self.fresh)).collect()
    }

    /// Returns the time of the next acknowledgement or request for one.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        sooner(self.acknowledge_at, self.ask_at)
    }

    /// Returns whether a request for acknowledgements is due, and sets the time of the next one.
    pub(super) fn take_due_request(&mut self, now: Time) -> bool {
        let is_due = self.ask_at.is_some_and(|due| due <= now);
        if is_due {
            self.ask_gap = (self.ask_gap * 2).min(ASK_MAX);
            self.ask_at = Some(now.after(self.ask_gap));
        }
        is_due
    }

    /// Returns the global number of the first held delivery, if it has one.
    pub(super) fn first_number(&self) -> Option<u64> {
        let mut held = self.held.iter().flat_map(|(_, items)| items).chain(&self.fresh);
        held.find_map(|(_, number, _)| *number)
    }

    /// Returns whether no delivery is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.fresh.is_empty()
    }

    /// Returns the number of held deliveries.
    pub(super) fn len(&self) -> usize {
        self.held.iter().map(|(_, items)| items.len()).sum::<usize>() + self.fresh.len()
    }
}
