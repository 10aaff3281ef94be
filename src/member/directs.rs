//! The direct messages under way: a view change sends again what is not acknowledged, and returns the messages for
//! members that are gone as undeliverable.

use std::collections::{BTreeMap, VecDeque};

use super::app::Undelivered;
use crate::ids::MemberId;
use crate::order::hold_back::HoldBack;
use crate::wire::Batch;

/// The direct messages under way to and from this member.
#[derive(Debug, Default)]
pub(super) struct Directs {
    /// The early messages of each sender.
    pub(super) incoming: BTreeMap<MemberId, HoldBack<Batch>>,
    /// For each receiver: the batches that the stack has not sent …
    pub(super) unsent: BTreeMap<MemberId, VecDeque<Batch>>,
    /// … and those that are sent and not acknowledged, with their packet numbers.
    unacknowledged: BTreeMap<MemberId, VecDeque<(u64, Batch)>>,
}

impl Directs {
    /// Records that the stack sent its first unsent batch in this packet, or resent an earlier packet.
    pub(super) fn sent(&mut self, receiver: MemberId, number: u64) {
        let under_way = self.unacknowledged.entry(receiver).or_default();
        if under_way.back().is_some_and(|(last, _)| number <= *last) {
            return;
        }
        if let Some(batch) = self.unsent.get_mut(&receiver).and_then(VecDeque::pop_front) {
            under_way.push_back((number, batch));
        }
    }

    /// Records a cumulative acknowledgement.
    pub(super) fn acknowledged(&mut self, receiver: MemberId, number: u64) {
        if let Some(under_way) = self.unacknowledged.get_mut(&receiver) {
            while under_way.front().is_some_and(|(first, _)| *first <= number) {
                under_way.pop_front();
            }
        }
    }

    /// Returns whether all receivers have acknowledged everything.
    pub(super) fn is_settled(&self) -> bool {
        self.unsent.values().all(VecDeque::is_empty) && self.unacknowledged.values().all(VecDeque::is_empty)
    }

    /// Takes all unacknowledged batches, in order.
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

    /// Takes the unacknowledged batches of a receiver that is gone, sent or not, in order.
    pub(super) fn take_lost(
        &mut self,
        receiver: MemberId,
    ) -> impl Iterator<Item = (Batch, Undelivered)> + use<> {
        let under_way = self.unacknowledged.remove(&receiver).unwrap_or_default();
        let unsent = self.unsent.remove(&receiver).unwrap_or_default();
        let under_way = under_way.into_iter().map(|(_, batch)| (batch, Undelivered::NotAcknowledged));
        under_way.chain(unsent.into_iter().map(|batch| (batch, Undelivered::NotSent)))
    }
}
