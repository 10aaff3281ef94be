//! A seat in a group that has a sequencer: one kind of engine for both sides of an order.

use groupcast::engine::{Effects, Engine, Input, MemberId, Time, To};

/// A client or the sequencer.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Seat<C, S> {
    Client(C),
    Sequencer(S),
}

impl<C: Engine, S: Engine<App = C::App, Wire = C::Wire>> Engine for Seat<C, S> {
    type App = C::App;
    type Wire = C::Wire;

    fn handle(&mut self, now: Time, input: Input<C::App, C::Wire>, out: &mut Effects<C::App, C::Wire>) {
        match self {
            Self::Client(engine) => engine.handle(now, input, out),
            Self::Sequencer(engine) => engine.handle(now, input, out),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        match self {
            Self::Client(engine) => engine.next_deadline(),
            Self::Sequencer(engine) => engine.next_deadline(),
        }
    }

    fn window(&self, to: To) -> usize {
        match self {
            Self::Client(engine) => engine.window(to),
            Self::Sequencer(engine) => engine.window(to),
        }
    }

    fn held_of(&self, sender: MemberId) -> u64 {
        match self {
            Self::Client(engine) => engine.held_of(sender),
            Self::Sequencer(engine) => engine.held_of(sender),
        }
    }
}
