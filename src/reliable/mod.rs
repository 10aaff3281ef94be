//! Station 5: does every member have it, exactly once?
//!
//! Packets are numbered per sender and destination. A receiver that sees a gap asks for what is missing (NACK,
//! after a short random wait, and not at all if another member has just asked the same); the sender sends it
//! again. A sender that falls silent announces how far it got, so that a lost tail is noticed too. Receivers
//! acknowledge cumulatively; what all have is stable and forgotten, and a sender never runs more than a window
//! ahead of the slowest. What goes up is delivered once, in the order of arrival: order is not our business.
//!
//! This is R-multicast over an unreliable B-multicast (CDK, section 15.4.2) with positive acknowledgements added
//! for stability, as in Kaashoek's history buffer.

mod receive_window;
mod send_window;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::defect::{Defect, Defects};
use crate::engine::{DropReason, Effects, Engine, Input, MemberId, Time, To, View, sooner};
use crate::prng::Prng;
pub use crate::wire::weight::WINDOW_BYTES;
use crate::wire::{Malformed, Reader, Window, Wire, Writer};
use receive_window::{Arrival, ReceiveWindow};
pub use receive_window::{NACK_AGAIN_FIRST, NACK_AGAIN_MAX, NACK_WAIT_MAX, NACK_WAIT_MIN};
use send_window::SendWindow;
pub use send_window::{ANNOUNCE_FIRST, ANNOUNCE_MAX, RESEND_GAP, WINDOW_PACKETS};

/// Most ranges in one NACK; what is beyond is asked for later.
pub const MAX_NACK_RANGES: usize = 16;

/// A received packet is acknowledged after at most this long; in a large group after a multiple of it, see
/// [`ack_delay`] …
pub const ACK_DELAY: Duration = Duration::from_millis(10);
/// … or as soon as this many packets of one sender …
pub const ACK_PACKETS: u64 = WINDOW_PACKETS / 4;
/// … or bytes have come.
pub const ACK_BYTES: usize = WINDOW_BYTES / 4;

/// Every member of a channel hears the acknowledgements of all: with many members they come more rarely, but before a
/// sender that has fallen silent would ask for them ([`ANNOUNCE_FIRST`]).
#[must_use]
pub fn ack_delay(members: usize) -> Duration {
    ACK_DELAY * (members as u32 / 8).clamp(1, 3)
}

/// What the reliable layers of two members exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet<M> {
    /// The destination whose stream this is about, and where the packet goes.
    pub to: To,
    /// What it says.
    pub body: Body<M>,
}

/// What a packet says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body<M> {
    /// Packet `number` of the sender's stream to this destination; the first has number 1.
    Data {
        /// Its number.
        number: u64,
        /// What it carries.
        message: M,
    },
    /// How far the sender got, and how far it has received others.
    Status {
        /// The number of the last packet it sent to this destination.
        sent: u64,
        /// Whether it wants an acknowledgement in return.
        asks: bool,
        /// How far it has received the others.
        received: Vec<Received>,
    },
    /// Please send these packets of `sender` again.
    Nack {
        /// Whose packets.
        sender: MemberId,
        /// 1 to [`MAX_NACK_RANGES`] ranges of numbers, both ends included.
        missing: Vec<(u64, u64)>,
    },
}

/// How far a member has received another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Received {
    /// The other.
    pub sender: MemberId,
    /// The number up to which every packet of it has arrived.
    pub complete: u64,
    /// How many of these packets are held back: the sender may not get ahead of what has been delivered by more than
    /// its window. At most `complete`.
    pub held: u16,
}

/// One member's reliable layer; `M` is what it carries.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reliable<M> {
    me: MemberId,
    channels: BTreeMap<To, Channel<M>>,
    jitter: Prng,
    defects: Defects,
}

/// One destination: our stream to it, and the streams of those who send to the same.
///
/// The group is one channel with every member at the other end; each pair of members is another.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Channel<M> {
    to: To,
    outgoing: SendWindow<M>,
    incoming: BTreeMap<MemberId, ReceiveWindow>,
    ack_delay: Duration,
    ack_due: Option<Time>,
    /// The next status asks for an acknowledgement, whatever we know.
    asks: bool,
}

type Out<M> = Effects<M, Packet<M>>;

impl<M: Wire> Reliable<M> {
    /// The layer of `me` among the members of `view`. `seed` is that of its back-off jitter, `window` that of each of its
    /// streams.
    #[must_use]
    pub fn new(me: MemberId, view: &View, seed: u64, window: Window, defects: Defects) -> Self {
        let others: Vec<MemberId> = view.members().into_iter().filter(|&member| member != me).collect();
        let mut channels = BTreeMap::from([(To::Group, Channel::new(To::Group, &others, window))]);
        for &other in &others {
            channels.insert(To::Member(other), Channel::new(To::Member(other), &[other], window));
        }
        Self { me, channels, jitter: Prng::new(seed), defects }
    }

    fn receive(&mut self, now: Time, from: MemberId, packet: Packet<M>, out: &mut Out<M>) {
        let to = match packet.to {
            To::Group => To::Group,
            To::Member(member) if member == self.me => To::Member(from),
            To::Member(_) => return out.drop(from, DropReason::Stranger),
        };
        // A stranger may neither make us send nor keep us from asking.
        let Some(channel) = self.channels.get_mut(&to).filter(|channel| channel.incoming.contains_key(&from))
        else {
            return out.drop(from, DropReason::Stranger);
        };
        let outcome = match packet.body {
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
        if let Err(reason) = outcome {
            out.drop(from, reason);
        }
    }

    /// Sends everything that waits for a window, even beyond it.
    pub(crate) fn flush(&mut self, now: Time, out: &mut Out<M>) {
        for channel in self.channels.values_mut() {
            while let Some((number, message)) = channel.outgoing.next_to_send_anyway(now) {
                out.send(channel.to, channel.packet(Body::Data { number, message }));
            }
            // A member that leaves acknowledges direct messages, so that their senders need not report them undeliverable.
            if channel.to != To::Group && channel.ack_due.is_some() {
                channel.tell_status(false, self.defects, out);
            }
        }
    }

    /// Notes the backlog of `sender`, in packets, and reports it to the sender with the next acknowledgement.
    pub(crate) fn report_backlog(&mut self, now: Time, sender: MemberId, packets: u64) {
        let channel = self.channels.get_mut(&To::Group).expect("every member has the channel to the group");
        if let Some(window) = channel.incoming.get_mut(&sender) {
            window.set_backlog(packets);
            channel.ack_due = sooner(channel.ack_due, Some(now.after(channel.ack_delay)));
        }
    }

    /// Asks every receiver of the group's channel for an acknowledgement.
    pub(crate) fn request_acknowledgements(&mut self, now: Time) {
        if let Some(channel) = self.channels.get_mut(&To::Group) {
            channel.asks = true;
            channel.ack_due = sooner(channel.ack_due, Some(now));
        }
    }

    /// Returns how many packets to the group wait for the window.
    pub(crate) fn unsent(&self) -> u64 {
        self.channels.get(&To::Group).map_or(0, |channel| channel.outgoing.unsent())
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
            outgoing: SendWindow::new(others, window),
            incoming: others.iter().map(|&other| (other, ReceiveWindow::default())).collect(),
            ack_delay: ack_delay(others.len()),
            ack_due: None,
            asks: false,
        }
    }

    fn packet(&self, body: Body<M>) -> Packet<M> {
        Packet { to: self.to, body }
    }

    /// Sends whatever the window lets out.
    fn flow(&mut self, now: Time, out: &mut Out<M>) {
        while let Some((number, message)) = self.outgoing.next_to_send(now) {
            out.send(self.to, self.packet(Body::Data { number, message }));
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
        if arrival != Arrival::Outside {
            // What comes twice needs an acknowledgement, since the last one may be lost; but with two forwarders
            // everything does, and that is no reason for twice as many.
            let many = arrival == Arrival::New && window.owes(weight);
            let due = if many { now } else { now.after(self.ack_delay) };
            self.ack_due = sooner(self.ack_due, Some(due));
        }
        match arrival {
            Arrival::New => Ok(()),
            Arrival::Duplicate => Err(DropReason::Duplicate),
            Arrival::Outside => Err(DropReason::OutsideWindow),
        }
    }

    /// How far `from` says that it got, and whether it asks for an acknowledgement.
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
        if asks {
            self.ack_due = sooner(self.ack_due, Some(now.after(self.ack_delay)));
        }
        Ok(())
    }

    /// How far `from` has received us, if it says so: the window may be open again.
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
                out.send(self.to, Packet { to: self.to, body: Body::Data { number, message } });
            }
        }
        Ok(())
    }

    /// Another member has asked `sender` for these: if that covers all we miss, our own request can wait.
    fn overhear(&mut self, now: Time, sender: MemberId, missing: &[(u64, u64)], jitter: &mut Prng) {
        if let Some(window) = self.incoming.get_mut(&sender) {
            window.overheard(now, missing, jitter);
        }
    }

    /// Says how far it got, and how far it has received the others.
    fn tell_status(&mut self, asks: bool, defects: Defects, out: &mut Out<M>) {
        let sent = if defects.has(Defect::NoTailAnnouncement) { 0 } else { self.outgoing.last_sent() };
        let received = self.incoming.iter().map(|(&sender, window)| window.account(sender)).collect();
        out.send(self.to, self.packet(Body::Status { sent, asks, received }));
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
        for (&sender, window) in &mut self.incoming {
            if is_due(window.nack_at()) {
                let missing = window.ask(now, jitter);
                if defects.has(Defect::NoNack) {
                    continue;
                }
                out.send(self.to, Packet { to: self.to, body: Body::Nack { sender, missing } });
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let own = sooner(self.outgoing.announce_at(), self.ack_due);
        self.incoming.values().map(ReceiveWindow::nack_at).fold(own, sooner)
    }
}

impl<M: Wire> Engine for Reliable<M> {
    type App = M;
    type Wire = Packet<M>;

    fn handle(&mut self, now: Time, input: Input<M, Packet<M>>, out: &mut Out<M>) {
        match input {
            Input::Submit { to, app } => {
                let channel = self.channels.get_mut(&to).expect("the layer above knows the members");
                channel.outgoing.submit(app);
                channel.flow(now, out);
            }
            Input::Receive { from, message } => self.receive(now, from, message, out),
            Input::Wake => {
                for channel in self.channels.values_mut() {
                    channel.wake(now, &mut self.jitter, self.defects, out);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.channels.values().map(Channel::next_deadline).fold(None, sooner)
    }

    fn window(&self, to: To) -> usize {
        self.channels.get(&to).map_or(0, |channel| channel.outgoing.room())
    }
}

impl<M: Wire> Body<M> {
    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Self::Data { number, message } => {
                out.u64(*number);
                message.write(out);
            }
            Self::Status { sent, asks, received } => {
                out.u64(*sent);
                out.u8(u8::from(*asks));
                out.length(received.len());
                for &Received { sender, complete, held } in received {
                    out.member(sender);
                    out.u64(complete);
                    out.u16(held);
                }
            }
            Self::Nack { sender, missing } => {
                out.member(*sender);
                out.length(missing.len());
                for &(first, last) in missing {
                    out.u64(first);
                    out.u64(last);
                }
            }
        }
    }

    pub(crate) fn read_data(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self::Data { number: from.u64()?, message: M::read(from)? })
    }

    pub(crate) fn read_status(from: &mut Reader) -> Result<Self, Malformed> {
        let sent = from.u64()?;
        let asks = match from.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let received = (0..from.length(12)?).map(|_| Received::read(from)).collect::<Result<_, _>>()?;
        Ok(Self::Status { sent, asks, received })
    }

    pub(crate) fn read_nack(from: &mut Reader) -> Result<Self, Malformed> {
        let sender = from.member()?;
        let missing: Vec<_> =
            (0..from.length(16)?).map(|_| Ok((from.u64()?, from.u64()?))).collect::<Result<_, _>>()?;
        let sane = missing.iter().all(|&(first, last)| 0 < first && first <= last);
        if missing.is_empty() || missing.len() > MAX_NACK_RANGES || !sane {
            return Err(Malformed);
        }
        Ok(Self::Nack { sender, missing })
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sender, self.complete)?;
        if self.held == 0 { Ok(()) } else { write!(f, "(-{})", self.held) }
    }
}

impl Received {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let (sender, complete, held) = (from.member()?, from.u64()?, from.u16()?);
        if u64::from(held) <= complete { Ok(Self { sender, complete, held }) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Effect;
    use crate::wire::{Batch, BatchBuilder};

    #[test]
    fn acknowledgements_come_more_rarely_in_large_groups() {
        for (others, times) in [(1, 1), (8, 1), (15, 1), (16, 2), (23, 2), (24, 3), (32, 3), (1000, 3)] {
            assert_eq!(ack_delay(others), ACK_DELAY * times, "{others} others");
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
        let mut out = Effects::<Batch, Packet<Batch>>::default();
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
            let message = Packet { to: To::Group, body };
            layer.handle(later, Input::Receive { from: MemberId(9), message }, &mut out);
            let expected = Effect::Drop { from: MemberId(9), reason: DropReason::Stranger };
            assert_eq!(out.drain().collect::<Vec<_>>(), [expected]);
        }

        let message = Packet { to: To::Group, body: nack() };
        layer.handle(later, Input::Receive { from: MemberId(1), message }, &mut out);
        assert_eq!(out.drain().collect::<Vec<_>>(), sent, "a member may ask");
    }
}
