//! Total order by a fixed sequencer, method UB: a member sends its batch to the sequencer, which multicasts
//! it with its numbers ("unicast-broadcast" in Défago, Schiper and Urbán). Both sides are here.

use std::collections::VecDeque;
use std::fmt;

use super::hold_back::{HoldBack, HoldBacks};
use super::span::Span;
use super::total::{Numbered, OWN_WINDOW, Sequenced, Skipped};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::Waiting;
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// The messages that members and sequencer exchange.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum UbWire {
    /// A member's batch, to the sequencer.
    Raw(Batch),
    /// A numbered batch, to all.
    Sequenced(Sequenced),
    /// Numbers of no message, to all.
    Skipped(Skipped),
    /// A member asks the sequencer to give no number up to this one any more.
    Advance(u64),
}

/// A member's engine for total order, method UB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TotalUb {
    me: MemberId,
    sequencer: MemberId,
    clients: Vec<MemberId>,
    held: HoldBack<Numbered>,
    /// Own batches that have not been delivered here.
    own: VecDeque<Batch>,
}

/// The engine of a sequencer, method UB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SequencerUb {
    next: u64,
    senders: HoldBacks<Batch>,
    defects: Defects,
}

type Out = Effects<Batch, UbWire>;

impl TotalUb {
    /// Creates the engine of `me` in `view`, with this sequencer.
    #[must_use]
    pub fn new(me: MemberId, view: &View, sequencer: MemberId) -> Self {
        Self { me, sequencer, clients: view.clients.clone(), held: HoldBack::default(), own: VecDeque::new() }
    }

    fn receive(&mut self, from: MemberId, numbered: Numbered, out: &mut Out) {
        let is_of_client = match &numbered {
            Numbered::Batch(sequenced) => self.clients.contains(&sequenced.sender),
            Numbered::Nothing(_) => true,
        };
        if from != self.sequencer || !is_of_client || !self.held.insert(numbered) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while let Some(numbered) = self.held.pop() {
            let Numbered::Batch(Sequenced { number, sender, batch }) = numbered else { continue };
            if sender == self.me {
                self.own.pop_front();
            }
            out.deliver(sender, Some(number), batch);
        }
    }
}

impl fmt::Display for TotalUb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.held.describe())
    }
}

impl Engine for TotalUb {
    type App = Batch;
    type Wire = UbWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, UbWire>, out: &mut Out) {
        match input {
            Input::Submit { app, .. } => {
                self.own.push_back(app.clone());
                out.send(To::Member(self.sequencer), UbWire::Raw(app));
            }
            Input::Receive { from, message: UbWire::Sequenced(sequenced) } => {
                self.receive(from, Numbered::Batch(sequenced), out);
            }
            Input::Receive { from, message: UbWire::Skipped(skipped) } => {
                self.receive(from, Numbered::Nothing(skipped), out);
            }
            Input::Receive { from, message: UbWire::Raw(_) | UbWire::Advance(_) } => {
                out.drop(from, DropReason::BreaksContract);
            }
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        OWN_WINDOW.saturating_sub(self.own.len())
    }
}

impl OrderEngine for TotalUb {
    /// Returns own batches that have not come back with a number; the next view submits them again.
    fn close(&mut self, _out: &mut Out) -> Vec<Batch> {
        std::mem::take(&mut self.own).into()
    }

    fn held(&self) -> usize {
        self.held.len()
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.held.waiting().collect()
    }

    fn advance(&mut self, _now: Time, number: u64, out: &mut Out) {
        out.send(To::Member(self.sequencer), UbWire::Advance(number));
    }

    fn next_number(&self) -> Option<u64> {
        Some(self.held.next())
    }
}

impl SequencerUb {
    /// Creates the engine that numbers the multicasts of the clients of `view` from 1.
    #[must_use]
    pub fn new(view: &View, defects: Defects) -> Self {
        Self { next: 1, senders: HoldBacks::new(view.clients.iter().copied()), defects }
    }

    fn number(&mut self, from: MemberId, batch: Batch, out: &mut Out) {
        let queue = match self.senders.insert(from, batch) {
            Ok(queue) => queue,
            Err(reason) => return out.drop(from, reason),
        };
        let on_arrival = self.defects.has(Defect::NumberedOnArrival);
        while let Some(batch) = if on_arrival { queue.pop_any() } else { queue.pop() } {
            let sequenced = Sequenced { number: self.next, sender: from, batch };
            self.next = sequenced.next();
            out.send(To::Group, UbWire::Sequenced(sequenced));
        }
    }

    fn advance(&mut self, from: MemberId, number: u64, out: &mut Out) {
        if !self.senders.contains(from) {
            return out.drop(from, DropReason::Stranger);
        }
        if let Some(skipped) = Skipped::advance(&mut self.next, number) {
            out.send(To::Group, UbWire::Skipped(skipped));
        }
    }
}

impl fmt::Display for SequencerUb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.senders.describe())
    }
}

impl Engine for SequencerUb {
    type App = Batch;
    type Wire = UbWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, UbWire>, out: &mut Out) {
        match input {
            Input::Receive { from, message: UbWire::Raw(batch) } => self.number(from, batch, out),
            Input::Receive { from, message: UbWire::Advance(number) } => self.advance(from, number, out),
            Input::Receive { from, .. } => out.drop(from, DropReason::BreaksContract),
            Input::Wake => {}
            Input::Submit { .. } => unreachable!("a sequencer multicasts nothing of its own"),
        }
    }

    fn window(&self, _to: To) -> usize {
        0
    }
}

impl OrderEngine for SequencerUb {
    fn held(&self) -> usize {
        self.senders.len()
    }
}

impl Wire for UbWire {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Raw(batch) => {
                out.u8(1);
                batch.write(out);
            }
            Self::Sequenced(sequenced) => {
                out.u8(2);
                sequenced.write(out);
            }
            Self::Skipped(skipped) => {
                out.u8(3);
                skipped.write(out);
            }
            Self::Advance(number) => {
                out.u8(4);
                out.u64(*number);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Raw(Batch::read(from)?)),
            2 => Ok(Self::Sequenced(Sequenced::read(from)?)),
            3 => Ok(Self::Skipped(Skipped::read(from)?)),
            4 => Ok(Self::Advance(from.u64()?)),
            _ => Err(Malformed),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Raw(batch) => batch.weight(),
            Self::Sequenced(sequenced) => sequenced.weight(),
            Self::Skipped(_) | Self::Advance(_) => Weight::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::hostile::{P0, P1, SEQUENCER, STRANGER, batch, is_readable, receive, view};

    const REFUSED: Result<usize, DropReason> = Err(DropReason::BreaksContract);

    fn sequenced(number: u64, sender: MemberId) -> UbWire {
        UbWire::Sequenced(Sequenced { number, sender, batch: batch(1) })
    }

    #[test]
    fn total_ub_member_drops_numbers_of_other_members() {
        let mut member = TotalUb::new(P1, &view(), SEQUENCER);
        assert_eq!(receive(&mut member, P0, sequenced(1, P0)), REFUSED);
        assert_eq!(receive(&mut member, SEQUENCER, UbWire::Raw(batch(1))), REFUSED);
        assert_eq!(receive(&mut member, SEQUENCER, sequenced(1, STRANGER)), REFUSED);
        assert_eq!(receive(&mut member, SEQUENCER, sequenced(u64::MAX - 1, P0)), Ok(0));
        assert_eq!(receive(&mut member, SEQUENCER, sequenced(1, P0)), Ok(1));
        assert_eq!(receive(&mut member, SEQUENCER, sequenced(1, P0)), REFUSED, "number assigned twice");
        assert_eq!(
            receive(&mut member, SEQUENCER, sequenced(2, P1)),
            Ok(1),
            "a batch that this member never multicast"
        );
    }

    #[test]
    fn total_ub_sequencer_drops_repeated_batches_and_strangers() {
        let mut sequencer = SequencerUb::new(&view(), Defects::NONE);
        assert_eq!(receive(&mut sequencer, P0, sequenced(1, P0)), REFUSED);
        assert_eq!(receive(&mut sequencer, STRANGER, UbWire::Raw(batch(1))), Err(DropReason::Stranger));
        assert_eq!(receive(&mut sequencer, P0, UbWire::Raw(batch(1))), Ok(0));
        assert_eq!(receive(&mut sequencer, P0, UbWire::Raw(batch(1))), REFUSED);
    }

    #[test]
    fn total_ub_skipped_numbers_name_no_message_and_keep_their_place() {
        let mut member = TotalUb::new(P1, &view(), SEQUENCER);
        let skipped = |number, count| UbWire::Skipped(Skipped { number, count });
        assert_eq!(receive(&mut member, SEQUENCER, skipped(2, 8)), Ok(0));
        assert_eq!(member.next_number(), Some(1));
        assert_eq!(receive(&mut member, SEQUENCER, sequenced(1, P0)), Ok(1));
        assert_eq!(member.next_number(), Some(10));
        assert_eq!(receive(&mut member, P0, skipped(10, 1)), REFUSED);
        assert_eq!(receive(&mut member, P0, UbWire::Advance(10)), REFUSED, "for the sequencer alone");
        let mut sequencer = SequencerUb::new(&view(), Defects::NONE);
        assert_eq!(receive(&mut sequencer, P0, UbWire::Advance(9)), Ok(0));
        assert_eq!(sequencer.next, 10);
        assert_eq!(receive(&mut sequencer, P0, UbWire::Advance(u64::MAX)), Ok(0));
        assert_eq!(sequencer.next, 10 + crate::order::total::FAR_AHEAD, "as far as it goes at once");
        assert_eq!(receive(&mut sequencer, STRANGER, UbWire::Advance(9)), Err(DropReason::Stranger));
    }

    #[test]
    fn total_ub_number_near_the_limit_is_malformed() {
        assert!(!is_readable(&sequenced(0, P0)) && !is_readable(&sequenced(u64::MAX, P0)));
        assert!(is_readable(&sequenced(u64::MAX - 1, P0)));
    }
}
