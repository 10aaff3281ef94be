//! Station 3: the contract of every protocol engine: what goes in, what comes out, and six rules.
//!
//! An engine is a pure state machine. It owns no clock, no socket, no file and no random source; the driver
//! (or the simulator) tells it the time and performs its effects. [`crate::member::stack`] puts the engine of an order
//! on the reliable layer.

use std::fmt;
use std::time::Duration;

use crate::waiting::{Clock, Waiting};
use crate::wire::{Batch, Wire};

/// A moment, in microseconds since the run began. Only a driver reads a clock; engines are told.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(u64);

impl Time {
    /// The moment the run began.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the run began.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the run began.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This moment plus `wait`; saturates at the end of time instead of overflowing.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A process of the group: its slot in the member list that `start` carried.
///
/// Engines know members by slot alone; names (`c1`) exist at the edges. A slot identifies, it never orders.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberId(pub u16);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum To {
    /// Every member of the group.
    Group,
    /// One member.
    Member(MemberId),
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => f.write_str("all"),
            Self::Member(member) => member.fmt(f),
        }
    }
}

/// An agreed list of members. View 1 is the list that `start` carried.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct View {
    /// 1 for the first view of a run.
    pub number: u64,
    /// The members that multicast and deliver, ascending.
    pub clients: Vec<MemberId>,
    /// The member that numbers messages, where the order has one.
    pub sequencer: Option<MemberId>,
    /// Who can number messages if the sequencer is lost: clients that offered it, and processes that stand by.
    pub candidates: Vec<MemberId>,
}

impl View {
    /// Every process that must receive what is multicast: clients, sequencer and those that stand by, ascending.
    #[must_use]
    pub fn members(&self) -> Vec<MemberId> {
        let others = self.sequencer.iter().chain(&self.candidates);
        let mut all: Vec<MemberId> = self.clients.iter().chain(others).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Everything that can happen to an engine. A closed set: add a variant, not a method.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input<App, Wire> {
    /// The layer above asks for `app` to be sent.
    Submit {
        /// Its destination.
        to: To,
        /// What to send.
        app: App,
    },
    /// A peer's message arrived.
    Receive {
        /// Who sent it, as far as the layer below can tell.
        from: MemberId,
        /// The message.
        message: Wire,
    },
    /// The clock reached [`Engine::next_deadline`]. Early or repeated wakes are harmless.
    Wake,
}

/// Why an input changed nothing. A peer's mistake is data, never an error of ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DropReason {
    /// Received before: the network or a resend repeated it.
    Duplicate,
    /// The sender is not a member of the view, or the destination is not us.
    Stranger,
    /// A number further ahead than any honest sender may be.
    OutsideWindow,
    /// The peer said something that no honest member says.
    BreaksContract,
    /// The bytes are not a packet of this run and protocol version.
    Malformed,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "duplicate",
            Self::Stranger => "stranger",
            Self::OutsideWindow => "outside the window",
            Self::BreaksContract => "breaks the contract",
            Self::Malformed => "malformed",
        })
    }
}

/// Everything an engine can ask for. The driver does it; the simulator prints it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect<App, Wire> {
    /// Give `message` to the layer below.
    Send {
        /// Its destination.
        to: To,
        /// The message.
        message: Wire,
    },
    /// Give `app` to the layer above.
    Deliver {
        /// Who submitted it.
        from: MemberId,
        /// Its place in the total order (the first message's, for a batch), where the order has one.
        number: Option<u64>,
        /// What was submitted.
        app: App,
    },
    /// The input was ignored.
    Drop {
        /// Who is to blame.
        from: MemberId,
        /// Why.
        reason: DropReason,
    },
}

/// An append-only list of effects, owned by the caller and reused between calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effects<App, Wire>(Vec<Effect<App, Wire>>);

impl<App, Wire> Default for Effects<App, Wire> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<App, Wire> Effects<App, Wire> {
    /// Asks the layer below to send `message`.
    pub fn send(&mut self, to: To, message: Wire) {
        self.0.push(Effect::Send { to, message });
    }

    /// Gives `app`, submitted by `from`, to the layer above.
    pub fn deliver(&mut self, from: MemberId, number: Option<u64>, app: App) {
        self.0.push(Effect::Deliver { from, number, app });
    }

    /// Reports that an input by `from` was ignored.
    pub fn drop(&mut self, from: MemberId, reason: DropReason) {
        self.0.push(Effect::Drop { from, reason });
    }

    /// Takes every effect out, in the order they were asked for.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<App, Wire>> {
        self.0.drain(..)
    }

    /// The effects asked for since the last drain.
    #[must_use]
    pub fn as_slice(&self) -> &[Effect<App, Wire>] {
        &self.0
    }
}

/// One protocol layer as a pure state machine.
///
/// # Contract
/// The simulator checks it for every engine.
/// 1. `handle` runs to completion: when it returns, every consequence is in `out`.
/// 2. `now` never goes back; it is the only clock an engine sees.
/// 3. Same inputs, same effects, byte for byte.
/// 4. After `Wake` at `next_deadline() == Some(t)` the next deadline is `None` or later than `t`.
/// 5. A peer's mistake is [`Effect::Drop`], never a panic; a wrong configuration is an `Err` from the constructor;
///    `assert!` is for our own state alone.
/// 6. A number that a peer chose is checked against a window before it bounds a loop, an index or a capacity.
///
/// A deadline that is already due asks for a `Wake` as soon as no input is waiting: engines that gain by
/// seeing everything that has arrived before they answer (the sequencer) use it to answer once.
pub trait Engine {
    /// What the layer above submits and is given back.
    type App;
    /// What this layer exchanges with its peers.
    type Wire;

    /// Reacts to one input; appends every consequence to `out`.
    fn handle(
        &mut self,
        now: Time,
        input: Input<Self::App, Self::Wire>,
        out: &mut Effects<Self::App, Self::Wire>,
    );

    /// Returns when this engine next needs an [`Input::Wake`]. A pure function of state.
    fn next_deadline(&self) -> Option<Time>;

    /// Returns how many submissions to `to` are welcome now: back-pressure. A pure function of state.
    ///
    /// Further submissions are safe but take memory until the window opens again.
    fn window(&self, to: To) -> usize;
}

/// The engine of one order: takes batches and delivers them in its order.
///
/// The reliable layer beneath it delivers every packet of a view exactly once, in any order. An engine lives for one
/// view. Every method except `flush` and `close` is a pure function of state.
pub trait OrderEngine: Engine<App = Batch, Wire: Wire> {
    /// Sends everything that this member still owes the others: it sends nothing more in this view.
    fn flush(&mut self, now: Time, out: &mut Effects<Batch, Self::Wire>);

    /// Ends the view, after all survivors have received the same packets: delivers what is deliverable only now, and
    /// returns this member's undelivered batches in their order. The next view submits them again.
    fn close(&mut self, out: &mut Effects<Batch, Self::Wire>) -> Vec<Batch>;

    /// Returns the depth of the hold-back queue, in batches.
    fn held(&self) -> usize;

    /// Returns how many packets of `sender` are held back. The receiver reports it with its acknowledgement, so that
    /// the sender waits too.
    fn backlog(&self, sender: MemberId) -> u64;

    /// Returns the messages that are held back, each with the reason.
    fn waiting(&self) -> Vec<Waiting>;

    /// Returns the logical clock, in an order that has one.
    fn clock(&self) -> Option<Clock>;
}

/// The earlier of two deadlines.
#[must_use]
pub fn sooner(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
