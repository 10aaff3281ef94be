//! Total order by a fixed sequencer, method BB: a member multicasts its batch to all, the sequencer multicasts the
//! global numbers of the batch, and members deliver batches by number (Birman; CDK, figure 15.13;
//! "broadcast-broadcast" in Défago, Schiper and Urbán). Both sides are here.
//!
//! One range of numbers covers a whole batch. The sequencer numbers the batches of each sender in FIFO order, so a
//! range always covers the next batches of that sender. It announces all batches that arrived together in one packet.

use std::collections::VecDeque;
use std::fmt;

use super::describe;
use super::hold_back::{HoldBack, HoldBacks};
use super::span::Span;
use super::total::{Deliveries, to_skip};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Messages, Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// Most ranges in one announcement.
pub const MAX_RANGES: usize = 4096;

/// The messages that members and sequencer exchange.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum BbWire {
    /// A member's batch, to all.
    Body(Batch),
    /// A sequencer's announcement, to all.
    Numbers(Numbered),
    /// A member of several groups asks the sequencer to give no number up to this one any more. It goes to all, since
    /// this method needs no router.
    Advance(u64),
}

/// An announcement: the messages of `ranges`, one after the other, have the global numbers from `first` on. The next
/// `skipped` numbers name no message.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Numbered {
    /// The global number of the first message of the first range; the first message of a view has number 1.
    pub first: u64,
    /// At most [`MAX_RANGES`] ranges; none only if numbers are skipped.
    pub ranges: Vec<Range>,
    /// The count of the numbers behind the ranges that name no message.
    pub skipped: u64,
}

/// `count` consecutive messages of `sender`, beginning with its `first`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Range {
    /// The sender of the messages.
    pub sender: MemberId,
    /// The message number of the first.
    pub first: u64,
    /// The number of messages, at least 1.
    pub count: u32,
}

/// Consecutive numbers of a member's next deliveries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Due {
    /// They name these messages.
    Messages(Range),
    /// So many name no message.
    Nothing(u64),
}

/// A member's engine for total order, method BB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TotalBb {
    me: MemberId,
    sequencer: MemberId,
    bodies: HoldBacks<Batch>,
    numbers: HoldBack<Numbered>,
    /// Ranges with consecutive numbers from that of the next delivery; the first one waits for its batches.
    due: VecDeque<Due>,
    deliveries: Deliveries,
    defects: Defects,
}

/// The engine of a sequencer, method BB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SequencerBb {
    next: u64,
    senders: HoldBacks<Batch>,
    /// Ranges that are numbered and not announced.
    pending: Vec<Range>,
    /// The time at which the oldest pending range was numbered.
    pending_since: Option<Time>,
    /// The highest number that no message is to have any more, as members have asked.
    advance_to: u64,
    defects: Defects,
}

type Out = Effects<Batch, BbWire>;

impl TotalBb {
    /// Creates the engine of `me` in `view`, with this sequencer.
    #[must_use]
    pub fn new(me: MemberId, view: &View, sequencer: MemberId, defects: Defects) -> Self {
        Self {
            me,
            sequencer,
            bodies: HoldBacks::new(view.clients.iter().copied()),
            numbers: HoldBack::default(),
            due: VecDeque::new(),
            deliveries: Deliveries::new(me),
            defects,
        }
    }

    fn receive_body(&mut self, from: MemberId, batch: Batch, out: &mut Out) {
        if self.defects.has(Defect::NoHoldBack) && self.bodies.contains(from) {
            return self.deliveries.deliver_as(None, from, batch, out);
        }
        match self.bodies.insert(from, batch) {
            Ok(_) => self.deliver_due(out),
            Err(reason) => out.drop(from, reason),
        }
    }

    fn receive_numbers(&mut self, from: MemberId, numbered: Numbered, out: &mut Out) {
        let known = numbered.ranges.iter().all(|range| self.bodies.contains(range.sender));
        if from != self.sequencer || !known || !self.numbers.insert(numbered) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while let Some(numbered) = self.numbers.pop() {
            self.due.extend(numbered.due());
        }
        self.deliver_due(out);
    }

    /// Returns the global number of message `number` of `sender`, if announced, and the number before which
    /// it waits.
    fn place_of(&self, sender: MemberId, number: u64) -> Option<(u64, WaitsFor)> {
        let next = self.deliveries.next();
        if let Some(place) = place_among(self.due.iter().copied(), next, sender, number) {
            let front = self.due.front().and_then(|due| match *due {
                Due::Messages(Range { sender, first, .. }) => {
                    Some(Messages { sender, first, next: first + 1 })
                }
                Due::Nothing(_) => None,
            });
            return Some((place, WaitsFor::Place(next, front)));
        }
        let mut early = self.numbers.iter();
        let place = early.find_map(|early| place_among(early.due(), early.first, sender, number))?;
        Some((place, WaitsFor::Place(self.numbers.next(), None)))
    }

    /// Delivers messages while the batch of the next number has been received.
    fn deliver_due(&mut self, out: &mut Out) {
        while let Some(due) = self.due.front_mut() {
            let range = match due {
                Due::Messages(range) => range,
                Due::Nothing(count) => {
                    self.deliveries.skip(*count);
                    self.due.pop_front();
                    continue;
                }
            };
            let queue = self.bodies.get_mut(range.sender).expect("checked on receipt");
            let cuts = |batch: &Batch| batch.count() > range.count;
            if range.first != queue.next() || queue.peek().is_some_and(cuts) {
                // The sequencer numbers whole batches in FIFO order. A range that breaks this rule is void;
                // every member sees the same batches and therefore skips it too.
                self.deliveries.skip(u64::from(range.count));
                self.due.pop_front();
                out.drop(self.sequencer, DropReason::BreaksContract);
                continue;
            }
            let Some(batch) = queue.pop() else { return };
            let sender = range.sender;
            range.first = batch.next();
            range.count -= batch.count();
            if range.count == 0 {
                self.due.pop_front();
            }
            self.deliveries.deliver(sender, batch, out);
        }
    }
}

/// Returns the global number of message `number` of `sender`, if one of these ranges covers it; the first message of
/// the first range has the number `places`.
fn place_among(
    mut due: impl Iterator<Item = Due>,
    mut places: u64,
    sender: MemberId,
    number: u64,
) -> Option<u64> {
    due.find_map(|due| {
        let first = places;
        places += due.count();
        let Due::Messages(range) = due else { return None };
        let is_here = range.sender == sender && (range.first()..range.next()).contains(&number);
        is_here.then(|| first + (number - range.first))
    })
}

impl fmt::Display for TotalBb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held = self.bodies.list();
        let numbers = self.numbers.iter().map(|numbered| describe::numbers(numbered.first, numbered.next()));
        held.extend(numbers.map(|numbers| format!("numbers {numbers}")));
        let next = self.due.front().and_then(|due| match due {
            Due::Messages(range) => Some(format!(" of {}/{}", range.sender, range.first)),
            Due::Nothing(_) => None,
        });
        let until = format!("number {}{}", self.deliveries.next(), next.unwrap_or_default());
        let waits = !held.is_empty() || !self.due.is_empty();
        f.write_str(&describe::holds(&held, if waits { std::slice::from_ref(&until) } else { &[] }))
    }
}

impl Engine for TotalBb {
    type App = Batch;
    type Wire = BbWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, BbWire>, out: &mut Out) {
        match input {
            Input::Submit { to, app } => {
                self.deliveries.submitted();
                out.send(to, BbWire::Body(app.clone()));
                self.receive_body(self.me, app, out);
            }
            Input::Receive { from, message: BbWire::Body(_) } if from == self.me => {
                out.drop(from, DropReason::Stranger);
            }
            Input::Receive { from, message: BbWire::Body(batch) } => self.receive_body(from, batch, out),
            Input::Receive { from, message: BbWire::Numbers(numbers) } => {
                self.receive_numbers(from, numbers, out);
            }
            // It concerns the sequencer.
            Input::Receive { from, message: BbWire::Advance(_) } => {
                if from == self.me || !self.bodies.contains(from) {
                    out.drop(from, DropReason::Stranger);
                }
            }
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        self.deliveries.window()
    }
}

impl OrderEngine for TotalBb {
    /// Returns own batches without a number. No member has delivered them, and each sender submits its own
    /// again.
    fn close(&mut self, _out: &mut Out) -> Vec<Batch> {
        self.bodies.get_mut(self.me).into_iter().flat_map(HoldBack::take_all).collect()
    }

    fn held(&self) -> usize {
        self.bodies.len()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.bodies.backlog(sender)
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.bodies.waiting(|sender, _, batch| {
            let (number, waits_for) = self.place_of(sender, batch.first()).unzip();
            (number, waits_for.unwrap_or(WaitsFor::Number))
        })
    }

    fn advance(&mut self, _now: Time, number: u64, out: &mut Out) {
        out.send(To::Group, BbWire::Advance(number));
    }

    fn next_number(&self) -> Option<u64> {
        Some(self.deliveries.next())
    }
}

impl SequencerBb {
    /// Creates the engine that numbers the multicasts of the clients of `view` from 1.
    #[must_use]
    pub fn new(view: &View, defects: Defects) -> Self {
        let senders = HoldBacks::new(view.clients.iter().copied());
        Self { next: 1, senders, pending: Vec::new(), pending_since: None, advance_to: 0, defects }
    }

    fn number(&mut self, now: Time, from: MemberId, batch: Batch, out: &mut Out) {
        let queue = match self.senders.insert(from, batch) {
            Ok(queue) => queue,
            Err(reason) => return out.drop(from, reason),
        };
        let on_arrival = self.defects.has(Defect::NumberedOnArrival);
        while let Some(batch) = if on_arrival { queue.pop_any() } else { queue.pop() } {
            let range = Range { sender: from, first: batch.first(), count: batch.count() };
            match self.pending.last_mut() {
                Some(last) if last.sender == from && last.count.checked_add(range.count).is_some() => {
                    last.count += range.count;
                }
                _ => self.pending.push(range),
            }
            self.pending_since.get_or_insert(now);
        }
        if self.pending.len() >= MAX_RANGES {
            self.announce(out);
        }
    }

    fn announce(&mut self, out: &mut Out) {
        self.pending_since = None;
        let pending = std::mem::take(&mut self.pending);
        let count: u64 = pending.iter().map(|range| u64::from(range.count)).sum();
        // The numbers behind all of them.
        let skipped = to_skip(self.next.saturating_add(count), std::mem::take(&mut self.advance_to));
        let mut chunks: Vec<&[Range]> = pending.chunks(MAX_RANGES).collect();
        if chunks.is_empty() && skipped > 0 {
            chunks.push(&[]);
        }
        let last = chunks.len().saturating_sub(1);
        for (place, ranges) in chunks.into_iter().enumerate() {
            let skipped = if place == last { skipped } else { 0 };
            let numbered = Numbered { first: self.next, ranges: ranges.to_vec(), skipped };
            self.next = numbered.next();
            out.send(To::Group, BbWire::Numbers(numbered));
        }
    }

    /// Takes note that no message is to have a number up to this one any more.
    fn advance(&mut self, now: Time, from: MemberId, number: u64, out: &mut Out) {
        if !self.senders.contains(from) {
            return out.drop(from, DropReason::Stranger);
        }
        self.advance_to = self.advance_to.max(number);
        self.pending_since.get_or_insert(now);
    }
}

impl fmt::Display for SequencerBb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.senders.describe())?;
        let owed: Vec<String> =
            self.pending.iter().map(|range| describe::messages(range.sender, range)).collect();
        if owed.is_empty() {
            Ok(())
        } else {
            write!(f, ", owes numbers from {} for {}", self.next, owed.join(", "))
        }
    }
}

impl Engine for SequencerBb {
    type App = Batch;
    type Wire = BbWire;

    fn handle(&mut self, now: Time, input: Input<Batch, BbWire>, out: &mut Out) {
        match input {
            Input::Receive { from, message: BbWire::Body(batch) } => self.number(now, from, batch, out),
            Input::Receive { from, message: BbWire::Advance(number) } => {
                self.advance(now, from, number, out);
            }
            Input::Receive { from, message: BbWire::Numbers(_) } => {
                out.drop(from, DropReason::BreaksContract);
            }
            Input::Wake => self.announce(out),
            Input::Submit { .. } => unreachable!("a sequencer multicasts nothing of its own"),
        }
    }

    /// Requests a wake at once: announce as soon as no more batches are waiting to be numbered.
    fn next_deadline(&self) -> Option<Time> {
        self.pending_since
    }

    fn window(&self, _to: To) -> usize {
        0
    }
}

impl OrderEngine for SequencerBb {
    fn held(&self) -> usize {
        self.senders.len()
    }
}

impl Span for Range {
    fn first(&self) -> u64 {
        self.first
    }

    fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

impl Due {
    /// Returns the count of the numbers.
    fn count(self) -> u64 {
        match self {
            Self::Messages(range) => u64::from(range.count),
            Self::Nothing(count) => count,
        }
    }
}

impl Numbered {
    /// Returns the count of all numbers. Those that a peer chooses may be more than there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.due().fold(0, |sum, due| sum.saturating_add(due.count()))
    }

    fn due(&self) -> impl Iterator<Item = Due> + '_ {
        let skipped = Some(Due::Nothing(self.skipped)).filter(|_| self.skipped > 0);
        self.ranges.iter().copied().map(Due::Messages).chain(skipped)
    }

    fn read(from: &mut Reader, skipped: u64) -> Result<Self, Malformed> {
        let first = from.u64()?;
        let ranges = (0..from.length(14)?)
            .map(|_| Ok(Range { sender: from.member()?, first: from.u64()?, count: from.u32()? }))
            .collect::<Result<Vec<_>, _>>()?;
        let fits = |range: &Range| range.count > 0 && range.first.checked_add(range.count.into()).is_some();
        let sane = ranges.len() <= MAX_RANGES && ranges.iter().all(fits);
        let numbered = Self { first, ranges, skipped };
        let count = numbered.count();
        if first == 0 || count == 0 || !sane || first.checked_add(count).is_none() {
            return Err(Malformed);
        }
        Ok(numbered)
    }

    fn write(&self, out: &mut Writer) {
        out.u64(self.first);
        out.length(self.ranges.len());
        for range in &self.ranges {
            out.member(range.sender);
            out.u64(range.first);
            out.u32(range.count);
        }
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

impl Wire for BbWire {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Body(batch) => {
                out.u8(1);
                batch.write(out);
            }
            // The tag of a group of which no member is in another group, which never skips numbers.
            Self::Numbers(numbers) if numbers.skipped == 0 => {
                out.u8(2);
                numbers.write(out);
            }
            Self::Numbers(numbers) => {
                out.u8(3);
                out.u64(numbers.skipped);
                numbers.write(out);
            }
            Self::Advance(number) => {
                out.u8(4);
                out.u64(*number);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Body(Batch::read(from)?)),
            2 => Ok(Self::Numbers(Numbered::read(from, 0)?)),
            3 => match from.u64()? {
                0 => Err(Malformed),
                skipped => Ok(Self::Numbers(Numbered::read(from, skipped)?)),
            },
            4 => Ok(Self::Advance(from.u64()?)),
            _ => Err(Malformed),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Body(batch) => batch.weight(),
            Self::Numbers(_) | Self::Advance(_) => Weight::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Effect;
    use crate::order::hostile::{P0, P1, SEQUENCER, STRANGER, batch, is_readable, receive, view};
    use crate::order::total::FAR_AHEAD;

    fn numbers(first: u64, sender: MemberId, own_first: u64, count: u32) -> BbWire {
        let ranges = vec![Range { sender, first: own_first, count }];
        BbWire::Numbers(Numbered { first, ranges, skipped: 0 })
    }

    #[test]
    fn total_bb_numbers_that_fit_no_batch_are_skipped() {
        let refused = Err(DropReason::BreaksContract);
        let mut engine = TotalBb::new(P1, &view(), SEQUENCER, Defects::NONE);
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(1, P0, 2, 1)), refused, "not the next message");
        let mut two = crate::wire::BatchBuilder::new(1);
        two.push(b"x");
        two.push(b"y");
        let two = BbWire::Body(two.finish().expect("a batch of two messages"));
        assert_eq!(receive(&mut engine, P0, two), Ok(0));
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(2, P0, 1, 1)), refused, "half a batch");
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(3, P0, 2, 2)), refused, "the other half");
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(5, P0, 1, 2)), Ok(1));
        assert_eq!(receive(&mut engine, SEQUENCER, numbers(7, P0, 3, 1)), Ok(0), "waits for its batch");
        assert_eq!(receive(&mut engine, P0, BbWire::Body(batch(3))), Ok(1));
    }

    #[test]
    fn total_bb_skipped_numbers_name_no_message_and_keep_their_place() {
        let mut engine = TotalBb::new(P1, &view(), SEQUENCER, Defects::NONE);
        let skipping = |first, sender, own_first, skipped| {
            let ranges = vec![Range { sender, first: own_first, count: 1 }];
            BbWire::Numbers(Numbered { first, ranges, skipped })
        };
        let nothing = |first, skipped| BbWire::Numbers(Numbered { first, ranges: vec![], skipped });
        assert_eq!(receive(&mut engine, SEQUENCER, nothing(12, 8)), Ok(0), "early");
        assert_eq!(engine.next_number(), Some(1));
        assert_eq!(receive(&mut engine, SEQUENCER, skipping(1, P0, 1, 10)), Ok(0));
        assert_eq!(engine.next_number(), Some(1), "number 1 waits for its message");
        assert_eq!(receive(&mut engine, P0, BbWire::Body(batch(1))), Ok(1));
        assert_eq!(engine.next_number(), Some(20), "1 is a message, 2 to 19 are none");
        assert_eq!(receive(&mut engine, SEQUENCER, nothing(19, 8)), Err(DropReason::BreaksContract));
        assert_eq!(receive(&mut engine, P0, nothing(20, 8)), Err(DropReason::BreaksContract));
        assert_eq!(receive(&mut engine, P0, BbWire::Advance(9)), Ok(0), "it is for the sequencer");
        assert_eq!(receive(&mut engine, STRANGER, BbWire::Advance(9)), Err(DropReason::Stranger));
        let mut out = Effects::default();
        engine.advance(Time::ZERO, 7, &mut out);
        let expected = Effect::Send { to: To::Group, message: BbWire::Advance(7) };
        assert_eq!(out.as_slice(), [expected]);
    }

    #[test]
    fn total_bb_sequencer_skips_behind_what_it_has_numbered() {
        let mut sequencer = SequencerBb::new(&view(), Defects::NONE);
        let mut wake = |inputs: Vec<(MemberId, BbWire)>| {
            let mut out = Effects::default();
            for (from, message) in inputs {
                sequencer.handle(Time::ZERO, Input::Receive { from, message }, &mut out);
            }
            assert_eq!(sequencer.next_deadline(), Some(Time::ZERO));
            sequencer.handle(Time::ZERO, Input::Wake, &mut out);
            assert_eq!(sequencer.next_deadline(), None);
            let told: Vec<Numbered> = out
                .drain()
                .filter_map(|effect| match effect {
                    Effect::Send { to: To::Group, message: BbWire::Numbers(numbered) } => Some(numbered),
                    _ => None,
                })
                .collect();
            told
        };
        let range = Range { sender: P0, first: 1, count: 1 };
        let asked = vec![(P1, BbWire::Advance(5)), (P0, BbWire::Body(batch(1))), (P1, BbWire::Advance(9))];
        assert_eq!(wake(asked), [Numbered { first: 1, ranges: vec![range], skipped: 8 }]);
        assert_eq!(wake(vec![(P1, BbWire::Advance(9))]), [], "it has passed that");
        let far = Numbered { first: 10, ranges: vec![], skipped: FAR_AHEAD };
        assert_eq!(wake(vec![(P1, BbWire::Advance(u64::MAX))]), [far], "as far as it goes at once");
        let stranger = receive(&mut sequencer, STRANGER, BbWire::Advance(u64::MAX));
        assert_eq!(stranger, Err(DropReason::Stranger));
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
        let skipping = |first, skipped| BbWire::Numbers(Numbered { first, ranges: vec![], skipped });
        assert!(is_readable(&skipping(1, u64::MAX - 1)) && !is_readable(&skipping(2, u64::MAX - 1)));
        assert!(!is_readable(&skipping(0, 1)) && !is_readable(&skipping(1, 0)));
    }
}
