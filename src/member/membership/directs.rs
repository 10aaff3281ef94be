//! Messages to single members: what happens to a view does not concern them.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::MemberId;
use crate::order::hold_back::HoldBack;
use crate::wire::Batch;

/// What is under way to single members and from them.
#[derive(Debug, Default)]
pub(super) struct Directs {
    /// Of each sender: what came too early.
    pub(super) incoming: BTreeMap<MemberId, HoldBack<Batch>>,
    /// Of each receiver: what the line has not sent yet …
    pub(super) unsent: BTreeMap<MemberId, VecDeque<Batch>>,
    /// … and what the receiver may not have: with its packet's number.
    unacknowledged: BTreeMap<MemberId, VecDeque<(u64, Batch)>>,
}

impl Directs {
    /// The line has sent the first of those that it had not sent, as this packet; or an earlier one again.
    pub(super) fn sent(&mut self, receiver: MemberId, number: u64) {
        let under_way = self.unacknowledged.entry(receiver).or_default();
        if under_way.back().is_some_and(|(last, _)| number <= *last) {
            return;
        }
        if let Some(batch) = self.unsent.get_mut(&receiver).and_then(VecDeque::pop_front) {
            under_way.push_back((number, batch));
        }
    }

    /// The receiver has every packet up to this one.
    pub(super) fn acknowledged(&mut self, receiver: MemberId, number: u64) {
        if let Some(under_way) = self.unacknowledged.get_mut(&receiver) {
            while under_way.front().is_some_and(|(first, _)| *first <= number) {
                under_way.pop_front();
            }
        }
    }

    /// Whether all receivers have everything.
    pub(super) fn is_settled(&self) -> bool {
        self.unsent.values().all(VecDeque::is_empty) && self.unacknowledged.values().all(VecDeque::is_empty)
    }

    /// Takes what receivers may not have, in order.
    pub(super) fn take_open(&mut self) -> BTreeMap<MemberId, Vec<Batch>> {
        let mut open: BTreeMap<MemberId, Vec<Batch>> = BTreeMap::new();
        for (receiver, under_way) in std::mem::take(&mut self.unacknowledged) {
            open.entry(receiver).or_default().extend(under_way.into_iter().map(|(_, batch)| batch));
        }
        for (receiver, batches) in std::mem::take(&mut self.unsent) {
            open.entry(receiver).or_default().extend(batches);
        }
        open
    }

    pub(super) fn forget(&mut self, members: &[MemberId]) {
        for member in members {
            self.unsent.remove(member);
            self.unacknowledged.remove(member);
        }
    }
}
