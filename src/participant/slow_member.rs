//! The member that holds the others up, and how long they wait for it.

use std::time::Duration;

use crate::driver::endpoint::Endpoint;
use crate::engine::{MemberId, Time};
use crate::session::SAY_EVERY;
use crate::units;

/// The policy for a member that acknowledges nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SlowMember {
    /// The others wait for it.
    #[default]
    Block,
    /// The others wait for it this long, and then exclude it.
    Exclude(Duration),
}

impl SlowMember {
    /// Parses the value of `--slow-member`.
    ///
    /// # Errors
    /// The mistake, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "block" {
            return Ok(Self::Block);
        }
        let limit = text.strip_prefix("exclude:").and_then(|limit| units::parse_duration(limit).ok());
        let limit = limit.filter(|limit| !limit.is_zero()).map(Self::Exclude);
        limit.ok_or_else(|| "write block, or for example exclude:15s".to_owned())
    }
}

/// Time between two looks at the acknowledgements of all receivers.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The slowest receiver.
#[derive(Debug, Default)]
pub(crate) struct SlowestReceiver {
    /// The receiver, its acknowledgement, and the time since which that has not moved.
    slowest: Option<(MemberId, u64, Time)>,
    /// The receiver and its acknowledgement at the last look.
    seen: Option<(MemberId, u64)>,
    looks_at: Time,
}

impl SlowestReceiver {
    /// Returns the member that holds `endpoint` up, and how long its acknowledgement has not moved. A member that receives nothing, or
    /// takes no more deliveries (`is_full`), blames nobody.
    pub(crate) fn find(
        &mut self,
        endpoint: &mut impl Endpoint,
        now: Time,
        is_full: bool,
    ) -> Option<(MemberId, Duration)> {
        let is_in_touch = endpoint.silence() < SAY_EVERY && !is_full;
        if now >= self.looks_at {
            self.looks_at = now.after(LOOK_EVERY);
            self.seen = endpoint.slowest_receiver();
        }
        self.observe(now, self.seen.filter(|_| is_in_touch))
    }

    /// Excludes a member that [`find`](Self::find) has returned, if its time is over.
    pub(crate) fn exclude(
        &mut self,
        endpoint: &mut impl Endpoint,
        policy: SlowMember,
        member: MemberId,
        length: Duration,
    ) {
        if matches!(policy, SlowMember::Exclude(limit) if length >= limit) {
            (self.slowest, self.seen) = (None, None);
            endpoint.exclude(member, length);
        }
    }

    /// Returns the member of `behind`, and how long its acknowledgement has not moved.
    fn observe(&mut self, now: Time, behind: Option<(MemberId, u64)>) -> Option<(MemberId, Duration)> {
        let (member, received) = behind.or_else(|| {
            self.slowest = None;
            None
        })?;
        let since = self.slowest.filter(|&(who, number, _)| (who, number) == (member, received));
        let (.., since) = *self.slowest.insert(since.unwrap_or((member, received, now)));
        Some((member, now.since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_member_wait_begins_with_the_last_progress() {
        let at = |seconds| Time::ZERO.after(Duration::from_secs(seconds));
        let (slow, other) = (MemberId(1), MemberId(2));
        let mut slowest = SlowestReceiver::default();
        assert_eq!(slowest.observe(at(1), Some((slow, 7))), Some((slow, Duration::ZERO)));
        assert_eq!(slowest.observe(at(3), Some((slow, 7))), Some((slow, Duration::from_secs(2))));
        assert_eq!(slowest.observe(at(4), Some((slow, 8))), Some((slow, Duration::ZERO)), "it got on");
        assert_eq!(slowest.observe(at(5), Some((other, 8))), Some((other, Duration::ZERO)));
        assert_eq!(slowest.observe(at(6), None), None);
        assert_eq!(slowest.observe(at(9), Some((other, 8))), Some((other, Duration::ZERO)));
    }
}
