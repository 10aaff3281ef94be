//! What taking part costs a member, counted at its sockets and at what it multicasts itself.

use std::collections::BTreeMap;
use std::fmt;

use crate::cost::{Spread, Traffic, body_bytes, control_share};
use crate::engine::{DropReason, Time, To};
use crate::member::App;
use crate::wire::Frames;
use crate::wire::encoded::numbered;

/// What the line begins with that tells a parent process how many packets a member sent again.
pub const SENT_AGAIN: &str = "sent again ";
/// Begins the line by which a parent learns how many messages to one member are undeliverable, all else being complete.
pub const UNDELIVERABLE: &str = "undeliverable ";

/// The account of one member. Its own packets, which come back to it through the forwarder, are counted once.
#[derive(Debug, Default)]
pub struct Meter {
    sent: Traffic,
    received: Traffic,
    /// Packets that had been sent before.
    again: u64,
    /// Packets of others that were not believed.
    dropped: u64,
    /// The last packet of each of its streams, after the view in which it was sent: there numbers begin again.
    last: BTreeMap<To, (u16, u64)>,
    /// Bytes of bodies that it submitted, or was given by others.
    bodies: u64,
    /// The most batches that it held back at one time.
    deepest: usize,
    /// Its multicasts that have not come back up, by their first number: since when.
    open: BTreeMap<u64, Time>,
    /// From the submission of a multicast to its delivery here.
    latency: Spread,
}

impl Meter {
    pub(super) fn sent(&mut self, frames: &Frames) {
        self.sent.add(frames, 1);
        if let Some((to, (view, number))) = numbered(frames) {
            // The first time they go out in their order.
            let (last_view, last) = self.last.entry(to).or_insert((view, 0));
            // Of two views, the later one is ahead by less than half of all numbers.
            let is_later = view.wrapping_sub(*last_view).cast_signed() > 0;
            if is_later || (view == *last_view && number > *last) {
                (*last_view, *last) = (view, number);
            } else {
                self.again += 1;
            }
        }
    }

    /// How many packets it sent again.
    #[must_use]
    pub const fn again(&self) -> u64 {
        self.again
    }

    pub(super) fn received(&mut self, frames: &Frames) {
        self.received.add(frames, 1);
    }

    pub(super) fn dropped(&mut self, reason: DropReason) {
        self.dropped += u64::from(reason != DropReason::Duplicate);
    }

    pub(super) fn submitted(&mut self, now: Time, app: &App) {
        self.bodies += body_bytes(app);
        if let App::Multicast(batch) = app {
            self.open.insert(batch.first(), now);
        }
    }

    pub(super) fn delivered(&mut self, now: Time, is_own: bool, app: &App) {
        if !is_own {
            self.bodies += body_bytes(app);
        } else if let App::Multicast(batch) = app
            && let Some(since) = self.open.remove(&batch.first())
        {
            self.latency.add(now.since(since), u64::from(batch.count()));
        }
    }

    pub(super) fn holds(&mut self, depth: usize) {
        self.deepest = self.deepest.max(depth);
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, again, dropped, bodies, deepest, latency, .. } = self;
        let control = 100.0 * control_share(*bodies, sent.bytes + received.bytes);
        write!(
            f,
            "{} packets ({} bytes) sent, {again} of them again, {} packets ({} bytes) received, {control:.1}% control; at most {deepest} \
             batches held back; {dropped} packets dropped; own multicasts delivered after {latency}",
            sent.packets, sent.bytes, received.packets, received.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemberId;
    use crate::reliable::{Body, Packet};
    use crate::wire::BatchBuilder;
    use crate::wire::encoded::encode;

    #[test]
    fn counts_what_goes_through_a_member() {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"123456789");
        let app = App::Multicast(batch.finish().unwrap());
        let frames = Frames { header: vec![0; 10].into(), body: vec![0; 10].into() };
        let mut meter = Meter::default();
        meter.submitted(Time::ZERO, &app);
        meter.sent(&frames);
        meter.received(&frames);
        meter.holds(3);
        meter.holds(1);
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
    fn knows_what_it_has_sent_before() {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"1");
        let message = batch.finish().unwrap();
        let mut meter = Meter::default();
        let mut send = |to, number| {
            let body = Body::Data { number, message: message.clone() };
            meter.sent(&encode((1, 1), MemberId(0), &Packet { to, body }));
            meter.again()
        };
        let one = To::Member(MemberId(1));
        assert_eq!([send(To::Group, 1), send(To::Group, 2), send(one, 1)], [0, 0, 0]);
        assert_eq!([send(To::Group, 1), send(To::Group, 3), send(one, 1)], [1, 1, 2]);
    }
    #[test]
    fn a_later_view_is_told_from_an_earlier_one_where_their_numbers_wrap() {
        let mut batch = BatchBuilder::new(1);
        batch.push(b"1");
        let message = batch.finish().unwrap();
        let mut meter = Meter::default();
        let mut send = |view| {
            let body = Body::Data { number: 7, message: message.clone() };
            meter.sent(&encode((1, view), MemberId(0), &Packet { to: To::Group, body }));
            meter.again()
        };
        assert_eq!([40_000, u16::MAX, 0, 1, 1, 0].map(&mut send), [0, 0, 0, 0, 1, 2]);
    }
}
