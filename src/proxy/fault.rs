//! What can be done to connections. A fault is shown as it is written in a script.

use std::fmt;
use std::time::Duration;

use super::{PORTS, SYNC};

/// One thing that happens to connections, at one time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// When it begins, counted from the first connection.
    pub(super) at: Duration,
    pub(super) kind: Kind,
    /// Whose bytes: only where the kind has to do with bytes.
    pub(super) direction: Direction,
    /// Only connections of this port, as a number in [`PORTS`].
    pub(super) port: Option<usize>,
    /// Only the connection with this number, counted at each port from 1.
    pub(super) connection: Option<u64>,
    /// How long it lasts; `None` for ever, and where the kind happens in a moment.
    pub(super) lasts: Option<Duration>,
}

/// What happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Connections are closed, and new ones as soon as they come.
    Cut,
    /// Connections are broken off with RST on both sides.
    Reset,
    /// One side is told that the other sends no more, and what it sends all the same is thrown away.
    HalfClose,
    /// Connections stay open and nothing moves.
    Stall,
    /// Every byte comes later, in its order.
    Delay { by: Duration, jitter: Duration },
    /// No more than so many bytes a second, for each connection and direction.
    Bandwidth { bytes: u64 },
    /// So many of a million packets do not arrive.
    Loss { share: u32 },
    /// So many of a million packets arrive twice.
    Duplicate { share: u32 },
    /// So many of a million packets are overtaken by others.
    Reorder { share: u32 },
}

/// The way that bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    /// From members to the middle.
    Up,
    /// From the middle to members.
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

    /// Whether it has to do with packets, which the port `sync` does not have.
    pub(super) const fn is_about_packets(self) -> bool {
        matches!(self, Self::Loss { .. } | Self::Duplicate { .. } | Self::Reorder { .. })
    }

    /// Whether it has to do with every byte.
    pub(super) const fn is_about_bytes(self) -> bool {
        matches!(self, Self::Stall | Self::Delay { .. } | Self::Bandwidth { .. })
    }

    /// Whether it has to do with one direction, or with whole connections.
    pub(super) const fn has_direction(self) -> bool {
        !matches!(self, Self::Cut | Self::Reset)
    }

    /// Whether something is done to connections when it begins.
    pub(super) const fn strikes(self) -> bool {
        matches!(self, Self::Cut | Self::Reset | Self::HalfClose)
    }

    /// Whether it goes on for a while, or happens in a moment.
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
    /// Something that happens to the packets of all connections, for ever.
    pub(super) const fn of_all_packets(kind: Kind) -> Self {
        let direction = Direction::Both;
        Self { at: Duration::ZERO, kind, direction, port: None, connection: None, lasts: None }
    }

    /// Whether the fault is about this direction of this connection.
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

/// A time as people write it.
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
