//! What every member is to do: how many multicasts of which size, how many of its own at a time or how many a second;
//! and the sixteen bytes at the start of each, by which its deliveries are checked and timed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shortest text of a multicast: a [`Stamp`].
pub(super) const MIN_SIZE: usize = 16;

/// What every member does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Workload {
    /// How many members each group has.
    pub(super) members: u16,
    pub(super) groups: u16,
    /// Bytes of each text.
    pub(super) size: usize,
    /// How many of its own multicasts a member has under way.
    pub(super) window: u64,
    pub(super) amount: Amount,
    /// How many multicasts of each member come before the clock starts.
    pub(super) warmup: u64,
    /// Multicasts a second of all members of a group together; nothing for as many as the window lets out.
    pub(super) rate: Option<f64>,
}

/// When a member has multicast enough.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) enum Amount {
    /// After so many, those of the warm-up not counted.
    Messages(u64),
    /// After so long.
    Time(Duration),
}

impl Workload {
    /// Whether each own multicast is timed from when it is sent to when it comes back.
    pub(super) const fn has_round_trips(&self) -> bool {
        self.window == 1 && self.rate.is_none()
    }

    /// How many multicasts a member sends at most.
    pub(super) const fn most(&self) -> u64 {
        match self.amount {
            Amount::Messages(count) => self.warmup + count,
            Amount::Time(_) => u64::MAX,
        }
    }
}

/// What each text begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    pub(super) sender: u16,
    /// One of the members, another with each text: what the sender had delivered of it comes before this.
    pub(super) cause: u16,
    /// The sender's number of this multicast, from 1; it and the next two are cut off to 32 bits.
    pub(super) number: u32,
    /// The number of the cause.
    pub(super) caused_by: u32,
    /// When it was to be sent, in microseconds of the clock that all share.
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

    /// The stamp of a text, if it is long enough to have one.
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
