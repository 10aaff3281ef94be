//! How much there is in a packet for applications, and how much of that may be under way.

use std::fmt;

/// How much of a send window something takes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Weight {
    /// Bytes of body.
    pub bytes: usize,
    /// Messages of applications.
    pub messages: u64,
}

/// How many bytes of body may be unacknowledged before a sender must wait, unless it is told otherwise.
pub const WINDOW_BYTES: usize = 4 << 20;

/// How far a sender may be ahead of the slowest receiver of a stream; never further than
/// [`WINDOW_PACKETS`](crate::reliable::WINDOW_PACKETS).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Window {
    /// It waits as soon as so many bytes of body are unacknowledged; at least 1. The packet that makes them so many is
    /// the last to go.
    pub bytes: usize,
    /// No more messages than these are unacknowledged; at least 1. A single packet with more goes alone.
    pub messages: u64,
}

impl Window {
    /// As far as a sender may be ahead unless it is told otherwise.
    pub const WHOLE: Self = Self { bytes: WINDOW_BYTES, messages: u64::MAX };
}

impl Default for Window {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// As `--window` takes it.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, messages } = self;
        if *messages == u64::MAX { write!(f, "{bytes}B") } else { write!(f, "{messages},{bytes}B") }
    }
}
