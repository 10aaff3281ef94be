//! The flush between two views: all members stop, receive the same packets of the old view, and agree on the new one.
//!
//! A leader prepares under a ballot: a member that promises it sends nothing more in the view, and reports which
//! packets it has. When all members that are to go on have answered, the leader proposes the next view and the cut: all
//! packets of the old view that any of them has. A member fetches the packets that it lacks, and accepts when it has
//! them all. When all that answered have accepted, the view is installed. If the leader is lost before, another one
//! prepares under a higher ballot; a member that has accepted a proposal, which may have been installed, reports it to
//! the next leader, which proposes it again (this is Paxos with all members that answered as the quorum).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::log::Log;
use super::word::{Accepted, Ballot, Have, Proposal, Word};
use crate::defect::{Defect, Defects};
use crate::engine::{MemberId, Time, View};
use crate::prefix_set::{Range, ranges};
use crate::wire::control::{Role, Seat};

/// Time after which a message without an answer is repeated.
pub const REPEAT: Duration = Duration::from_millis(60);
/// Time without progress after which a leader may be replaced.
pub const STALL: Duration = Duration::from_millis(1500);
/// Most packets fetched at one time.
pub const FETCH: usize = 16;

/// One member's part in a flush.
#[derive(Debug)]
pub(super) struct Flush {
    me: MemberId,
    /// The highest ballot that this member has promised.
    promised: Ballot,
    accepted: Option<Accepted>,
    /// The highest ballot that any member has promised, as far as is known.
    known: Ballot,
    /// The proposal whose packets are being fetched.
    pending: Option<Accepted>,
    asked: BTreeSet<(MemberId, u64)>,
    lead: Option<Lead>,
    repeat_at: Time,
    /// The time of the leader's last message.
    led_at: Time,
}

/// The leader's part in its attempt.
#[derive(Debug)]
struct Lead {
    invited: Vec<MemberId>,
    states: BTreeMap<MemberId, (Vec<Have>, Option<Accepted>)>,
    proposal: Option<Proposal>,
    ready: BTreeSet<MemberId>,
    /// The time of the last progress, and each member's last fetch.
    moved: Time,
    asked: BTreeMap<MemberId, (MemberId, Vec<Range>)>,
}

/// The rules by which a leader proposes.
pub(super) struct Rules<'a> {
    pub(super) view: &'a View,
    pub(super) has_sequencer: bool,
    /// Requires more than half of the members of a view to go on.
    pub(super) majority: bool,
    /// The newcomers for the next view.
    pub(super) arrivals: Vec<Seat>,
    pub(super) defects: Defects,
}

/// The result of a step of the flush.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The flush is not complete.
    Open,
    /// All members that answered have accepted this proposal.
    Installed(Ballot, Proposal),
    /// No client is left.
    NobodyLeft,
}

impl Flush {
    /// Returns the part of a member that has promised nothing.
    pub(super) fn new(me: MemberId, now: Time) -> Self {
        Self {
            me,
            promised: Ballot::default(),
            accepted: None,
            known: Ballot::default(),
            pending: None,
            asked: BTreeSet::new(),
            lead: None,
            repeat_at: now.after(REPEAT),
            led_at: now,
        }
    }

    pub(super) const fn leads(&self) -> bool {
        self.lead.is_some()
    }

    /// Returns whether this leader has made no progress for [`STALL`] and a member has promised a higher ballot.
    pub(super) fn is_outbid(&self, now: Time) -> bool {
        self.lead.is_some() && self.known > self.promised && now.since(self.led_at) >= STALL
    }

    /// Stops leading.
    pub(super) fn resign(&mut self) {
        self.lead = None;
    }

    /// Returns the members that this leader asked to answer.
    pub(super) fn invited(&self) -> &[MemberId] {
        self.lead.as_ref().map_or(&[], |lead| &lead.invited)
    }

    /// Returns the members from which this leader waits for an answer.
    pub(super) fn waits_for(&self) -> Vec<MemberId> {
        let Some(lead) = &self.lead else { return Vec::new() };
        let has_answered = |member: &MemberId| lead.states.contains_key(member);
        let is_open = |member: &MemberId| match &lead.proposal {
            None => !has_answered(member),
            Some(_) => has_answered(member) && !lead.ready.contains(member),
        };
        lead.invited.iter().copied().filter(is_open).collect()
    }

    /// Returns the members without an answer, if this leader has made no progress for `limit`.
    pub(super) fn mute(&self, now: Time, limit: Duration) -> Vec<MemberId> {
        let is_stuck = self.lead.as_ref().is_some_and(|lead| now.since(lead.moved) >= limit);
        let mut mute = if is_stuck { self.waits_for() } else { Vec::new() };
        mute.retain(|member| *member != self.me);
        mute
    }

    /// Records a fetch by a member: if it differs from the one before, the member makes progress.
    pub(super) fn asks(&mut self, now: Time, from: MemberId, sender: MemberId, ranges: &[Range]) {
        if let Some(lead) = &mut self.lead {
            let asked = Some((sender, ranges.to_vec()));
            if lead.asked.get(&from) != asked.as_ref() {
                lead.moved = now;
                lead.asked.extend(asked.map(|asked| (from, asked)));
            }
        }
    }

    /// Returns the last leader, and the time since it was heard.
    pub(super) fn led_by(&self, now: Time) -> (MemberId, Duration) {
        (MemberId(self.promised.leader), now.since(self.led_at))
    }

    /// Leads a new attempt with these members.
    pub(super) fn lead(&mut self, now: Time, invited: Vec<MemberId>, log: &Log, words: &mut Vec<Word>) {
        let attempt = self.promised.attempt.max(self.known.attempt).saturating_add(1);
        self.promise(Ballot { attempt, leader: self.me.0 }, now);
        let states = BTreeMap::from([(self.me, (log.have(), self.accepted.clone()))]);
        words.push(Word::Prepare(self.promised, invited.clone()));
        let (ready, asked) = (BTreeSet::new(), BTreeMap::new());
        self.lead = Some(Lead { invited, states, proposal: None, ready, moved: now, asked });
        self.repeat_at = now.after(REPEAT);
    }

    fn promise(&mut self, ballot: Ballot, now: Time) {
        if ballot > self.promised {
            self.promised = ballot;
            self.pending = None;
            self.asked.clear();
            self.lead = None;
        }
        self.led_at = now;
    }

    /// Promises the ballot of a leader and reports the packets that are here.
    pub(super) fn prepare(&mut self, now: Time, ballot: Ballot, log: &Log, words: &mut Vec<Word>) {
        if ballot.leader == self.me.0 {
            return;
        }
        if ballot < self.promised {
            // The leader learns which ballot to outbid, if that one's leader is lost.
            return words.push(Word::State(self.promised, log.have(), self.accepted.clone()));
        }
        self.promise(ballot, now);
        words.push(Word::State(ballot, log.have(), self.accepted.clone()));
        self.repeat_at = now.after(REPEAT);
    }

    /// Records the packets of a member that has stopped.
    pub(super) fn state(
        &mut self,
        now: Time,
        from: MemberId,
        ballot: Ballot,
        have: Vec<Have>,
        accepted: Option<Accepted>,
    ) {
        self.known = self.known.max(ballot);
        if let Some(lead) = self.lead.as_mut().filter(|_| ballot == self.promised)
            && lead.proposal.is_none()
            && lead.invited.contains(&from)
        {
            let is_new = lead.states.insert(from, (have, accepted)).is_none();
            lead.moved = if is_new { now } else { lead.moved };
        }
    }

    /// Takes up the proposal of a leader.
    pub(super) fn propose(&mut self, now: Time, ballot: Ballot, proposal: Proposal) {
        if ballot < self.promised || ballot.leader == self.me.0 {
            return;
        }
        self.promise(ballot, now);
        if self.pending.is_none() {
            self.repeat_at = now;
        }
        self.pending = Some((ballot, proposal));
    }

    /// Records that a member has accepted this leader's proposal.
    pub(super) fn ready(&mut self, now: Time, from: MemberId, ballot: Ballot) {
        let is_asked = |lead: &&mut Lead| lead.proposal.is_some() && lead.states.contains_key(&from);
        if let Some(lead) = self.lead.as_mut().filter(|_| ballot == self.promised).filter(is_asked) {
            let is_new = lead.ready.insert(from);
            lead.moved = if is_new { now } else { lead.moved };
        }
    }

    /// Records the arrival of a fetched packet.
    pub(super) fn fetched(&mut self, now: Time, sender: MemberId, number: u64) {
        if self.asked.remove(&(sender, number)) && self.asked.is_empty() {
            self.repeat_at = now;
        }
    }

    /// Returns whether the proposal names this packet, to be fetched from `holder`.
    pub(super) fn wants(&self, holder: MemberId, sender: MemberId, number: u64) -> bool {
        self.pending.as_ref().is_some_and(|(_, proposal)| {
            let is_it = |&(of, (first, last), by): &(MemberId, Range, MemberId)| {
                (of, by) == (sender, holder) && first <= number && number <= last
            };
            proposal.cut.iter().any(is_it)
        })
    }

    /// Takes the steps that are possible now: proposes, accepts, installs.
    pub(super) fn go_on(
        &mut self,
        now: Time,
        log: &Log,
        rules: &Rules<'_>,
        words: &mut Vec<Word>,
    ) -> Outcome {
        if let Some(lead) = &mut self.lead
            && lead.proposal.is_none()
            && lead.is_answered(rules)
        {
            let proposal = lead.decide(self.me, rules);
            // Newcomers alone are no group: no member could tell them where their view begins.
            let is_new = |client: &MemberId| proposal.arrivals.iter().any(|seat| seat.slot == client.0);
            if proposal.view.clients.iter().all(is_new) {
                return Outcome::NobodyLeft;
            }
            words.push(Word::Propose(self.promised, proposal.clone()));
            self.pending = Some((self.promised, proposal.clone()));
            lead.proposal = Some(proposal);
            lead.moved = now;
            self.repeat_at = now;
        }
        self.accept(log, words);
        match &self.lead {
            // Also of members that are not in the next view: with a majority, each later leader hears of it from one of
            // them.
            Some(Lead { proposal: Some(proposal), states, ready, .. })
                if states.keys().all(|member| ready.contains(member)) =>
            {
                words.push(Word::Install(self.promised, proposal.clone()));
                Outcome::Installed(self.promised, proposal.clone())
            }
            _ => Outcome::Open,
        }
    }

    /// Accepts the pending proposal, if all packets that belong to it are here.
    fn accept(&mut self, log: &Log, words: &mut Vec<Word>) {
        let is_complete = |proposal: &Proposal| {
            proposal.cut.iter().all(|&(sender, range, _)| log.missing(sender, range, 1).is_empty())
        };
        let Some((ballot, proposal)) = self.pending.as_ref().filter(|(_, proposal)| is_complete(proposal))
        else {
            return;
        };
        if self.accepted.as_ref().is_some_and(|(accepted, _)| accepted == ballot) {
            return;
        }
        self.accepted = Some((*ballot, proposal.clone()));
        words.push(Word::Ready(*ballot));
        if let Some(lead) = &mut self.lead {
            lead.ready.insert(self.me);
        }
    }

    /// Returns whether this member has accepted this proposal, and so has all packets that belong to it.
    pub(super) fn has_accepted(&self, proposal: &Proposal) -> bool {
        self.accepted.as_ref().is_some_and(|(_, accepted)| accepted.view == proposal.view)
    }

    pub(super) const fn next_deadline(&self) -> Time {
        self.repeat_at
    }

    /// Repeats messages without an answer.
    pub(super) fn repeat(&mut self, now: Time, log: &Log, words: &mut Vec<Word>) {
        if now < self.repeat_at {
            return;
        }
        self.repeat_at = now.after(REPEAT);
        match &self.lead {
            Some(Lead { proposal: None, invited, .. }) => {
                words.push(Word::Prepare(self.promised, invited.clone()));
            }
            Some(Lead { proposal: Some(proposal), .. }) => {
                words.push(Word::Propose(self.promised, proposal.clone()));
            }
            None => {}
        }
        match (&self.accepted, &self.pending) {
            (Some((accepted, _)), Some((pending, _))) if accepted == pending => {
                words.push(Word::Ready(*accepted));
            }
            (_, Some(_)) => self.fetch(log, words),
            _ => {}
        }
    }

    fn fetch(&mut self, log: &Log, words: &mut Vec<Word>) {
        self.asked.clear();
        let Some((_, proposal)) = &self.pending else { return };
        for &(sender, range, holder) in &proposal.cut {
            let room = FETCH - self.asked.len();
            let missing = log.missing(sender, range, room);
            if !missing.is_empty() {
                words.push(Word::Fetch(holder, sender, ranges(missing.iter().copied())));
                self.asked.extend(missing.into_iter().map(|number| (sender, number)));
            }
            if self.asked.len() == FETCH {
                return;
            }
        }
    }
}

impl Lead {
    fn is_answered(&self, rules: &Rules<'_>) -> bool {
        let members = rules.view.members();
        let answered = members.iter().filter(|member| self.states.contains_key(member)).count();
        let all = self.invited.iter().all(|member| self.states.contains_key(member));
        all && (!rules.majority || 2 * answered > members.len())
    }

    /// Returns the accepted proposal that may have been installed, if there is one; else all members present, with all
    /// their packets.
    fn decide(&self, me: MemberId, rules: &Rules<'_>) -> Proposal {
        let is_here = |member: &MemberId| self.states.contains_key(member);
        let accepted = self.states.iter().filter_map(|(&by, (_, accepted))| Some((accepted.as_ref()?, by)));
        // A member that is not a client may have accepted without the payloads, which others could not fetch from it.
        // If a client of that view is present and has not accepted, the view was not installed anywhere.
        let counts = |&((_, proposal), by): &(&Accepted, MemberId)| {
            let clients = &proposal.view.clients;
            clients.contains(&by) || !clients.iter().any(is_here)
        };
        let accepted = accepted.filter(counts);
        if let Some(((_, proposal), by)) = accepted.max_by_key(|((ballot, _), by)| (*ballot, *by))
            && !rules.defects.has(Defect::NoAdoption)
        {
            // The member that accepted has all packets; the earlier holders may be lost.
            let cut = proposal.cut.iter().map(|&(sender, range, _)| (sender, range, by)).collect();
            return Proposal { cut, ..proposal.clone() };
        }
        let here = |members: &[MemberId]| members.iter().copied().filter(is_here).collect::<Vec<_>>();
        let View { number, clients, sequencer, candidates } = rules.view;
        let sequencer = sequencer.filter(is_here).or(rules.has_sequencer.then_some(me));
        let mut candidates = here(candidates);
        candidates.retain(|member| Some(*member) != sequencer);
        let mut clients = here(clients);
        let arrivals = rules.arrivals.clone();
        clients
            .extend(arrivals.iter().filter(|seat| seat.role == Role::Client).map(|seat| MemberId(seat.slot)));
        candidates.extend(arrivals.iter().filter(|seat| seat.can_sequence).map(|seat| MemberId(seat.slot)));
        clients.sort_unstable();
        candidates.sort_unstable();
        Proposal {
            view: View { number: number + 1, clients, sequencer, candidates },
            cut: self.cut(me),
            arrivals,
        }
    }

    /// Returns all packets that any member has, each with a holder: this leader if possible, since every invited member
    /// hears it and the others may not hear each other.
    fn cut(&self, me: MemberId) -> Vec<(MemberId, Range, MemberId)> {
        let mut of: BTreeMap<MemberId, Vec<(Range, MemberId)>> = BTreeMap::new();
        for (&holder, (have, _)) in &self.states {
            for (sender, ranges) in have {
                of.entry(*sender).or_default().extend(ranges.iter().map(|&range| (range, holder)));
            }
        }
        let mut cut = Vec::new();
        for (sender, mut ranges) in of {
            ranges.sort_unstable();
            let mut ranges = ranges.into_iter().peekable();
            // The end of the cut so far, and the holder of most of what comes next.
            let (mut covered, mut best) = (0, (0, me));
            loop {
                while let Some(((_, last), holder)) = ranges.next_if(|((first, _), _)| *first <= covered + 1)
                {
                    let worth = |(last, holder)| (last, holder == me, holder == sender);
                    if worth((last, holder)) > worth(best) {
                        best = (last, holder);
                    }
                }
                if best.0 > covered {
                    cut.push((sender, (covered + 1, best.0), best.1));
                    covered = best.0;
                } else if let Some(((first, _), _)) = ranges.peek() {
                    covered = first - 1;
                } else {
                    break;
                }
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_outbid_by_a_higher_ballot_when_it_has_led_in_vain() {
        let [me, other] = [0, 1].map(MemberId);
        let (log, mut words) = (Log::new(&[me, other]), Vec::new());
        let ballot = |attempt, MemberId(leader)| Ballot { attempt, leader };
        let mut flush = Flush::new(me, Time::ZERO);
        let hears = |flush: &mut Flush, ballot| flush.state(Time::ZERO, other, ballot, Vec::new(), None);
        let stalled = Time::ZERO.after(STALL);
        hears(&mut flush, ballot(4, other));
        assert!(!flush.is_outbid(stalled), "it does not lead");
        flush.lead(Time::ZERO, vec![me, other], &log, &mut words);
        hears(&mut flush, ballot(5, me));
        assert!(!flush.is_outbid(stalled), "its own ballot is the highest");
        hears(&mut flush, ballot(5, other));
        assert!(!flush.is_outbid(Time::from_micros(STALL.as_micros() as u64 - 1)), "it has not led for long");
        assert!(flush.is_outbid(stalled));
        flush.resign();
        assert!(!flush.is_outbid(stalled), "it does not lead any more");
    }

    #[test]
    fn the_cut_is_all_that_anybody_has() {
        let [a, b, c] = [0, 1, 2].map(MemberId);
        let state = |ranges: &[Range]| (vec![(c, ranges.to_vec())], None);
        let states = [(a, state(&[(1, 4), (7, 7)])), (b, state(&[(1, 5), (9, 10)]))].into_iter().collect();
        let (invited, ready, asked) = (vec![a, b], BTreeSet::new(), BTreeMap::new());
        let lead = Lead { invited, states, proposal: None, ready, moved: Time::ZERO, asked };
        assert_eq!(lead.cut(c), [(c, (1, 5), b), (c, (7, 7), a), (c, (9, 10), b)]);
    }
}
