//! Total order by a fixed sequencer with a log, method LOG: as method UB ([`super::total_ub`]), but the sequencer records
//! every batch before it multicasts it with its numbers. Here is the side of the sequencer; the members are those of UB.
//!
//! The engine delivers each batch at the place in its effects where it is recorded. Nothing that it sends behind that
//! may leave before the record is durable; [`crate::member::gate`] sees to it, so that the engine knows nothing of a disk.

use std::fmt;

use super::total::Sequenced;
use super::total_ub::{SequencerUb, UbWire};
use crate::defect::Defects;
use crate::engine::{DropReason, Effect, Effects, Engine, Input, OrderEngine, Time, To, View};
use crate::wire::Batch;

/// The engine of a sequencer, method LOG.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SequencerLog {
    numbers: SequencerUb,
    records: bool,
}

type Out = Effects<Batch, UbWire>;

impl SequencerLog {
    /// Creates the engine that numbers the multicasts of the clients of `view` from 1. A client that is also the sequencer
    /// delivers them anyway, and does not record them.
    #[must_use]
    pub fn new(view: &View, records: bool, defects: Defects) -> Self {
        Self { numbers: SequencerUb::new(view, defects), records }
    }
}

impl fmt::Display for SequencerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.numbers.fmt(f)
    }
}

impl Engine for SequencerLog {
    type App = Batch;
    type Wire = UbWire;

    fn handle(&mut self, now: Time, input: Input<Batch, UbWire>, out: &mut Out) {
        // A place that is skipped would be one that the log never has.
        if self.records
            && let Input::Receive { from, message: UbWire::Advance(_) } = &input
        {
            return out.drop(*from, DropReason::BreaksContract);
        }
        let mut numbered = Effects::default();
        self.numbers.handle(now, input, &mut numbered);
        for effect in numbered.drain() {
            match effect {
                Effect::Send { to, message } => {
                    if let (true, UbWire::Sequenced(Sequenced { number, sender, batch })) =
                        (self.records, &message)
                    {
                        out.deliver(*sender, Some(*number), batch.clone());
                    }
                    out.send(to, message);
                }
                Effect::Drop { from, reason } => out.drop(from, reason),
                Effect::Deliver { from, number, app } => out.deliver(from, number, app),
            }
        }
    }

    fn window(&self, to: To) -> usize {
        self.numbers.window(to)
    }
}

impl OrderEngine for SequencerLog {
    fn held(&self) -> usize {
        self.numbers.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::hostile::{P0, SEQUENCER, batch, view};

    #[test]
    fn total_log_batch_is_recorded_before_it_is_sent() {
        let mut sequencer = SequencerLog::new(&view(), true, Defects::NONE);
        let mut out = Effects::default();
        for first in [2, 1] {
            let message = UbWire::Raw(batch(first));
            sequencer.handle(Time::ZERO, Input::Receive { from: P0, message }, &mut out);
        }
        let sent = |number, first| {
            let message = UbWire::Sequenced(Sequenced { number, sender: P0, batch: batch(first) });
            Effect::Send { to: To::Group, message }
        };
        let recorded = |number, first| Effect::Deliver { from: P0, number: Some(number), app: batch(first) };
        assert_eq!(out.as_slice(), [recorded(1, 1), sent(1, 1), recorded(2, 2), sent(2, 2)]);
        sequencer.handle(
            Time::ZERO,
            Input::Receive { from: SEQUENCER, message: UbWire::Advance(9) },
            &mut out,
        );
        assert!(matches!(out.as_slice().last(), Some(Effect::Drop { .. })));
    }

    #[test]
    fn total_log_skips_no_place() {
        let mut sequencer = SequencerLog::new(&view(), true, Defects::NONE);
        let mut out = Effects::default();
        for message in [UbWire::Advance(9), UbWire::Raw(batch(1))] {
            sequencer.handle(Time::ZERO, Input::Receive { from: P0, message }, &mut out);
        }
        let recorded = Effect::Deliver { from: P0, number: Some(1), app: batch(1) };
        let refused = Effect::Drop { from: P0, reason: DropReason::BreaksContract };
        assert_eq!(out.as_slice()[..2], [refused, recorded]);
    }
}
