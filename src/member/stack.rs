//! The protocol stack of one member in one view: an order on the reliable layer, down to bytes.
//!
//! A submission goes down (order, carrier, reliable layer, bytes), a packet comes up the same way. Direct messages, the
//! finish and replays pass order and carrier by. Simulation and real runs use this code alike.

use std::collections::{BTreeMap, VecDeque};

use super::app::App;
use super::replay::Replay;
use super::tally::Tally;
use crate::defect::Defects;
use crate::engine::{
    DropReason, Effect, Effects, Engine, Input, MemberId, OrderEngine, Time, To, View, sooner,
};
use crate::order::agreed::Agreed;
use crate::order::causal::Causal;
use crate::order::fifo::Fifo;
use crate::order::lamport::Lamport;
use crate::order::roles::{ClientAndSequencer, Standby};
use crate::order::total_bb::{SequencerBb, TotalBb};
use crate::order::total_log::SequencerLog;
use crate::order::total_ub::{SequencerUb, TotalUb};
use crate::order::total_uub::{SequencerUub, TotalUub};
use crate::order::unordered::Unordered;
use crate::order::{Algorithm, Order, Reliability};
use crate::reliable::basic::Basic;
use crate::reliable::carrier::{ByGroup, Carrier};
use crate::reliable::codec::{decode, encode};
use crate::reliable::flood::Flood;
use crate::reliable::{Reliable, Segment};
use crate::waiting::{Clock, Waiting};
use crate::wire::header::HEADER_LEN;
use crate::wire::{Batch, Malformed, Packet, Reader, Weight, Window, Wire, Writer};

/// The configuration of a protocol stack.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig<'a> {
    /// The member.
    pub me: MemberId,
    /// The view.
    pub view: &'a View,
    /// The run number, which every packet carries.
    pub run: u64,
    /// The seed of the back-off jitter; different for each member.
    pub seed: u64,
    /// The most data in flight, for each destination.
    pub window: Window,
    /// Planted defects.
    pub defects: Defects,
}

/// The operations of a protocol stack beside those of every engine.
pub trait Stack: Engine<App = App, Wire = Packet> + Send {
    /// Sends everything that is owed to others, even beyond the window: this member sends nothing more in this view.
    fn flush(&mut self, now: Time, out: &mut Effects<App, Packet>);

    /// Ends the view, from which these members go on. Delivers what is deliverable only now, and returns this member's
    /// undelivered submissions.
    fn close(&mut self, members: &[MemberId], out: &mut Effects<App, Packet>) -> Vec<App>;

    /// Asks every receiver for an acknowledgement.
    fn request_acknowledgements(&mut self, now: Time);

    /// Acknowledges the packets to the group, if some have been received since the last acknowledgement.
    fn acknowledge(&mut self, out: &mut Effects<App, Packet>);

    /// Returns the depth of the hold-back queue, in batches.
    fn held(&self) -> usize;

    /// Returns whether every receiver has delivered every submission.
    fn is_settled(&self) -> bool;

    /// Returns how many packets in the channel of the group wait for its window.
    fn unsent(&self) -> u64;

    /// Returns the one receiver that is behind all others, and its cumulative acknowledgement.
    fn slowest_receiver(&self) -> Option<(MemberId, u64)>;

    /// Returns the messages that are held back, each with the reason.
    fn waiting(&self) -> Vec<Waiting>;

    /// Returns the logical clock, in an order that has one.
    fn clock(&self) -> Option<Clock>;

    /// Returns the lowest global number that a later delivery can have, in an order that has a sequencer.
    fn next_number(&self) -> Option<u64>;
}

/// A protocol stack, whatever its order.
pub type ProtocolStack = Box<dyn Stack>;

/// Builds the protocol stack of a member for `order`.
#[must_use]
pub fn build(order: &Order, config: StackConfig<'_>) -> ProtocolStack {
    let StackConfig { me, view, defects, .. } = config;
    match order.algorithm {
        Algorithm::Unordered => carried(order.reliability, Unordered::new(me), config),
        Algorithm::Fifo => carried(order.reliability, Fifo::new(me, view, defects), config),
        Algorithm::Causal => carried(order.reliability, Causal::new(me, view, defects), config),
        Algorithm::Bb => sequenced(
            config,
            |sequencer| TotalBb::new(me, view, sequencer, defects),
            || SequencerBb::new(view, defects),
        ),
        Algorithm::Ub => sequenced(
            config,
            |sequencer| TotalUb::new(me, view, sequencer),
            || SequencerUb::new(view, defects),
        ),
        Algorithm::Uub => {
            sequenced(config, |sequencer| TotalUub::new(me, view, sequencer), || SequencerUub::new(view))
        }
        Algorithm::Log => sequenced(
            config,
            |sequencer| TotalUb::new(me, view, sequencer),
            || SequencerLog::new(view, !view.clients.contains(&me), defects),
        ),
        Algorithm::Lamport => layers(Lamport::new(me, view, defects), config),
        Algorithm::Agreed => layers(Agreed::new(me, view, defects), config),
    }
}

/// Builds the stack of a client, a sequencer, a client that is the sequencer, or a standby.
fn sequenced<C, S>(
    config: StackConfig<'_>,
    client: impl Fn(MemberId) -> C,
    sequencer: impl Fn() -> S,
) -> ProtocolStack
where
    C: OrderEngine + Send + 'static,
    S: OrderEngine<Wire = C::Wire> + Send + 'static,
    C::Wire: Wire + Send + 'static,
{
    let StackConfig { me, view, .. } = config;
    let numbers = view.sequencer.expect("a view of an order with a sequencer has one");
    match (view.clients.contains(&me), numbers == me) {
        (true, false) => layers(client(numbers), config),
        (false, true) => layers(sequencer(), config),
        (true, true) => layers(ClientAndSequencer::new(me, client(numbers), sequencer()), config),
        (false, false) => layers(Standby::<C::Wire>::default(), config),
    }
}

/// Builds the stack of an order over the carrier of this reliability.
fn carried<O>(reliability: Reliability, order: O, config: StackConfig<'_>) -> ProtocolStack
where
    O: OrderEngine + Send + 'static,
    O::Wire: Send + 'static,
{
    let StackConfig { me, view, defects, .. } = config;
    match reliability {
        Reliability::Nack => layers(order, config),
        Reliability::Basic => Box::new(Layers::new(order, Basic::new(me, view), config)),
        Reliability::Flood => Box::new(Layers::new(order, Flood::new(me, view, defects), config)),
    }
}

fn layers<O>(order: O, config: StackConfig<'_>) -> ProtocolStack
where
    O: OrderEngine + Send + 'static,
    O::Wire: Send + 'static,
{
    Box::new(Layers::new(order, ByGroup::default(), config))
}

/// The tag of [`Message::Direct`].
const DIRECT: u8 = 2;

/// Returns whether a data packet carries direct messages: the tag stands behind the sequence number.
pub(super) fn is_direct(packet: &Packet) -> bool {
    packet.frames.header.get(HEADER_LEN + size_of::<u64>()) == Some(&DIRECT)
}

/// The payload of a numbered packet; `M` is the wire type of the order's carrier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message<M> {
    /// For the order.
    Ordered(M),
    /// Messages for one member.
    Direct(Batch),
    /// The end of what the sender sends.
    Finished(Tally),
    /// Deliveries from before a newcomer joined.
    Replay(Replay),
}

/// An order over its carrier on the reliable layer.
struct Layers<O: OrderEngine, C: Carrier<App = O::Wire>> {
    order: O,
    carrier: C,
    reliable: Reliable<Message<C::Wire>>,
    me: MemberId,
    /// The run number and the view number, as in the header.
    epoch: (u64, u16),
    clients: Vec<MemberId>,
    /// The backlog of each sender, as last reported to the reliable layer.
    backlogs: BTreeMap<MemberId, u64>,
    /// How many packets the carrier sends on for others and cannot send yet.
    congestion: u64,
    // Reused between calls, empty outside of them.
    steps: VecDeque<Step<O::Wire, C::Wire>>,
    touched: Vec<MemberId>,
    from_order: Effects<Batch, O::Wire>,
    from_carrier: Effects<O::Wire, C::Wire>,
    from_reliable: Effects<Message<C::Wire>, Segment<Message<C::Wire>>>,
}

/// A message on its way between the layers.
enum Step<M, C> {
    /// From the order to the carrier.
    Carry(To, M),
    /// From the carrier to the reliable layer.
    Down(To, Message<C>),
    /// From the reliable layer.
    Up(MemberId, Message<C>),
    /// From the carrier to the order.
    Arrived(MemberId, M),
}

impl<O, C> Layers<O, C>
where
    O: OrderEngine,
    C: Carrier<App = O::Wire, Wire: Wire>,
{
    fn new(order: O, carrier: C, config: StackConfig<'_>) -> Self {
        let StackConfig { me, view, run, seed, window, defects } = config;
        Self {
            order,
            carrier,
            reliable: Reliable::new(me, view, seed, window, defects),
            me,
            epoch: (run, view.number as u16),
            clients: view.clients.clone(),
            backlogs: BTreeMap::new(),
            congestion: 0,
            steps: VecDeque::new(),
            touched: Vec::new(),
            from_order: Effects::default(),
            from_carrier: Effects::default(),
            from_reliable: Effects::default(),
        }
    }

    fn submit(&mut self, now: Time, to: To, app: App) {
        let message = match app {
            App::Multicast(batch) => {
                return self.order.handle(now, Input::Submit { to, app: batch }, &mut self.from_order);
            }
            App::Advance(number) => return self.order.advance(now, number, &mut self.from_order),
            App::Direct(batch) => Message::Direct(batch),
            App::Finished(tally) => Message::Finished(tally),
            App::Replay(replay) => Message::Replay(replay),
            // The membership delivers these; nobody submits them.
            App::View(..) | App::Fenced(_) | App::Notice(_) | App::Undeliverable(..) | App::Record(_) => {
                return;
            }
        };
        self.reliable.handle(now, Input::Submit { to, app: message }, &mut self.from_reliable);
    }

    fn receive(&mut self, now: Time, from: MemberId, packet: Packet, out: &mut Effects<App, Packet>) {
        let sender = packet.header.sender;
        match decode(self.epoch, packet) {
            // A member delivers its own messages when it submits them, not when they come back to it.
            Ok(_) if sender == self.me => {}
            Ok(message) if sender == from => {
                self.reliable.handle(now, Input::Receive { from, message }, &mut self.from_reliable);
            }
            _ => out.drop(from, DropReason::Malformed),
        }
    }

    /// Gives a message that the reliable layer delivered to the carrier, or out.
    fn accept(
        &mut self,
        now: Time,
        from: MemberId,
        message: Message<C::Wire>,
        out: &mut Effects<App, Packet>,
    ) {
        let app = match message {
            Message::Ordered(message) => {
                return self.carrier.handle(now, Input::Receive { from, message }, &mut self.from_carrier);
            }
            // In the order of arrival: the membership puts direct messages in order, across views.
            Message::Direct(batch) => App::Direct(batch),
            Message::Finished(tally) => App::Finished(tally),
            Message::Replay(replay) => App::Replay(replay),
        };
        // A member that is not a client sends no messages and has nothing to finish. A sequencer tells of its log.
        if self.clients.contains(&from) || matches!(app, App::Replay(_)) {
            out.deliver(from, None, app);
        } else {
            out.drop(from, DropReason::Stranger);
        }
    }

    /// Moves messages between the layers until both are quiet, then reports backlogs that have changed.
    fn settle(&mut self, now: Time, out: &mut Effects<App, Packet>) {
        loop {
            self.collect(out);
            match self.steps.pop_front() {
                Some(Step::Carry(to, app)) => {
                    self.carrier.handle(now, Input::Submit { to, app }, &mut self.from_carrier);
                }
                Some(Step::Down(to, app)) => {
                    self.reliable.handle(now, Input::Submit { to, app }, &mut self.from_reliable);
                }
                Some(Step::Up(from, message)) => self.accept(now, from, message, out),
                Some(Step::Arrived(from, message)) => {
                    self.order.handle(now, Input::Receive { from, message }, &mut self.from_order);
                }
                None => break,
            }
        }
        self.report_backlogs(now);
    }

    /// Reports the backlogs that have changed. Packets that the carrier cannot send on yet count for every sender:
    /// otherwise a sender would be slowed down by its own links alone, and not by those that carry its packets on.
    fn report_backlogs(&mut self, now: Time) {
        if C::BY_PAIRS {
            let congestion = self.reliable.most_urgent();
            if std::mem::replace(&mut self.congestion, congestion) != congestion {
                self.touched.extend(self.clients.iter().filter(|&&client| client != self.me));
            }
        }
        for sender in self.touched.drain(..) {
            let backlog = self.order.backlog(sender).max(self.congestion);
            if self.backlogs.insert(sender, backlog).unwrap_or(0) != backlog {
                let channel = if C::BY_PAIRS { To::Member(sender) } else { To::Group };
                self.reliable.report_backlog(now, channel, sender, backlog);
            }
        }
    }

    /// Takes the effects of all layers: packets and deliveries go out, messages between the layers are queued.
    fn collect(&mut self, out: &mut Effects<App, Packet>) {
        for effect in self.from_reliable.drain() {
            match effect {
                Effect::Send { to, message } => out.send(to, encode(self.epoch, self.me, &message)),
                Effect::Deliver { from, app, .. } => {
                    self.touched.push(from);
                    self.steps.push_back(Step::Up(from, app));
                }
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
        for effect in self.from_carrier.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.steps.push_back(Step::Down(to, Message::Ordered(message)));
                }
                Effect::Deliver { from, app, .. } => {
                    self.touched.push(from);
                    self.steps.push_back(Step::Arrived(from, app));
                }
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
        for effect in self.from_order.drain() {
            match effect {
                Effect::Send { to, message } => self.steps.push_back(Step::Carry(to, message)),
                Effect::Deliver { from, number, app } => {
                    self.touched.push(from);
                    let is_client = self.clients.contains(&self.me);
                    let app = if is_client { App::Multicast(app) } else { App::Record(app) };
                    out.deliver(from, number, app);
                }
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
    }
}

impl<O, C> Engine for Layers<O, C>
where
    O: OrderEngine,
    C: Carrier<App = O::Wire, Wire: Wire>,
{
    type App = App;
    type Wire = Packet;

    fn handle(&mut self, now: Time, input: Input<App, Packet>, out: &mut Effects<App, Packet>) {
        match input {
            Input::Submit { to, app } => self.submit(now, to, app),
            Input::Receive { from, message } => self.receive(now, from, message, out),
            Input::Wake => {
                self.reliable.handle(now, Input::Wake, &mut self.from_reliable);
                self.order.handle(now, Input::Wake, &mut self.from_order);
            }
        }
        self.settle(now, out);
    }

    fn next_deadline(&self) -> Option<Time> {
        sooner(self.order.next_deadline(), self.reliable.next_deadline())
    }

    fn window(&self, to: To) -> usize {
        let order = if to == To::Group { self.order.window(to) } else { usize::MAX };
        let others = self.clients.iter().filter(|&&client| client != self.me);
        let by_pairs = others.map(|&other| self.reliable.window(To::Member(other))).min();
        let reliable = by_pairs.filter(|_| C::BY_PAIRS && to == To::Group);
        order.min(reliable.unwrap_or_else(|| self.reliable.window(to)))
    }
}

impl<O, C> Stack for Layers<O, C>
where
    O: OrderEngine<Wire: Send> + Send,
    C: Carrier<App = O::Wire, Wire: Wire + Send> + Send,
{
    fn flush(&mut self, now: Time, out: &mut Effects<App, Packet>) {
        self.order.flush(now, &mut self.from_order);
        self.settle(now, out);
        if C::BY_PAIRS {
            let unacknowledged = self.reliable.unacknowledged().filter_map(|message| match message {
                Message::Ordered(packet) => Some(packet.clone()),
                _ => None,
            });
            let left_over = self.carrier.left_over(unacknowledged.collect());
            let left_over =
                left_over.into_iter().map(|packet| Step::Down(To::Group, Message::Ordered(packet)));
            self.steps.extend(left_over);
            self.settle(now, out);
        }
        self.reliable.flush(now, &mut self.from_reliable);
        self.settle(now, out);
    }

    fn close(&mut self, members: &[MemberId], out: &mut Effects<App, Packet>) -> Vec<App> {
        if !C::AGREES {
            self.order.release(members, &mut self.from_order);
        }
        let open = self.order.close(&mut self.from_order);
        self.collect(out);
        // The view is over: nothing more is sent in it.
        self.steps.clear();
        open.into_iter().map(App::Multicast).collect()
    }

    fn request_acknowledgements(&mut self, now: Time) {
        self.reliable.request_acknowledgements(now);
    }

    fn acknowledge(&mut self, out: &mut Effects<App, Packet>) {
        self.reliable.acknowledge(&mut self.from_reliable);
        self.collect(out);
    }

    fn held(&self) -> usize {
        self.order.held()
    }

    fn is_settled(&self) -> bool {
        self.reliable.is_settled()
    }

    fn unsent(&self) -> u64 {
        self.reliable.unsent()
    }

    fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        if C::BY_PAIRS { self.reliable.slowest_of_pairs() } else { self.reliable.slowest_receiver() }
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.order.waiting()
    }

    fn clock(&self) -> Option<Clock> {
        self.order.clock()
    }

    fn next_number(&self) -> Option<u64> {
        self.order.next_number()
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
    use crate::reliable::ACK_DELAY;
    use crate::reliable::basic::Multicast;
    use crate::reliable::flood::Flooded;
    use crate::wire::BatchBuilder;

    #[test]
    fn finish_of_a_sequencer_is_dropped() {
        let (client, sequencer) = (MemberId(1), MemberId(2));
        let view = View {
            number: 1,
            clients: vec![MemberId(0), client],
            sequencer: Some(sequencer),
            candidates: Vec::new(),
        };
        let (run, seed, window, defects) = (1, 1, Window::default(), Defects::NONE);
        let config = StackConfig { me: MemberId(0), view: &view, run, seed, window, defects };
        let mut stack = Layers::new(Unordered::new(MemberId(0)), ByGroup::default(), config);
        let mut accepted = |from| {
            let mut out = Effects::default();
            stack.accept(Time::ZERO, from, Message::Finished(Tally::default()), &mut out);
            out.drain().next()
        };
        let app = App::Finished(Tally::default());
        assert_eq!(accepted(client), Some(Effect::Deliver { from: client, number: None, app }));
        assert_eq!(accepted(sequencer), Some(Effect::Drop { from: sequencer, reason: DropReason::Stranger }));
    }

    #[test]
    fn congested_flood_slows_every_sender() {
        let [me, sender, far] = [0, 1, 2].map(MemberId);
        let view =
            View { number: 1, clients: vec![me, sender, far], sequencer: None, candidates: Vec::new() };
        let (run, seed, window, defects) = (1, 1, Window::default(), Defects::NONE);
        let config = |me| StackConfig { me, view: &view, run, seed, window, defects };
        let flood = |me| Layers::new(Unordered::new(me), Flood::new(me, &view, defects), config(me));
        let (mut mine, mut theirs) = (flood(me), flood(sender));
        // The far member acknowledges nothing: what is sent on to it fills its window, and the rest waits here.
        let (mut out, mut now, mut submitted) = (Effects::default(), Time::ZERO, 0);
        for _ in 0..40 {
            while theirs.reliable.window(To::Member(me)) > 0 {
                submitted += 1;
                let mut batch = BatchBuilder::new(submitted);
                batch.push(b"x");
                let message = Multicast { number: submitted, message: batch.finish().unwrap() };
                let app = Message::Ordered(Flooded::Own(message));
                let to = To::Member(me);
                theirs.reliable.handle(now, Input::Submit { to, app }, &mut theirs.from_reliable);
                theirs.settle(now, &mut out);
            }
            exchange(now, &mut out, sender, &mut mine);
            now = now.after(ACK_DELAY);
            mine.handle(now, Input::Wake, &mut out);
            exchange(now, &mut out, me, &mut theirs);
        }
        let waiting = mine.reliable.most_urgent();
        assert!((1..=64).contains(&waiting), "{waiting} wait, of {submitted} submitted");
    }

    /// Gives a stack the packets that `from` has sent to it.
    fn exchange<O, C>(now: Time, out: &mut Effects<App, Packet>, from: MemberId, to: &mut Layers<O, C>)
    where
        O: OrderEngine,
        C: Carrier<App = O::Wire, Wire: Wire>,
    {
        let mut answers = Effects::default();
        for effect in out.drain() {
            if let Effect::Send { to: To::Member(member), message } = effect
                && member == to.me
            {
                to.handle(now, Input::Receive { from, message }, &mut answers);
            }
        }
        *out = answers;
    }
}
