//! The members that are lost, return, join and stand by in a run, drawn from the seed before it begins if the setup asks
//! for any.
//!
//! Fewer than half of the first members are lost: the others go on as a majority and must lose no message. Members sleep
//! or are cut off for longer than the suspicion timeout; a group with such losses changes its views.

use std::collections::BTreeSet;

use super::faults::Fault;
use crate::engine::{MemberId, Time, View};
use crate::member::DetectorConfig;
use crate::prng::Prng;

/// The number of members that are lost or come, by kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Churn {
    /// The number of members that crash.
    pub crash: u16,
    /// The number of members that do nothing for longer than the suspicion timeout, and then go on.
    pub sleep: u16,
    /// The number of members that are cut off from the others, together, for longer than the suspicion timeout.
    pub split: u16,
    /// The number of members that crash and come back as the next incarnation; a sequencer as a standby.
    pub restart: u16,
    /// The number of clients that join.
    pub join: u16,
    /// The number of standbys that join.
    pub standby: u16,
}

/// The timeouts of the failure detectors.
pub(super) const DETECTOR: DetectorConfig = DetectorConfig::LAN;
/// The longest time after its crash at which a member comes back, in microseconds.
const AWAY: u64 = 2_000_000;

impl Churn {
    /// No member is lost, and none comes.
    pub const NONE: Self = Self { crash: 0, sleep: 0, split: 0, restart: 0, join: 0, standby: 0 };

    /// Returns true if the members change.
    #[must_use]
    pub fn is_asked_for(self) -> bool {
        self != Self::NONE
    }

    /// Returns true if members are lost.
    #[must_use]
    pub const fn loses_members(self) -> bool {
        self.crash + self.sleep + self.split + self.restart > 0
    }

    /// Returns the number of processes that join.
    #[must_use]
    pub const fn joins(self) -> u16 {
        self.restart + self.join + self.standby
    }

    /// Draws what happens to a group with this first view. All begins by `until`; the second time is that of the last
    /// end.
    pub(super) fn draw(self, prng: &mut Prng, view: &View, until: Time) -> (Vec<(Time, Fault)>, Time) {
        // A sequencer without a candidate is not lost: the group would end with it.
        let is_kept = |member: &MemberId| view.candidates.is_empty() && view.sequencer == Some(*member);
        let mut left: Vec<MemberId> = view.members().into_iter().filter(|member| !is_kept(member)).collect();
        let most = (left.len() - 1) / 2;
        let kinds = [(self.crash, 0), (self.sleep, 1), (self.split, 2), (self.restart, 3)];
        let wanted = kinds.into_iter().flat_map(|(count, kind)| std::iter::repeat_n(kind, count.into()));
        let mut moment = || prng.below(until.as_micros() + 1);
        let (together, lasts) = (moment(), DETECTOR.detection().as_micros() as u64);
        let (mut faults, mut ends) = (Vec::new(), Vec::new());
        for kind in wanted.take(most) {
            let (at, long) = (moment(), lasts + moment() % AWAY);
            let victim = left.remove(moment() as usize % left.len());
            let [begin, end] = [at, at + long].map(Time::from_micros);
            match kind {
                0 => faults.push((begin, Fault::Crash(victim))),
                1 => faults.push((begin, Fault::Pause(victim, end))),
                2 => ends.push((Time::from_micros(together + long), victim)),
                _ => {
                    let back = Time::from_micros(at + long % AWAY);
                    let is_sequencer = view.sequencer == Some(victim);
                    let again = if is_sequencer { Fault::StandBy } else { Fault::Join }(Some(victim));
                    faults.extend([(begin, Fault::Crash(victim)), (back, again)]);
                }
            }
        }
        for fault in [(self.join, Fault::Join(None)), (self.standby, Fault::StandBy(None))] {
            faults.extend((0..fault.0).map(|_| (Time::from_micros(moment()), fault.1.clone())));
        }
        let times =
            faults.iter().map(|(at, fault)| if let Fault::Pause(_, end) = fault { *end } else { *at });
        let last = times.chain(ends.iter().map(|&(end, _)| end)).max().unwrap_or_default();
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
