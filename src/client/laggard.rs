//! Station 2: the slowest receiver, and the time for which it has made no progress.

use std::time::Duration;

use crate::engine::{MemberId, Time};

/// The policy for a member that receives nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlowMember {
    /// Wait for it.
    Block,
    /// Wait for it this long, then exclude it.
    Exclude(Duration),
}

impl SlowMember {
    /// Parses the value of `--slow-member`.
    ///
    /// # Errors
    /// The mistake, for people.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "block" {
            return Ok(Self::Block);
        }
        let limit = text.strip_prefix("exclude:").and_then(|limit| crate::cli::duration(limit).ok());
        let limit = limit.filter(|limit| !limit.is_zero()).map(Self::Exclude);
        limit.ok_or_else(|| "write block, or for example exclude:15s".to_owned())
    }
}

/// The slowest receiver, its acknowledgement, and the time since which both are the same.
#[derive(Debug, Default)]
pub(super) struct Laggard(Option<(MemberId, u64, Time)>);

impl Laggard {
    /// Returns the slowest receiver, given `behind` with its acknowledgement, and the time since its last progress.
    pub(super) fn look(
        &mut self,
        now: Time,
        behind: Option<(MemberId, u64)>,
    ) -> Option<(MemberId, Duration)> {
        let (member, received) = behind.or_else(|| {
            self.0 = None;
            None
        })?;
        let since = self.0.filter(|&(who, number, _)| (who, number) == (member, received));
        let (.., since) = *self.0.insert(since.unwrap_or((member, received, now)));
        Some((member, now.since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_from_when_somebody_stopped_getting_on() {
        let at = |seconds| Time::ZERO.after(Duration::from_secs(seconds));
        let (slow, other) = (MemberId(1), MemberId(2));
        let mut laggard = Laggard::default();
        assert_eq!(laggard.look(at(1), Some((slow, 7))), Some((slow, Duration::ZERO)));
        assert_eq!(laggard.look(at(3), Some((slow, 7))), Some((slow, Duration::from_secs(2))));
        assert_eq!(laggard.look(at(4), Some((slow, 8))), Some((slow, Duration::ZERO)), "it got on");
        assert_eq!(laggard.look(at(5), Some((other, 8))), Some((other, Duration::ZERO)));
        assert_eq!(laggard.look(at(6), None), None);
        assert_eq!(laggard.look(at(9), Some((other, 8))), Some((other, Duration::ZERO)));
    }
}
