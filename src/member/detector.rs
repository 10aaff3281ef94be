//! The failure detector. Every packet of a member shows that it is alive. After a silence, the others are asked for it;
//! if none of them vouches for it, it is lost.
//!
//! A slow process cannot be told from a dead one, so a suspicion may be wrong. All members install the same view, and a
//! member that was excluded by mistake is told so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::departure::Departure;
use crate::ids::{MemberId, Time};

/// The timeouts of the failure detector.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DetectorConfig {
    /// The longest time without a packet to all: after it, a heartbeat is sent.
    pub heartbeat: Duration,
    /// The silence after which the others are asked for a member …
    pub silence: Duration,
    /// … and the time from then until it is lost.
    pub verify: Duration,
}

impl DetectorConfig {
    /// For one machine, or a network of machines that do other work too.
    pub const LAN: Self = Self::new(250, 3_000, 500);
    /// For machines that are never late, such as those of tests.
    pub const FAST: Self = Self::new(100, 600, 200);

    /// For peers that announce themselves every few seconds, and are given up after many missed announcements.
    pub const PEERS: Self = Self::new(3_000, 20_000, 1_000);

    const fn new(heartbeat: u64, silence: u64, verify: u64) -> Self {
        let ms = Duration::from_millis;
        Self { heartbeat: ms(heartbeat), silence: ms(silence), verify: ms(verify) }
    }

    /// Returns timeouts in proportion to `silence`, after which the others are asked for a member.
    #[must_use]
    pub fn with_silence(silence: Duration) -> Self {
        let of = |share: u32| (silence / share).max(Duration::from_millis(20));
        Self { heartbeat: of(12), silence, verify: of(6) }
    }

    /// Returns the longest time from a failure to its detection.
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.silence + self.verify + 2 * self.tick()
    }

    fn tick(&self) -> Duration {
        self.heartbeat / 2
    }
}

/// A result of [`Detector::check`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Finding {
    /// A heartbeat is due.
    Heartbeat,
    /// The others are to be asked for this member.
    Silent(MemberId),
    /// This member is lost.
    Lost(MemberId),
}

/// The state of the other members. Without timeouts, no member is ever lost.
#[derive(Debug)]
pub(super) struct Detector {
    config: Option<DetectorConfig>,
    others: BTreeMap<MemberId, Other>,
    /// The time of this member's last packet to all.
    multicast_at: Time,
    tick_at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Other {
    heard: Time,
    /// The time from which `verify` runs, while the others are asked for it.
    asked: Option<Time>,
    is_lost: bool,
    /// The reason for which it stays lost even if it is heard again.
    gone: Option<Departure>,
}

impl Detector {
    /// Returns a detector that watches these members from now on.
    pub(super) fn new(
        config: Option<DetectorConfig>,
        others: impl Iterator<Item = MemberId>,
        now: Time,
    ) -> Self {
        let other = Other { heard: now, asked: None, is_lost: false, gone: None };
        let tick_at = config.map_or(now, |config| now.after(config.tick()));
        Self { config, others: others.map(|member| (member, other)).collect(), multicast_at: now, tick_at }
    }

    /// Returns whether this member is watched.
    pub(super) fn knows(&self, member: MemberId) -> bool {
        self.others.contains_key(&member)
    }

    /// Records a packet of this member.
    pub(super) fn heard(&mut self, now: Time, member: MemberId) {
        if let Some(other) = self.others.get_mut(&member) {
            *other = Other { heard: now, asked: None, is_lost: other.gone.is_some(), gone: other.gone };
        }
    }

    /// Restarts all timeouts: this process did not listen until now.
    pub(super) fn restart_timeouts(&mut self, now: Time) {
        for other in self.others.values_mut().filter(|other| !other.is_lost) {
            (other.heard, other.asked) = (now, None);
        }
    }

    /// Records that another member vouches for this one.
    pub(super) fn vouched(&mut self, now: Time, member: MemberId) {
        if let Some(other) = self.others.get_mut(&member).filter(|other| !other.is_lost)
            && other.asked.is_some()
            && let Some(config) = self.config
        {
            // Only another `verify`, not a whole silence: it has to be vouched for again.
            other.asked = Some(now.after(config.verify));
        }
    }

    /// Returns whether this member was heard recently enough to vouch for it.
    pub(super) fn vouches_for(&self, now: Time, member: MemberId) -> bool {
        let Some(config) = self.config else { return true };
        let other = self.others.get(&member);
        other.is_some_and(|other| !other.is_lost && now.since(other.heard) < 3 * config.heartbeat)
    }

    /// Takes this member for lost, even if it is heard again. The first reason stays.
    pub(super) fn give_up(&mut self, member: MemberId, why: Departure) {
        if let Some(other) = self.others.get_mut(&member) {
            other.is_lost = true;
            other.gone.get_or_insert(why);
        }
    }

    /// Returns the reason to go on without a member that is lost, or silent for so long that it may be.
    pub(super) fn departure(&self, now: Time, member: MemberId) -> Option<Departure> {
        let other = self.others.get(&member).filter(|other| other.is_lost || other.asked.is_some())?;
        Some(other.gone.unwrap_or_else(|| Departure::Silent(now.since(other.heard))))
    }

    /// Returns whether this member stays lost even if it is heard again.
    pub(super) fn has_gone(&self, member: MemberId) -> bool {
        self.others.get(&member).is_some_and(|other| other.gone.is_some())
    }

    /// Takes back [`give_up`](Self::give_up): the member is present again as soon as it is heard.
    pub(super) fn reconsider(&mut self, member: MemberId) {
        if let Some(other) = self.others.get_mut(&member) {
            other.gone = None;
        }
    }

    /// Records a packet of this member to all.
    pub(super) fn note_multicast(&mut self, now: Time) {
        self.multicast_at = now;
    }

    /// Returns whether this member is lost.
    pub(super) fn is_lost(&self, member: MemberId) -> bool {
        self.others.get(&member).is_some_and(|other| other.is_lost)
    }

    /// Returns the time of the next check.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.config.map(|_| self.tick_at)
    }

    /// Returns the heartbeat and the suspicions that are due.
    pub(super) fn check(&mut self, now: Time) -> Vec<Finding> {
        let Some(config) = self.config.filter(|_| now >= self.tick_at) else { return Vec::new() };
        self.tick_at = now.after(config.tick());
        let mut findings = Vec::new();
        if now.since(self.multicast_at) >= config.heartbeat {
            findings.push(Finding::Heartbeat);
        }
        for (&member, other) in self.others.iter_mut().filter(|(_, other)| !other.is_lost) {
            match other.asked {
                None if now.since(other.heard) >= config.silence => {
                    other.asked = Some(now);
                    findings.push(Finding::Silent(member));
                }
                Some(asked) if now >= asked.after(config.verify) => {
                    other.is_lost = true;
                    findings.push(Finding::Lost(member));
                }
                _ => {}
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// Returns the findings of this interval, in which only B is heard.
    fn found(detector: &mut Detector, from: u64, until: u64) -> Vec<(u64, Finding)> {
        let mut all = Vec::new();
        for ms in (from..until).step_by(50) {
            detector.heard(at(ms), B);
            detector.note_multicast(at(ms));
            all.extend(detector.check(at(ms)).into_iter().map(|finding| (ms, finding)));
        }
        all
    }

    #[test]
    fn detector_silent_member_is_asked_for_and_then_lost() {
        let mut detector = Detector::new(Some(DetectorConfig::FAST), [A, B].into_iter(), Time::ZERO);
        let expected = [(600, Finding::Silent(A)), (800, Finding::Lost(A))];
        assert_eq!(found(&mut detector, 0, 2_000), expected);
        assert!(detector.is_lost(A) && !detector.is_lost(B));
        detector.heard(at(2_000), A);
        assert!(!detector.is_lost(A), "a sign of life counts, as long as nothing has been decided");
    }

    #[test]
    fn detector_vouched_member_gets_more_time_but_not_for_ever() {
        let mut detector = Detector::new(Some(DetectorConfig::FAST), [A, B].into_iter(), Time::ZERO);
        assert_eq!(found(&mut detector, 0, 700), [(600, Finding::Silent(A))]);
        detector.vouched(at(700), A);
        assert_eq!(found(&mut detector, 700, 2_000), [(1_100, Finding::Lost(A))]);
    }

    #[test]
    fn detector_without_timeouts_finds_nothing() {
        let mut detector = Detector::new(None, [A].into_iter(), Time::ZERO);
        assert_eq!((detector.next_deadline(), detector.check(at(1_000_000))), (None, vec![]));
    }
}
