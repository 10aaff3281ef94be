//! Total order by a fixed sequencer, method UUB: a member requests numbers, receives a grant, and multicasts
//! its batch with them ("unicast-unicast-broadcast" in Défago, Schiper and Urbán). Both sides are here.
//!
//! Numbers granted to a member that fails before it uses them block all members until the view ends, which
//! voids them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::describe;
use super::hold_back::{HoldBack, HoldBacks};
use super::span::Span;
use super::total::{Deliveries, Numbered, Sequenced, Skipped};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// The messages that members and sequencer exchange.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum UubWire {
    /// A member requests numbers from the sequencer.
    Request(Request),
    /// The sequencer grants numbers: the batch beginning at the requester's message `first` begins at
    /// `number`.
    Grant {
        /// The message number of the batch's first message.
        first: u64,
        /// The global number of that message.
        number: u64,
    },
    /// A batch with its numbers, to all.
    Numbered(Sequenced),
    /// Numbers of no message, to all.
    Skipped(Skipped),
    /// A member asks the sequencer to grant no number up to this one any more.
    Advance(u64),
}

/// A request for numbers for `count` messages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Request {
    /// The message number of the first message.
    pub first: u64,
    /// The number of messages, at least 1.
    pub count: u32,
}

/// A member's engine for total order, method UUB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TotalUub {
    me: MemberId,
    sequencer: MemberId,
    clients: Vec<MemberId>,
    /// Own batches for which numbers have been requested.
    asked: VecDeque<Batch>,
    /// Own batches with numbers, by first message, that wait for the grant of an earlier one. Own batches are
    /// sent by number: otherwise later ones could fill the window and wait for an earlier one that waits for
    /// the window.
    granted: BTreeMap<u64, Sequenced>,
    held: HoldBack<Numbered>,
    deliveries: Deliveries,
}

/// The engine of a sequencer, method UUB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SequencerUub {
    next: u64,
    askers: HoldBacks<Request>,
}

type Out = Effects<Batch, UubWire>;

impl TotalUub {
    /// Creates the engine of `me` in `view`, with this sequencer.
    #[must_use]
    pub fn new(me: MemberId, view: &View, sequencer: MemberId) -> Self {
        let (clients, held) = (view.clients.clone(), HoldBack::default());
        let (asked, granted, deliveries) = (VecDeque::new(), BTreeMap::new(), Deliveries::new(me));
        Self { me, sequencer, clients, asked, granted, held, deliveries }
    }

    fn submit(&mut self, batch: Batch, out: &mut Out) {
        let request = Request { first: batch.first(), count: batch.count() };
        out.send(To::Member(self.sequencer), UubWire::Request(request));
        self.asked.push_back(batch);
        self.deliveries.submitted();
    }

    fn granted(&mut self, from: MemberId, first: u64, number: u64, out: &mut Out) {
        let asked = self.asked.iter().position(|batch| batch.first() == first);
        let Some(at) = asked.filter(|_| from == self.sequencer) else {
            return out.drop(from, DropReason::BreaksContract);
        };
        let numbered = Sequenced { number, sender: self.me, batch: self.asked[at].clone() };
        // A number in use is the sequencer's mistake; this member must not multicast it.
        if !self.held.insert(Numbered::Batch(numbered.clone())) {
            return out.drop(from, DropReason::BreaksContract);
        }
        self.asked.remove(at);
        self.granted.insert(first, numbered);
        while let Some(numbered) = self.next_to_send() {
            out.send(To::Group, UubWire::Numbered(numbered));
        }
        self.deliver_next(out);
    }

    /// Returns the first batch with numbers, unless an earlier one waits for its grant.
    fn next_to_send(&mut self) -> Option<Sequenced> {
        let entry = self.granted.first_entry()?;
        let is_next = self.asked.front().is_none_or(|batch| batch.first() > *entry.key());
        is_next.then(|| entry.remove())
    }

    fn receive(&mut self, from: MemberId, numbered: Sequenced, out: &mut Out) {
        let sane = from == numbered.sender && self.clients.contains(&from);
        if !sane || !self.held.insert(Numbered::Batch(numbered)) {
            return out.drop(from, DropReason::BreaksContract);
        }
        self.deliver_next(out);
    }

    fn skip(&mut self, from: MemberId, skipped: Skipped, out: &mut Out) {
        if from != self.sequencer || !self.held.insert(Numbered::Nothing(skipped)) {
            return out.drop(from, DropReason::BreaksContract);
        }
        self.deliver_next(out);
    }

    /// Delivers batches while the next number has been received.
    fn deliver_next(&mut self, out: &mut Out) {
        while let Some(numbered) = self.held.pop() {
            let Numbered::Batch(Sequenced { number, sender, batch }) = numbered else { continue };
            self.deliveries.deliver_as(Some(number), sender, batch, out);
        }
    }
}

impl fmt::Display for TotalUub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.held.describe())?;
        let asked: Vec<String> = self.asked.iter().map(|batch| describe::messages(self.me, batch)).collect();
        if asked.is_empty() { Ok(()) } else { write!(f, ", asks for numbers for {}", asked.join(", ")) }
    }
}

impl Engine for TotalUub {
    type App = Batch;
    type Wire = UubWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, UubWire>, out: &mut Out) {
        match input {
            Input::Submit { app, .. } => self.submit(app, out),
            Input::Receive { from, message: UubWire::Grant { first, number } } => {
                self.granted(from, first, number, out);
            }
            Input::Receive { from, message: UubWire::Numbered(numbered) } => {
                self.receive(from, numbered, out);
            }
            Input::Receive { from, message: UubWire::Skipped(skipped) } => self.skip(from, skipped, out),
            Input::Receive { from, message: UubWire::Request(_) | UubWire::Advance(_) } => {
                out.drop(from, DropReason::BreaksContract);
            }
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        self.deliveries.window()
    }
}

impl OrderEngine for TotalUub {
    /// Returns own batches. Numbers behind a gap are void: no member has delivered their batches, and each
    /// sender requests new ones.
    fn close(&mut self, _out: &mut Out) -> Vec<Batch> {
        let own = self.held.take_all().filter_map(|numbered| match numbered {
            Numbered::Batch(numbered) if numbered.sender == self.me => Some(numbered.batch),
            _ => None,
        });
        let mut open: Vec<Batch> = own.collect();
        open.extend(std::mem::take(&mut self.asked));
        open.sort_unstable_by_key(Batch::first);
        open
    }

    fn held(&self) -> usize {
        self.held.len()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.held.batches().filter(|numbered| numbered.sender == sender).count() as u64
    }

    fn waiting(&self) -> Vec<Waiting> {
        let unnumbered = |batch: &Batch| Waiting {
            messages: describe::span(self.me, batch),
            number: None,
            waits_for: WaitsFor::Number,
        };
        self.asked.iter().map(unnumbered).chain(self.held.waiting()).collect()
    }

    fn advance(&mut self, _now: Time, number: u64, out: &mut Out) {
        out.send(To::Member(self.sequencer), UubWire::Advance(number));
    }

    fn next_number(&self) -> Option<u64> {
        Some(self.held.next())
    }
}

impl SequencerUub {
    /// Creates the engine that numbers the multicasts of the clients of `view` from 1.
    #[must_use]
    pub fn new(view: &View) -> Self {
        Self { next: 1, askers: HoldBacks::new(view.clients.iter().copied()) }
    }

    /// Grants numbers in each requester's FIFO order, so that the total order keeps it.
    fn grant(&mut self, from: MemberId, request: Request, out: &mut Out) {
        let queue = match self.askers.insert(from, request) {
            Ok(queue) => queue,
            Err(reason) => return out.drop(from, reason),
        };
        while let Some(Request { first, count }) = queue.pop() {
            out.send(To::Member(from), UubWire::Grant { first, number: self.next });
            self.next = self.next.saturating_add(u64::from(count));
        }
    }

    fn advance(&mut self, from: MemberId, number: u64, out: &mut Out) {
        if !self.askers.contains(from) {
            return out.drop(from, DropReason::Stranger);
        }
        if let Some(skipped) = Skipped::advance(&mut self.next, number) {
            out.send(To::Group, UubWire::Skipped(skipped));
        }
    }
}

impl fmt::Display for SequencerUub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.askers.describe())
    }
}

impl Engine for SequencerUub {
    type App = Batch;
    type Wire = UubWire;

    fn handle(&mut self, _now: Time, input: Input<Batch, UubWire>, out: &mut Out) {
        match input {
            Input::Receive { from, message: UubWire::Request(request) } => self.grant(from, request, out),
            Input::Receive { from, message: UubWire::Advance(number) } => self.advance(from, number, out),
            // The sequencer receives all multicasts, and assigned the numbers in them itself.
            Input::Receive { message: UubWire::Numbered(_), .. } | Input::Wake => {}
            Input::Receive { from, .. } => out.drop(from, DropReason::BreaksContract),
            Input::Submit { .. } => unreachable!("a sequencer multicasts nothing of its own"),
        }
    }

    fn window(&self, _to: To) -> usize {
        0
    }
}

impl OrderEngine for SequencerUub {
    fn held(&self) -> usize {
        self.askers.len()
    }
}

impl Span for Request {
    fn first(&self) -> u64 {
        self.first
    }

    fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

impl Wire for UubWire {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Request(Request { first, count }) => {
                out.u8(1);
                out.u64(*first);
                out.u32(*count);
            }
            Self::Grant { first, number } => {
                out.u8(2);
                out.u64(*first);
                out.u64(*number);
            }
            Self::Numbered(numbered) => {
                out.u8(3);
                numbered.write(out);
            }
            Self::Skipped(skipped) => {
                out.u8(4);
                skipped.write(out);
            }
            Self::Advance(number) => {
                out.u8(5);
                out.u64(*number);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => {
                let (first, count) = (from.u64()?, from.u32()?);
                let fits = first > 0 && count > 0 && first.checked_add(u64::from(count)).is_some();
                if fits { Ok(Self::Request(Request { first, count })) } else { Err(Malformed) }
            }
            2 => {
                let (first, number) = (from.u64()?, from.u64()?);
                // Leave room for any batch after the number.
                let fits = number > 0 && number < u64::MAX - u64::from(u32::MAX);
                if fits { Ok(Self::Grant { first, number }) } else { Err(Malformed) }
            }
            3 => Ok(Self::Numbered(Sequenced::read(from)?)),
            4 => Ok(Self::Skipped(Skipped::read(from)?)),
            5 => Ok(Self::Advance(from.u64()?)),
            _ => Err(Malformed),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Numbered(numbered) => numbered.weight(),
            Self::Request(_) | Self::Grant { .. } | Self::Skipped(_) | Self::Advance(_) => Weight::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::hostile::{P0, P1, SEQUENCER, STRANGER, batch, is_readable, receive, submit, view};

    const REFUSED: Result<usize, DropReason> = Err(DropReason::BreaksContract);

    fn grant(first: u64, number: u64) -> UubWire {
        UubWire::Grant { first, number }
    }

    fn numbered(number: u64, sender: MemberId) -> UubWire {
        UubWire::Numbered(Sequenced { number, sender, batch: batch(1) })
    }

    fn request(first: u64, count: u32) -> UubWire {
        UubWire::Request(Request { first, count })
    }

    #[test]
    fn total_uub_grant_repeated_or_unrequested_is_dropped() {
        let mut member = TotalUub::new(P1, &view(), SEQUENCER);
        assert_eq!(receive(&mut member, SEQUENCER, grant(1, 1)), REFUSED, "no request");
        submit(&mut member, 1);
        assert_eq!(receive(&mut member, P0, grant(1, 1)), REFUSED, "not the sequencer");
        assert_eq!(receive(&mut member, SEQUENCER, grant(2, 1)), REFUSED);
        assert_eq!(receive(&mut member, SEQUENCER, grant(1, 1)), Ok(1));
        assert_eq!(receive(&mut member, SEQUENCER, grant(1, 2)), REFUSED);
    }

    #[test]
    fn total_uub_batch_from_another_than_its_sender_is_dropped() {
        let mut member = TotalUub::new(P1, &view(), SEQUENCER);
        assert_eq!(receive(&mut member, P0, numbered(1, P1)), REFUSED);
        assert_eq!(receive(&mut member, STRANGER, numbered(1, STRANGER)), REFUSED);
        assert_eq!(receive(&mut member, P0, request(1, 1)), REFUSED);
        assert_eq!(receive(&mut member, P0, numbered(1, P0)), Ok(1));
        assert_eq!(receive(&mut member, P0, numbered(1, P0)), REFUSED, "number used twice");
        assert_eq!(receive(&mut member, P0, numbered(u64::MAX - 1, P0)), Ok(0));
    }

    #[test]
    fn total_uub_sequencer_drops_repeated_requests_and_strangers() {
        let mut sequencer = SequencerUub::new(&view());
        assert_eq!(receive(&mut sequencer, STRANGER, request(1, 1)), Err(DropReason::Stranger));
        assert_eq!(receive(&mut sequencer, P0, grant(1, 1)), REFUSED);
        assert_eq!(receive(&mut sequencer, P0, request(1, u32::MAX)), Ok(0));
        assert_eq!(receive(&mut sequencer, P0, request(1, 1)), REFUSED);
    }

    #[test]
    fn total_uub_skipped_numbers_name_no_message_and_keep_their_place() {
        let mut member = TotalUub::new(P1, &view(), SEQUENCER);
        let skipped = |number, count| UubWire::Skipped(Skipped { number, count });
        assert_eq!(receive(&mut member, SEQUENCER, skipped(2, 8)), Ok(0));
        assert_eq!(receive(&mut member, P0, numbered(1, P0)), Ok(1));
        assert_eq!(member.next_number(), Some(10));
        assert_eq!(receive(&mut member, P0, skipped(10, 1)), REFUSED);
        assert_eq!(receive(&mut member, P0, UubWire::Advance(10)), REFUSED, "for the sequencer alone");
        let mut sequencer = SequencerUub::new(&view());
        assert_eq!(receive(&mut sequencer, P0, UubWire::Advance(9)), Ok(0));
        assert_eq!(sequencer.next, 10);
        assert_eq!(receive(&mut sequencer, STRANGER, UubWire::Advance(9)), Err(DropReason::Stranger));
    }

    #[test]
    fn total_uub_number_near_the_limit_is_malformed() {
        let limit = u64::MAX - u64::from(u32::MAX);
        assert!(!is_readable(&grant(1, 0)) && !is_readable(&grant(1, limit)));
        assert!(is_readable(&grant(1, limit - 1)));
        assert!(!is_readable(&request(0, 1)) && !is_readable(&request(1, 0)));
        assert!(!is_readable(&request(u64::MAX, 1)));
    }
}
