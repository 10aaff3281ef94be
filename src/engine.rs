//! Station 3: the contract of every protocol engine: what goes in, what comes out, and six rules.
//!
//! An engine is a pure state machine. It owns no clock, no socket, no file and no random source; the driver
//! (or the simulator) tells it the time and performs its effects. Engines stack: see [`crate::stack`].

use std::fmt;
use std::time::Duration;

use crate::waiting::{Clock, Waiting};

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

    /// When this engine next needs a [`Input::Wake`]. A pure function of state.
    fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// Sends everything that is owed to others, windows or no windows: the view ends here, and what is not sent now is
    /// never sent in it.
    fn flush(&mut self, now: Time, out: &mut Effects<Self::App, Self::Wire>) {
        self.handle(now, Input::Wake, out);
    }

    /// The view has ended, and all that go on have received the same: delivers what follows from that and could not be
    /// known before. Returns own submissions that nobody will deliver unless they are submitted again, in their order.
    fn close(&mut self, out: &mut Effects<Self::App, Self::Wire>) -> Vec<Self::App> {
        let _ = out;
        Vec::new()
    }

    /// How many submissions to `to` are welcome now: back-pressure. A pure function of state.
    ///
    /// Submitting more is safe but takes memory until the window opens again.
    fn window(&self, to: To) -> usize;

    /// How many items have been received and wait to be delivered: the depth of the hold-back queue. A pure function
    /// of state, for those who measure.
    fn held(&self) -> usize {
        0
    }

    /// How many packets of `sender` have been received and wait to be delivered. A pure function of state, which the
    /// layer below is told by [`Engine::held_above`], so that the sender comes to know of it and waits too.
    fn held_of(&self, sender: MemberId) -> u64 {
        let _ = sender;
        0
    }

    /// From now on the layer above holds back `packets` of `sender`.
    fn held_above(&mut self, now: Time, sender: MemberId, packets: u64) {
        let _ = (now, sender, packets);
    }

    /// The member at which packets to the group have not even arrived that have arrived at all others, and up to which
    /// of ours it has everything. A pure function of state.
    fn laggard(&self) -> Option<(MemberId, u64)> {
        None
    }

    /// Whether everybody for whom something was submitted is done with it: has delivered it. A pure function of state.
    fn is_settled(&self) -> bool {
        true
    }

    /// How many packets to the group wait here for a window. A pure function of state.
    fn unsent(&self) -> u64 {
        0
    }

    /// The layer above wants to hear what the others have received.
    fn ask_all(&mut self, now: Time) {
        let _ = now;
    }

    /// What has been received and waits to be delivered, and what for. A pure function of state, for those who ask.
    fn waiting(&self) -> Vec<Waiting> {
        Vec::new()
    }

    /// The clock, of an order that has one. A pure function of state, for those who ask.
    fn clock(&self) -> Option<Clock> {
        None
    }
}

impl<E: Engine + ?Sized> Engine for Box<E> {
    type App = E::App;
    type Wire = E::Wire;

    fn handle(&mut self, now: Time, input: Input<E::App, E::Wire>, out: &mut Effects<E::App, E::Wire>) {
        (**self).handle(now, input, out);
    }

    fn next_deadline(&self) -> Option<Time> {
        (**self).next_deadline()
    }

    fn flush(&mut self, now: Time, out: &mut Effects<E::App, E::Wire>) {
        (**self).flush(now, out);
    }

    fn close(&mut self, out: &mut Effects<E::App, E::Wire>) -> Vec<E::App> {
        (**self).close(out)
    }

    fn window(&self, to: To) -> usize {
        (**self).window(to)
    }

    fn held(&self) -> usize {
        (**self).held()
    }

    fn held_of(&self, sender: MemberId) -> u64 {
        (**self).held_of(sender)
    }

    fn held_above(&mut self, now: Time, sender: MemberId, packets: u64) {
        (**self).held_above(now, sender, packets);
    }

    fn laggard(&self) -> Option<(MemberId, u64)> {
        (**self).laggard()
    }

    fn is_settled(&self) -> bool {
        (**self).is_settled()
    }

    fn unsent(&self) -> u64 {
        (**self).unsent()
    }

    fn ask_all(&mut self, now: Time) {
        (**self).ask_all(now);
    }

    fn waiting(&self) -> Vec<Waiting> {
        (**self).waiting()
    }

    fn clock(&self) -> Option<Clock> {
        (**self).clock()
    }
}

/// The earlier of two deadlines.
#[must_use]
pub fn sooner(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
