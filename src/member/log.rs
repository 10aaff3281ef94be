//! The packets of the current view that are not known to be stable, of every sender.
//!
//! A sender's reliable layer resends its own packets. When the sender is lost, other members relay them from here.

use std::collections::BTreeMap;

use super::view_message::Have;
use crate::ids::MemberId;
use crate::prefix_set::{PrefixSet, Range};
use crate::reliable::{WINDOW_BYTES, WINDOW_PACKETS};
use crate::wire::Frames;

/// Most packets by which a sender may be ahead; an honest sender is far below.
const FAR: u64 = 64 * WINDOW_PACKETS;
/// Most bytes that are kept of one sender.
const MOST_KEPT: usize = 16 * WINDOW_BYTES;

/// The packets to the group in the current view.
#[derive(Debug)]
pub(super) struct Log {
    /// All members, ascending.
    members: Vec<MemberId>,
    /// The packets of each of them.
    streams: Vec<Stream>,
}

/// The packets of one sender.
#[derive(Debug, Default)]
struct Stream {
    received: PrefixSet,
    /// The packets themselves, except those that are stable.
    kept: BTreeMap<u64, Frames>,
    bytes: usize,
    /// The cumulative acknowledgement of each member. The sender itself has all.
    acknowledged: Vec<u64>,
    /// The number up to which all of them have acknowledged.
    stable: u64,
    /// True if some were received without payload: they count as received here, and others cannot fetch them.
    has_outlines: bool,
}

impl Log {
    /// Returns an empty log for a view with these members.
    pub(super) fn new(members: &[MemberId]) -> Self {
        let mut members = members.to_vec();
        members.sort_unstable();
        let stream = |&sender| {
            let acknowledged = members.iter().map(|&member| if member == sender { u64::MAX } else { 0 });
            Stream { acknowledged: acknowledged.collect(), ..Stream::default() }
        };
        let streams = members.iter().map(stream).collect();
        Self { members, streams }
    }

    /// Returns the place of a member among all.
    fn place(&self, member: MemberId) -> Option<usize> {
        self.members.binary_search(&member).ok()
    }

    fn stream(&self, sender: MemberId) -> Option<&Stream> {
        self.streams.get(self.place(sender)?)
    }

    fn stream_mut(&mut self, sender: MemberId) -> Option<&mut Stream> {
        let place = self.place(sender)?;
        self.streams.get_mut(place)
    }

    /// Adds packet `number` of `sender`. Returns false if it is known, or if no honest sender could be that far ahead.
    pub(super) fn add(&mut self, sender: MemberId, number: u64, frames: &Frames) -> bool {
        let is_alone = self.members.len() == 1;
        let Some(stream) = self.stream_mut(sender) else { return false };
        let is_too_much = stream.bytes + frames.size() > MOST_KEPT;
        let is_far = number.saturating_sub(stream.received.complete()) > FAR;
        if is_too_much || is_far || !stream.received.insert(number) {
            return false;
        }
        if frames.is_outline() {
            stream.has_outlines = true;
        } else if !is_alone {
            stream.bytes += frames.size();
            stream.kept.insert(number, frames.clone());
        }
        true
    }

    /// Records the cumulative acknowledgement of `member` for the packets of `sender`.
    pub(super) fn acknowledged(&mut self, member: MemberId, sender: MemberId, number: u64) {
        let Some(place) = self.place(member) else { return };
        let Some(stream) = self.stream_mut(sender) else { return };
        let known = &mut stream.acknowledged[place];
        if *known >= number {
            return;
        }
        let was_last = *known == stream.stable;
        *known = number;
        if was_last {
            stream.forget();
        }
    }

    /// Returns the highest packet number received from each sender.
    pub(super) fn highest_received(&self) -> Vec<(MemberId, u64)> {
        self.each().map(|(sender, stream)| (sender, stream.received.last())).collect()
    }

    /// Returns the number up to which these members, but the sender, have acknowledged the packets of a sender.
    pub(super) fn acknowledged_by(&self, members: impl Iterator<Item = MemberId>, sender: MemberId) -> u64 {
        let Some(stream) = self.stream(sender) else { return u64::MAX };
        let acknowledged = |member| Some(stream.acknowledged[self.place(member)?]);
        members.filter_map(acknowledged).min().unwrap_or(u64::MAX)
    }

    /// Returns every sender with its packets.
    fn each(&self) -> impl Iterator<Item = (MemberId, &Stream)> {
        self.members.iter().copied().zip(&self.streams)
    }

    /// Returns the packets that others can fetch here, by sender.
    pub(super) fn have(&self) -> Vec<Have> {
        let of = |(sender, stream): (MemberId, &Stream)| {
            let ranges = stream.received.ranges();
            (!ranges.is_empty() && !stream.has_outlines).then_some((sender, ranges))
        };
        self.each().filter_map(of).collect()
    }

    /// Returns whether this packet has been received.
    pub(super) fn has(&self, sender: MemberId, number: u64) -> bool {
        self.stream(sender).is_some_and(|stream| stream.received.contains(number))
    }

    /// Returns the first `most` numbers of a range that have not been received.
    pub(super) fn missing(&self, sender: MemberId, (first, last): Range, most: usize) -> Vec<u64> {
        let from = self.stream(sender).map_or(first, |stream| first.max(stream.received.complete() + 1));
        (from..=last).filter(|&number| !self.has(sender, number)).take(most).collect()
    }

    /// Returns the kept packets of a sender in a range.
    pub(super) fn kept(&self, sender: MemberId, (first, last): Range) -> impl Iterator<Item = &Frames> {
        let stream = self.stream(sender);
        stream.into_iter().flat_map(move |stream| stream.kept.range(first..=last)).map(|(_, frames)| frames)
    }
}

impl Stream {
    /// Drops the packets that have become stable.
    fn forget(&mut self) {
        self.stable = self.acknowledged.iter().copied().min().unwrap_or(0);
        while let Some(entry) = self.kept.first_entry().filter(|entry| *entry.key() <= self.stable) {
            self.bytes -= entry.remove().size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::To;
    use crate::wire::packet::bare;
    use crate::wire::{Header, Kind};

    const A: MemberId = MemberId(0);
    const B: MemberId = MemberId(1);
    const C: MemberId = MemberId(2);

    #[test]
    fn no_sender_makes_it_keep_more_than_an_honest_one_would() {
        let mut log = Log::new(&[A, B, C]);
        let long = || Frames { body: vec![0; WINDOW_BYTES].into(), ..Frames::default() };
        let long_header = Frames { header: vec![0; WINDOW_BYTES].into(), ..Frames::default() };
        assert!((1..=16).all(|number| log.add(A, number, &long())));
        assert!((1..=16).all(|number| log.add(C, number, &long_header)) && !log.add(C, 17, &long_header));
        assert!(!log.add(A, 17, &long()), "sixteen windows, and nobody has said to have any of it");
        assert!(log.add(B, FAR, &Frames::default()) && !log.add(B, FAR + 1, &Frames::default()));
        [B, C].into_iter().for_each(|member| log.acknowledged(member, A, 1));
        assert!(log.add(A, 17, &long()), "there is room again");
    }

    #[test]
    fn what_all_have_is_forgotten_and_nothing_else() {
        let mut log = Log::new(&[A, B, C]);
        for number in (1..=63).chain([65]) {
            assert!(log.add(A, number, &Frames::default()));
        }
        assert!(!log.add(A, 3, &Frames::default()) && !log.add(A, u64::MAX, &Frames::default()));
        log.acknowledged(B, A, 63);
        log.acknowledged(C, A, 40);
        assert_eq!(log.have(), [(A, vec![(1, 63), (65, 65)])]);
        assert_eq!(log.missing(A, (1, 70), 3), [64, 66, 67]);
        assert!(log.add(A, 64, &Frames::default()));
        // A member that has only an outline of a packet cannot relay it.
        let outline = bare(Header { kind: Kind::Outline, sender: B, to: To::Group, run: 1, view: 1 }).frames;
        assert!(log.add(B, 1, &outline) && log.has(B, 1) && log.missing(B, (1, 2), 3) == [2]);
        assert_eq!((log.have().len(), log.kept(B, (1, 1)).count()), (1, 0));
        assert_eq!(log.kept(A, (1, 100)).count(), 25);
        assert_eq!(log.have(), [(A, vec![(1, 65)])]);
    }
}
