//! The common part of the total orders: limits, deliveries with consecutive global numbers, and batches that carry
//! their number.

use super::describe;
use super::hold_back::HoldBack;
use super::span::Span;
use crate::engine::{Effects, MemberId};
use crate::waiting::{Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// Most own batches that a member may have sent and not delivered; bounds every hold-back queue.
pub const OWN_WINDOW: usize = 64;

/// Most by which a number that a peer chooses for the whole group may exceed our own: more than a group can be ahead of
/// a member for which it waits, and too little for a lying peer to use up the numbers.
pub const FAR_AHEAD: u64 = 1 << 32;

/// The deliveries of a member, numbered from 1 in each view, and its own batches among them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Deliveries {
    me: MemberId,
    next: u64,
    own_undelivered: usize,
}

impl Deliveries {
    pub(super) const fn new(me: MemberId) -> Self {
        Self { me, next: 1, own_undelivered: 0 }
    }

    /// Returns the global number of the next message to deliver.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Records that an own batch was submitted.
    pub(super) const fn submitted(&mut self) {
        self.own_undelivered += 1;
    }

    /// Returns how many own batches may still be submitted.
    pub(super) const fn window(&self) -> usize {
        OWN_WINDOW.saturating_sub(self.own_undelivered)
    }

    /// Delivers a batch under the next numbers.
    pub(super) fn deliver<W>(&mut self, sender: MemberId, batch: Batch, out: &mut Effects<Batch, W>) {
        let number = self.next;
        self.skip(u64::from(batch.count()));
        self.deliver_as(Some(number), sender, batch, out);
    }

    /// Delivers a batch under this number, or without one.
    pub(super) fn deliver_as<W>(
        &mut self,
        number: Option<u64>,
        sender: MemberId,
        batch: Batch,
        out: &mut Effects<Batch, W>,
    ) {
        // A peer that lies may send a batch in the name of this member.
        self.own_undelivered = self.own_undelivered.saturating_sub(usize::from(sender == self.me));
        out.deliver(sender, number, batch);
    }

    /// Gives the next `count` numbers to no message.
    pub(super) const fn skip(&mut self, count: u64) {
        self.next += count;
    }
}

/// `count` numbers that name no message: a member of several groups has asked for later ones.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Skipped {
    /// The first of the numbers.
    pub number: u64,
    /// How many they are, at least 1.
    pub count: u64,
}

/// An item to which a sequencer gives numbers, in the methods whose batches carry their numbers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Numbered {
    Batch(Sequenced),
    Nothing(Skipped),
}

impl Skipped {
    /// Moves `next` past `number` as far as [`to_skip`] says; returns what is skipped, if anything is.
    pub(super) fn advance(next: &mut u64, number: u64) -> Option<Self> {
        let skipped = Self { number: *next, count: to_skip(*next, number) };
        *next = next.saturating_add(skipped.count);
        (skipped.count > 0).then_some(skipped)
    }
}

/// Returns how many numbers from `next` on name no message, so that `number` is not given any more. A peer chooses
/// `number`, so that only a part of the way is gone at once.
pub(super) fn to_skip(next: u64, number: u64) -> u64 {
    number.saturating_add(1).saturating_sub(next).min(FAR_AHEAD)
}

/// A batch with its global numbers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Sequenced {
    /// The global number of its first message.
    pub number: u64,
    /// The member that multicast the batch.
    pub sender: MemberId,
    /// The messages.
    pub batch: Batch,
}

/// Batches that wait for earlier global numbers.
impl HoldBack<Numbered> {
    /// Returns the batches, lowest number first.
    pub(super) fn batches(&self) -> impl Iterator<Item = &Sequenced> {
        self.iter().filter_map(|item| match item {
            Numbered::Batch(sequenced) => Some(sequenced),
            Numbered::Nothing(_) => None,
        })
    }

    /// Describes the batches.
    pub(super) fn describe(&self) -> String {
        let messages = self.batches().map(|sequenced| describe::messages(sequenced.sender, &sequenced.batch));
        let until = (!self.is_empty()).then(|| format!("number {}", self.next()));
        describe::holds(&messages.collect::<Vec<_>>(), until.as_slice())
    }

    /// Returns the batches with the reason.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Waiting> {
        self.batches().map(|Sequenced { number, sender, batch }| Waiting {
            messages: describe::span(*sender, batch),
            number: Some(*number),
            waits_for: WaitsFor::Place(self.next(), None),
        })
    }
}

impl Span for Sequenced {
    fn first(&self) -> u64 {
        self.number
    }

    fn next(&self) -> u64 {
        self.number + u64::from(self.batch.count())
    }
}

impl Span for Numbered {
    fn first(&self) -> u64 {
        match self {
            Self::Batch(sequenced) => sequenced.first(),
            Self::Nothing(skipped) => skipped.number,
        }
    }

    fn next(&self) -> u64 {
        match self {
            Self::Batch(sequenced) => sequenced.next(),
            Self::Nothing(skipped) => skipped.number + skipped.count,
        }
    }
}

impl Wire for Skipped {
    fn write(&self, out: &mut Writer) {
        out.u64(self.number);
        out.u64(self.count);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (number, count) = (from.u64()?, from.u64()?);
        let fits = number > 0 && count > 0 && number.checked_add(count).is_some();
        if fits { Ok(Self { number, count }) } else { Err(Malformed) }
    }
}

impl Wire for Sequenced {
    fn write(&self, out: &mut Writer) {
        out.u64(self.number);
        out.member(self.sender);
        self.batch.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (number, sender, batch) = (from.u64()?, from.member()?, Batch::read(from)?);
        let fits = number > 0 && number.checked_add(u64::from(batch.count())).is_some();
        if fits { Ok(Self { number, sender, batch }) } else { Err(Malformed) }
    }

    fn weight(&self) -> Weight {
        self.batch.weight()
    }
}
