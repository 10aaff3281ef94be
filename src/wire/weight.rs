//! The weight of a packet in messages and bytes, and the send window, which limits it.

use std::fmt;

/// The share of a send window that a packet takes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Weight {
    /// Bytes of body.
    pub bytes: usize,
    /// Messages of applications.
    pub messages: u64,
}

/// Most unacknowledged bytes of body by default.
pub const WINDOW_BYTES: usize = 4 << 20;

/// The most data that a sender may have in flight on one stream; never more than
/// [`WINDOW_PACKETS`](crate::reliable::WINDOW_PACKETS) packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Window {
    /// The unacknowledged bytes of body at which the sender waits; at least 1. The packet that reaches this number is
    /// still sent.
    pub bytes: usize,
    /// Most unacknowledged messages; at least 1. A single packet with more is sent alone.
    pub messages: u64,
}

impl Window {
    /// The default window.
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
