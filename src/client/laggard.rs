//! Station 2: for whom the group has been waiting, and whether that has been long enough.

use std::time::Duration;

use crate::engine::{MemberId, Time};

/// What becomes of a member that takes nothing of what is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlowMember {
    /// It is waited for.
    Block,
    /// It is waited for as long as this, and then excluded.
    Exclude(Duration),
}

impl SlowMember {
    /// The value of `--slow-member`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "block" {
            return Ok(Self::Block);
        }
        let limit = text.strip_prefix("exclude:").and_then(|limit| crate::cli::duration(limit).ok());
        let limit = limit.filter(|limit| !limit.is_zero()).map(Self::Exclude);
        limit.ok_or_else(|| "write block, or for example exclude:15s".to_owned())
    }
}

/// Whom this member has been waiting for, and since when.
#[derive(Debug, Default)]
pub(super) struct Laggard(Option<(MemberId, u64, Time)>);

impl Laggard {
    /// The member behind, now as far as `behind` says, has not got on for as long as this.
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
