//! Confirmation: the place of an entry is final when nothing can be inserted above it, and a majority has stored it.
//!
//! 1. Every other member has promised that its later entries have higher times. A promise counts only if all entries
//!    that were sent before it have been received: one of them could still belong above.
//! 2. A majority has stored the entry. No decision of a later majority can then be made without knowledge of it.
//!
//! All members must be heard, not only those that can be reached: else the two sides of a partition would confirm
//! different things.

use std::time::Duration;

use super::entry::{Content, Stamp};
use super::record::{Confirmed, Record};
use super::{Effect, Effects, Pending, Replica};
use crate::defect::Defect;
use crate::ids::MemberId;

/// Silence after which the planted defect takes a member for one that need not be heard.
const UNREACHABLE_AFTER: Duration = Duration::from_millis(500);

impl Replica {
    /// Confirms the entries whose place is final, and forgets those that every member has.
    pub(super) fn confirm(&mut self, out: &mut Effects) {
        while let Some((stamp, number)) = self.log.first_tentative() {
            if !self.is_final(stamp, number) {
                break;
            }
            self.confirm_first(stamp, number);
        }
        self.store_confirmed(out);
        self.forget(out);
    }

    /// Confirms the first tentative entry.
    pub(super) fn confirm_first(&mut self, stamp: Stamp, number: u64) {
        let origin = usize::from(stamp.origin.0);
        let entry = self.log.entry(origin, number);
        self.finished[origin] |= entry.is_some_and(|entry| entry.content == Content::Finished);
        self.log.confirm();
    }

    fn is_final(&self, stamp: Stamp, number: u64) -> bool {
        let defects = self.config.defects;
        let origin = usize::from(stamp.origin.0);
        let own = if defects.has(Defect::ConfirmEarly) { self.clock } else { self.own_promise() };
        let is_past = |member: usize| match member {
            _ if member == origin => true,
            _ if member == self.me => own >= stamp.time,
            _ if self.membership.cut(member).is_some() => self.is_past_removed(member, stamp.time),
            _ if defects.has(Defect::ReachableOnly) && !self.is_reachable(member) => true,
            _ => self.heard_upto(member) >= stamp.time,
        };
        let is_safe =
            defects.has(Defect::NoMajority) || self.matrix.is_at_majority(origin, number, &self.membership);
        is_safe && (0..self.slots()).all(is_past)
    }

    /// Returns the time above which all entries of `member` are that are not shown here.
    fn heard_upto(&self, member: usize) -> u64 {
        let shown = self.log.stored_time(member);
        let promise = self.matrix.promise(member);
        let counts = self.log.stored(member) >= promise.sent || self.config.defects.has(Defect::WordAlone);
        if counts { shown.max(promise.clock) } else { shown }
    }

    /// Returns whether nothing of a removed member is missing here up to this time.
    fn is_past_removed(&self, member: usize, time: u64) -> bool {
        let has_all = self.membership.cut(member).is_some_and(|cut| self.log.stored(member) >= cut);
        has_all || self.log.stored_time(member) >= time
    }

    fn is_reachable(&self, member: usize) -> bool {
        self.repair.heard(member).is_some_and(|at| self.now.since(at) < UNREACHABLE_AFTER)
    }

    /// Stores the confirmed prefix, once the last one is stored: only then is it shown, and told to others.
    fn store_confirmed(&mut self, out: &mut Effects) {
        let confirmed = self.log.confirmed();
        if !self.is_announcing && confirmed != self.words.announced() {
            self.is_announcing = true;
            let index = self.store(Record::Confirmed(confirmed), Pending::Confirmed(confirmed), out);
            self.superseded.extend(self.confirmed_index.replace(index));
        }
    }

    /// Announces the confirmed prefix that is stored.
    pub(super) fn announce(&mut self, confirmed: Confirmed, out: &mut Effects) {
        let first = self.words.announced().count + 1;
        self.words.announce(confirmed);
        self.is_announcing = false;
        out.push(Effect::Confirm { first, confirmed });
    }

    /// Forgets the announced entries that every member has stored.
    fn forget(&mut self, out: &mut Effects) {
        let Self { log, matrix, membership, .. } = self;
        let is_stored_by_all =
            |origin: usize, number: u64| matrix.stored_by_all(origin, membership) >= number;
        let before = log.bytes();
        let announced = self.words.announced().entries;
        while log.forgotten_entries() < announced
            && let Some(index) = log.forget(self.config.me, is_stored_by_all)
        {
            self.superseded.push(index);
        }
        self.forgotten_bytes += before - log.bytes();
        if self.forgotten_bytes >= self.config.snapshot_every {
            self.forgotten_bytes = 0;
            let snapshot = self.log.snapshot();
            let index = self.store(Record::Snapshot(snapshot), Pending::Other, out);
            self.superseded.extend(self.snapshot_index.replace(index));
            out.push(Effect::Remove(std::mem::take(&mut self.superseded)));
        }
    }

    /// Returns the members for which the first entry that is not confirmed waits: those that have not been heard past it,
    /// or, if all have been, those that have not stored it.
    #[must_use]
    pub fn waits_for(&self) -> Vec<MemberId> {
        let Some((stamp, number)) = self.log.first_tentative() else { return Vec::new() };
        let origin = usize::from(stamp.origin.0);
        let others = || self.membership.others(self.me);
        let is_unheard = |&member: &usize| member != origin && self.heard_upto(member) < stamp.time;
        let lacks = |&member: &usize| self.matrix.stored(member, origin) < number;
        let unheard: Vec<usize> = others().filter(is_unheard).collect();
        let waited_for = if unheard.is_empty() { others().filter(lacks).collect() } else { unheard };
        waited_for.into_iter().map(|member| MemberId(member as u16)).collect()
    }
}
