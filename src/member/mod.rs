//! Station 6: one member of the group: what a client asks for goes to its order, to one other member, or into
//! the announcement that it has finished; what comes back up is sorted the same way.

mod departure;
mod detector;
pub mod election;
mod finish;
pub mod flush;
mod log;
pub mod membership;
pub mod newcomer;
pub mod replay;
mod seats;
mod stable;
mod watch;
pub mod word;

use crate::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::order::Place;
use crate::reliable::Reliable;
use crate::stack::Stack;
use crate::waiting::{Clock, Waiting};
use crate::wire::control::Seat;
use crate::wire::{Batch, Encoded, Frames, Malformed, Reader, Weight, Wire, Writer};
pub use departure::{Departure, Fence, Notice};
pub use detector::Patience;
pub use finish::{Finish, Tally};
pub use membership::{Keeping, Membership};
pub use newcomer::Newcomer;
use replay::Replay;
pub use watch::{Note, Watch};

/// The whole line of engines of one member, down to bytes.
pub type Line = Box<dyn Engine<App = App, Wire = Frames> + Send>;

/// What a client submits and is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum App {
    /// Messages for the group, in the group's order.
    Multicast(Batch),
    /// Messages for one member, in the order they were sent.
    Direct(Batch),
    /// The submitting client will send nothing more.
    Finished(Tally),
    /// To one member: about what was before a newcomer came.
    Replay(Replay),
    /// Given, never submitted: from here on the group is this one; with those who are new in it.
    View(View, Vec<Seat>),
    /// Given, never submitted: this member is not in the group any more, for this reason.
    Fenced(Fence),
    /// Given, never submitted: something about a member, for people.
    Notice(Notice),
    /// Given, never submitted: messages of our own that will not reach the one member they are for, which is the `from` of
    /// the effect.
    Undeliverable(Batch, Undelivered),
}

/// Why a message to one member is undeliverable: its receiver is not in the group any more, and …
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Undelivered {
    /// … the message was never sent: the receiver does not have it.
    NotSent,
    /// … the receiver has not acknowledged the message, which it may have received all the same.
    NotAcknowledged,
}

/// The tag of [`Message::Direct`].
const DIRECT: u8 = 2;

/// What members exchange above the reliable layer; `M` is what the order exchanges.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message<M> {
    /// For the order's engine.
    Ordered(M),
    /// Messages for one member.
    Direct(Batch),
    /// The sender will send nothing more.
    Finished(Tally),
    /// About what was before a newcomer came.
    Replay(Replay),
}

/// One member: an order beside the direct streams and the finish.
#[derive(Debug)]
pub struct Member<O: Engine> {
    order: O,
    effects: Effects<O::App, O::Wire>,
    clients: Vec<MemberId>,
}

/// Puts a member with this order on a reliable layer, and that on the wire.
pub(crate) fn assemble<O>(order: O, place: Place<'_>) -> Line
where
    O: Engine<App = Batch> + Send + 'static,
    O::Wire: Wire + Send + 'static,
{
    let reliable = Reliable::new(place.me, place.view, place.seed, place.window, place.defects);
    let stack = Stack::new(Member::new(order, place.view), reliable);
    Box::new(Encoded::new(stack, (place.run, place.view.number as u16), place.me))
}

impl<O: Engine<App = Batch>> Member<O> {
    /// A member of `view` whose multicasts `order` orders.
    pub fn new(order: O, view: &View) -> Self {
        Self { order, effects: Effects::default(), clients: view.clients.clone() }
    }

    fn ordered(&mut self, now: Time, input: Input<Batch, O::Wire>, out: &mut Effects<App, Message<O::Wire>>) {
        self.order.handle(now, input, &mut self.effects);
        self.pass_on(out);
    }

    fn pass_on(&mut self, out: &mut Effects<App, Message<O::Wire>>) {
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to, message } => out.send(to, Message::Ordered(message)),
                Effect::Deliver { from, number, app } => out.deliver(from, number, App::Multicast(app)),
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
    }
}

impl<O: Engine<App = Batch>> Engine for Member<O> {
    type App = App;
    type Wire = Message<O::Wire>;

    fn handle(&mut self, now: Time, input: Input<App, Self::Wire>, out: &mut Effects<App, Self::Wire>) {
        match input {
            Input::Submit { to, app: App::Multicast(batch) } => {
                self.ordered(now, Input::Submit { to, app: batch }, out);
            }
            Input::Submit { to, app: App::Direct(batch) } => out.send(to, Message::Direct(batch)),
            Input::Submit { to, app: App::Finished(tally) } => out.send(to, Message::Finished(tally)),
            Input::Submit { to, app: App::Replay(replay) } => out.send(to, Message::Replay(replay)),
            // What a membership alone gives, nobody submits.
            Input::Submit {
                app: App::View(..) | App::Fenced(_) | App::Notice(_) | App::Undeliverable(..),
                ..
            } => {}
            Input::Receive { from, message: Message::Ordered(message) } => {
                self.ordered(now, Input::Receive { from, message }, out);
            }
            // In the order of arrival: the membership above puts them in theirs.
            Input::Receive { from, message: Message::Direct(batch) } if self.clients.contains(&from) => {
                out.deliver(from, None, App::Direct(batch));
            }
            Input::Receive { from, message: Message::Finished(tally) } if self.clients.contains(&from) => {
                out.deliver(from, None, App::Finished(tally));
            }
            Input::Receive { from, message: Message::Replay(replay) } if self.clients.contains(&from) => {
                out.deliver(from, None, App::Replay(replay));
            }
            // Whoever sends nothing has nothing to finish, and would be waited for.
            Input::Receive {
                from,
                message: Message::Direct(_) | Message::Finished(_) | Message::Replay(_),
            } => {
                out.drop(from, DropReason::Stranger);
            }
            Input::Wake => self.ordered(now, Input::Wake, out),
        }
    }

    fn flush(&mut self, now: Time, out: &mut Effects<App, Self::Wire>) {
        self.order.flush(now, &mut self.effects);
        self.pass_on(out);
    }

    fn close(&mut self, out: &mut Effects<App, Self::Wire>) -> Vec<App> {
        let open = self.order.close(&mut self.effects);
        self.pass_on(out);
        open.into_iter().map(App::Multicast).collect()
    }

    fn next_deadline(&self) -> Option<Time> {
        self.order.next_deadline()
    }

    fn window(&self, to: To) -> usize {
        match to {
            To::Group => self.order.window(to),
            To::Member(_) => usize::MAX,
        }
    }

    /// What waits for its order; messages to one member are not counted.
    fn held(&self) -> usize {
        self.order.held()
    }

    fn held_of(&self, sender: MemberId) -> u64 {
        self.order.held_of(sender)
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.order.waiting()
    }

    fn clock(&self) -> Option<Clock> {
        self.order.clock()
    }
}

impl<M: Wire> Wire for Message<M> {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Ordered(message) => {
                out.u8(1);
                message.write(out);
            }
            Self::Direct(batch) => {
                out.u8(DIRECT);
                batch.write(out);
            }
            Self::Finished(tally) => {
                out.u8(3);
                tally.write(out);
            }
            Self::Replay(replay) => {
                out.u8(4);
                replay.write(out);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Ordered(M::read(from)?)),
            DIRECT => Ok(Self::Direct(Batch::read(from)?)),
            3 => Ok(Self::Finished(Tally::read(from)?)),
            4 => Ok(Self::Replay(Replay::read(from)?)),
            _ => Err(Malformed),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Ordered(message) => message.weight(),
            Self::Direct(batch) => batch.weight(),
            Self::Finished(_) => Weight::default(),
            Self::Replay(replay) => replay.weight(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::unordered::Unordered;

    #[test]
    fn only_clients_finish() {
        let (client, sequencer) = (MemberId(1), MemberId(2));
        let view = View {
            number: 1,
            clients: vec![MemberId(0), client],
            sequencer: Some(sequencer),
            candidates: Vec::new(),
        };
        let mut member = Member::new(Unordered::new(MemberId(0)), &view);
        let mut heard = |from| {
            let (mut out, message) = (Effects::default(), Message::Finished(Tally::default()));
            member.handle(Time::ZERO, Input::Receive { from, message }, &mut out);
            out.drain().next()
        };
        let app = App::Finished(Tally::default());
        assert_eq!(heard(client), Some(Effect::Deliver { from: client, number: None, app }));
        assert_eq!(heard(sequencer), Some(Effect::Drop { from: sequencer, reason: DropReason::Stranger }));
    }
}
