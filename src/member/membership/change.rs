//! The view change: a member is lost, another leads, all stop, and go on with a fresh protocol stack.

use super::{Membership, Out, others};
use crate::defect::Defect;
use crate::engine::{Input, MemberId, Time, To};
use crate::member::detector::Detector;
use crate::member::election::{Call, Election};
use crate::member::flush::{Flush, Outcome, Rules, STALL};
use crate::member::log::Log;
use crate::member::stack::{self, StackConfig};
use crate::member::word::{Ballot, Proposal, Word};
use crate::member::{App, Departure, Fence, Notice};
use crate::wire::Frames;

impl Membership {
    /// Begins a flush: sends what is owed, and nothing after it.
    pub(super) fn stop(&mut self, now: Time, out: &mut Out) {
        if self.flush.is_some() {
            return;
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.line.flush(now, &mut effects);
        self.perform(now, &mut effects, true, out);
        self.effects = effects;
        self.flush = Some(Flush::new(self.me, now));
    }

    /// Returns the members above this one that can lead and are present.
    pub(super) fn above(&self) -> Vec<MemberId> {
        let leaders = self.leaders();
        leaders.into_iter().filter(|&member| member > self.me && !self.detector.is_lost(member)).collect()
    }

    /// Returns the members that are not lost.
    pub(super) fn present(&self) -> impl Iterator<Item = MemberId> {
        self.view.members().into_iter().filter(|&member| !self.detector.is_lost(member))
    }

    /// Returns the members that can lead: those that can be the sequencer or, in an order without one, every client.
    pub(super) fn leaders(&self) -> Vec<MemberId> {
        if !self.order.sequencer {
            return self.view.clients.clone();
        }
        self.view.sequencer.iter().chain(&self.view.candidates).copied().collect()
    }

    pub(super) fn elect(&mut self, now: Time, from: MemberId, word: &Word, out: &mut Out) {
        let (above, mut calls) = (self.above(), Vec::new());
        let leads = match word {
            Word::Election if self.leaves || self.is_reproached() || !self.leaders().contains(&self.me) => {
                false
            }
            // This member leads already; the caller hears the announcement again.
            Word::Election if self.flush.as_ref().is_some_and(Flush::leads) => {
                calls.push(Call::Answer(from));
                false
            }
            Word::Election => self.election.called(now, from, &above, &mut calls),
            Word::Answer(member) if *member == self.me => {
                self.election.answered(now, from);
                false
            }
            Word::Coordinator => {
                self.election.settled();
                false
            }
            _ => false,
        };
        self.after_election(now, leads, &calls, out);
    }

    fn after_election(&mut self, now: Time, leads: bool, calls: &[Call], out: &mut Out) {
        let word = |call: &Call| match call {
            Call::Election => Word::Election,
            Call::Answer(member) => Word::Answer(*member),
            Call::Coordinator => Word::Coordinator,
        };
        let words: Vec<Word> = calls.iter().map(word).collect();
        self.say_all(now, &words, out);
        if leads {
            self.lead(now, out);
        }
    }

    fn lead(&mut self, now: Time, out: &mut Out) {
        self.stop(now, out);
        let invited = self.present().collect();
        let mut words = Vec::new();
        if let Some(flush) = &mut self.flush {
            flush.lead(now, invited, &self.log, &mut words);
        }
        self.say_all(now, &words, out);
        self.go_on(now, out);
    }

    /// Takes the steps of the flush that are possible now.
    pub(super) fn go_on(&mut self, now: Time, out: &mut Out) {
        let Some(flush) = &mut self.flush else { return };
        let rules = Rules {
            view: &self.view,
            has_sequencer: self.order.sequencer,
            majority: self.keeping.majority,
            defects: self.defects,
            arrivals: self.arrivals.seats(now),
        };
        let mut words = Vec::new();
        let outcome = flush.go_on(now, &self.log, &rules, &mut words);
        self.say_all(now, &words, out);
        match outcome {
            Outcome::Open => {}
            Outcome::Installed(ballot, proposal) => self.install(now, ballot, proposal, out),
            // The forwarder knows whether the clients left or were lost; it ends the run.
            Outcome::NobodyLeft => {
                self.is_out = true;
                self.flush = None;
                out.deliver(self.me, None, App::Notice(Notice::NobodyLeft));
            }
        }
    }

    /// Handles the news that this view has been installed elsewhere.
    pub(super) fn install_told(&mut self, now: Time, ballot: Ballot, proposal: Proposal, out: &mut Out) {
        if proposal.view.number <= self.view.number {
            return;
        }
        let is_next = proposal.view.number == self.view.number + 1;
        let view = proposal.view.number;
        if !proposal.view.members().contains(&self.me) || !is_next {
            return self.fence(Fence::WentOn(view), out);
        }
        if self.flush.as_ref().is_some_and(|flush| flush.has_accepted(&proposal)) {
            return self.install(now, ballot, proposal, out);
        }
        // The view is decided: adopt it once its packets are here.
        self.stop(now, out);
        if let Some(flush) = &mut self.flush {
            flush.propose(now, ballot, proposal);
        }
        self.go_on(now, out);
    }

    /// Ends the old view and begins the new one.
    fn install(&mut self, now: Time, ballot: Ballot, proposal: Proposal, out: &mut Out) {
        if !proposal.view.members().contains(&self.me) {
            let view = proposal.view.number;
            return self.fence(Fence::WentOn(view), out);
        }
        let mut open = self.end_line(now, &proposal, out);
        // All survivors have the packets, so every held delivery is stable.
        self.unstable.end().into_iter().for_each(|(from, number, app)| out.deliver(from, number, app));
        if self.defects.has(Defect::ForgetsOpen) {
            open.clear();
        }
        let own = self.me;
        let open: Vec<App> = open.into_iter().map(|app| self.reopened(own, app)).collect();
        for (member, count) in std::mem::take(&mut self.within) {
            *self.before.entry(member).or_default() += count;
        }
        self.numbers = (self.numbers.0 + self.numbers.1, 0);
        let lost: Vec<MemberId> = self
            .view
            .members()
            .into_iter()
            .filter(|member| !proposal.view.members().contains(member))
            .collect();
        for &member in &lost {
            let why = self.departure(now, member, ballot, &proposal);
            out.deliver(member, None, App::Notice(Notice::Gone(why)));
        }
        self.view = proposal.view.clone();
        self.forgive();
        let arrivals = proposal.arrivals.clone();
        self.installed = Some((ballot, Some(proposal)));
        self.flush = None;
        out.deliver(self.me, None, App::View(self.view.clone(), arrivals.clone()));
        self.begin_line(now);
        self.take_in(now, &arrivals, out);
        self.give_up_directs(&lost, out);
        self.submit_again(now, open, out);
        // The others may wait for a sign of life in this view.
        self.say_all(now, &[self.sign_of_life()], out);
        self.early_bytes = 0;
        for (from, frames) in std::mem::take(&mut self.early) {
            self.receive(now, from, frames, out);
        }
    }

    /// Returns why `member` is not in the next view, as far as is known here.
    fn departure(&self, now: Time, member: MemberId, ballot: Ballot, proposal: &Proposal) -> Departure {
        let id = self.seats.get(member).map(|seat| &seat.id);
        let is_superseded = proposal.arrivals.iter().any(|seat| Some(&seat.id) == id);
        self.detector.departure(now, member).unwrap_or(if is_superseded {
            Departure::Superseded
        } else {
            Departure::LeftOutBy(MemberId(ballot.leader))
        })
    }

    /// Returns the reason of a group that ends because all members that could lead are lost.
    fn without_leaders(&self, now: Time) -> Fence {
        let last = self.view.sequencer;
        Fence::NoSequencer(last.and_then(|member| Some((member, self.detector.departure(now, member)?))))
    }

    /// Gives the old stack all packets of the view and closes it. Returns the open submissions.
    fn end_line(&mut self, now: Time, proposal: &Proposal, out: &mut Out) -> Vec<App> {
        let mut effects = std::mem::take(&mut self.effects);
        for &(sender, range, _) in &proposal.cut {
            if sender == self.me {
                continue;
            }
            let packets: Vec<Frames> = self.log.kept(sender, range).cloned().collect();
            for message in packets {
                self.line.handle(now, Input::Receive { from: sender, message }, &mut effects);
                self.perform(now, &mut effects, false, out);
            }
        }
        let open = self.line.close(&mut effects);
        self.perform(now, &mut effects, false, out);
        self.effects = effects;
        open
    }

    /// Returns an open submission with the message numbers of the whole run.
    fn reopened(&self, own: MemberId, app: App) -> App {
        match app {
            App::Multicast(batch) => App::Multicast(self.absolute(own, batch)),
            app => app,
        }
    }

    fn begin_line(&mut self, now: Time) {
        let members = self.view.members();
        let seed = self.seed.wrapping_add(self.view.number << 32);
        let Self { me, run, window, defects, .. } = *self;
        let place = StackConfig { me, view: &self.view, run, seed, window, defects };
        self.line = stack::build(self.order, place);
        self.log = Log::new(&members);
        self.detector = Detector::new(self.keeping.patience, others(&members, self.me), now);
        self.election = Election::new(self.me);
    }

    /// Submits what the old view left open, before anything newer.
    fn submit_again(&mut self, now: Time, open: Vec<App>, out: &mut Out) {
        for app in open {
            self.submit(now, To::Group, app, out);
        }
        for (receiver, batches) in self.direct.take_open() {
            for batch in batches {
                self.submit(now, To::Member(receiver), App::Direct(batch), out);
            }
        }
        let finished = self.finished.clone();
        for (to, app) in std::mem::take(&mut self.pending) {
            self.submit(now, to, app, out);
        }
        if let Some(tally) = finished {
            self.submit(now, To::Group, App::Finished(tally), out);
        }
    }

    // The start of a view change.

    pub(super) fn look_after_election(&mut self, now: Time, out: &mut Out) {
        // A member that leaves may have called an election before.
        if self.leaves {
            return self.election.settled();
        }
        if self.election.next_deadline().is_some_and(|due| due <= now) {
            let (above, mut calls) = (self.above(), Vec::new());
            let leads = self.election.look(now, &above, &mut calls);
            self.after_election(now, leads, &calls, out);
        }
    }

    /// Begins a view change if one is needed and no member leads it.
    pub(super) fn look_after_change(&mut self, now: Time, out: &mut Out) {
        if self.leaves || self.is_out {
            return;
        }
        let is_lost = |member: &MemberId| self.detector.is_lost(*member);
        let is_needed = match &self.flush {
            // Newcomers are taken in by the member that would lead.
            None if self.takes_newcomers_in(now) => true,
            None => self.view.members().iter().any(is_lost),
            Some(flush) if flush.leads() => {
                self.leave_out_the_mute(now, out);
                let Some(flush) = &self.flush else { return };
                // An invited member is lost, or a lost one is heard again;
                // or nobody answers, because they promised a higher ballot to a leader that is lost by now.
                if !self.present().eq(flush.invited().iter().copied()) || flush.is_outbid(now) {
                    self.lead(now, out);
                }
                return;
            }
            Some(flush) => {
                let (leader, ago) = flush.led_by(now);
                is_lost(&leader) || ago >= STALL
            }
        };
        if !is_needed {
            return;
        }
        let leaders = self.leaders();
        if leaders.iter().all(is_lost) {
            // With a majority rule, others may go on elsewhere and be heard again.
            if self.keeping.majority {
                return;
            }
            return self.fence(self.without_leaders(now), out);
        }
        // A member that is to be excluded leads only if no other can.
        let is_mine =
            !self.is_reproached() || leaders.iter().all(|member| *member == self.me || is_lost(member));
        if leaders.contains(&self.me) && is_mine {
            let (above, mut calls) = (self.above(), Vec::new());
            let leads = self.election.call(now, &above, &mut calls);
            if !calls.is_empty() {
                self.complain_of_takers_in(now, out);
            }
            self.after_election(now, leads, &calls, out);
        }
    }
}
