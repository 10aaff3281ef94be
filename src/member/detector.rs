//! Who is still there? Whatever a member says is a sign of life; one that is silent for too long is asked for, and if
//! nobody has heard of it either, it is taken for lost.
//!
//! Nobody can tell a dead process from a slow one. What is decided here may be wrong; what follows from it is the same
//! at every member, and whoever was left out wrongly is told so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Departure;
use crate::engine::{MemberId, Time};

/// How patient a group is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Patience {
    /// A member that has had nothing to say for this long says that it is there.
    pub heartbeat: Duration,
    /// A member that was silent for this long is asked for …
    pub silence: Duration,
    /// … and, if it is not heard of within this, lost.
    pub verify: Duration,
}

impl Patience {
    /// For one machine or a network of machines that have other things to do as well.
    pub const LAN: Self = Self::new(250, 3_000, 500);
    /// For machines that are never late: tests on one machine, and those who know.
    pub const FAST: Self = Self::new(100, 600, 200);

    /// For peers that announce themselves every few seconds, and are given up after many of them.
    pub const PEERS: Self = Self::new(3_000, 20_000, 1_000);

    const fn new(heartbeat: u64, silence: u64, verify: u64) -> Self {
        let ms = Duration::from_millis;
        Self { heartbeat: ms(heartbeat), silence: ms(silence), verify: ms(verify) }
    }

    /// A member that is silent for this long is asked for; everything else in proportion.
    #[must_use]
    pub fn with_silence(silence: Duration) -> Self {
        let of = |share: u32| (silence / share).max(Duration::from_millis(20));
        Self { heartbeat: of(12), silence, verify: of(6) }
    }

    /// How long it takes at most until a death is noticed.
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.silence + self.verify + 2 * self.tick()
    }

    fn tick(&self) -> Duration {
        self.heartbeat / 2
    }
}

/// What the time has brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Finding {
    /// It is time to say that we are there.
    Heartbeat,
    /// This member is to be asked for.
    Silent(MemberId),
    /// This member is lost.
    Lost(MemberId),
}

/// What is known of the others. Without patience it never finds anything.
#[derive(Debug)]
pub(super) struct Detector {
    patience: Option<Patience>,
    others: BTreeMap<MemberId, Other>,
    /// When we last said something to all.
    said: Time,
    tick_at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Other {
    heard: Time,
    /// Since when it is asked for.
    asked: Option<Time>,
    is_lost: bool,
    /// Why it is lost whatever else is heard.
    gone: Option<Departure>,
}

impl Detector {
    /// Begins to watch these members now.
    pub(super) fn new(patience: Option<Patience>, others: impl Iterator<Item = MemberId>, now: Time) -> Self {
        let other = Other { heard: now, asked: None, is_lost: false, gone: None };
        let tick_at = patience.map_or(now, |patience| now.after(patience.tick()));
        Self { patience, others: others.map(|member| (member, other)).collect(), said: now, tick_at }
    }

    /// Whether this is one of those that are watched.
    pub(super) fn knows(&self, member: MemberId) -> bool {
        self.others.contains_key(&member)
    }

    /// Something came from this member.
    pub(super) fn heard(&mut self, now: Time, member: MemberId) {
        if let Some(other) = self.others.get_mut(&member) {
            *other = Other { heard: now, asked: None, is_lost: other.gone.is_some(), gone: other.gone };
        }
    }

    /// Nothing could be heard until now.
    pub(super) fn pardon(&mut self, now: Time) {
        for other in self.others.values_mut().filter(|other| !other.is_lost) {
            (other.heard, other.asked) = (now, None);
        }
    }

    /// Another member has heard of this one just now.
    pub(super) fn vouched(&mut self, now: Time, member: MemberId) {
        if let Some(other) = self.others.get_mut(&member).filter(|other| !other.is_lost)
            && other.asked.is_some()
            && let Some(patience) = self.patience
        {
            // It gets the time of a verification more, not a whole new silence: it has to be heard of again.
            other.asked = Some(now.after(patience.verify));
        }
    }

    /// Whether this member was heard of so recently that we vouch for it.
    pub(super) fn vouches_for(&self, now: Time, member: MemberId) -> bool {
        let Some(patience) = self.patience else { return true };
        let other = self.others.get(&member);
        other.is_some_and(|other| !other.is_lost && now.since(other.heard) < 3 * patience.heartbeat)
    }

    /// Takes this member for lost, whatever else is heard. The first reason stays.
    pub(super) fn gives_up(&mut self, member: MemberId, why: Departure) {
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

    /// Whether this member is lost whatever is heard of it.
    pub(super) fn has_gone(&self, member: MemberId) -> bool {
        self.others.get(&member).is_some_and(|other| other.gone.is_some())
    }

    /// This member was taken for one that has left, and is not: it is there as soon as it is heard.
    pub(super) fn is_back(&mut self, member: MemberId) {
        if let Some(other) = self.others.get_mut(&member) {
            other.gone = None;
        }
    }

    /// We said something to all.
    pub(super) fn said(&mut self, now: Time) {
        self.said = now;
    }

    /// Whether this member is lost.
    pub(super) fn is_lost(&self, member: MemberId) -> bool {
        self.others.get(&member).is_some_and(|other| other.is_lost)
    }

    /// When to look again.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.patience.map(|_| self.tick_at)
    }

    /// What there is to find by now.
    pub(super) fn look(&mut self, now: Time) -> Vec<Finding> {
        let Some(patience) = self.patience.filter(|_| now >= self.tick_at) else { return Vec::new() };
        self.tick_at = now.after(patience.tick());
        let mut findings = Vec::new();
        if now.since(self.said) >= patience.heartbeat {
            findings.push(Finding::Heartbeat);
        }
        for (&member, other) in self.others.iter_mut().filter(|(_, other)| !other.is_lost) {
            match other.asked {
                None if now.since(other.heard) >= patience.silence => {
                    other.asked = Some(now);
                    findings.push(Finding::Silent(member));
                }
                Some(asked) if now >= asked.after(patience.verify) => {
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

    /// What is found until this moment, B being heard all the time.
    fn found(detector: &mut Detector, from: u64, until: u64) -> Vec<(u64, Finding)> {
        let mut all = Vec::new();
        for ms in (from..until).step_by(50) {
            detector.heard(at(ms), B);
            detector.said(at(ms));
            all.extend(detector.look(at(ms)).into_iter().map(|finding| (ms, finding)));
        }
        all
    }

    #[test]
    fn who_is_silent_is_asked_for_and_then_lost() {
        let mut detector = Detector::new(Some(Patience::FAST), [A, B].into_iter(), Time::ZERO);
        let expected = [(600, Finding::Silent(A)), (800, Finding::Lost(A))];
        assert_eq!(found(&mut detector, 0, 2_000), expected);
        assert!(detector.is_lost(A) && !detector.is_lost(B));
        detector.heard(at(2_000), A);
        assert!(!detector.is_lost(A), "a sign of life counts, as long as nothing has been decided");
    }

    #[test]
    fn who_is_vouched_for_gets_more_time_but_not_for_ever() {
        let mut detector = Detector::new(Some(Patience::FAST), [A, B].into_iter(), Time::ZERO);
        assert_eq!(found(&mut detector, 0, 700), [(600, Finding::Silent(A))]);
        detector.vouched(at(700), A);
        assert_eq!(found(&mut detector, 700, 2_000), [(1_100, Finding::Lost(A))]);
    }

    #[test]
    fn without_patience_nothing_is_found() {
        let mut detector = Detector::new(None, [A].into_iter(), Time::ZERO);
        assert_eq!((detector.next_deadline(), detector.look(at(1_000_000))), (None, vec![]));
    }
}
