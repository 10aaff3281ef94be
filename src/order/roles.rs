//! Engines for the roles of an order with a sequencer that neither a client nor a sequencer alone can play.

use std::marker::PhantomData;

use crate::engine::{Effect, Effects, Engine, Input, MemberId, OrderEngine, Time, To, sooner};
use crate::waiting::{Clock, Waiting};
use crate::wire::{Batch, Wire};

/// A client that is also the sequencer. Each engine receives the multicasts of the other, and packets that
/// one sends to this member go to the other.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ClientAndSequencer<C, S> {
    me: MemberId,
    client: C,
    sequencer: S,
}

type Out<W> = Effects<Batch, W>;

impl<W: Clone + Wire, C, S> ClientAndSequencer<C, S>
where
    C: OrderEngine<Wire = W>,
    S: OrderEngine<Wire = W>,
{
    /// Combines the two engines of `me`.
    pub fn new(me: MemberId, client: C, sequencer: S) -> Self {
        Self { me, client, sequencer }
    }

    fn pass_on(&self, mut effects: Out<W>, blames: bool, other: &mut Vec<Input<Batch, W>>, out: &mut Out<W>) {
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => {
                    if to == To::Group || to == To::Member(self.me) {
                        other.push(Input::Receive { from: self.me, message: message.clone() });
                    }
                    if to != To::Member(self.me) {
                        out.send(to, message);
                    }
                }
                Effect::Deliver { from, number, app } => out.deliver(from, number, app),
                // The sequencer refuses numbered multicasts of the client, which is no mistake of a peer.
                Effect::Drop { from, reason } if blames && from != self.me => out.drop(from, reason),
                Effect::Drop { .. } => {}
            }
        }
    }
}

fn refuses<W>(effects: &Out<W>) -> bool {
    effects.as_slice().iter().any(|effect| matches!(effect, Effect::Drop { .. }))
}

impl<W: Clone + Wire, C, S> Engine for ClientAndSequencer<C, S>
where
    C: OrderEngine<Wire = W>,
    S: OrderEngine<Wire = W>,
{
    type App = Batch;
    type Wire = W;

    /// Passes the input to one engine or both, then the messages between them until both are idle.
    fn handle(&mut self, now: Time, input: Input<Batch, W>, out: &mut Out<W>) {
        let (mut to_client, mut to_sequencer) = (Vec::new(), Vec::new());
        match input {
            Input::Submit { .. } => to_client.push(input),
            Input::Wake => {
                to_client.push(Input::Wake);
                to_sequencer.push(Input::Wake);
            }
            // Drop a packet only if both engines refuse it.
            Input::Receive { from, message } => {
                let (mut by_client, mut by_sequencer) = (Effects::default(), Effects::default());
                self.client.handle(now, Input::Receive { from, message: message.clone() }, &mut by_client);
                self.sequencer.handle(now, Input::Receive { from, message }, &mut by_sequencer);
                let refused = refuses(&by_client) && refuses(&by_sequencer);
                self.pass_on(by_client, refused, &mut to_sequencer, out);
                self.pass_on(by_sequencer, false, &mut to_client, out);
            }
        }
        self.settle(now, to_client, to_sequencer, out);
    }

    fn next_deadline(&self) -> Option<Time> {
        sooner(self.client.next_deadline(), self.sequencer.next_deadline())
    }

    fn window(&self, to: To) -> usize {
        self.client.window(to)
    }
}

impl<W: Clone + Wire, C, S> ClientAndSequencer<C, S>
where
    C: OrderEngine<Wire = W>,
    S: OrderEngine<Wire = W>,
{
    /// Passes messages between the engines until both are idle.
    fn settle(
        &mut self,
        now: Time,
        mut to_client: Vec<Input<Batch, W>>,
        mut to_sequencer: Vec<Input<Batch, W>>,
        out: &mut Out<W>,
    ) {
        while !(to_client.is_empty() && to_sequencer.is_empty()) {
            for input in std::mem::take(&mut to_client) {
                let mut effects = Effects::default();
                self.client.handle(now, input, &mut effects);
                self.pass_on(effects, true, &mut to_sequencer, out);
            }
            for input in std::mem::take(&mut to_sequencer) {
                let mut effects = Effects::default();
                self.sequencer.handle(now, input, &mut effects);
                self.pass_on(effects, true, &mut to_client, out);
            }
        }
    }
}

impl<W: Clone + Wire, C, S> OrderEngine for ClientAndSequencer<C, S>
where
    C: OrderEngine<Wire = W>,
    S: OrderEngine<Wire = W>,
{
    fn close(&mut self, out: &mut Out<W>) -> Vec<Batch> {
        self.client.close(out)
    }

    fn held(&self) -> usize {
        self.client.held()
    }

    fn backlog(&self, sender: MemberId) -> u64 {
        self.client.backlog(sender)
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.client.waiting()
    }

    fn clock(&self) -> Option<Clock> {
        self.client.clock()
    }

    fn advance(&mut self, now: Time, number: u64, out: &mut Out<W>) {
        let (mut effects, mut to_sequencer) = (Effects::default(), Vec::new());
        self.client.advance(now, number, &mut effects);
        self.pass_on(effects, true, &mut to_sequencer, out);
        self.settle(now, Vec::new(), to_sequencer, out);
    }

    fn next_number(&self) -> Option<u64> {
        self.client.next_number()
    }
}

/// The engine of a standby: it ignores all inputs until a later view makes it the sequencer.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Standby<W>(PhantomData<W>);

impl<W> Default for Standby<W> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<W> Engine for Standby<W> {
    type App = Batch;
    type Wire = W;

    fn handle(&mut self, _now: Time, _input: Input<Batch, W>, _out: &mut Out<W>) {}

    fn window(&self, _to: To) -> usize {
        0
    }
}

impl<W: Wire> OrderEngine for Standby<W> {}
