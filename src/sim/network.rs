//! The simulated network: every packet may be lost, come twice, be held up, and take its own time.

use std::time::Duration;

use super::faults::{Delay, Faults, SLOW};
use super::outages::Outages;
use crate::engine::{MemberId, Time};
use crate::prng::Prng;

/// Carries packets. What it does is drawn from the seed alone.
#[derive(Debug)]
pub(super) struct Network {
    faults: Faults,
    outages: Outages,
    prng: Prng,
}

/// What becomes of a packet on its way to one receiver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Passage {
    /// When its copies arrive: none if it is lost.
    pub(super) arrivals: [Option<Time>; 2],
    /// It is lost because a partition keeps the two apart.
    pub(super) is_cut: bool,
    /// One of the slow ones.
    pub(super) is_slow: bool,
    /// A clogged link holds it for a while.
    pub(super) is_clogged: bool,
}

impl Network {
    pub(super) fn new(faults: Faults, outages: Outages, prng: Prng) -> Self {
        Self { faults, outages, prng }
    }

    /// From now on nothing is lost, comes twice or is slow. Outages are drawn such that they are over by then.
    pub(super) fn heal(&mut self) {
        self.faults = self.faults.healed();
    }

    /// Carries one packet to one receiver.
    pub(super) fn carry(&mut self, now: Time, from: MemberId, to: MemberId) -> Passage {
        // Always the same number of draws: a changed share changes what becomes of a packet, not all that follows.
        let is_lost = self.prng.chance(self.faults.loss.parts());
        let is_twice = self.prng.chance(self.faults.duplicate.parts());
        let is_slow = self.prng.chance(self.faults.slow.parts());
        let [first, second] = [self.travel(is_slow), self.travel(false)];
        let is_cut = self.outages.cut(from, to, now);
        if is_cut || is_lost {
            return Passage { is_cut, ..Passage::default() };
        }
        let [(first, holds_first), (second, holds_second)] =
            [first, second].map(|travel| self.outages.let_through(from, to, now.after(travel)));
        Passage {
            arrivals: [Some(first), is_twice.then_some(second)],
            is_cut: false,
            is_slow,
            is_clogged: holds_first || (is_twice && holds_second),
        }
    }

    /// Until when a member does nothing, if it is paused.
    pub(super) fn paused_until(&self, member: MemberId, now: Time) -> Option<Time> {
        self.outages.paused_until(member, now)
    }

    /// The outages in words, each at its beginning.
    pub(super) fn announcements(&self) -> Vec<(Time, String)> {
        self.outages.announcements()
    }

    fn travel(&mut self, is_slow: bool) -> Duration {
        let Delay { min, max } = self.faults.delay;
        let micros = self.prng.between(min.as_micros() as u64, max.as_micros() as u64);
        let extra = self.prng.below(SLOW.as_micros() as u64 + 1);
        Duration::from_micros(micros + if is_slow { extra } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_lost_or_comes_once_or_twice() {
        let share = |text: &str| text.parse().unwrap();
        let faults = Faults { loss: share("30%"), duplicate: share("20%"), ..Faults::default() };
        let mut network = Network::new(faults, Outages::default(), Prng::new(1));
        let [from, to] = [MemberId(0), MemberId(1)];
        let carried: Vec<Passage> = (0..10_000).map(|_| network.carry(Time::ZERO, from, to)).collect();
        let lost = carried.iter().filter(|passage| passage.arrivals[0].is_none()).count();
        let twice = carried.iter().filter(|passage| passage.arrivals[1].is_some()).count();
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert!((1_200..1_600).contains(&twice), "{twice}");
        network.heal();
        assert!((0..1_000).all(|_| network.carry(Time::ZERO, from, to).arrivals[0].is_some()));
    }
}
