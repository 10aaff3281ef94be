//! Who is lost in a run, and when: drawn from the seed before it begins, and only if that was asked for.
//!
//! Never half of the members or more: the others go on as a majority, and are to lose nothing. Members sleep and are cut
//! off for longer than the others wait; a group that is to have such things happen keeps its membership.

use crate::engine::{MemberId, Time};
use crate::member::Patience;
use crate::prng::Prng;

/// How many members are lost, by how it happens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// So many die.
    pub crash: u16,
    /// So many do nothing for longer than the others wait, and then go on.
    pub sleep: u16,
    /// So many are cut off from the others, together, for longer than those wait.
    pub split: u16,
}

impl Losses {
    /// Nobody is lost.
    pub const NONE: Self = Self { crash: 0, sleep: 0, split: 0 };

    /// Whether there are any.
    #[must_use]
    pub fn are_asked_for(self) -> bool {
        self != Self::NONE
    }
}

/// Who waits for how long.
pub(super) const PATIENCE: Patience = Patience::LAN;

/// From when to when a member is away.
type Away = (MemberId, (Time, Time));

/// What happens to the members of one run.
#[derive(Debug, Default)]
pub(super) struct Fates {
    pub(super) crashes: Vec<(Time, MemberId)>,
    pub(super) sleeps: Vec<Away>,
    pub(super) splits: Vec<Away>,
}

impl Fates {
    /// The fates of these members, of which each begins before `until`.
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

    /// When the last that is away is back.
    pub(super) fn end(&self) -> Option<Time> {
        self.sleeps.iter().chain(&self.splits).map(|&(_, (_, end))| end).max()
    }
}
