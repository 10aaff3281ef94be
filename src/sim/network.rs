//! The simulated network: every packet may be lost, duplicated, held or delayed.

use std::time::Duration;

use super::faults::{Delay, Faults, SLOW};
use super::outages::Outages;
use crate::engine::{MemberId, Time};
use crate::prng::Prng;

/// The network. All its choices are drawn from the seed.
#[derive(Debug)]
pub(super) struct Network {
    faults: Faults,
    outages: Outages,
    prng: Prng,
}

/// The passage of a packet to one receiver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Passage {
    /// The arrival times of its copies; none if the packet is lost.
    pub(super) arrivals: [Option<Time>; 2],
    /// True if a partition separates the two members.
    pub(super) is_cut: bool,
    /// True if the packet is slow.
    pub(super) is_slow: bool,
    /// True if a clogged link holds the packet for a while.
    pub(super) is_clogged: bool,
}

impl Network {
    pub(super) fn new(faults: Faults, outages: Outages, prng: Prng) -> Self {
        Self { faults, outages, prng }
    }

    /// Ends loss, duplication and slowness. Outages are drawn such that they are over by then.
    pub(super) fn heal(&mut self) {
        self.faults = self.faults.healed();
    }

    /// Carries one packet to one receiver.
    pub(super) fn carry(&mut self, now: Time, from: MemberId, to: MemberId) -> Passage {
        // The number of draws is constant, so a changed share changes the fate of a packet, but not all later draws.
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

    /// Returns the end of a member's pause, if it is paused.
    pub(super) fn paused_until(&self, member: MemberId, now: Time) -> Option<Time> {
        self.outages.paused_until(member, now)
    }

    /// Returns a description of each outage with the time at which it begins.
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
