//! B-multicast (CDK, section 15.4.1): a multicast is one packet to each member, over the reliable pair channels.
//!
//! If the sender is lost after some of its sends, some members have the message and the others never get it: there is
//! no agreement. A member that goes on completes its sends: at the end of a view it sends to the group what is not
//! acknowledged. The number tells those that have it already.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::WINDOW_PACKETS;
use super::carrier::Carrier;
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, Time, To, View};
use crate::prefix_set::PrefixSet;
use crate::wire::{Malformed, Reader, Weight, Wire, Writer};

/// Most multicasts by which a sender may be ahead of the first that is missing; an honest sender is far below.
pub const CARRIED_AHEAD: u64 = 64 * WINDOW_PACKETS;

/// A packet of an order with the number of the multicast at its sender, from 1.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Multicast<M> {
    /// The number.
    pub number: u64,
    /// The packet of the order.
    pub message: M,
}

/// A member's engine for B-multicast; `M` is a packet of the order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Basic<M> {
    others: Vec<MemberId>,
    /// The count of own multicasts.
    sent: u64,
    received: Received,
    packets: PhantomData<M>,
}

type Out<M> = Effects<M, Multicast<M>>;

impl<M> Basic<M> {
    /// Creates the engine of `me` in `view`.
    #[must_use]
    pub fn new(me: MemberId, view: &View) -> Self {
        let others: Vec<MemberId> = view.others(me).collect();
        Self { received: Received::new(me, &others), others, sent: 0, packets: PhantomData }
    }
}

impl<M: Wire> Engine for Basic<M> {
    type App = M;
    type Wire = Multicast<M>;

    fn handle(&mut self, _now: Time, input: Input<M, Multicast<M>>, out: &mut Out<M>) {
        match input {
            Input::Submit { app, .. } => {
                self.sent += 1;
                let packet = Multicast { number: self.sent, message: app };
                self.others.iter().for_each(|&other| out.send(To::Member(other), packet.clone()));
            }
            Input::Receive { from, message: Multicast { number, message } } => {
                match self.received.take(from, number) {
                    Ok(()) => out.deliver(from, None, message),
                    Err(reason) => out.drop(from, reason),
                }
            }
            Input::Wake => {}
        }
    }

    fn window(&self, _to: To) -> usize {
        usize::MAX
    }
}

impl<M: Wire> Carrier for Basic<M> {
    const BY_PAIRS: bool = true;
    const AGREES: bool = false;

    fn left_over(&self, unacknowledged: Vec<Multicast<M>>) -> Vec<Multicast<M>> {
        let by_number: BTreeMap<u64, _> =
            unacknowledged.into_iter().map(|packet| (packet.number, packet)).collect();
        by_number.into_values().collect()
    }
}

/// The multicasts of other members that have been received, by their numbers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Received {
    me: MemberId,
    numbers: BTreeMap<MemberId, PrefixSet>,
}

impl Received {
    pub(super) fn new(me: MemberId, others: &[MemberId]) -> Self {
        Self { me, numbers: others.iter().map(|&other| (other, PrefixSet::default())).collect() }
    }

    /// Records a multicast of `origin`.
    ///
    /// # Errors
    /// The reason why it is not to be delivered.
    pub(super) fn take(&mut self, origin: MemberId, number: u64) -> Result<(), DropReason> {
        if origin == self.me {
            return Err(DropReason::Duplicate);
        }
        let numbers = self.numbers.get_mut(&origin).ok_or(DropReason::Stranger)?;
        if number > numbers.complete() + CARRIED_AHEAD {
            return Err(DropReason::OutsideWindow);
        }
        if numbers.insert(number) { Ok(()) } else { Err(DropReason::Duplicate) }
    }
}

impl<M: Wire> Wire for Multicast<M> {
    fn write(&self, out: &mut Writer) {
        out.u64(self.number);
        self.message.write(out);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let number = from.u64()?;
        if number == 0 {
            return Err(Malformed);
        }
        Ok(Self { number, message: M::read(from)? })
    }

    fn weight(&self) -> Weight {
        self.message.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Effect;
    use crate::wire::{Batch, BatchBuilder};

    const A: MemberId = MemberId(0);
    const B: MemberId = MemberId(1);
    const C: MemberId = MemberId(2);

    fn view() -> View {
        View { number: 1, clients: vec![A, B, C], sequencer: None, candidates: Vec::new() }
    }

    fn batch() -> Batch {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"hello");
        batch.finish().expect("not empty")
    }

    fn effects(
        engine: &mut Basic<Batch>,
        input: Input<Batch, Multicast<Batch>>,
    ) -> Vec<Effect<Batch, Multicast<Batch>>> {
        let mut out = Effects::default();
        engine.handle(Time::ZERO, input, &mut out);
        out.drain().collect()
    }

    #[test]
    fn basic_multicast_is_one_packet_to_each_other_member() {
        let mut engine = Basic::new(A, &view());
        for number in [1, 2] {
            let sent = effects(&mut engine, Input::Submit { to: To::Group, app: batch() });
            let to =
                |to| Effect::Send { to: To::Member(to), message: Multicast { number, message: batch() } };
            assert_eq!(sent, [to(B), to(C)]);
        }
    }

    #[test]
    fn basic_packet_is_handed_up_once_and_nonsense_never() {
        let mut engine = Basic::new(A, &view());
        let mut receive = |from, number| {
            let message = Multicast { number, message: batch() };
            effects(&mut engine, Input::Receive { from, message }).remove(0)
        };
        let drop = |from, reason| Effect::Drop { from, reason };
        for number in [2, 1] {
            assert_eq!(receive(B, number), Effect::Deliver { from: B, number: None, app: batch() });
            assert_eq!(receive(B, number), drop(B, DropReason::Duplicate));
        }
        assert_eq!(receive(B, CARRIED_AHEAD + 3), drop(B, DropReason::OutsideWindow));
        assert_eq!(receive(B, u64::MAX), drop(B, DropReason::OutsideWindow));
        assert_eq!(receive(MemberId(9), 1), drop(MemberId(9), DropReason::Stranger));
        assert_eq!(receive(A, 1), drop(A, DropReason::Duplicate), "its own come back");
    }

    #[test]
    fn basic_left_over_has_each_multicast_once() {
        let engine: Basic<Batch> = Basic::new(A, &view());
        let packet = |number| Multicast { number, message: batch() };
        assert_eq!(engine.left_over(vec![packet(2), packet(1), packet(2)]), [packet(1), packet(2)]);
    }
}
