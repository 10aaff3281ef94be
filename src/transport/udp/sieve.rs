//! The faults that a member of a test plays to itself: datagrams that it drops when they arrive, as if the network had
//! lost them.

use std::collections::BTreeSet;

use crate::ids::MemberId;
use crate::prng::Prng;

/// The datagrams that a member drops.
#[derive(Debug)]
pub struct Sieve {
    /// The members of which it takes nothing.
    blocked: BTreeSet<MemberId>,
    /// The share that it drops of what others send, in parts per million.
    loss: u32,
    prng: Prng,
}

impl Sieve {
    /// Returns a sieve that drops all datagrams of the members in `blocked`, and of the others' `loss` parts per million,
    /// as `prng` draws them.
    #[must_use]
    pub const fn new(blocked: BTreeSet<MemberId>, loss: u32, prng: Prng) -> Self {
        Self { blocked, loss, prng }
    }

    /// Returns whether the next datagram, which is of this member, is dropped.
    pub(super) fn drops(&mut self, sender: MemberId) -> bool {
        self.blocked.contains(&sender) || (self.loss > 0 && self.prng.chance(self.loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sieve_drops_all_of_the_blocked_and_a_share_of_the_others() {
        let (blocked, free) = (MemberId(1), MemberId(2));
        let mut sieve = Sieve::new([blocked].into(), 250_000, Prng::new(7));
        assert!((0..100).all(|_| sieve.drops(blocked)));
        let dropped = (0..10_000).filter(|_| sieve.drops(free)).count();
        assert!((2_300..2_700).contains(&dropped), "{dropped}");
        let mut open = Sieve::new([blocked].into(), 0, Prng::new(7));
        assert!((0..100).all(|_| !open.drops(free)));
        let mut closed = Sieve::new(BTreeSet::new(), 1_000_000, Prng::new(7));
        assert!((0..100).all(|_| closed.drops(free)));
    }
}
