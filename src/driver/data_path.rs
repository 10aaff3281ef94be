//! The check whether the data ports of a forwarder still pass packets on. Pure.
//!
//! A member receives the packets of the others, and none of its own. If it receives none, either none was published, or
//! the data ports pass nothing on while the sync port answers. So a member that has received no packet for a while
//! publishes probes that come back to it alone.

use std::time::Duration;

use crate::engine::Time;

/// Time without a packet after which a member publishes a probe …
pub const ECHO_AFTER: Duration = Duration::from_secs(2);
/// … and the interval of further ones, while it still receives nothing.
pub const ECHO_EVERY: Duration = Duration::from_secs(1);
/// Time without a packet after which a member cannot judge whether others are silent.
const UNSURE_AFTER: Duration = Duration::from_secs(4);
/// Data ports are waited for this much longer than a forwarder that does not answer: ZeroMQ may take
/// [`HEARTBEAT_MILLIS`](crate::transport::options::HEARTBEAT_MILLIS) and
/// [`HEARTBEAT_TIMEOUT_MILLIS`](crate::transport::options::HEARTBEAT_TIMEOUT_MILLIS) to replace a half-open connection.
pub const HALF_OPEN: Duration = Duration::from_secs(5);

/// The action that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    Nothing,
    Probe,
    /// The data ports are lost: no packet for this long.
    GiveUp(Duration),
}

/// The path of a member's packets through the forwarders and back to it.
#[derive(Debug)]
pub(super) struct DataPath {
    limit: Duration,
    /// The time of the last packet, its own or another member's.
    received: Time,
    /// The last time at which no forwarder answered.
    unanswered: Time,
    probed: Time,
}

impl DataPath {
    pub(super) fn new(now: Time, forwarder_timeout: Duration) -> Self {
        Self { limit: forwarder_timeout + HALF_OPEN, received: now, unanswered: now, probed: now }
    }

    /// Records a packet, or that this member could not receive any.
    pub(super) const fn received(&mut self, now: Time) {
        self.received = now;
    }

    /// Returns whether the silence of others may be that of the data ports.
    pub(super) fn is_unsure(&self, now: Time) -> bool {
        now.since(self.received) >= UNSURE_AFTER
    }

    /// Returns the action that is due; `is_answered`: a forwarder answers on its sync port. While none does, another
    /// limit applies, and the silence of the data ports is counted from its end.
    pub(super) fn due(&mut self, now: Time, is_answered: bool) -> Due {
        if !is_answered {
            self.unanswered = now;
        }
        let silence = now.since(self.received.max(self.unanswered));
        if silence >= self.limit {
            return Due::GiveUp(silence);
        }
        if now.since(self.received) < ECHO_AFTER || now.since(self.probed) < ECHO_EVERY {
            return Due::Nothing;
        }
        self.probed = now;
        Due::Probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    /// Returns the times in ms at which a probe is due, and at which the path is given up, of a path checked every 100
    /// ms; `hears` and `answers` tell when a packet comes and a forwarder answers.
    fn walk(
        until: u64,
        hears: impl Fn(u64) -> bool,
        answers: impl Fn(u64) -> bool,
    ) -> (Vec<u64>, Option<u64>) {
        let mut path = DataPath::new(at(0), LIMIT);
        let mut probes = Vec::new();
        for millis in (0..=until).step_by(100) {
            if hears(millis) {
                path.received(at(millis));
            }
            match path.due(at(millis), answers(millis)) {
                Due::Nothing => {}
                Due::Probe => probes.push(millis),
                Due::GiveUp(_) => return (probes, Some(millis)),
            }
        }
        (probes, None)
    }

    #[test]
    fn a_path_that_passes_packets_on_is_not_probed() {
        assert_eq!(walk(60_000, |millis| millis % 1900 == 0, |_| true), (vec![], None));
    }

    #[test]
    fn a_path_that_returns_nothing_is_probed_and_given_up() {
        let (probes, given_up) = walk(60_000, |_| false, |_| true);
        assert_eq!(probes, (2..15).map(|second| second * 1000).collect::<Vec<u64>>());
        assert_eq!(given_up, Some(15_000));
    }

    #[test]
    fn a_silent_forwarder_has_a_limit_of_its_own_and_the_path_its_time_afterwards() {
        let (_, given_up) = walk(60_000, |_| false, |millis| millis > 9000);
        assert_eq!(given_up, Some(24_000));
        assert_eq!(walk(60_000, |_| false, |_| false).1, None);
    }

    #[test]
    fn others_are_not_judged_while_no_probe_comes_back() {
        let mut path = DataPath::new(at(0), LIMIT);
        assert_eq!([3900, 4000].map(|millis| path.is_unsure(at(millis))), [false, true]);
        path.received(at(4000));
        assert!(!path.is_unsure(at(4000)));
    }
}
