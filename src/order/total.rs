//! Total order by a fixed sequencer, method BB: the member's side. [`super::numbering`] is the sequencer's
//! side.
//!
//! The algorithm is Birman's (CDK, figure 15.13), "broadcast-broadcast" in Défago, Schiper and Urbán: a
//! member multicasts its batch to all, the sequencer multicasts the global numbers of the batch, and members
//! deliver batches by number. Numbers are assigned to ranges: see [`Range`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::describe;
use super::hold_back::{HoldBack, Span};
use super::numbering::{Numbered, Range};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Clock, Messages, Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// Most own batches that a member may have sent and not delivered; bounds every hold-back queue.
pub const OWN_WINDOW: usize = 64;

/// Most by which a number that a peer chooses for the whole group may exceed our own: more than a group can be ahead of
/// a member for which it waits, and too little for a lying peer to use up the numbers.
pub const FAR_AHEAD: u64 = 1 << 32;

/// The messages that members and sequencer exchange.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum TotalWire {
    /// A member's batch, to all.
    Body(Batch),
    /// A sequencer's announcement, to all.
    Numbers(Numbered),
}

/// A member's engine for total order, method BB.
///
/// The sequencer numbers each sender's batches in FIFO order, so a range always covers the next batches in
/// that sender's queue.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Total {
    me: MemberId,
    sequencer: MemberId,
    bodies: BTreeMap<MemberId, HoldBack<Batch>>,
    numbers: HoldBack<Numbered>,
    /// Ranges with consecutive numbers from `next`; the first one waits for its batches.
    due: VecDeque<Range>,
    /// The global number of the next message to deliver.
    next: u64,
    own_undelivered: usize,
    defects: Defects,
}

impl Total {
    /// Creates the engine of `me` in `view`, with this sequencer.
    #[must_use]
    pub fn new(me: MemberId, view: &View, sequencer: MemberId, defects: Defects) -> Self {
        Self {
            me,
            sequencer,
            bodies: view.clients.iter().map(|&client| (client, HoldBack::default())).collect(),
            numbers: HoldBack::default(),
            due: VecDeque::new(),
            next: 1,
            own_undelivered: 0,
            defects,
        }
    }

    fn receive_body(&mut self, from: MemberId, batch: Batch, out: &mut Effects<Batch, TotalWire>) {
        let Some(queue) = self.bodies.get_mut(&from) else {
            return out.drop(from, DropReason::Stranger);
        };
        if self.defects.has(Defect::NoHoldBack) {
            self.own_undelivered -= usize::from(from == self.me);
            return out.deliver(from, None, batch);
        }
        if !queue.insert(batch) {
            return out.drop(from, DropReason::BreaksContract);
        }
        self.deliver_due(out);
    }

    fn receive_numbers(&mut self, from: MemberId, numbered: Numbered, out: &mut Effects<Batch, TotalWire>) {
        let known = numbered.ranges.iter().all(|range| self.bodies.contains_key(&range.sender));
        if from != self.sequencer || !known || !self.numbers.insert(numbered) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while let Some(numbered) = self.numbers.pop() {
            self.due.extend(numbered.ranges);
        }
        self.deliver_due(out);
    }

    /// Returns the global number of message `number` of `sender`, if announced, and the number before which
    /// it waits.
    fn place_of(&self, sender: MemberId, number: u64) -> Option<(u64, WaitsFor)> {
        let mut places = self.next;
        for range in &self.due {
            if let Some(place) = range.place_of(sender, number, places) {
                let next = self.due.front().map(|Range { sender, first, .. }| (*sender, *first));
                let next = next.map(|(sender, first)| Messages { sender, first, next: first + 1 });
                return Some((place, WaitsFor::Place(self.next, next)));
            }
            places += u64::from(range.count);
        }
        self.numbers.iter().find_map(|numbered| {
            let mut places = numbered.first;
            numbered.ranges.iter().find_map(|range| {
                let place = range.place_of(sender, number, places);
                places += u64::from(range.count);
                place.map(|place| (place, WaitsFor::Place(self.numbers.next(), None)))
            })
        })
    }

    /// Delivers messages while the batch of the next number has been received.
    fn deliver_due(&mut self, out: &mut Effects<Batch, TotalWire>) {
        while let Some(range) = self.due.front_mut() {
            let queue = self.bodies.get_mut(&range.sender).expect("checked on receipt");
            let cuts = |batch: &Batch| batch.count() > range.count;
            if range.first != queue.next() || queue.peek().is_some_and(cuts) {
                // The sequencer numbers whole batches in FIFO order. A range that breaks this rule is void;
                // every member sees the same batches and therefore skips it too.
                self.next += u64::from(range.count);
                self.due.pop_front();
                out.drop(self.sequencer, DropReason::BreaksContract);
                continue;
            }
            let Some(batch) = queue.pop() else { return };
            let (sender, number) = (range.sender, self.next);
            self.next += u64::from(batch.count());
            range.first = batch.next();
            range.count -= batch.count();
            if range.count == 0 {
                self.due.pop_front();
            }
            self.own_undelivered -= usize::from(sender == self.me);
            out.deliver(sender, Some(number), batch);
        }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held = describe::held(&self.bodies);
        let numbers = self.numbers.iter().map(|numbered| describe::numbers(numbered.first, numbered.next()));
        held.extend(numbers.map(|numbers| format!("numbers {numbers}")));
        let next = self.due.front().map(|range| format!(" of {}/{}", range.sender, range.first));
        let until = format!("number {}{}", self.next, next.unwrap_or_default());
        let waits = !held.is_empty() || !self.due.is_empty();
        f.write_str(&describe::holds(&held, if waits { std::slice::from_ref(&until) } else { &[] }))
    }
}

impl Engine for Total {
    type App = Batch;
    type Wire = TotalWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, TotalWire>, out: &mut Effects<Batch, TotalWire>) {
        match input {
            Input::Submit { to, app } => {
                self.own_undelivered += 1;
                out.send(to, TotalWire::Body(app.clone()));
                self.receive_body(self.me, app, out);
            }
            Input::Receive { from, message: TotalWire::Body(_) } if from == self.me => {
                out.drop(from, DropReason::Stranger);
            }
            Input::Receive { from, message: TotalWire::Body(batch) } => self.receive_body(from, batch, out),
            Input::Receive { from, message: TotalWire::Numbers(numbers) } => {
                self.receive_numbers(from, numbers, out);
            }
            Input::Wake => {}
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        None
    }

    fn window(&self, _to: To) -> usize {
        OWN_WINDOW.saturating_sub(self.own_undelivered)
    }
}

impl OrderEngine for Total {
    fn flush(&mut self, now: Time, out: &mut Effects<Batch, TotalWire>) {
        self.handle(now, Input::Wake, out);
    }

    /// Returns own batches without a number. No member has delivered them, and each sender submits its own
    /// again.
    fn close(&mut self, _out: &mut Effects<Batch, TotalWire>) -> Vec<Batch> {
        self.bodies.get_mut(&self.me).into_iter().flat_map(HoldBack::take_all).collect()
    }

    fn held(&self) -> usize {
        self.bodies.values().map(HoldBack::len).sum()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.bodies.get(&sender).map_or(0, |queue| queue.len() as u64)
    }

    fn waiting(&self) -> Vec<Waiting> {
        let waiting = |sender: MemberId, batch: &Batch| {
            let (number, waits_for) = self.place_of(sender, batch.first()).unzip();
            let waits_for = waits_for.unwrap_or(WaitsFor::Number);
            Waiting { messages: describe::span(sender, batch), number, waits_for }
        };
        let queues = self.bodies.iter();
        queues.flat_map(|(&sender, queue)| queue.iter().map(move |batch| waiting(sender, batch))).collect()
    }

    fn clock(&self) -> Option<Clock> {
        None
    }
}

impl Span for Numbered {
    fn first(&self) -> u64 {
        self.first
    }

    fn next(&self) -> u64 {
        self.first + self.count()
    }
}

impl Wire for TotalWire {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Body(batch) => {
                out.u8(1);
                batch.write(out);
            }
            Self::Numbers(numbers) => {
                out.u8(2);
                numbers.write(out);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Body(Batch::read(from)?)),
            2 => Ok(Self::Numbers(Numbered::read(from)?)),
            _ => Err(Malformed),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Body(batch) => batch.weight(),
            Self::Numbers(_) => Weight::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::hostile::{P0, P1, SEQUENCER, batch, is_readable, receive, view};

    fn numbers(first: u64, sender: MemberId, own_first: u64, count: u32) -> TotalWire {
        TotalWire::Numbers(Numbered { first, ranges: vec![Range { sender, first: own_first, count }] })
    }

    #[test]
    fn total_bb_numbers_that_fit_no_batch_are_skipped() {
        let refused = Err(DropReason::BreaksContract);
        let mut engine = Total::new(P1, &view(), SEQUENCER, Defects::NONE);
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(1, P0, 2, 1)), refused, "not the next message");
        let mut two = crate::wire::BatchBuilder::new(1);
        two.push(b"x");
        two.push(b"y");
        let two = TotalWire::Body(two.finish().expect("a batch of two messages"));
        assert_eq!(receive(&mut engine, P0, two), Ok(0));
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(2, P0, 1, 1)), refused, "half a batch");
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(3, P0, 2, 2)), refused, "the other half");
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(5, P0, 1, 2)), Ok(1));
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(7, P0, 3, 1)), Ok(0), "waits for its batch");
        assert_eq!(receive(&mut engine, P0, TotalWire::Body(batch(3))), Ok(1));
    }

    #[test]
    fn total_bb_number_near_the_limit_is_malformed() {
        assert!(
            is_readable(&numbers(1, P0, u64::MAX - 2, 2)) && !is_readable(&numbers(1, P0, u64::MAX - 1, 2))
        );
        assert!(
            is_readable(&numbers(u64::MAX - 2, P0, 1, 2)) && !is_readable(&numbers(u64::MAX - 1, P0, 1, 2))
        );
        assert!(!is_readable(&numbers(0, P0, 1, 1)) && !is_readable(&numbers(1, P0, 1, 0)));
    }
}
