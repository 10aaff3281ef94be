//! The simulated network: every packet may be lost, duplicated, held or delayed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::faults::{Delay, Fault, Faults, SLOW, STALE, Share};
use super::outages::Outages;
use crate::engine::{MemberId, Time};
use crate::prng::Prng;

/// The network. All its choices are drawn from the seed.
#[derive(Debug)]
pub struct Network {
    faults: Faults,
    outages: Outages,
    /// The members that are cut off from all others, together.
    partition: BTreeSet<MemberId>,
    /// Pairs of members of which the first does not reach the second.
    cuts: BTreeSet<(MemberId, MemberId)>,
    slow: Prng,
}

/// The passage of a packet to one receiver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Passage {
    /// The arrival times of the packet, of its duplicate and of its stale copy; none if the packet is lost.
    pub arrivals: [Option<Time>; 3],
    /// True if a partition separates the two members.
    pub is_cut: bool,
    /// True if the packet is slow.
    pub is_slow: bool,
    /// True if a clogged link holds the packet for a while.
    pub is_clogged: bool,
}

impl Network {
    /// Creates a network with these faults and without outages. The seed is that of the slow packets.
    #[must_use]
    pub fn new(faults: Faults, seed: u64) -> Self {
        let (partition, cuts) = (BTreeSet::new(), BTreeSet::new());
        Self { faults, outages: Outages::default(), partition, cuts, slow: Prng::new(seed) }
    }

    pub(super) fn with_outages(self, outages: Outages) -> Self {
        Self { outages, ..self }
    }

    /// Applies a fault of the network.
    pub(super) fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::Partition(partition) => self.partition = partition,
            Fault::Cut(one, other) => self.cuts.extend([(one, other), (other, one)]),
            Fault::Mute(from, to) => {
                self.cuts.insert((from, to));
            }
            Fault::Reconnect => {
                self.partition.clear();
                self.cuts.clear();
            }
            // Drawn outages are over by then.
            Fault::Calm => self.faults = self.faults.healed(),
            _ => {}
        }
    }

    /// Carries one packet to one receiver.
    pub(super) fn carry(&mut self, now: Time, from: MemberId, to: MemberId, prng: &mut Prng) -> Passage {
        // The number of draws does not depend on the faults that are drawn, so a changed share changes the passage of a
        // packet, but not all later draws.
        let is_lost = prng.chance(self.faults.loss.parts());
        let is_twice = prng.chance(self.faults.duplicate.parts());
        let [first, second] = [draw(prng, self.faults.delay), draw(prng, self.faults.delay)];
        let is_slow = self.slow.chance(self.faults.slow.parts());
        let extra = Duration::from_micros(self.slow.below(SLOW.as_micros() as u64 + 1));
        let is_cut = self.is_cut(now, from, to);
        if is_cut || is_lost {
            return Passage { is_cut, ..Passage::default() };
        }
        let first = if is_slow { first + extra } else { first };
        let [(first, holds_first), (second, holds_second)] =
            [first, second].map(|travel| self.outages.let_through(from, to, now.after(travel)));
        let is_stale =
            from != to && self.faults.stale > Share::ZERO && prng.chance(self.faults.stale.parts());
        let stale = is_stale.then(|| now.after(draw(prng, STALE)));
        Passage {
            arrivals: [Some(first), is_twice.then_some(second), stale],
            is_cut: false,
            is_slow,
            is_clogged: holds_first || (is_twice && holds_second),
        }
    }

    fn is_cut(&self, now: Time, from: MemberId, to: MemberId) -> bool {
        let is_parted = self.partition.contains(&from) != self.partition.contains(&to);
        is_parted || self.cuts.contains(&(from, to)) || self.outages.cut(from, to, now)
    }

    /// Returns the end of a member's pause, if it is paused.
    pub(super) fn paused_until(&self, member: MemberId, now: Time) -> Option<Time> {
        self.outages.paused_until(member, now)
    }
}

fn draw(prng: &mut Prng, Delay { min, max }: Delay) -> Duration {
    Duration::from_micros(prng.between(min.as_micros() as u64, max.as_micros() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_lost_or_comes_once_or_twice() {
        let share = |text: &str| text.parse().unwrap();
        let faults = Faults { loss: share("30%"), duplicate: share("20%"), ..Faults::default() };
        let (mut network, mut prng) = (Network::new(faults, 1), Prng::new(1));
        let [from, to] = [MemberId(0), MemberId(1)];
        let carried: Vec<Passage> =
            (0..10_000).map(|_| network.carry(Time::ZERO, from, to, &mut prng)).collect();
        let lost = carried.iter().filter(|passage| passage.arrivals[0].is_none()).count();
        let twice = carried.iter().filter(|passage| passage.arrivals[1].is_some()).count();
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert!((1_200..1_600).contains(&twice), "{twice}");
        network.apply(Fault::Calm);
        assert!((0..1_000).all(|_| network.carry(Time::ZERO, from, to, &mut prng).arrivals[0].is_some()));
    }
}
