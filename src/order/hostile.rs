//! Test helpers: one-message batches, and the reaction of an engine to a hostile peer.

use crate::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::wire::{Batch, BatchBuilder, Wire, Writer};

pub(super) const P0: MemberId = MemberId(0);
pub(super) const P1: MemberId = MemberId(1);
pub(super) const SEQUENCER: MemberId = MemberId(2);
pub(super) const STRANGER: MemberId = MemberId(9);

/// Returns a view of two clients and a sequencer.
pub(super) fn view() -> View {
    View { number: 1, clients: vec![P0, P1], sequencer: Some(SEQUENCER), candidates: Vec::new() }
}

/// Returns a batch of one message with this number.
pub(super) fn batch(first: u64) -> Batch {
    let mut builder = BatchBuilder::new(first);
    builder.push(b"x");
    builder.finish().expect("it holds a message")
}

/// Submits a multicast of one message.
pub(super) fn submit<E: Engine<App = Batch>>(engine: &mut E, first: u64) {
    let input = Input::Submit { to: To::Group, app: batch(first) };
    engine.handle(Time::ZERO, input, &mut Effects::default());
}

/// Returns the number of batches that the engine delivers after this message, or the reason for a drop.
pub(super) fn receive<E: Engine>(
    engine: &mut E,
    from: MemberId,
    message: E::Wire,
) -> Result<usize, DropReason> {
    let mut out = Effects::default();
    engine.handle(Time::ZERO, Input::Receive { from, message }, &mut out);
    let refused = out.as_slice().iter().find_map(|effect| match effect {
        Effect::Drop { reason, .. } => Some(*reason),
        _ => None,
    });
    let delivered = out.as_slice().iter().filter(|effect| matches!(effect, Effect::Deliver { .. }));
    refused.map_or_else(|| Ok(delivered.count()), Err)
}

/// Returns true if `message` survives encoding and decoding, so that a peer can send it.
pub(super) fn is_readable<M: Wire>(message: &M) -> bool {
    let mut out = Writer::default();
    message.write(&mut out);
    let (header, body) = out.finish();
    M::read(&mut crate::wire::Reader::new(header, body)).is_ok()
}
