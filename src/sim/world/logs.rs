//! The logs of the sequencers of a world: records are written and synced, and each delivery is judged.

use std::time::Duration;

use super::{Happening, Observer, World};
use crate::defect::Defect;
use crate::engine::MemberId;
use crate::prng::Prng;
use crate::wire::Batch;

/// The shortest and the longest time of a sync, in microseconds.
const SYNC: (u64, u64) = (50, 20_000);

impl<O: Observer> World<O> {
    /// Writes a batch into the log of a sequencer, and syncs if no sync is under way.
    pub(super) fn record(&mut self, at: MemberId, from: MemberId, place: u64, batch: &Batch) {
        let breaks = self.group.defects.has(Defect::SpeaksBeforeSync);
        let recorder = self.recorders.entry(at).or_default();
        recorder.written.insert(place, (from, batch.first(), batch.count()));
        if !breaks {
            recorder.gate.record(place + u64::from(batch.count()) - 1);
        }
        self.sync(at);
    }

    fn sync(&mut self, at: MemberId) {
        // A generator of its own, so that all else is drawn as before.
        let mut prng = Prng::new(self.now.as_micros() ^ (u64::from(at.0) << 48));
        let Some(recorder) = self.recorders.get_mut(&at).filter(|it| it.syncing.is_none()) else { return };
        let Some((&last, &(_, _, count))) = recorder.written.last_key_value() else { return };
        recorder.syncing = Some(last + u64::from(count) - 1);
        let done = self.now.after(Duration::from_micros(prng.between(SYNC.0, SYNC.1)));
        self.schedule(done, Happening::Synced(at));
    }

    /// Ends a sync: what was written before it is durable, and what has waited for it leaves.
    pub(super) fn synced(&mut self, at: MemberId) {
        let Some(recorder) = self.recorders.get_mut(&at) else { return };
        let Some(place) = recorder.syncing.take() else { return };
        let later = recorder.written.split_off(&(place + 1));
        let synced = std::mem::replace(&mut recorder.written, later);
        recorder.durable.extend(synced);
        for (to, packet) in recorder.gate.open(place) {
            self.send(at, to, &packet);
        }
        self.sync(at);
    }

    /// Judges the delivery of a batch in a group with a log.
    pub(super) fn judge_log(&mut self, at: MemberId, from: MemberId, number: Option<u64>, batch: &Batch) {
        let place = number.unwrap_or_default();
        let written = (from, batch.first(), batch.count());
        if self.group.order.is_logged() && !self.recorders.values().any(|log| log.keeps(place, written)) {
            let first = batch.first();
            let story = format!(
                "{at} delivered {from}/{first} at place {place}, which is in no log if the sequencer crashes now"
            );
            self.breach.get_or_insert(story);
        }
    }
}
