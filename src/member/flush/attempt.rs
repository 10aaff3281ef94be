//! The leader's part in the flush: one attempt, from the invitation of the members to their acceptance.

use std::collections::{BTreeMap, BTreeSet};

use crate::defect::{Defect, Defects};
use crate::ids::{MemberId, Time, View};
use crate::member::view_message::{Accepted, Have, Proposal};
use crate::prefix_set::Range;
use crate::wire::control::{Role, Seat};

/// One attempt of a leader.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The members that were asked to answer.
    pub(super) invited: Vec<MemberId>,
    /// The answers: the packets of a member, and the proposal that it has accepted.
    states: BTreeMap<MemberId, (Vec<Have>, Option<Accepted>)>,
    stage: Stage,
    /// The time of the last progress, and each member's last fetch.
    pub(super) moved: Time,
    fetches: BTreeMap<MemberId, (MemberId, Vec<Range>)>,
}

/// The stage of an attempt.
#[derive(Debug)]
enum Stage {
    /// Members report their packets.
    Preparing,
    /// Members fetch the packets of this proposal, and these have accepted it.
    Proposed(Proposal, BTreeSet<MemberId>),
}

/// The rules by which a leader proposes.
pub(in crate::member) struct Rules<'a> {
    pub(in crate::member) view: &'a View,
    pub(in crate::member) has_sequencer: bool,
    /// Requires more than half of the members of a view to go on.
    pub(in crate::member) majority: bool,
    /// The newcomers for the next view.
    pub(in crate::member) arrivals: Vec<Seat>,
    pub(in crate::member) defects: Defects,
}

impl Attempt {
    /// Returns the attempt of a leader that has these packets itself.
    pub(super) fn new(
        now: Time,
        me: MemberId,
        invited: Vec<MemberId>,
        have: Vec<Have>,
        accepted: Option<Accepted>,
    ) -> Self {
        let states = BTreeMap::from([(me, (have, accepted))]);
        Self { invited, states, stage: Stage::Preparing, moved: now, fetches: BTreeMap::new() }
    }

    /// Returns the proposal of this attempt, once it is made.
    pub(super) const fn proposal(&self) -> Option<&Proposal> {
        match &self.stage {
            Stage::Preparing => None,
            Stage::Proposed(proposal, _) => Some(proposal),
        }
    }

    /// Returns the members from which the leader waits for an answer.
    pub(super) fn waits_for(&self) -> impl Iterator<Item = MemberId> + '_ {
        let is_open = |member: &MemberId| match &self.stage {
            Stage::Preparing => !self.states.contains_key(member),
            Stage::Proposed(_, ready) => self.states.contains_key(member) && !ready.contains(member),
        };
        self.invited.iter().copied().filter(is_open)
    }

    /// Records the packets of a member that has stopped.
    pub(super) fn add_state(
        &mut self,
        now: Time,
        from: MemberId,
        have: Vec<Have>,
        accepted: Option<Accepted>,
    ) {
        if self.proposal().is_none() && self.invited.contains(&from) {
            let is_new = self.states.insert(from, (have, accepted)).is_none();
            self.moved = if is_new { now } else { self.moved };
        }
    }

    /// Records that a member has accepted the proposal. Returns whether that is new.
    pub(super) fn add_ready(&mut self, from: MemberId) -> bool {
        match &mut self.stage {
            Stage::Proposed(_, ready) => self.states.contains_key(&from) && ready.insert(from),
            Stage::Preparing => false,
        }
    }

    /// Records a fetch by a member: if it differs from the one before, the member makes progress.
    pub(super) fn add_fetch(&mut self, now: Time, from: MemberId, sender: MemberId, ranges: &[Range]) {
        let fetch = (sender, ranges.to_vec());
        if self.fetches.get(&from) != Some(&fetch) {
            self.moved = now;
            self.fetches.insert(from, fetch);
        }
    }

    /// Returns a new proposal, if all invited members have answered and it is not made yet.
    pub(super) fn next_proposal(&self, me: MemberId, rules: &Rules<'_>) -> Option<Proposal> {
        (self.proposal().is_none() && self.is_answered(rules)).then(|| self.decide(me, rules))
    }

    /// Proposes this.
    pub(super) fn propose(&mut self, now: Time, proposal: Proposal) {
        self.stage = Stage::Proposed(proposal, BTreeSet::new());
        self.moved = now;
    }

    /// Returns the proposal, if all members that answered have accepted it: also those that are not in the next view,
    /// since with a majority each later leader hears of it from one of them.
    pub(super) fn installed(&self) -> Option<&Proposal> {
        match &self.stage {
            Stage::Proposed(proposal, ready) if self.states.keys().all(|member| ready.contains(member)) => {
                Some(proposal)
            }
            _ => None,
        }
    }

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
    fn the_cut_is_all_that_anybody_has() {
        let [a, b, c] = [0, 1, 2].map(MemberId);
        let state = |ranges: &[Range]| (vec![(c, ranges.to_vec())], None);
        let mut attempt = Attempt::new(Time::ZERO, a, vec![a, b], Vec::new(), None);
        attempt.states =
            [(a, state(&[(1, 4), (7, 7)])), (b, state(&[(1, 5), (9, 10)]))].into_iter().collect();
        assert_eq!(attempt.cut(c), [(c, (1, 5), b), (c, (7, 7), a), (c, (9, 10), b)]);
    }
}
