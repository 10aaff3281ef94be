//! Messages to single members: a change of the view sends again what is not acknowledged, and gives back what was for
//! members that are gone.

use std::collections::{BTreeMap, VecDeque};

use super::{Membership, Out};
use crate::defect::Defect;
use crate::engine::MemberId;
use crate::member::{App, Undelivered};
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

    /// Takes what a receiver that is gone has not acknowledged, and what was never sent to it, in order.
    fn take_lost(&mut self, receiver: MemberId) -> impl Iterator<Item = (Batch, Undelivered)> + use<> {
        let under_way = self.unacknowledged.remove(&receiver).unwrap_or_default();
        let unsent = self.unsent.remove(&receiver).unwrap_or_default();
        let under_way = under_way.into_iter().map(|(_, batch)| (batch, Undelivered::NotAcknowledged));
        under_way.chain(unsent.into_iter().map(|batch| (batch, Undelivered::NotSent)))
    }
}

impl Membership {
    /// Gives back what these members, which are not in the group any more, have not acknowledged.
    pub(super) fn give_up_directs(&mut self, lost: &[MemberId], out: &mut Out) {
        for &receiver in lost {
            for (batch, reason) in self.direct.take_lost(receiver) {
                self.undeliverable(receiver, batch, reason, out);
            }
        }
    }

    /// Gives back messages that `receiver` will not be given.
    pub(super) fn undeliverable(&self, receiver: MemberId, batch: Batch, reason: Undelivered, out: &mut Out) {
        if !self.defects.has(Defect::ForgetsUndeliverable) {
            out.deliver(receiver, None, App::Undeliverable(batch, reason));
        }
    }
}
