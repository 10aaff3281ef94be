//! The cost of taking part for one member, counted at its sockets and at its own multicasts.

use std::collections::BTreeMap;
use std::fmt;

use crate::cost::{ByKind, Spread, body_bytes, control_share};
use crate::engine::{DropReason, Time, To};
use crate::member::App;
use crate::wire::{Frames, Kind, Packet};

/// Prefix of the line that reports the number of packets sent again to a parent process.
pub const SENT_AGAIN: &str = "sent again ";
/// Prefix of the line that reports the number of undeliverable direct messages to a parent process, all else being complete.
pub const UNDELIVERABLE: &str = "undeliverable ";

/// The counters of one member. Its own packets, which come back through the forwarder, are counted once.
#[derive(Debug, Default)]
pub struct Meter {
    sent: ByKind,
    received: ByKind,
    /// Packets sent before.
    sent_again: u64,
    /// Packets of other members that were rejected.
    dropped: u64,
    /// The last packet of each stream, after the view in which it was sent: numbers restart with each view.
    last: BTreeMap<To, (u16, u64)>,
    /// Bytes of bodies submitted here or delivered from others.
    bodies: u64,
    /// The largest number of batches held back at one time.
    most_held: usize,
    /// Submission times of own multicasts that are not delivered here yet, by their first number.
    undelivered: BTreeMap<u64, Time>,
    /// Times from the submission of a multicast to its delivery here.
    latency: Spread,
}

impl Meter {
    /// Counts a packet. Returns whether it is a data packet, sent for the first time.
    pub(super) fn sent(&mut self, packet: &Packet) -> bool {
        self.sent.add(packet.header.kind, &packet.frames);
        if let Some(number) = packet.number() {
            let (to, view) = (packet.header.to, packet.header.view);
            // A packet is sent for the first time in the order of its stream.
            let (last_view, last) = self.last.entry(to).or_insert((view, 0));
            // View numbers wrap: the later of two is ahead by less than half of the range.
            let is_later = view.wrapping_sub(*last_view).cast_signed() > 0;
            if is_later || (view == *last_view && number > *last) {
                (*last_view, *last) = (view, number);
                return true;
            }
            self.sent_again += 1;
        }
        false
    }

    /// Notes that a packet was also sent as an outline.
    pub(super) fn outlined(&mut self, outline: &Frames) {
        self.sent.add(Kind::Outline, outline);
    }

    /// Returns the packets that this member sent and received.
    #[must_use]
    pub const fn packets(&self) -> (ByKind, ByKind) {
        (self.sent, self.received)
    }

    /// Returns the number of packets sent again.
    #[must_use]
    pub const fn sent_again(&self) -> u64 {
        self.sent_again
    }

    pub(super) fn received(&mut self, packet: &Packet) {
        self.received.add(packet.header.kind, &packet.frames);
    }

    pub(super) fn dropped(&mut self, reason: DropReason) {
        self.dropped += u64::from(reason != DropReason::Duplicate);
    }

    pub(super) fn submitted(&mut self, now: Time, app: &App) {
        self.bodies += body_bytes(app);
        if let App::Multicast(batch) = app {
            self.undelivered.insert(batch.first(), now);
        }
    }

    pub(super) fn delivered(&mut self, now: Time, is_own: bool, app: &App) {
        if !is_own {
            self.bodies += body_bytes(app);
        } else if let App::Multicast(batch) = app
            && let Some(since) = self.undelivered.remove(&batch.first())
        {
            self.latency.add(now.since(since), u64::from(batch.count()));
        }
    }

    pub(super) fn note_held(&mut self, depth: usize) {
        self.most_held = self.most_held.max(depth);
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent_again, dropped, bodies, most_held, latency, .. } = self;
        let (sent, received) = (self.sent.all(), self.received.all());
        let control = 100.0 * control_share(*bodies, sent.bytes + received.bytes);
        write!(
            f,
            "{} packets ({} bytes) sent, {sent_again} of them again, {} packets ({} bytes) received, {control:.1}% control; at most {most_held} \
             batches held back; {dropped} packets dropped; own multicasts delivered after {latency}",
            sent.packets, sent.bytes, received.packets, received.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemberId;
    use crate::reliable::codec::encode;
    use crate::reliable::{Body, Segment};
    use crate::wire::{BatchBuilder, Header};

    #[test]
    fn counts_sent_received_dropped_and_held() {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"123456789");
        let app = App::Multicast(batch.finish().unwrap());
        let frames = Frames { header: vec![0; 10].into(), body: vec![0; 10].into() };
        let mut meter = Meter::default();
        meter.submitted(Time::ZERO, &app);
        let header = Header { kind: Kind::Probe, sender: MemberId(0), to: To::Group, run: 1, view: 1 };
        let packet = Packet { header, frames };
        meter.sent(&packet);
        meter.received(&packet);
        meter.note_held(3);
        meter.note_held(1);
        meter.dropped(DropReason::Stranger);
        meter.dropped(DropReason::Duplicate);
        meter.delivered(Time::from_micros(2_000), true, &app);
        meter.delivered(Time::from_micros(9_000), false, &app);
        assert_eq!(
            meter.to_string(),
            "1 packets (20 bytes) sent, 0 of them again, 1 packets (20 bytes) received, 50.0% control; at most 3 batches held back; \
             1 packets dropped; own multicasts delivered after mean 2.0 ms, p50 2.0 ms, p99 2.0 ms, max 2.0 ms"
        );
    }

    #[test]
    fn a_packet_sent_again_is_counted() {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"1");
        let message = batch.finish().unwrap();
        let mut meter = Meter::default();
        let mut send = |to, number| {
            let body = Body::Data { number, message: message.clone() };
            meter.sent(&encode((1, 1), MemberId(0), &Segment { to, body }));
            meter.sent_again()
        };
        let one = To::Member(MemberId(1));
        assert_eq!([send(To::Group, 1), send(To::Group, 2), send(one, 1)], [0, 0, 0]);
        assert_eq!([send(To::Group, 1), send(To::Group, 3), send(one, 1)], [1, 1, 2]);
    }
    #[test]
    fn a_later_view_is_recognised_where_view_numbers_wrap() {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"1");
        let message = batch.finish().unwrap();
        let mut meter = Meter::default();
        let mut send = |view| {
            let body = Body::Data { number: 7, message: message.clone() };
            meter.sent(&encode((1, view), MemberId(0), &Segment { to: To::Group, body }));
            meter.sent_again()
        };
        assert_eq!([40_000, u16::MAX, 0, 1, 1, 0].map(&mut send), [0, 0, 0, 0, 1, 2]);
    }
}
