//! The losses of members in a run, drawn from the seed before it begins if the setup asks for any.
//!
//! Fewer than half of the members are lost: the others go on as a majority and must lose no message. Members sleep or
//! are cut off for longer than the suspicion timeout; a group with such losses changes its views.

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

impl Losses {
    /// No losses.
    pub const NONE: Self = Self { crash: 0, sleep: 0, split: 0 };

    /// Returns true if any member is to be lost.
    #[must_use]
    pub fn are_asked_for(self) -> bool {
        self != Self::NONE
    }
}

/// The timeouts of the failure detectors.
pub(super) const PATIENCE: DetectorConfig = DetectorConfig::LAN;

/// A member and the span in which it is away.
type Away = (MemberId, (Time, Time));

/// The losses of one run.
#[derive(Debug, Default)]
pub(super) struct Fates {
    pub(super) crashes: Vec<(Time, MemberId)>,
    pub(super) sleeps: Vec<Away>,
    pub(super) splits: Vec<Away>,
}

impl Fates {
    /// Draws the losses among these members; each begins by `until`.
    pub(super) fn draw(prng: &mut Prng, losses: Losses, members: &[MemberId], until: Time) -> Self {
        let mut fates = Self::default();
        let mut left = members.to_vec();
        let most = members.len().saturating_sub(1) / 2;
        let kinds = [(losses.crash, 0), (losses.sleep, 1), (losses.split, 2)];
        let wanted: Vec<u8> = kinds
            .iter()
            .flat_map(|&(count, kind)| std::iter::repeat_n(kind, count.into()))
            .take(most)
            .collect();
        let mut moment = || prng.below(until.as_micros() + 1);
        let (together, lasts) = (moment(), PATIENCE.detection().as_micros() as u64);
        for kind in wanted {
            let (at, long) = (moment(), lasts + moment() % 2_000_000);
            let victim = left.remove(moment() as usize % left.len());
            let span = |begin: u64| (Time::from_micros(begin), Time::from_micros(begin + long));
            match kind {
                0 => fates.crashes.push((Time::from_micros(at), victim)),
                1 => fates.sleeps.push((victim, span(at))),
                _ => fates.splits.push((victim, span(together))),
            }
        }
        fates
    }

    /// Returns the time at which the last absent member is back.
    pub(super) fn end(&self) -> Option<Time> {
        self.sleeps.iter().chain(&self.splits).map(|&(_, (_, end))| end).max()
    }
}
