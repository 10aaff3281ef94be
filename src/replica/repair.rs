//! Repair: a replica asks for the entries that it lacks, all gaps in one request, and any holder replies.
//!
//! The sender of an entry is asked first, then in turn each member that has stored it, so that entries of a member that
//! is away, or dead, come from others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::early::Early;
use super::entry::EntryId;
use super::epoch::Membership;
use super::log::Log;
use super::matrix::Matrix;
use super::message::{EntryRange, MOST_RANGES, Message, PieceRange, Want};
use crate::ids::{MemberId, Time};

/// Most bytes of the reply to one request.
pub(super) const MOST_REPLY: u64 = 256 << 10;
/// The time from the sight of a gap to the request: it may close by itself.
const FIRST_WAIT: Duration = Duration::from_millis(4);
/// The time from one request to the next is twice that to the first reply, at least this, doubled each time without
/// progress …
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_millis(320);
/// The number of requests without progress after which the next one is for whole entries, not for their missing octets:
/// the pieces that have come may be false.
const BY_PIECE: usize = 3;
/// The silence after which a member counts as cut off.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// The requests of a replica.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Repair {
    me: usize,
    /// The time of the next request.
    due: Option<Time>,
    /// The time from the next request to the one after it.
    wait: Duration,
    /// The number of requests since the last progress.
    attempts: usize,
    /// The time of the first request since the last progress.
    began: Option<Time>,
    /// The time from a request to its first reply: a moving average.
    reply_time: Duration,
    /// For each sender, the last entry that was asked for.
    asked: Vec<u64>,
    /// For each sender, the highest number of an entry that was ever asked for.
    asked_most: Vec<u64>,
    /// Bytes that may still come in reply to the last requests.
    expected: u64,
    /// The latest time of the next requests, however long the replies take.
    latest: Time,
    /// For each sender, the last entry that another entry waits for.
    needed: Vec<u64>,
    /// For each sender, and each member, the last entry of the sender that the member is known to have forgotten.
    lost: Vec<Vec<u64>>,
    /// For each member, the time of its last datagram.
    heard: Vec<Option<Time>>,
    /// Most bytes of all replies to a request together.
    room: u64,
    /// Longest message in a datagram, in bytes: a reply ends when the next message has no room.
    longest: usize,
}

/// The knowledge by which requests are made.
pub(super) struct Known<'a> {
    pub(super) log: &'a Log,
    pub(super) early: &'a [Early],
    pub(super) matrix: &'a Matrix,
    pub(super) members: &'a Membership,
    /// For each sender, the last entry that may be taken.
    pub(super) limits: &'a [u64],
}

impl Repair {
    /// Returns the requests of a member whose socket buffer holds `room` datagrams with messages of `longest` bytes.
    pub(super) fn new(me: usize, members: usize, room: u64, longest: usize) -> Self {
        Self {
            me,
            due: None,
            wait: SHORTEST_WAIT,
            attempts: 0,
            began: None,
            reply_time: Duration::ZERO,
            asked: vec![0; members],
            asked_most: vec![0; members],
            expected: 0,
            latest: Time::ZERO,
            needed: vec![0; members],
            lost: vec![vec![0; members]; members],
            heard: vec![None; members],
            room: room * longest as u64 / 2,
            longest,
        }
    }

    /// Makes room for so many slots.
    pub(super) fn widen(&mut self, slots: usize) {
        self.asked.resize(slots, 0);
        self.asked_most.resize(slots, 0);
        self.needed.resize(slots, 0);
        self.heard.resize(slots, None);
        self.lost.iter_mut().for_each(|row| row.resize(slots, 0));
        self.lost.resize(slots, vec![0; slots]);
    }

    /// Records a datagram of `member`.
    pub(super) fn hear(&mut self, now: Time, member: usize) {
        self.heard[member] = Some(now);
    }

    /// Returns the time of the last datagram of `member`.
    pub(super) fn heard(&self, member: usize) -> Option<Time> {
        self.heard[member]
    }

    /// Returns whether `member` was heard lately.
    pub(super) fn hears(&self, now: Time, member: usize) -> bool {
        self.heard[member].is_some_and(|at| now.since(at) < SILENT_AFTER)
    }

    /// Records that `member` has forgotten the entries of `origin` up to `number`.
    pub(super) fn lose(&mut self, member: usize, origin: usize, number: u64) {
        let lost = &mut self.lost[origin][member];
        *lost = number.max(*lost);
    }

    /// Returns whether all other members have forgotten an entry.
    pub(super) fn is_lost(&self, origin: usize, number: u64, members: &Membership) -> bool {
        self.holders_left(origin, number, members).is_some_and(|holders| holders.is_empty())
    }

    /// Returns the other members that have not said that they have forgotten an entry; none if nobody has.
    pub(super) fn holders_left(
        &self,
        origin: usize,
        number: u64,
        members: &Membership,
    ) -> Option<Vec<MemberId>> {
        let lost = &self.lost[origin];
        let others = || members.others(self.me);
        let left: Vec<MemberId> =
            others().filter(|&slot| lost[slot] < number).map(|slot| MemberId(slot as u16)).collect();
        if left.len() < others().count() { Some(left) } else { None }
    }

    /// Returns the time of the next request.
    pub(super) const fn due(&self) -> Option<Time> {
        self.due
    }

    /// Records that an entry waits for those of `origin` up to `number`.
    pub(super) fn need(&mut self, origin: usize, number: u64) {
        self.needed[origin] = self.needed[origin].max(number);
    }

    /// Records that there may be a gap.
    pub(super) fn see_gap(&mut self, now: Time) {
        self.due = self.due.or_else(|| Some(now.after(FIRST_WAIT)));
    }

    /// Records that entry `number` of `origin` was received, in so many bytes. The next request follows the last reply at
    /// once: when it has what was asked for, or as many bytes as it may have. Until then, more of it is on its way.
    pub(super) fn progress(&mut self, now: Time, origin: usize, number: u64, bytes: usize) {
        let is_asked = self.due.is_some() && number <= self.asked[origin];
        if let Some(began) = self.began.take_if(|_| is_asked) {
            self.reply_time = (self.reply_time * 7 + now.since(began)) / 8;
        }
        (self.wait, self.attempts) = (self.first_wait(), 0);
        if !is_asked {
            return;
        }
        self.expected = self.expected.saturating_sub(bytes as u64);
        let is_over = number == self.asked[origin] || self.expected < self.longest as u64;
        self.due = Some(if is_over { now } else { now.after(self.wait).min(self.latest) });
    }

    /// Returns the time from a request to the next one, if nothing comes: members that share a busy machine reply late, and
    /// a second reply would only add to their work.
    fn first_wait(&self) -> Duration {
        (self.reply_time * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }

    /// Records that a new piece was received. The holder that sends them is asked again.
    pub(super) fn piece_progress(&mut self) {
        (self.wait, self.attempts) = (self.first_wait(), 0);
    }

    /// Returns the requests that are due, each with the member to ask.
    pub(super) fn requests(&mut self, now: Time, known: &Known<'_>) -> BTreeMap<MemberId, Want> {
        if self.due.is_none_or(|due| due > now) {
            return BTreeMap::new();
        }
        let mut wants: BTreeMap<MemberId, Want> = BTreeMap::new();
        let mut has_gaps = false;
        for origin in 0..self.asked.len() {
            let received = known.log.received(origin);
            let upto =
                known.matrix.last_known(origin).max(known.early[origin].last()).max(self.needed[origin]);
            let upto = upto.min(known.limits[origin]);
            if upto <= received {
                continue;
            }
            has_gaps = true;
            let by_piece = self.attempts % (BY_PIECE + 1) < BY_PIECE;
            // Whole entries have turns of their own, or some numbers of holders would give them to one holder always.
            let turn = if by_piece { self.attempts } else { self.attempts / (BY_PIECE + 1) };
            let Some(holder) = self.holder(now, (origin, received + 1), turn, known) else { continue };
            let want = wants.entry(holder).or_default();
            self.asked[origin] = add_gaps(want, origin, (received, upto), &known.early[origin], by_piece);
            self.asked_most[origin] = self.asked_most[origin].max(self.asked[origin]);
        }
        wants.retain(|_, want| !want.entries.is_empty() || !want.pieces.is_empty());
        let share = self.room / wants.len().max(1) as u64;
        for want in wants.values_mut() {
            want.room = share;
            self.fit(want);
        }
        self.expected = share.min(MOST_REPLY) * wants.len() as u64;
        self.latest = now.after(LONGEST_WAIT);
        self.due = has_gaps.then(|| now.after(self.wait));
        self.began = if has_gaps { self.began.or(Some(now)) } else { None };
        self.attempts += 1;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        wants
    }

    /// Returns whether entry `number` of `origin`, or a later one, was ever asked for.
    pub(super) fn has_asked(&self, origin: usize, number: u64) -> bool {
        self.asked_most[origin] >= number
    }

    /// Drops ranges until the request fits in a datagram. They are asked for later.
    fn fit(&self, want: &mut Want) {
        while want.entries.len() + want.pieces.len() > 1
            && Message::Want(want.clone()).bytes().len() > self.longest
        {
            if want.entries.len() > want.pieces.len() {
                want.entries.pop();
            } else {
                want.pieces.pop();
            }
        }
    }

    /// Returns the member to ask for entry `number` of `origin` in this turn: its sender first, then each holder. Members
    /// that are heard come before others.
    fn holder(
        &self,
        now: Time,
        (origin, number): (usize, u64),
        turn: usize,
        known: &Known<'_>,
    ) -> Option<MemberId> {
        let matrix = known.matrix;
        let holds = |member: usize| {
            let may_hold = member == origin || matrix.stored(member, origin) >= number;
            member != self.me
                && known.members.is_member(member)
                && may_hold
                && self.lost[origin][member] < number
        };
        let members = (0..matrix.slots()).map(|step| (origin + step) % matrix.slots());
        let holders: Vec<usize> = members.filter(|&member| holds(member)).collect();
        let heard: Vec<usize> = holders.iter().copied().filter(|&member| self.hears(now, member)).collect();
        let askable = if heard.is_empty() { holders } else { heard };
        let at = turn.checked_rem(askable.len())?;
        Some(MemberId(askable[at] as u16))
    }
}

/// Adds to `want` what is missing of the entries of `origin` after `from`, up to `upto`. Returns the last number asked
/// for.
fn add_gaps(want: &mut Want, origin: usize, (from, upto): (u64, u64), early: &Early, by_piece: bool) -> u64 {
    let origin = MemberId(origin as u16);
    let mut last = 0;
    for gap in early.gaps(from, upto) {
        let mut first = *gap.start();
        // Of the first entries of a gap that have come in part, only the missing octets are asked for.
        while let Some(pieces) = early.missing_pieces(EntryId { origin, number: first }).filter(|_| by_piece)
        {
            let free = MOST_RANGES - want.pieces.len();
            want.pieces.extend(pieces.take(free).collect::<Vec<PieceRange>>());
            last = first;
            first += 1;
            if first > *gap.end() || want.pieces.len() == MOST_RANGES {
                break;
            }
        }
        if want.entries.len() == MOST_RANGES || want.pieces.len() == MOST_RANGES {
            break;
        }
        if first <= *gap.end() {
            want.entries.push(EntryRange { origin, first, last: *gap.end() });
            last = *gap.end();
        }
    }
    last
}
