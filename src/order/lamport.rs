//! Total order by Lamport clocks. Messages are delivered by timestamp; a member delivers a message when it
//! has received that timestamp or a later one from every member, so that no earlier message can arrive.
//!
//! Every packet acknowledges all packets up to its timestamp. A member with nothing to send acknowledges
//! everything received so far with one packet, as soon as no input is waiting.

use std::collections::BTreeMap;
use std::fmt;

use super::describe;
use super::hold_back::HoldBack;
use super::span::Span;
use super::total::{Deliveries, FAR_AHEAD};
use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View};
use crate::waiting::{Clock, Waiting, WaitsFor};
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// An upper bound on any honest clock, which counts messages.
const CLOCK_MAX: u64 = u64::MAX / 2;

/// The packet that members exchange: a batch, or an acknowledgement without one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Stamped {
    /// The number of the packet in its sender's stream, acknowledgements included, from 1. Timestamps
    /// increase only in this sequence.
    pub sequence: u64,
    /// The sender's Lamport clock.
    pub time: u64,
    /// The messages; none in an acknowledgement.
    pub batch: Option<Batch>,
}

/// A member's engine for Lamport order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Lamport {
    me: MemberId,
    clock: u64,
    /// The number of packets sent by this member, and the timestamp of the last.
    sent: u64,
    said: u64,
    /// The latest timestamp of a received batch. The others wait until this member has acknowledged it.
    owed: u64,
    peers: BTreeMap<MemberId, Peer>,
    /// Received and undelivered batches in the order of delivery.
    held: BTreeMap<(u64, MemberId), Batch>,
    deliveries: Deliveries,
    ack_due: Option<Time>,
    /// True after the flush: this member sends nothing more in this view.
    is_flushed: bool,
    defects: Defects,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Peer {
    incoming: HoldBack<Stamped>,
    /// The latest timestamp up to which all packets of this member have been received.
    heard: u64,
}

type Out = Effects<Batch, Stamped>;

impl Lamport {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        Self {
            me,
            clock: 0,
            sent: 0,
            said: 0,
            owed: 0,
            peers: view.others(me).map(|client| (client, Peer::default())).collect(),
            held: BTreeMap::new(),
            deliveries: Deliveries::new(me),
            ack_due: None,
            is_flushed: false,
            defects,
        }
    }

    fn say(&mut self, batch: Option<Batch>, out: &mut Out) {
        self.sent += 1;
        self.said = self.clock;
        self.ack_due = None;
        out.send(To::Group, Stamped { sequence: self.sent, time: self.clock, batch });
    }

    fn submit(&mut self, batch: Batch, out: &mut Out) {
        self.clock += 1;
        self.deliveries.submitted();
        self.held.insert((self.clock, self.me), batch.clone());
        self.say(Some(batch), out);
        self.deliver_ripe(out);
    }

    fn receive(&mut self, now: Time, from: MemberId, stamped: Stamped, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return out.drop(from, DropReason::Stranger);
        };
        // No message later than our last timestamp is delivered anywhere, so honest clocks stay near it.
        if stamped.time > self.said.saturating_add(FAR_AHEAD) {
            return out.drop(from, DropReason::OutsideWindow);
        }
        if !peer.incoming.insert(stamped) {
            return out.drop(from, DropReason::BreaksContract);
        }
        while let Some(Stamped { time, batch, .. }) = peer.incoming.pop() {
            if time < peer.heard || (batch.is_some() && time == peer.heard) {
                out.drop(from, DropReason::BreaksContract);
                continue;
            }
            peer.heard = time;
            self.clock = self.clock.max(time);
            if let Some(batch) = batch {
                self.owed = self.owed.max(time);
                self.held.insert((time, from), batch);
            }
        }
        self.deliver_ripe(out);
        // Acknowledge delivered batches too: other members may still wait for our timestamp.
        if self.owed > self.said {
            self.ack_due.get_or_insert(now);
        }
    }

    /// Returns the members that may still send a message earlier than the one `sender` sent at `time`. This
    /// member is not among them while it can send, since its clock is past `time`. After the flush it counts
    /// by its last sent timestamp, as the others see it, so that all members deliver the same messages.
    fn silent(&self, time: u64, sender: MemberId) -> impl Iterator<Item = MemberId> {
        let others = self.peers.iter().filter(move |&(&peer, _)| peer != sender);
        let silent = others.filter(move |(_, state)| state.heard < time).map(|(&peer, _)| peer);
        let are_we = self.is_flushed && sender != self.me && self.said < time;
        silent.chain(are_we.then_some(self.me))
    }

    /// Delivers messages that no earlier one can precede any more.
    fn deliver_ripe(&mut self, out: &mut Out) {
        while let Some((&(time, sender), _)) = self.held.first_key_value() {
            let ripe = self.silent(time, sender).next().is_none();
            if !ripe && !self.defects.has(Defect::NotAllAcknowledged) {
                return;
            }
            let Some((_, batch)) = self.held.pop_first() else { return };
            self.deliveries.deliver(sender, batch, out);
        }
    }
}

impl fmt::Display for Lamport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self
            .held
            .iter()
            .map(|(&(time, sender), batch)| format!("{} at {time}", describe::messages(sender, batch)));
        let early = self.peers.iter().flat_map(|(&peer, state)| {
            state.incoming.iter().map(move |stamped| format!("{peer}#{}", stamped.sequence))
        });
        let heard: Vec<String> =
            self.peers.iter().map(|(peer, state)| format!("{peer} {}", state.heard)).collect();
        let held = describe::holds(&held.chain(early).collect::<Vec<_>>(), &[]);
        let owes = if self.ack_due.is_some() { ", owes an acknowledgement" } else { "" };
        write!(f, "has clock {}, heard {}, {held}{owes}", self.clock, heard.join(", "))
    }
}

impl Engine for Lamport {
    type App = Batch;
    type Wire = Stamped;

    fn handle(&mut self, now: Time, input: Input<Batch, Stamped>, out: &mut Out) {
        match input {
            Input::Submit { app, .. } => self.submit(app, out),
            Input::Receive { from, message } => self.receive(now, from, message, out),
            Input::Wake if self.ack_due.is_some_and(|due| due <= now) => self.say(None, out),
            Input::Wake => {}
        }
    }

    /// Requests a wake at once, to acknowledge everything received with one packet.
    fn next_deadline(&self) -> Option<Time> {
        self.ack_due
    }

    fn window(&self, _to: To) -> usize {
        self.deliveries.window()
    }
}

impl OrderEngine for Lamport {
    fn flush(&mut self, _now: Time, out: &mut Out) {
        if self.ack_due.is_some() {
            self.say(None, out);
        }
        self.is_flushed = true;
    }

    /// No member has delivered the messages held here: it would have acknowledged them before, and we would
    /// have that acknowledgement.
    fn close(&mut self, _out: &mut Out) -> Vec<Batch> {
        let held = std::mem::take(&mut self.held).into_iter();
        held.filter(|((_, sender), _)| *sender == self.me).map(|(_, batch)| batch).collect()
    }

    fn held(&self) -> usize {
        self.held.len() + self.peers.values().map(|peer| peer.incoming.len()).sum::<usize>()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.held.keys().filter(|&&(_, of)| of == sender).count() as u64
    }

    fn waiting(&self) -> Vec<Waiting> {
        let held = self.held.iter().map(|(&(time, sender), batch)| Waiting {
            messages: describe::span(sender, batch),
            number: None,
            waits_for: WaitsFor::Acknowledgements(self.silent(time, sender).collect()),
        });
        let early = self.peers.iter().flat_map(|(&peer, state)| {
            let batches = state.incoming.iter().filter_map(|stamped| stamped.batch.as_ref());
            batches.map(move |batch| Waiting {
                messages: describe::span(peer, batch),
                number: None,
                waits_for: WaitsFor::EarlierWord(peer),
            })
        });
        held.chain(early).collect()
    }

    fn clock(&self) -> Option<Clock> {
        Some(Clock::Lamport(self.clock))
    }
}

impl Span for Stamped {
    fn first(&self) -> u64 {
        self.sequence
    }

    fn next(&self) -> u64 {
        self.sequence + 1
    }
}

impl Wire for Stamped {
    fn write(&self, out: &mut Writer) {
        out.u64(self.sequence);
        out.u64(self.time);
        out.u8(u8::from(self.batch.is_some()));
        if let Some(batch) = &self.batch {
            batch.write(out);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (sequence, time) = (from.u64()?, from.u64()?);
        let batch = match from.u8()? {
            0 => None,
            1 => Some(Batch::read(from)?),
            _ => return Err(Malformed),
        };
        let sane = sequence > 0 && sequence < u64::MAX && time > 0 && time < CLOCK_MAX;
        if sane { Ok(Self { sequence, time, batch }) } else { Err(Malformed) }
    }

    fn weight(&self) -> Weight {
        self.batch.as_ref().map_or(Weight::default(), Wire::weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::hostile::{P0, P1, STRANGER, batch, is_readable, receive, submit, view};

    fn stamped(sequence: u64, time: u64, batch: Option<Batch>) -> Stamped {
        Stamped { sequence, time, batch }
    }

    #[test]
    fn lamport_clock_that_goes_back_is_refused() {
        let mut engine = Lamport::new(P1, &view(), Defects::NONE);
        assert_eq!(receive(&mut engine, P0, stamped(1, 5, Some(batch(1)))), Ok(1));
        for (sequence, time, batch) in [(2, 4, None), (3, 4, Some(batch(2))), (4, 5, Some(batch(2)))] {
            let outcome = receive(&mut engine, P0, stamped(sequence, time, batch));
            assert_eq!(outcome, Err(DropReason::BreaksContract));
        }
        let twice = receive(&mut engine, P0, stamped(4, 6, None));
        assert_eq!(twice, Err(DropReason::BreaksContract));
        assert_eq!(
            receive(&mut engine, P0, stamped(5, 5, None)),
            Ok(0),
            "an acknowledgement may repeat its time"
        );
        assert_eq!(receive(&mut engine, P0, stamped(6, 6, Some(batch(2)))), Ok(1));
    }

    #[test]
    fn lamport_packet_of_a_stranger_is_dropped() {
        let mut engine = Lamport::new(P1, &view(), Defects::NONE);
        for from in [P1, STRANGER] {
            assert_eq!(receive(&mut engine, from, stamped(1, 1, None)), Err(DropReason::Stranger));
        }
    }

    #[test]
    fn lamport_timestamp_far_ahead_is_dropped() {
        for (sequence, time) in [(0, 1), (1, 0), (u64::MAX, 1), (1, CLOCK_MAX)] {
            assert!(!is_readable(&stamped(sequence, time, None)));
        }
        assert!(is_readable(&stamped(1, CLOCK_MAX - 1, None)));
        let mut engine = Lamport::new(P1, &view(), Defects::NONE);
        for time in [FAR_AHEAD + 1, CLOCK_MAX - 1, u64::MAX] {
            let outcome = receive(&mut engine, P0, stamped(1, time, Some(batch(1))));
            assert_eq!(outcome, Err(DropReason::OutsideWindow));
        }
        assert_eq!(receive(&mut engine, P0, stamped(1, FAR_AHEAD, Some(batch(1)))), Ok(1));
        submit(&mut engine, 1);
        assert_eq!(
            receive(&mut engine, P0, stamped(u64::MAX - 1, 1, None)),
            Ok(0),
            "held back until the gap closes"
        );
    }
}
