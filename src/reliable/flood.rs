//! R-multicast (CDK, figure 15.9): a member sends on what it receives for the first time, before it delivers it.
//!
//! A member that delivers a message has sent it to all others that may lack it; so all members that go on deliver it,
//! also if its sender was lost after one of its sends. The price is a packet from nearly every member to every other.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::basic::{Multicast, Received};
use super::carrier::Carrier;
use crate::defect::{Defect, Defects};
use crate::engine::{Effects, Engine, Input, MemberId, Time, To, View};
use crate::wire::{Malformed, Reader, Weight, Wire, Writer};

/// A packet of an order on its way.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Flooded<M> {
    /// From the member that multicast it.
    Own(Multicast<M>),
    /// Sent on by another member: the member that multicast it, and its packet.
    SentOn(MemberId, Multicast<M>),
}

/// A member's engine for R-multicast; `M` is a packet of the order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Flood<M> {
    others: Vec<MemberId>,
    /// The count of own multicasts.
    sent: u64,
    /// The multicasts received. CDK keeps the messages; their numbers are enough.
    received: Received,
    defects: Defects,
    packets: PhantomData<M>,
}

type Out<M> = Effects<M, Flooded<M>>;

impl<M: Wire> Flood<M> {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View, defects: Defects) -> Self {
        let others: Vec<MemberId> = view.others(me).collect();
        Self { received: Received::new(me, &others), others, sent: 0, defects, packets: PhantomData }
    }

    fn submit(&mut self, message: M, out: &mut Out<M>) {
        self.sent += 1;
        let packet = Flooded::Own(Multicast { number: self.sent, message });
        self.others.iter().for_each(|&other| out.send(To::Member(other), packet.clone()));
    }

    fn receive(&mut self, from: MemberId, message: Flooded<M>, out: &mut Out<M>) {
        let (origin, packet) = match message {
            Flooded::Own(packet) => (from, packet),
            Flooded::SentOn(origin, packet) => (origin, packet),
        };
        if let Err(reason) = self.received.take(origin, packet.number) {
            return out.drop(from, reason);
        }
        // The member that multicast it and the one that it came from have it.
        let may_lack_it = self.others.iter().filter(|&&other| other != origin && other != from);
        for &other in may_lack_it.filter(|_| !self.defects.has(Defect::NoSendingOn)) {
            out.send(To::Member(other), Flooded::SentOn(origin, packet.clone()));
        }
        out.deliver(origin, None, packet.message);
    }
}

impl<M: Wire> Engine for Flood<M> {
    type App = M;
    type Wire = Flooded<M>;

    fn handle(&mut self, _now: Time, input: Input<M, Flooded<M>>, out: &mut Out<M>) {
        match input {
            Input::Submit { app, .. } => self.submit(app, out),
            Input::Receive { from, message } => self.receive(from, message, out),
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl<M: Wire> Carrier for Flood<M> {
    const BY_PAIRS: bool = true;

    fn left_over(&self, unacknowledged: Vec<Flooded<M>>) -> Vec<Flooded<M>> {
        let identity = |packet: &Flooded<M>| match packet {
            Flooded::Own(packet) => (None, packet.number),
            Flooded::SentOn(origin, packet) => (Some(*origin), packet.number),
        };
        let by_identity: BTreeMap<_, _> =
            unacknowledged.into_iter().map(|packet| (identity(&packet), packet)).collect();
        by_identity.into_values().collect()
    }
}

impl<M: Wire> Wire for Flooded<M> {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Own(packet) => {
                out.u8(1);
                packet.write(out);
            }
            Self::SentOn(origin, packet) => {
                out.u8(2);
                out.member(*origin);
                packet.write(out);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Multicast::read(from).map(Self::Own),
            2 => Ok(Self::SentOn(from.member()?, Multicast::read(from)?)),
            _ => Err(Malformed),
        }
    }

    /// Packets that are sent on wait for no delivery: two members that wait for each other's deliveries would send
    /// nothing on for ever.
    fn weight(&self) -> Weight {
        match self {
            Self::Own(packet) => packet.weight(),
            Self::SentOn(_, packet) => Weight { messages: 0, ..packet.weight() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{DropReason, Effect};
    use crate::wire::{Batch, BatchBuilder};

    const A: MemberId = MemberId(0);
    const B: MemberId = MemberId(1);
    const C: MemberId = MemberId(2);
    const D: MemberId = MemberId(3);

    fn packet(number: u64) -> Multicast<Batch> {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"hello");
        Multicast { number, message: batch.finish().expect("not empty") }
    }

    fn flood(me: MemberId) -> Flood<Batch> {
        let view = View { number: 1, clients: vec![A, B, C, D], sequencer: None, candidates: Vec::new() };
        Flood::new(me, &view, Defects::NONE)
    }

    fn receive(
        engine: &mut Flood<Batch>,
        from: MemberId,
        message: Flooded<Batch>,
    ) -> Vec<Effect<Batch, Flooded<Batch>>> {
        let mut out = Effects::default();
        engine.handle(Time::ZERO, Input::Receive { from, message }, &mut out);
        out.drain().collect()
    }

    #[test]
    fn flood_sends_on_what_is_new_before_it_delivers_it() {
        let mut engine = flood(A);
        let to = |to| Effect::Send { to: To::Member(to), message: Flooded::SentOn(B, packet(1)) };
        let deliver = Effect::Deliver { from: B, number: None, app: packet(1).message };
        assert_eq!(receive(&mut engine, B, Flooded::Own(packet(1))), [to(C), to(D), deliver.clone()]);
        let again = Effect::Drop { from: C, reason: DropReason::Duplicate };
        assert_eq!(receive(&mut engine, C, Flooded::SentOn(B, packet(1))), [again]);
        let mut engine = flood(A);
        let from_another = receive(&mut engine, C, Flooded::SentOn(B, packet(1)));
        assert_eq!(from_another, [to(D), deliver], "those that it came from have it");
    }

    #[test]
    fn flood_drops_what_no_member_multicast() {
        let mut engine = flood(A);
        let mut reason =
            |origin, number| match &receive(&mut engine, B, Flooded::SentOn(origin, packet(number)))[..] {
                [Effect::Drop { from: B, reason }] => *reason,
                effects => panic!("{effects:?}"),
            };
        assert_eq!(reason(MemberId(9), 1), DropReason::Stranger);
        assert_eq!(reason(C, u64::MAX), DropReason::OutsideWindow);
        assert_eq!(reason(A, 1), DropReason::Duplicate, "its own come back");
    }

    #[test]
    fn flood_left_over_has_each_multicast_of_each_member_once() {
        let [own, of_b, of_c] =
            [Flooded::Own(packet(1)), Flooded::SentOn(B, packet(1)), Flooded::SentOn(C, packet(1))];
        let twice = vec![of_c.clone(), own.clone(), of_b.clone(), own.clone(), of_c.clone()];
        assert_eq!(flood(A).left_over(twice), [own, of_b, of_c]);
    }
}
