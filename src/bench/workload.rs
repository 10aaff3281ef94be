//! The workload of every member: number, size and pace of its multicasts; and the sixteen bytes at the start of each,
//! by which deliveries are checked and timed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The shortest text of a multicast: a [`Stamp`].
pub(super) const MIN_SIZE: usize = 16;

/// The workload of every member.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Workload {
    /// The number of members of each group.
    pub(super) members: u16,
    /// The number of members of each group that multicast: the first ones.
    pub(super) senders: u16,
    pub(super) groups: u16,
    /// The length of each text, in bytes.
    pub(super) size: usize,
    /// The most own multicasts of a member that it has not delivered yet.
    pub(super) window: u64,
    pub(super) amount: Amount,
    /// The number of multicasts of each sender before the clock starts.
    pub(super) warmup: u64,
    /// The multicasts per second of all senders of a group together; `None` for as many as the window allows.
    pub(super) rate: Option<f64>,
}

/// The amount of multicasts of a member.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) enum Amount {
    /// This many, beside those of the warm-up.
    Messages(u64),
    /// As many as it sends in this time.
    Time(Duration),
}

impl Workload {
    /// Returns true if each own multicast is timed from its sending to its delivery.
    pub(super) const fn has_round_trips(&self) -> bool {
        self.window == 1 && self.rate.is_none()
    }

    /// Returns the most multicasts that a member sends.
    pub(super) const fn most(&self) -> u64 {
        match self.amount {
            Amount::Messages(count) => self.warmup + count,
            Amount::Time(_) => u64::MAX,
        }
    }
}

/// The beginning of each text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    pub(super) sender: u16,
    /// One of the members, another with each text. Its multicasts up to `caused_by` must be delivered before this one.
    pub(super) cause: u16,
    /// The sender's number of this multicast, from 1; this and the next two are truncated to 32 bits.
    pub(super) number: u32,
    /// The number of the last multicast of `cause` that precedes this one.
    pub(super) caused_by: u32,
    /// The time at which it was due, in microseconds of the clock that all processes share.
    pub(super) due: u32,
}

impl Stamp {
    pub(super) fn write(&self, text: &mut [u8]) {
        text[0..2].copy_from_slice(&self.sender.to_le_bytes());
        text[2..4].copy_from_slice(&self.cause.to_le_bytes());
        text[4..8].copy_from_slice(&self.number.to_le_bytes());
        text[8..12].copy_from_slice(&self.caused_by.to_le_bytes());
        text[12..16].copy_from_slice(&self.due.to_le_bytes());
    }

    /// Returns the stamp of a text, if it is long enough to have one.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let text = text.first_chunk::<MIN_SIZE>()?;
        let [s0, s1, c0, c1, n0, n1, n2, n3, b0, b1, b2, b3, d0, d1, d2, d3] = *text;
        Some(Self {
            sender: u16::from_le_bytes([s0, s1]),
            cause: u16::from_le_bytes([c0, c1]),
            number: u32::from_le_bytes([n0, n1, n2, n3]),
            caused_by: u32::from_le_bytes([b0, b1, b2, b3]),
            due: u32::from_le_bytes([d0, d1, d2, d3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { sender: 3, cause: 258, number: 1 << 31, caused_by: 77, due: 123_456_789 };
        let mut text = [0xff; 20];
        stamp.write(&mut text);
        assert_eq!((Stamp::read(&text), Stamp::read(&text[..15])), (Some(stamp), None));
    }
}
