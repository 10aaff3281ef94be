//! The losses of members in a run, drawn from the seed before it begins if the setup asks for any.
//!
//! Fewer than half of the members are lost: the others go on as a majority and must lose no message. Members sleep or
//! are cut off for longer than the suspicion timeout; a group with such losses changes its views.

use std::collections::BTreeSet;

use super::world::Fault;
use crate::engine::{MemberId, Time};
use crate::member::DetectorConfig;
use crate::prng::Prng;

/// The number of members to lose, by kind of loss.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// The number of members that crash.
    pub crash: u16,
    /// The number of members that do nothing for longer than the suspicion timeout, and then go on.
    pub sleep: u16,
    /// The number of members that are cut off from the others, together, for longer than the suspicion timeout.
    pub split: u16,
}

/// The timeouts of the failure detectors.
pub(super) const DETECTOR: DetectorConfig = DetectorConfig::LAN;

impl Losses {
    /// No losses.
    pub const NONE: Self = Self { crash: 0, sleep: 0, split: 0 };

    /// Returns true if any member is to be lost.
    #[must_use]
    pub fn are_asked_for(self) -> bool {
        self != Self::NONE
    }

    /// Draws the losses among these members. Each begins by `until`; the second time is that of the last end.
    pub(super) fn draw(
        self,
        prng: &mut Prng,
        members: &[MemberId],
        until: Time,
    ) -> (Vec<(Time, Fault)>, Time) {
        let mut left = members.to_vec();
        let kinds = [(self.crash, 0), (self.sleep, 1), (self.split, 2)];
        let wanted = kinds.into_iter().flat_map(|(count, kind)| std::iter::repeat_n(kind, count.into()));
        let mut moment = || prng.below(until.as_micros() + 1);
        let (together, lasts) = (moment(), DETECTOR.detection().as_micros() as u64);
        let (mut faults, mut ends) = (Vec::new(), Vec::new());
        for kind in wanted.take(members.len().saturating_sub(1) / 2) {
            let (at, long) = (moment(), lasts + moment() % 2_000_000);
            let victim = left.remove(moment() as usize % left.len());
            let at_time = Time::from_micros(at);
            match kind {
                0 => faults.push((at_time, Fault::Crash(victim))),
                1 => faults.push((at_time, Fault::Pause(victim, Time::from_micros(at + long)))),
                _ => ends.push((Time::from_micros(together + long), victim)),
            }
        }
        let pauses =
            faults.iter().map(|(at, fault)| if let Fault::Pause(_, end) = fault { *end } else { *at });
        let last = pauses.chain(ends.iter().map(|&(end, _)| end)).max().unwrap_or_default();
        faults.extend(split(Time::from_micros(together), ends));
        (faults, last)
    }
}

/// Cuts these members off, together, each until its own end.
fn split(begin: Time, mut ends: Vec<(Time, MemberId)>) -> Vec<(Time, Fault)> {
    ends.sort_unstable();
    let mut part: BTreeSet<MemberId> = ends.iter().map(|&(_, member)| member).collect();
    let mut faults = Vec::new();
    if !part.is_empty() {
        faults.push((begin, Fault::Partition(part.clone())));
    }
    for (end, member) in ends {
        part.remove(&member);
        faults.push((end, Fault::Partition(part.clone())));
    }
    faults
}
