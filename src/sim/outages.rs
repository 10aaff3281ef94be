//! The times at which links clog, the group is partitioned and members pause. They are drawn before the run begins, so
//! the actions of the engines do not change them.

use std::collections::BTreeMap;

use super::faults::{Faults, Share};
use crate::engine::{MemberId, Time};
use crate::prng::Prng;

/// An outage comes at most this often on the same link or member, in microseconds.
const SLOT: u64 = 50_000;

/// A beginning and an end; the end is not part of the span.
type Span = (Time, Time);

/// Spans in ascending order, none inside another.
#[derive(Debug, Default)]
struct Spans(Vec<Span>);

/// All outages of a run. They are over when the network heals.
#[derive(Debug, Default)]
pub(super) struct Outages {
    /// The times at which each link, from one member to another, holds its packets.
    clogs: BTreeMap<(MemberId, MemberId), Spans>,
    /// The times at which each link loses its packets.
    cuts: BTreeMap<(MemberId, MemberId), Spans>,
    /// The times at which each member is paused.
    pauses: BTreeMap<MemberId, Spans>,
}

impl Spans {
    /// Adds a span that ends after every earlier one began, and merges it with the last if they meet.
    fn push(&mut self, (begin, end): Span) {
        match self.0.last_mut() {
            Some(last) if begin <= last.1 => *last = (last.0.min(begin), last.1.max(end)),
            _ => self.0.push((begin, end)),
        }
    }

    /// Returns the end of the span around `time`.
    fn end(&self, time: Time) -> Option<Time> {
        let begun = self.0.partition_point(|&(begin, _)| begin <= time);
        self.0[..begun].last().map(|&(_, end)| end).filter(|&end| time < end)
    }
}

impl Outages {
    /// Draws the outages of these members until `heal_at`.
    pub(super) fn draw(prng: &mut Prng, faults: Faults, members: &[MemberId], heal_at: Time) -> Self {
        let mut outages = Self::default();
        let [mut partitions, mut clogs, mut pauses] = std::array::from_fn(|_| prng.fork());
        outages.draw_partitions(&mut partitions, faults.partition, members, heal_at);
        if clogs.chance(500_000) {
            outages.draw_swizzled(&mut clogs, faults.clog, members, heal_at);
        } else {
            outages.draw_clogs(&mut clogs, faults.clog, members, heal_at);
        }
        for &member in members {
            for span in draw_spans(&mut pauses, faults.pause, heal_at) {
                outages.pauses.entry(member).or_default().push(span);
            }
        }
        outages
    }

    /// Draws partitions. In each, one part, a half or a single member, cannot reach the rest, or cannot be reached, or
    /// both.
    fn draw_partitions(&mut self, prng: &mut Prng, share: Share, members: &[MemberId], heal_at: Time) {
        for span in draw_spans(prng, share, heal_at) {
            let part = draw_part(prng, members);
            let direction = prng.below(4);
            for &from in members {
                for &to in members {
                    let goes_out = part.contains(&from) && !part.contains(&to) && direction != 0;
                    let comes_in = !part.contains(&from) && part.contains(&to) && direction != 1;
                    if goes_out || comes_in {
                        self.cuts.entry((from, to)).or_default().push(span);
                    }
                }
            }
        }
    }

    /// Draws the clogs of each link separately.
    fn draw_clogs(&mut self, prng: &mut Prng, share: Share, members: &[MemberId], heal_at: Time) {
        for link in links(members) {
            for span in draw_spans(prng, share, heal_at) {
                self.clogs.entry(link).or_default().push(span);
            }
        }
    }

    /// Draws clogs of all links of several members, one member after another; the links open in another order
    /// ("swizzle-clogging" in FoundationDB's tests).
    fn draw_swizzled(&mut self, prng: &mut Prng, share: Share, members: &[MemberId], heal_at: Time) {
        for (begin, end) in draw_spans(prng, share, heal_at) {
            let half = (end.as_micros() - begin.as_micros()) / 2;
            let part = draw_part(prng, members);
            for member in part {
                let begin = Time::from_micros(begin.as_micros() + prng.below(half + 1));
                let end = Time::from_micros(end.as_micros() - prng.below(half + 1));
                for link in links(members).filter(|&(from, to)| from == member || to == member) {
                    self.clogs.entry(link).or_default().push((begin, end));
                }
            }
        }
    }

    /// Returns true if a partition keeps packets of `from` from `to`.
    pub(super) fn cut(&self, from: MemberId, to: MemberId, now: Time) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|spans| spans.end(now).is_some())
    }

    /// Returns the arrival time of a packet that was due at `time`, and true if a clogged link holds it until then.
    pub(super) fn let_through(&self, from: MemberId, to: MemberId, time: Time) -> (Time, bool) {
        let end = self.clogs.get(&(from, to)).and_then(|spans| spans.end(time));
        (end.unwrap_or(time), end.is_some())
    }

    /// Returns the end of a member's pause, if it is paused.
    pub(super) fn paused_until(&self, member: MemberId, now: Time) -> Option<Time> {
        self.pauses.get(&member).and_then(|spans| spans.end(now))
    }

    /// Returns a description of each outage with the time at which it begins.
    pub(super) fn announcements(&self) -> Vec<(Time, String)> {
        let say = |what: String, spans: &Spans| -> Vec<(Time, String)> {
            spans.0.iter().map(|&(begin, end)| (begin, format!("{what} until {end}"))).collect()
        };
        let clogs = self.clogs.iter().map(|((from, to), spans)| say(format!("{from} to {to} clogs"), spans));
        let cuts = self.cuts.iter().map(|((from, to), spans)| say(format!("{from} to {to} is cut"), spans));
        let pauses = self.pauses.iter().map(|(member, spans)| say(format!("{member} pauses"), spans));
        clogs.chain(cuts).chain(pauses).flatten().collect()
    }
}

fn links(members: &[MemberId]) -> impl Iterator<Item = (MemberId, MemberId)> {
    let all = members.iter().flat_map(|&from| members.iter().map(move |&to| (from, to)));
    all.filter(|(from, to)| from != to)
}

/// Draws some of the members: a random half or a single one, never none and never all.
fn draw_part(prng: &mut Prng, members: &[MemberId]) -> Vec<MemberId> {
    let one = members[prng.below(members.len() as u64) as usize];
    let is_one = prng.chance(500_000);
    let half: Vec<MemberId> = members.iter().copied().filter(|_| prng.chance(500_000)).collect();
    if is_one || half.is_empty() || half.len() == members.len() { vec![one] } else { half }
}

/// Draws spans that fill this share of the time until `heal_at`: one in each of a few slots of equal length.
fn draw_spans(prng: &mut Prng, share: Share, heal_at: Time) -> Vec<Span> {
    if share == Share::ZERO {
        return Vec::new();
    }
    let slots = prng.between(1, heal_at.as_micros() / SLOT + 1);
    let slot = heal_at.as_micros() / slots;
    let length = share.of(slot);
    let span = |number| {
        let begin = number * slot + prng.below(slot - length + 1);
        (Time::from_micros(begin), Time::from_micros(begin + length))
    };
    (0..slots).map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<MemberId> {
        (0..4).map(MemberId).collect()
    }

    #[test]
    fn outages_take_their_share_of_the_time_and_end_with_it() {
        let (share, heal_at) = ("20%".parse().unwrap(), Time::from_micros(1_000_000));
        for seed in 0..200 {
            let spans = draw_spans(&mut Prng::new(seed), share, heal_at);
            let total: u64 = spans.iter().map(|(begin, end)| end.since(*begin).as_micros() as u64).sum();
            assert!((199_000..=200_000).contains(&total), "{total}");
            assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            assert!(spans.iter().all(|(_, end)| *end <= heal_at));
        }
    }

    #[test]
    fn a_span_holds_from_its_beginning_to_before_its_end() {
        let mut spans = Spans::default();
        let at = Time::from_micros;
        for (begin, end) in [(10, 20), (15, 18), (20, 25), (40, 50)] {
            spans.push((at(begin), at(end)));
        }
        let ends = [9, 10, 24, 25, 40, 50].map(|time| spans.end(at(time)));
        assert_eq!(ends, [None, Some(at(25)), Some(at(25)), None, Some(at(50)), None]);
    }

    #[test]
    fn partitions_are_of_every_kind() {
        let faults = Faults { partition: "50%".parse().unwrap(), ..Faults::default() };
        let cut = |outages: &Outages, from, to, time| outages.cut(MemberId(from), MemberId(to), time);
        let (mut both_ways, mut one_way, mut isolated) = (0, 0, 0);
        for seed in 0..200 {
            let heal_at = Time::from_micros(10_000);
            let outages = Outages::draw(&mut Prng::new(seed), faults, &members(), heal_at);
            let times = (0..10_000).step_by(100).map(Time::from_micros);
            for time in times.filter(|&time| (0..4).any(|to| cut(&outages, 0, to, time))) {
                let out = (1..4).filter(|&to| cut(&outages, 0, to, time)).count();
                let back = (1..4).filter(|&to| cut(&outages, to, 0, time)).count();
                both_ways += usize::from(out == back);
                one_way += usize::from(back == 0);
                isolated += usize::from(out == 3);
            }
            assert!(links(&members()).all(|(from, to)| !outages.cut(from, to, heal_at)));
        }
        assert!(both_ways > 0 && one_way > 0 && isolated > 0);
    }
}
