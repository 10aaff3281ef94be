//! The faults of connections. A fault is displayed as it is written in a script.

use std::fmt;
use std::time::Duration;

use crate::prng::Prng;
use crate::units;

/// The ports between members and servers, in the order of their numbers.
pub(crate) const PORTS: [&str; 4] = ["in", "out", "sync", "router"];
pub(crate) const IN: usize = 0;
pub(crate) const OUT: usize = 1;
/// The port that carries no packets.
pub(crate) const SYNC: usize = 2;
pub(crate) const ROUTER: usize = 3;

/// A fault of connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// The time at which it begins, from the first connection on.
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    /// The direction of the bytes that it concerns, if its kind concerns bytes.
    pub(crate) direction: Direction,
    /// The only port that it concerns, as an index into [`PORTS`].
    pub(crate) port: Option<usize>,
    /// The only connection that it concerns; connections are counted at each port from 1.
    pub(crate) connection: Option<u64>,
    /// The duration; `None` for no end, and for a kind without a duration.
    pub(crate) lasts: Option<Duration>,
    /// A text in the packets to hold, and one in the packet that they follow; empty for every other kind.
    pub(crate) texts: (String, String),
    /// In a run: the only client that it concerns. A script does not tell it.
    pub(crate) of: Option<String>,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
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
    /// Packets with one text wait until a packet with the other has passed.
    Hold,
}

/// The direction of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    /// From members to servers.
    Up,
    /// From servers to members.
    Down,
    Both,
}

/// One direction of one connection.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) port: usize,
    pub(crate) connection: u64,
    pub(crate) is_up: bool,
}

/// The word for [`Kind::Hold`], which no seed draws.
pub(crate) const HOLD: &str = "hold";
/// The words for all other kinds.
pub(crate) const KINDS: [&str; 9] =
    ["cut", "reset", "half-close", "stall", "delay", "bandwidth", "loss", "duplicate", "reorder"];

impl Kind {
    /// Draws the amounts of the kind with this word, with at most `most_kilobytes` per second.
    pub(crate) fn draw(word: &str, prng: &mut Prng, most_kilobytes: u64) -> Self {
        let millis = |prng: &mut Prng, low, high| Duration::from_millis(prng.between(low, high));
        let percent = |prng: &mut Prng| prng.between(1, 30) as u32 * 10_000;
        match word {
            "cut" => Self::Cut,
            "reset" => Self::Reset,
            "half-close" => Self::HalfClose,
            "stall" => Self::Stall,
            "delay" => Self::Delay { by: millis(prng, 1, 50), jitter: millis(prng, 0, 100) },
            "bandwidth" => Self::Bandwidth { bytes: prng.between(50, most_kilobytes) * 1000 },
            "loss" => Self::Loss { share: percent(prng) },
            "duplicate" => Self::Duplicate { share: percent(prng) },
            _ => Self::Reorder { share: percent(prng) },
        }
    }

    pub(crate) const fn word(self) -> &'static str {
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
            Self::Hold => HOLD,
        }
    }

    /// Returns true if the fault concerns packets, which the port `sync` does not have.
    pub(crate) const fn is_about_packets(self) -> bool {
        matches!(self, Self::Loss { .. } | Self::Duplicate { .. } | Self::Reorder { .. } | Self::Hold)
    }

    /// Returns true if the fault concerns every byte.
    pub(crate) const fn is_about_bytes(self) -> bool {
        matches!(self, Self::Stall | Self::Delay { .. } | Self::Bandwidth { .. })
    }

    /// Returns true if the fault has a direction; otherwise it concerns whole connections.
    pub(crate) const fn has_direction(self) -> bool {
        !matches!(self, Self::Cut | Self::Reset)
    }

    /// Returns true if the fault acts on connections when it begins.
    pub(crate) const fn strikes(self) -> bool {
        matches!(self, Self::Cut | Self::Reset | Self::HalfClose)
    }

    /// Returns true if the fault has a duration.
    pub(crate) const fn lasts(self) -> bool {
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
    pub(crate) const fn of_all_packets(kind: Kind) -> Self {
        let direction = Direction::Both;
        let at = Duration::ZERO;
        let texts = (String::new(), String::new());
        Self { at, kind, direction, port: None, connection: None, lasts: None, texts, of: None }
    }

    /// Returns true if the fault concerns this direction of this connection.
    pub(crate) fn is_about(&self, place: Place) -> bool {
        self.port.is_none_or(|port| port == place.port)
            && self.connection.is_none_or(|connection| connection == place.connection)
            && self.direction.holds(place.is_up)
            && !(self.kind.is_about_packets() && place.port == SYNC)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = units::exact_duration;
        write!(f, "{} {}", time(self.at), self.kind.word())?;
        match self.kind {
            Kind::Delay { by, jitter } if jitter.is_zero() => write!(f, " {}", time(by))?,
            Kind::Delay { by, jitter } => write!(f, " {} jitter {}", time(by), time(jitter))?,
            Kind::Bandwidth { bytes } => write!(f, " {}", units::rate(bytes))?,
            Kind::Loss { share } | Kind::Duplicate { share } | Kind::Reorder { share } => {
                write!(f, " {}", units::percent(share))?;
            }
            Kind::Hold => write!(f, " {} until {}", self.texts.0, self.texts.1)?,
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
