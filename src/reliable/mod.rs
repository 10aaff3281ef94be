//! Station 5: reliable delivery. Every member receives each packet and delivers it upwards exactly once.
//!
//! Packets are numbered per sender and destination. A receiver that sees a gap sends a NACK, after a short random wait,
//! and not at all if another member has just sent the same; the sender sends the packets again. A sender that stops
//! announces its last packet, so that the loss of the last ones is noticed too. Receivers acknowledge cumulatively; the
//! sender drops packets that all have, and is never more than a window ahead of the slowest receiver. Packets are
//! delivered upwards on receipt: the order is the task of the layer above.

pub mod basic;
pub mod carrier;
pub mod codec;
pub mod flood;
mod receive_window;
mod send_window;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, Time, To, View, sooner};
use crate::prng::Prng;
pub use crate::wire::weight::WINDOW_BYTES;
use crate::wire::{Window, Wire};
use receive_window::{Arrival, ReceiveWindow};
pub use receive_window::{NACK_AGAIN_FIRST, NACK_AGAIN_MAX, NACK_WAIT_MAX, NACK_WAIT_MIN};
use send_window::SendWindow;
pub use send_window::{ANNOUNCE_FIRST, ANNOUNCE_MAX, RESEND_GAP, WINDOW_PACKETS};

/// Most ranges in one NACK; a later one requests the rest.
pub const MAX_NACK_RANGES: usize = 16;

/// Longest time until a received packet is acknowledged in a small group; see [`ack_delay`] …
pub const ACK_DELAY: Duration = Duration::from_millis(10);
/// … or as soon as this many packets of one sender …
pub const ACK_PACKETS: u64 = WINDOW_PACKETS / 4;
/// … or bytes have been received.
pub const ACK_BYTES: usize = WINDOW_BYTES / 4;

/// Most acknowledgements that all members of a group together receive in a second because they are due …
const ACKS_PER_SECOND: u32 = 5000;
/// … unless that would delay one by more than this.
const ACK_DELAY_MAX: Duration = Duration::from_millis(500);

/// Returns the longest time until an acknowledgement in a channel with so many other members. All members receive all
/// acknowledgements, so the work would grow with the square of their number.
#[must_use]
pub fn ack_delay(others: usize) -> Duration {
    let others = u32::try_from(others).unwrap_or(u32::MAX);
    let receptions = others.saturating_mul(others.saturating_add(1));
    (Duration::from_secs(1) * receptions / ACKS_PER_SECOND).clamp(ACK_DELAY, ACK_DELAY_MAX)
}

/// Returns the time after which a sender that has stopped asks for acknowledgements: they would have come by then.
fn announce_first(others: usize) -> Duration {
    ANNOUNCE_FIRST.max(ack_delay(others) * 4 / 3)
}

/// The reliable layer's part of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment<M> {
    /// The destination of the packet, and of the stream that it is about.
    pub to: To,
    /// The content.
    pub body: Body<M>,
}

/// The content of a segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body<M> {
    /// Packet `number` of the sender's stream to this destination; the first has number 1.
    Data {
        /// The sequence number.
        number: u64,
        /// The payload.
        message: M,
    },
    /// The sender's own progress, and its acknowledgements of others.
    Status {
        /// The number of the last packet it sent to this destination.
        sent: u64,
        /// Whether the sender requests an acknowledgement.
        asks: bool,
        /// The acknowledgements.
        received: Vec<Received>,
    },
    /// Request to send these packets of `sender` again.
    Nack {
        /// The sender of the packets.
        sender: MemberId,
        /// 1 to [`MAX_NACK_RANGES`] ranges of numbers, both ends included.
        missing: Vec<(u64, u64)>,
    },
}

/// The acknowledgement of one sender's packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Received {
    /// The sender.
    pub sender: MemberId,
    /// The number up to which all its packets have been received.
    pub complete: u64,
    /// The backlog: how many of these packets are held back, at most `complete`. The sender may be ahead of deliveries
    /// by no more than its window.
    pub held: u16,
}

/// One member's reliable layer; `M` is the payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reliable<M> {
    me: MemberId,
    channels: BTreeMap<To, Channel<M>>,
    /// The channels that have a deadline; most pairs have none.
    active: BTreeSet<To>,
    jitter: Prng,
    defects: Defects,
}

/// One destination: this member's stream to it, and the streams of the others to the same destination.
///
/// The group is one channel with all other members; each pair of members has another.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Channel<M> {
    to: To,
    outgoing: SendWindow<M>,
    incoming: BTreeMap<MemberId, ReceiveWindow>,
    ack_delay: Duration,
    ack_due: Option<Time>,
    /// The time of the first NACK to any sender.
    nack_due: Option<Time>,
    /// True if the next Status has to request an acknowledgement.
    asks: bool,
}

type Out<M> = Effects<M, Segment<M>>;

impl<M: Wire> Reliable<M> {
    /// Returns the layer of `me` in `view`. `seed` is that of the back-off jitter, `window` that of each stream.
    #[must_use]
    pub fn new(me: MemberId, view: &View, seed: u64, window: Window, defects: Defects) -> Self {
        let others: Vec<MemberId> = view.members().into_iter().filter(|&member| member != me).collect();
        let mut channels = BTreeMap::from([(To::Group, Channel::new(To::Group, &others, window))]);
        for &other in &others {
            channels.insert(To::Member(other), Channel::new(To::Member(other), &[other], window));
        }
        Self { me, channels, active: BTreeSet::new(), jitter: Prng::new(seed), defects }
    }

    fn receive(&mut self, now: Time, from: MemberId, segment: Segment<M>, out: &mut Out<M>) {
        let to = match segment.to {
            To::Group => To::Group,
            To::Member(member) if member == self.me => To::Member(from),
            To::Member(_) => return out.drop(from, DropReason::Stranger),
        };
        // Ignore non-members: they must not trigger resends or suppress our NACKs.
        let Some(channel) = self.channels.get_mut(&to).filter(|channel| channel.incoming.contains_key(&from))
        else {
            return out.drop(from, DropReason::Stranger);
        };
        let outcome = match segment.body {
            Body::Data { number, message } => {
                let weight = message.weight().bytes;
                let arrival = channel.data(now, from, number, weight, &mut self.jitter);
                let passes = arrival == Ok(())
                    || (arrival == Err(DropReason::Duplicate) && self.defects.has(Defect::NoDuplicateFilter));
                if passes {
                    out.deliver(from, None, message);
                }
                arrival
            }
            Body::Status { sent, asks, received } => {
                let ours = received.iter().find(|other| other.sender == self.me).copied();
                if ours.is_some_and(|ours| ours.complete > channel.outgoing.last_sent()) {
                    Err(DropReason::BreaksContract)
                } else {
                    let announced = channel.announced(now, from, sent, asks, &mut self.jitter);
                    announced.map(|()| channel.acknowledged(now, from, ours, out))
                }
            }
            Body::Nack { sender, missing } if sender == self.me => channel.resend(now, &missing, out),
            Body::Nack { sender, missing } => {
                channel.overhear(now, sender, &missing, &mut self.jitter);
                Ok(())
            }
        };
        self.note(to);
        if let Err(reason) = outcome {
            out.drop(from, reason);
        }
    }

    /// Notes whether a channel that has changed has a deadline.
    fn note(&mut self, to: To) {
        if self.channels.get(&to).is_some_and(|channel| channel.next_deadline().is_some()) {
            self.active.insert(to);
        } else {
            self.active.remove(&to);
        }
    }

    /// Notes which channels have a deadline.
    fn note_all(&mut self) {
        let active = self.channels.values().filter(|channel| channel.next_deadline().is_some());
        self.active = active.map(|channel| channel.to).collect();
    }

    /// Sends everything that waits for a window, even beyond it.
    pub(crate) fn flush(&mut self, now: Time, out: &mut Out<M>) {
        for channel in self.channels.values_mut() {
            while let Some((number, message)) = channel.outgoing.next_to_send_anyway(now) {
                out.send(channel.to, channel.segment(Body::Data { number, message }));
            }
            // A leaving member acknowledges direct messages, so that their senders need not report them undeliverable.
            if channel.to != To::Group && channel.ack_due.is_some() {
                channel.tell_status(false, self.defects, out);
            }
        }
        self.note_all();
    }

    /// Notes the backlog of `sender` in this channel, in packets, and reports it with the next acknowledgement.
    pub(crate) fn report_backlog(&mut self, now: Time, of: To, sender: MemberId, packets: u64) {
        let Some(channel) = self.channels.get_mut(&of) else { return };
        if let Some(window) = channel.incoming.get_mut(&sender) {
            window.set_backlog(packets);
            channel.owe(now.after(channel.ack_delay));
            self.note(of);
        }
    }

    /// Asks every receiver of the group's channel for an acknowledgement.
    pub(crate) fn request_acknowledgements(&mut self, now: Time) {
        if let Some(channel) = self.channels.get_mut(&To::Group) {
            channel.asks = true;
            channel.owe(now);
            self.note(To::Group);
        }
    }

    /// Acknowledges the packets to the group, if an acknowledgement is due sooner or later.
    pub(crate) fn acknowledge(&mut self, out: &mut Out<M>) {
        if let Some(channel) = self.channels.get_mut(&To::Group).filter(|channel| channel.ack_due.is_some()) {
            channel.tell_status(false, self.defects, out);
            self.note(To::Group);
        }
    }

    /// Returns how many packets to the group wait for the window.
    pub(crate) fn unsent(&self) -> u64 {
        self.channels.get(&To::Group).map_or(0, |channel| channel.outgoing.unsent())
    }

    /// Returns the packets in pair channels that are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = &M> {
        self.pairs().flat_map(|(_, outgoing)| outgoing.unacknowledged())
    }

    /// Returns how many packets without messages wait for the window of a pair channel, at most.
    pub(crate) fn most_urgent(&self) -> u64 {
        self.pairs().map(|(_, outgoing)| outgoing.urgent()).max().unwrap_or(0)
    }

    /// Returns the one receiver of a pair channel that is behind all others, and its cumulative acknowledgement.
    pub(crate) fn slowest_of_pairs(&self) -> Option<(MemberId, u64)> {
        let lag = |(member, outgoing): (MemberId, &SendWindow<M>)| {
            let (received, lacks) = outgoing.progress();
            (lacks, member, received)
        };
        let (most, member, received) = self.pairs().map(lag).max()?;
        let is_alone = self.pairs().map(lag).all(|(lacks, other, _)| other == member || lacks < most);
        (is_alone && most > 0).then_some((member, received))
    }

    /// Returns the stream to each single member.
    fn pairs(&self) -> impl Iterator<Item = (MemberId, &SendWindow<M>)> {
        self.channels.iter().filter_map(|(to, channel)| match to {
            To::Group => None,
            To::Member(member) => Some((*member, &channel.outgoing)),
        })
    }

    /// Returns whether every receiver has delivered everything that was submitted.
    pub(crate) fn is_settled(&self) -> bool {
        self.channels.values().all(|channel| channel.outgoing.is_settled())
    }

    /// Returns the one receiver of the group's channel that is behind all others, and its cumulative acknowledgement.
    pub(crate) fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        self.channels.get(&To::Group)?.outgoing.slowest_receiver()
    }
}

impl<M: Wire> Channel<M> {
    fn new(to: To, others: &[MemberId], window: Window) -> Self {
        Self {
            to,
            outgoing: SendWindow::new(others, window, announce_first(others.len())),
            incoming: others.iter().map(|&other| (other, ReceiveWindow::default())).collect(),
            ack_delay: ack_delay(others.len()),
            ack_due: None,
            nack_due: None,
            asks: false,
        }
    }

    fn segment(&self, body: Body<M>) -> Segment<M> {
        Segment { to: self.to, body }
    }

    /// Sends the packets for which the window has room.
    fn flow(&mut self, now: Time, out: &mut Out<M>) {
        while let Some((number, message)) = self.outgoing.next_to_send(now) {
            out.send(self.to, self.segment(Body::Data { number, message }));
        }
    }

    fn data(
        &mut self,
        now: Time,
        from: MemberId,
        number: u64,
        weight: usize,
        jitter: &mut Prng,
    ) -> Result<(), DropReason> {
        let window = self.incoming.get_mut(&from).ok_or(DropReason::Stranger)?;
        let arrival = window.receive(now, number, jitter);
        let many = arrival == Arrival::New && window.owes(weight);
        let nack_at = window.nack_at();
        self.note_nack(nack_at);
        if arrival != Arrival::Outside {
            // A duplicate needs an acknowledgement, since the last one may be lost, but an ordinary one: with two
            // forwarders, each packet is received twice.
            self.owe(if many { now } else { now.after(self.ack_delay) });
        }
        match arrival {
            Arrival::New => Ok(()),
            Arrival::Duplicate => Err(DropReason::Duplicate),
            Arrival::Outside => Err(DropReason::OutsideWindow),
        }
    }

    /// Handles the announcement of `from`, which may request an acknowledgement.
    fn announced(
        &mut self,
        now: Time,
        from: MemberId,
        sent: u64,
        asks: bool,
        jitter: &mut Prng,
    ) -> Result<(), DropReason> {
        let window = self.incoming.get_mut(&from).ok_or(DropReason::Stranger)?;
        if !window.announced(now, sent, jitter) {
            return Err(DropReason::OutsideWindow);
        }
        let nack_at = window.nack_at();
        self.note_nack(nack_at);
        if asks {
            self.owe(now.after(self.ack_delay));
        }
        Ok(())
    }

    /// Handles the acknowledgement of `from`: the window may have room again.
    fn acknowledged(&mut self, now: Time, from: MemberId, ours: Option<Received>, out: &mut Out<M>) {
        if let Some(Received { complete, held, .. }) = ours {
            self.outgoing.acknowledged(now, from, complete, held.into());
            self.flow(now, out);
        }
    }

    fn resend(&mut self, now: Time, missing: &[(u64, u64)], out: &mut Out<M>) -> Result<(), DropReason> {
        if missing.iter().any(|&(_, last)| last > self.outgoing.last_sent()) {
            return Err(DropReason::BreaksContract);
        }
        for &range in missing {
            for (number, message) in self.outgoing.again(now, range) {
                out.send(self.to, Segment { to: self.to, body: Body::Data { number, message } });
            }
        }
        Ok(())
    }

    /// Handles another member's NACK to `sender`: if it covers all gaps, our own can wait.
    fn overhear(&mut self, now: Time, sender: MemberId, missing: &[(u64, u64)], jitter: &mut Prng) {
        if let Some(window) = self.incoming.get_mut(&sender) {
            window.overheard(now, missing, jitter);
            let nack_at = window.nack_at();
            self.note_nack(nack_at);
        }
    }

    /// Owes an acknowledgement by this time.
    fn owe(&mut self, time: Time) {
        self.ack_due = sooner(self.ack_due, Some(time));
    }

    /// Notes that the NACK to one sender is now due at this time.
    fn note_nack(&mut self, nack_at: Option<Time>) {
        if nack_at.is_some() || self.nack_due.is_some() {
            self.nack_due = self.incoming.values().map(ReceiveWindow::nack_at).fold(None, sooner);
        }
    }

    /// Sends a Status: the last own packet, and the acknowledgements of all others.
    fn tell_status(&mut self, asks: bool, defects: Defects, out: &mut Out<M>) {
        let sent = if defects.has(Defect::NoTailAnnouncement) { 0 } else { self.outgoing.last_sent() };
        let received = self.incoming.iter().map(|(&sender, window)| window.account(sender)).collect();
        out.send(self.to, self.segment(Body::Status { sent, asks, received }));
        self.ack_due = None;
        self.incoming.values_mut().for_each(ReceiveWindow::acknowledged);
    }

    fn wake(&mut self, now: Time, jitter: &mut Prng, defects: Defects, out: &mut Out<M>) {
        let is_due = |deadline: Option<Time>| deadline.is_some_and(|due| due <= now);
        let announces = is_due(self.outgoing.announce_at());
        if announces {
            self.outgoing.announced(now);
        }
        let asks = announces || std::mem::take(&mut self.asks);
        if is_due(self.ack_due) || (asks && !defects.has(Defect::NoTailAnnouncement)) {
            self.tell_status(asks, defects, out);
        }
        if !is_due(self.nack_due) {
            return;
        }
        for (&sender, window) in &mut self.incoming {
            if is_due(window.nack_at()) {
                let missing = window.ask(now, jitter);
                if defects.has(Defect::NoNack) {
                    continue;
                }
                out.send(self.to, Segment { to: self.to, body: Body::Nack { sender, missing } });
            }
        }
        self.note_nack(None);
    }

    fn next_deadline(&self) -> Option<Time> {
        sooner(sooner(self.outgoing.announce_at(), self.ack_due), self.nack_due)
    }
}

impl<M: Wire> Engine for Reliable<M> {
    type App = M;
    type Wire = Segment<M>;

    fn handle(&mut self, now: Time, input: Input<M, Segment<M>>, out: &mut Out<M>) {
        match input {
            Input::Submit { to, app } => {
                let channel = self.channels.get_mut(&to).expect("the layer above knows the members");
                channel.outgoing.submit(app);
                channel.flow(now, out);
                self.note(to);
            }
            Input::Receive { from, message } => self.receive(now, from, message, out),
            Input::Wake => {
                for channel in self.channels.values_mut() {
                    channel.wake(now, &mut self.jitter, self.defects, out);
                }
                self.note_all();
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.active
            .iter()
            .filter_map(|to| self.channels.get(to))
            .map(Channel::next_deadline)
            .fold(None, sooner)
    }

    fn window(&self, to: To) -> usize {
        self.channels.get(&to).map_or(0, |channel| channel.outgoing.room())
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sender, self.complete)?;
        if self.held == 0 { Ok(()) } else { write!(f, "(-{})", self.held) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Effect;
    use crate::wire::{Batch, BatchBuilder};

    #[test]
    fn acknowledgements_come_more_rarely_in_large_groups() {
        for (others, millis) in [(1, 10), (6, 10), (15, 48), (31, 198), (49, 490), (usize::MAX, 500)] {
            assert_eq!(ack_delay(others).as_millis(), millis, "{others} others");
        }
    }

    #[test]
    fn a_stranger_can_neither_ask_nor_answer() {
        let view = View {
            number: 1,
            clients: vec![MemberId(0), MemberId(1)],
            sequencer: None,
            candidates: Vec::new(),
        };
        let mut layer = Reliable::new(MemberId(0), &view, 1, Window::default(), Defects::NONE);
        let mut out = Effects::<Batch, Segment<Batch>>::default();
        let mut batch = BatchBuilder::new(1);
        batch.push(b"hello");
        let app = batch.finish().expect("not empty");
        layer.handle(Time::ZERO, Input::Submit { to: To::Group, app }, &mut out);
        let sent: Vec<_> = out.drain().collect();
        assert!(matches!(sent[..], [Effect::Send { to: To::Group, .. }]));

        let later = Time::ZERO.after(RESEND_GAP);
        let got = Received { sender: MemberId(0), complete: 1, held: 0 };
        let nack = || Body::Nack { sender: MemberId(0), missing: vec![(1, 1)] };
        for body in [nack(), Body::Status { sent: 1, asks: true, received: vec![got] }] {
            let message = Segment { to: To::Group, body };
            layer.handle(later, Input::Receive { from: MemberId(9), message }, &mut out);
            let expected = Effect::Drop { from: MemberId(9), reason: DropReason::Stranger };
            assert_eq!(out.drain().collect::<Vec<_>>(), [expected]);
        }

        let message = Segment { to: To::Group, body: nack() };
        layer.handle(later, Input::Receive { from: MemberId(1), message }, &mut out);
        assert_eq!(out.drain().collect::<Vec<_>>(), sent, "a member may ask");
    }
}
