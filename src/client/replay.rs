//! Station 2: the operations of a command file, one after the other, as slowly as the file asks.

use std::time::Duration;

use bytes::Bytes;

use super::Options;
use super::user::User;
use crate::driver::Node;
use crate::engine::{MemberId, Time};
use crate::exit::Failure;
use crate::participant::Next;
use crate::script::{Op, Script};

/// A command file, and the progress of its replay.
pub(super) struct Replay<'a> {
    script: &'a Script,
    speed: f64,
    /// The next line of the script.
    at: usize,
    /// The end of the present sleep.
    wakes: Time,
    /// The member for each receiver of the script.
    receivers: Vec<MemberId>,
    /// The index of each group of the script among those of the client.
    groups: Vec<usize>,
}

impl<'a> Replay<'a> {
    /// Returns a replay for a client with these options; `node` is its member of the first group.
    pub(super) fn new(script: &'a Script, node: &Node, options: &Options) -> Self {
        // A run with an unknown receiver ends before the first operation, so that none is missing later.
        let receivers = script.receivers().filter_map(|id| node.find(id)).collect();
        // All are known: a script with another group was refused.
        let groups = script.groups().filter_map(|name| options.group.iter().position(|group| group == name));
        let groups = groups.collect();
        Self { script, speed: options.speed, at: 0, wakes: Time::ZERO, receivers, groups }
    }
}

impl User for Replay<'_> {
    fn next(&mut self, now: Time) -> Result<Next, Failure> {
        while now >= self.wakes {
            match self.script.lines().get(self.at).map(|line| &line.op) {
                None => return Ok(Next::Finish),
                Some(Op::Leave) => return Ok(Next::Leave),
                Some(Op::Multicast(_) | Op::MulticastTo { .. }) => return Ok(Next::Multicast),
                Some(Op::Send { to, .. }) => return Ok(Next::Send(self.receivers[to.0 as usize])),
                Some(Op::Sleep(length)) => self.wakes = now.after(at_speed(*length, self.speed)),
            }
            self.at += 1;
        }
        Ok(Next::Rest(Some(self.wakes)))
    }

    fn group(&self) -> usize {
        match self.script.lines().get(self.at).map(|line| &line.op) {
            Some(Op::MulticastTo { group, .. }) => self.groups[group.0 as usize],
            _ => 0,
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let (Op::Multicast(text) | Op::MulticastTo { text, .. } | Op::Send { text, .. }) =
            &self.script.lines().get(self.at)?.op
        else {
            return None;
        };
        self.at += 1;
        Some(text.clone())
    }

    fn operations(&self) -> (u64, u64) {
        (self.at as u64, self.script.lines().len() as u64)
    }

    /// Leaves out all operations up to the last of these multicasts.
    fn resume(&mut self, multicasts: u64) {
        let is_multicast = |op: &Op| matches!(op, Op::Multicast(_) | Op::MulticastTo { .. });
        let mut left = multicasts;
        while left > 0
            && let Some(line) = self.script.lines().get(self.at)
        {
            left -= u64::from(is_multicast(&line.op));
            self.at += 1;
        }
    }

    /// Finds the receivers again: a restarted one is a new member. A message to one that is gone is undeliverable.
    fn meet_group(&mut self, node: &Node) {
        for (receiver, id) in self.receivers.iter_mut().zip(self.script.receivers()) {
            *receiver = node.find(id).unwrap_or(*receiver);
        }
    }
}

/// Returns the length of a sleep at this speed; without end if the speed is too low for a clock.
pub(super) fn at_speed(length: Duration, speed: f64) -> Duration {
    Duration::try_from_secs_f64(length.as_secs_f64() / speed).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_as_long_as_the_speed_makes_it() {
        let sleep = |speed| at_speed(Duration::from_secs(3), speed);
        assert_eq!(sleep(2.0), Duration::from_millis(1500));
        assert_eq!((sleep(f64::MAX), sleep(f64::MIN_POSITIVE)), (Duration::ZERO, Duration::MAX));
    }
}
