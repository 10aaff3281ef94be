//! Station 3: the contract of every protocol engine, in six rules.
//!
//! An engine is a pure state machine. It owns no clock, socket, file or random source; the driver (or the
//! simulator) passes it the time and performs its effects. [`crate::member::stack`] puts the engine of an
//! order on the reliable layer.

use std::fmt;

pub use crate::ids::{MemberId, Time, To, View};
use crate::waiting::{Clock, Waiting};
use crate::wire::{Batch, Wire};

/// An input of an engine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input<App, Wire> {
    /// The layer above asks for `app` to be sent.
    Submit {
        /// Its destination.
        to: To,
        /// The message to send.
        app: App,
    },
    /// A peer's message arrived.
    Receive {
        /// The sender as the layer below reports it.
        from: MemberId,
        /// The message.
        message: Wire,
    },
    /// The clock has reached [`Engine::next_deadline`]. Early or repeated wakes are harmless.
    Wake,
}

/// The reason why an input was ignored. A peer's mistake is data, never an error of ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DropReason {
    /// Received before: the network or a resend repeated it.
    Duplicate,
    /// The sender is not a member of the view, or this member is not the destination.
    Stranger,
    /// The number is further ahead than any honest sender can be.
    OutsideWindow,
    /// The message is one that no correct member sends.
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

/// A request of an engine to its driver or simulator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect<App, Wire> {
    /// Pass `message` to the layer below.
    Send {
        /// Its destination.
        to: To,
        /// The message.
        message: Wire,
    },
    /// Pass `app` to the layer above.
    Deliver {
        /// The member that submitted it.
        from: MemberId,
        /// The global number (of the first message of a batch), in an order that has one.
        number: Option<u64>,
        /// The submission.
        app: App,
    },
    /// The input was ignored.
    Drop {
        /// The member that sent it.
        from: MemberId,
        /// The reason.
        reason: DropReason,
    },
}

/// An append-only list of effects. The caller owns it and reuses it between calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effects<App, Wire>(Vec<Effect<App, Wire>>);

impl<App, Wire> Default for Effects<App, Wire> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<App, Wire> Effects<App, Wire> {
    /// Passes `message` to the layer below.
    pub fn send(&mut self, to: To, message: Wire) {
        self.0.push(Effect::Send { to, message });
    }

    /// Passes `app`, submitted by `from`, to the layer above.
    pub fn deliver(&mut self, from: MemberId, number: Option<u64>, app: App) {
        self.0.push(Effect::Deliver { from, number, app });
    }

    /// Reports that an input from `from` was ignored.
    pub fn drop(&mut self, from: MemberId, reason: DropReason) {
        self.0.push(Effect::Drop { from, reason });
    }

    /// Removes all effects in the order of their creation.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<App, Wire>> {
        self.0.drain(..)
    }

    /// Returns the effects since the last drain.
    #[must_use]
    pub fn as_slice(&self) -> &[Effect<App, Wire>] {
        &self.0
    }
}

/// One protocol layer as a pure state machine.
///
/// # Contract
/// The simulator checks these rules for every engine.
/// 1. `handle` runs to completion: when it returns, `out` has every consequence.
/// 2. `now` never goes back; it is the only clock of an engine.
/// 3. Same inputs, same effects, byte for byte.
/// 4. After `Wake` at `next_deadline() == Some(t)` the next deadline is `None` or later than `t`.
/// 5. A peer's mistake is [`Effect::Drop`], never a panic; a wrong configuration is an `Err` from the
///    constructor; `assert!` checks own state alone.
/// 6. A number from a peer is checked against a window before it bounds a loop, an index or a capacity.
///
/// A deadline that is already due requests a `Wake` as soon as no input is waiting. The sequencer uses it to
/// answer everything that has arrived at once.
pub trait Engine {
    /// The type of submissions and deliveries of the layer above.
    type App;
    /// The type of messages that this layer exchanges with its peers.
    type Wire;

    /// Reacts to one input; appends every consequence to `out`.
    fn handle(
        &mut self,
        now: Time,
        input: Input<Self::App, Self::Wire>,
        out: &mut Effects<Self::App, Self::Wire>,
    );

    /// Returns the time of the next [`Input::Wake`]; none by default. A pure function of state.
    fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// Returns how many submissions to `to` fit in the window now. A pure function of state.
    ///
    /// Further submissions are safe, and take memory until the window opens again.
    fn window(&self, to: To) -> usize;
}

/// The engine of one order: accepts batches and delivers them in its order.
///
/// The reliable layer below delivers every packet of a view exactly once, in any order. An engine lives for
/// one view. Every method except `flush` and `close` is a pure function of state. The default methods are those
/// of an engine that delivers on receipt.
pub trait OrderEngine: Engine<App = Batch, Wire: Wire> {
    /// Sends everything that this member still owes the others, by default like [`Input::Wake`]. It sends nothing
    /// more in this view.
    fn flush(&mut self, now: Time, out: &mut Effects<Batch, Self::Wire>) {
        self.handle(now, Input::Wake, out);
    }

    /// Ends the view after all survivors have received the same packets: delivers everything that has become
    /// deliverable, and returns this member's undelivered batches in order. The next view submits them again.
    fn close(&mut self, _out: &mut Effects<Batch, Self::Wire>) -> Vec<Batch> {
        Vec::new()
    }

    /// Delivers what is held back of these members although causes are missing: they were lost with their sender. For
    /// a layer below that does not bring all members the same packets.
    fn release(&mut self, _members: &[MemberId], _out: &mut Effects<Batch, Self::Wire>) {}

    /// Returns the depth of the hold-back queue, in batches.
    fn held(&self) -> usize {
        0
    }

    /// Returns how many packets of `sender` are held back. The receiver reports this number with its
    /// acknowledgement, and the sender slows down.
    fn backlog(&self, _sender: MemberId) -> u64 {
        0
    }

    /// Returns the held-back messages, each with the reason.
    fn waiting(&self) -> Vec<Waiting> {
        Vec::new()
    }

    /// Returns the logical clock, in an order that has one.
    fn clock(&self) -> Option<Clock> {
        None
    }

    /// Asks the sequencer to give no number up to this one any more, in an order that has a sequencer.
    fn advance(&mut self, _now: Time, _number: u64, _out: &mut Effects<Batch, Self::Wire>) {}

    /// Returns the lowest global number that a later delivery can have, in an order that has a sequencer.
    fn next_number(&self) -> Option<u64> {
        None
    }
}

/// Returns the earlier of two deadlines.
#[must_use]
pub fn sooner(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
