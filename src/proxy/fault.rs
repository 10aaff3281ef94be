//! The faults of connections. A fault is displayed as it is written in a script.

use std::fmt;
use std::time::Duration;

use super::{PORTS, SYNC};

/// A fault of connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// The time at which it begins, from the first connection on.
    pub(super) at: Duration,
    pub(super) kind: Kind,
    /// The direction of the bytes that it concerns, if its kind concerns bytes.
    pub(super) direction: Direction,
    /// The only port that it concerns, as an index into [`PORTS`].
    pub(super) port: Option<usize>,
    /// The only connection that it concerns; connections are counted at each port from 1.
    pub(super) connection: Option<u64>,
    /// The duration; `None` for no end, and for a kind without a duration.
    pub(super) lasts: Option<Duration>,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Connections are closed, and new ones at once.
    Cut,
    /// Connections are reset (RST) on both sides.
    Reset,
    /// The receiving side is told that the other sends no more, and further bytes of the other are discarded.
    HalfClose,
    /// Connections stay open, but nothing moves.
    Stall,
    /// Every byte arrives later, in order.
    Delay { by: Duration, jitter: Duration },
    /// The rate of each connection and direction is limited to this many bytes per second.
    Bandwidth { bytes: u64 },
    /// This share of packets is lost, in parts per million.
    Loss { share: u32 },
    /// This share of packets arrives twice, in parts per million.
    Duplicate { share: u32 },
    /// This share of packets is overtaken by others, in parts per million.
    Reorder { share: u32 },
}

/// The direction of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    /// From members to servers.
    Up,
    /// From servers to members.
    Down,
    Both,
}

/// One direction of one connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) port: usize,
    pub(super) connection: u64,
    pub(super) is_up: bool,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::HalfClose => "half-close",
            Self::Stall => "stall",
            Self::Delay { .. } => "delay",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Loss { .. } => "loss",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder { .. } => "reorder",
        }
    }

    /// Returns true if the fault concerns packets, which the port `sync` does not have.
    pub(super) const fn is_about_packets(self) -> bool {
        matches!(self, Self::Loss { .. } | Self::Duplicate { .. } | Self::Reorder { .. })
    }

    /// Returns true if the fault concerns every byte.
    pub(super) const fn is_about_bytes(self) -> bool {
        matches!(self, Self::Stall | Self::Delay { .. } | Self::Bandwidth { .. })
    }

    /// Returns true if the fault has a direction; otherwise it concerns whole connections.
    pub(super) const fn has_direction(self) -> bool {
        !matches!(self, Self::Cut | Self::Reset)
    }

    /// Returns true if the fault acts on connections when it begins.
    pub(super) const fn strikes(self) -> bool {
        matches!(self, Self::Cut | Self::Reset | Self::HalfClose)
    }

    /// Returns true if the fault has a duration.
    pub(super) const fn lasts(self) -> bool {
        !matches!(self, Self::Reset | Self::HalfClose)
    }
}

impl Direction {
    const fn holds(self, is_up: bool) -> bool {
        match self {
            Self::Up => is_up,
            Self::Down => !is_up,
            Self::Both => true,
        }
    }
}

impl Fault {
    /// Creates a fault of all packets, without an end.
    pub(super) const fn of_all_packets(kind: Kind) -> Self {
        let direction = Direction::Both;
        Self { at: Duration::ZERO, kind, direction, port: None, connection: None, lasts: None }
    }

    /// Returns true if the fault concerns this direction of this connection.
    pub(super) fn is_about(&self, place: Place) -> bool {
        self.port.is_none_or(|port| port == place.port)
            && self.connection.is_none_or(|connection| connection == place.connection)
            && self.direction.holds(place.is_up)
            && !(self.kind.is_about_packets() && place.port == SYNC)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", time(self.at), self.kind.word())?;
        match self.kind {
            Kind::Delay { by, jitter } if jitter.is_zero() => write!(f, " {}", time(by))?,
            Kind::Delay { by, jitter } => write!(f, " {} jitter {}", time(by), time(jitter))?,
            Kind::Bandwidth { bytes } => write!(f, " {}", rate(bytes))?,
            Kind::Loss { share } | Kind::Duplicate { share } | Kind::Reorder { share } => {
                write!(f, " {}%", f64::from(share) / 10_000.0)?;
            }
            Kind::Cut | Kind::Reset | Kind::HalfClose | Kind::Stall => {}
        }
        match self.direction {
            Direction::Up => f.write_str(" up")?,
            Direction::Down => f.write_str(" down")?,
            Direction::Both => {}
        }
        if let Some(port) = self.port {
            write!(f, " on {}", PORTS[port])?;
        }
        if let Some(connection) = self.connection {
            write!(f, " connection {connection}")?;
        }
        self.lasts.map_or(Ok(()), |lasts| write!(f, " for {}", time(lasts)))
    }
}

/// Formats a time as people write it.
pub(crate) fn time(length: Duration) -> String {
    match (length.as_micros(), length.as_millis()) {
        (micros, _) if micros % 1000 != 0 => format!("{micros}us"),
        (_, millis @ 1..1000) => format!("{millis}ms"),
        (_, millis) if millis % 1000 == 0 => format!("{}s", millis / 1000),
        (_, millis) => {
            format!("{}.{:03}s", millis / 1000, millis % 1000).replace("00s", "s").replace("0s", "s")
        }
    }
}

fn rate(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1_000_000) => format!("{}MB/s", bytes / 1_000_000),
        _ if bytes.is_multiple_of(1000) => format!("{}kB/s", bytes / 1000),
        _ => format!("{bytes}B/s"),
    }
}
