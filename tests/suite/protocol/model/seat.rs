//! A seat in a group that has a sequencer: one kind of engine for both sides of an order.

use groupcast::engine::{Effects, Engine, Input, MemberId, OrderEngine, Time, To};
use groupcast::waiting::{Clock, Waiting};
use groupcast::wire::Batch;

/// A client or the sequencer.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Seat<C, S> {
    Client(C),
    Sequencer(S),
}

/// Calls the same method of the engine of the seat.
macro_rules! forward {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self {
            Self::Client(engine) => engine.$method($($argument),*),
            Self::Sequencer(engine) => engine.$method($($argument),*),
        }
    };
}

impl<C: Engine, S: Engine<App = C::App, Wire = C::Wire>> Engine for Seat<C, S> {
    type App = C::App;
    type Wire = C::Wire;

    fn handle(&mut self, now: Time, input: Input<C::App, C::Wire>, out: &mut Effects<C::App, C::Wire>) {
        forward!(self, handle(now, input, out));
    }

    fn next_deadline(&self) -> Option<Time> {
        forward!(self, next_deadline())
    }

    fn window(&self, to: To) -> usize {
        forward!(self, window(to))
    }
}

impl<C: OrderEngine, S: OrderEngine<Wire = C::Wire>> OrderEngine for Seat<C, S> {
    fn flush(&mut self, now: Time, out: &mut Effects<Batch, C::Wire>) {
        forward!(self, flush(now, out));
    }

    fn close(&mut self, out: &mut Effects<Batch, C::Wire>) -> Vec<Batch> {
        forward!(self, close(out))
    }

    fn held(&self) -> usize {
        forward!(self, held())
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        forward!(self, backlog(sender))
    }

    fn waiting(&self) -> Vec<Waiting> {
        forward!(self, waiting())
    }

    fn clock(&self) -> Option<Clock> {
        forward!(self, clock())
    }
}
