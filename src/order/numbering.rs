//! The sequencer's side of total order, method BB: it assigns global numbers to every batch it receives.
//!
//! One range of numbers covers a whole batch. The sequencer numbers the batches of each sender in FIFO order,
//! and announces all batches that arrived together in one packet.

use std::collections::BTreeMap;
use std::fmt;

use super::describe;
use super::hold_back::{HoldBack, Span};
use super::total::TotalWire;
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Clock, Waiting};
use crate::wire::{Batch, Malformed, Reader, Wire, Writer};

/// Most ranges in one announcement.
pub const MAX_RANGES: usize = 4096;

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

impl Range {
    /// Returns the global number of message `number` of `sender`, if this range covers it and begins at
    /// global number `first`.
    pub(super) fn place_of(&self, sender: MemberId, number: u64, first: u64) -> Option<u64> {
        let is_here = self.sender == sender && (self.first()..self.next()).contains(&number);
        is_here.then(|| first + (number - self.first))
    }
}

/// An announcement: the messages of `ranges`, one after the other, have the global numbers from `first` on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Numbered {
    /// The global number of the first message of the first range; the first message of a view has number 1.
    pub first: u64,
    /// 1 to [`MAX_RANGES`] ranges.
    pub ranges: Vec<Range>,
}

impl Numbered {
    /// Returns the number of messages in all ranges.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.count)).sum()
    }
}

/// The engine of a sequencer, method BB.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Numbering {
    next: u64,
    senders: BTreeMap<MemberId, HoldBack<Batch>>,
    /// Ranges that are numbered and not announced.
    pending: Vec<Range>,
    /// The time at which the oldest pending range was numbered.
    pending_since: Option<Time>,
    defects: Defects,
}

impl Numbering {
    /// Creates the engine that numbers the multicasts of the clients of `view` from 1.
    #[must_use]
    pub fn new(view: &View, defects: Defects) -> Self {
        Self {
            next: 1,
            senders: view.clients.iter().map(|&client| (client, HoldBack::default())).collect(),
            pending: Vec::new(),
            pending_since: None,
            defects,
        }
    }

    fn number(&mut self, now: Time, from: MemberId, batch: Batch, out: &mut Effects<Batch, TotalWire>) {
        let Some(queue) = self.senders.get_mut(&from) else {
            return out.drop(from, DropReason::Stranger);
        };
        if !queue.insert(batch) {
            return out.drop(from, DropReason::BreaksContract);
        }
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

    fn announce(&mut self, out: &mut Effects<Batch, TotalWire>) {
        self.pending_since = None;
        let pending = std::mem::take(&mut self.pending);
        for ranges in pending.chunks(MAX_RANGES) {
            let numbered = Numbered { first: self.next, ranges: ranges.to_vec() };
            self.next += numbered.count();
            out.send(To::Group, TotalWire::Numbers(numbered));
        }
    }
}

impl fmt::Display for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe::holds(&describe::held(&self.senders), &describe::gaps(&self.senders)))?;
        let owed: Vec<String> =
            self.pending.iter().map(|range| describe::messages(range.sender, range)).collect();
        if owed.is_empty() {
            Ok(())
        } else {
            write!(f, ", owes numbers from {} for {}", self.next, owed.join(", "))
        }
    }
}

impl Engine for Numbering {
    type App = Batch;
    type Wire = TotalWire;

    fn handle(&mut self, now: Time, input: Input<Batch, TotalWire>, out: &mut Effects<Batch, TotalWire>) {
        match input {
            Input::Receive { from, message: TotalWire::Body(batch) } => self.number(now, from, batch, out),
            Input::Receive { from, message: TotalWire::Numbers(_) } => {
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

impl OrderEngine for Numbering {
    fn flush(&mut self, now: Time, out: &mut Effects<Batch, TotalWire>) {
        self.handle(now, Input::Wake, out);
    }

    fn close(&mut self, _out: &mut Effects<Batch, TotalWire>) -> Vec<Batch> {
        Vec::new()
    }

    fn held(&self) -> usize {
        self.senders.values().map(HoldBack::len).sum()
    }

    fn backlog(&self, _sender: MemberId) -> u64 {
        0
    }

    fn waiting(&self) -> Vec<Waiting> {
        Vec::new()
    }

    fn clock(&self) -> Option<Clock> {
        None
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

impl Wire for Numbered {
    fn write(&self, out: &mut Writer) {
        out.u64(self.first);
        out.length(self.ranges.len());
        for range in &self.ranges {
            out.member(range.sender);
            out.u64(range.first);
            out.u32(range.count);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let first = from.u64()?;
        let ranges = (0..from.length(14)?)
            .map(|_| Ok(Range { sender: from.member()?, first: from.u64()?, count: from.u32()? }))
            .collect::<Result<Vec<_>, _>>()?;
        let fits = |range: &Range| range.count > 0 && range.first.checked_add(range.count.into()).is_some();
        let sane = ranges.len() <= MAX_RANGES && ranges.iter().all(fits);
        let numbered = Self { first, ranges };
        if first == 0 || numbered.ranges.is_empty() || !sane || first.checked_add(numbered.count()).is_none()
        {
            return Err(Malformed);
        }
        Ok(numbered)
    }
}
