//! Uniform delivery: what has been delivered below is held back here until it is stable, that is, until every member of the
//! view has everything from which the delivery follows. Then whoever goes on delivers it too, at the same place, even
//! if this member dies at once.
//!
//! A delivery follows from packets: the message, its number, what clocks said. Which of them, only the order knows; here
//! it is all that had come when it was delivered, and all of our own that had been submitted. Our own word may be among
//! them although it has not been said yet (`lamport`: the clock has seen the message, and the others have not heard so):
//! then what was delivered waits until it is said.

use std::collections::VecDeque;
use std::time::Duration;

use super::App;
use super::log::Log;
use crate::engine::{MemberId, Time};

/// Who has waited for so long asks the others what they have: the packet that said it may be lost …
const ASK_FIRST: Duration = Duration::from_millis(40);
/// … and then ever more rarely, up to this.
const ASK_MAX: Duration = Duration::from_millis(1_000);

/// Who multicast what, and its place in the total order.
type Item = (MemberId, Option<u64>, App);

/// Of every sender: up to which packet something had come.
type Came = Vec<(MemberId, u64)>;

/// What waits until it is stable.
#[derive(Debug, Default)]
pub(super) struct Unstable {
    /// Delivered below since the last look.
    fresh: Vec<Item>,
    /// What had come when these were delivered: of every sender, up to which packet.
    held: VecDeque<(Came, Vec<Item>)>,
    ask_at: Option<Time>,
    ask_gap: Duration,
}

impl Unstable {
    /// Takes what has been delivered below.
    pub(super) fn hold(&mut self, item: Item) {
        self.fresh.push(item);
    }

    /// Everything that is stable now, in order. `unsent` packets of our own wait for a window; if we owe something, it is
    /// due now and not even that.
    pub(super) fn look(&mut self, now: Time, me: MemberId, log: &Log, unsent: u64, owes: bool) -> Vec<Item> {
        if !self.fresh.is_empty() && !owes {
            let mut came = log.came();
            came.iter_mut().filter(|(sender, _)| *sender == me).for_each(|(_, number)| *number += unsent);
            self.held.push_back((came, std::mem::take(&mut self.fresh)));
        }
        let mut stable = Vec::new();
        let is_stable =
            |came: &[(MemberId, u64)]| came.iter().all(|&(sender, number)| log.stable(me, sender) >= number);
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

    /// Everything, in order: the view has ended, and all that go on have it.
    pub(super) fn end(&mut self) -> Vec<Item> {
        self.ask_at = None;
        let held = std::mem::take(&mut self.held).into_iter().flat_map(|(_, items)| items);
        held.chain(std::mem::take(&mut self.fresh)).collect()
    }

    /// When to ask the others.
    pub(super) const fn next_deadline(&self) -> Option<Time> {
        self.ask_at
    }

    /// Whether it is time to ask the others.
    pub(super) fn asks(&mut self, now: Time) -> bool {
        let is_due = self.ask_at.is_some_and(|due| due <= now);
        if is_due {
            self.ask_gap = (self.ask_gap * 2).min(ASK_MAX);
            self.ask_at = Some(now.after(self.ask_gap));
        }
        is_due
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.held.iter().map(|(_, items)| items.len()).sum::<usize>() + self.fresh.len()
    }
}
