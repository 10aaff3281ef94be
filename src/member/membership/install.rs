//! Step 5 of docs/VIEWS.md: each member closes the stack of the old view, begins a fresh one, and sends its own messages
//! again that were not delivered.

use std::collections::VecDeque;

use super::{Membership, Out, Phase, others};
use crate::defect::Defect;
use crate::engine::{Effect, Input};
use crate::ids::{MemberId, Time, To};
use crate::member::app::App;
use crate::member::departure::{Departure, Fence, Notice};
use crate::member::detector::Detector;
use crate::member::election::Election;
use crate::member::log::Log;
use crate::member::stack::{self, StackConfig};
use crate::member::view_message::{Ballot, Proposal};
use crate::wire::Packet;

impl Membership {
    /// Ends the old view and begins the new one.
    pub(super) fn install(&mut self, now: Time, ballot: Ballot, proposal: Proposal, out: &mut Out) {
        if !proposal.view.members().contains(&self.me) {
            let view = proposal.view.number;
            return self.fence(Fence::WentOn(view), out);
        }
        let mut open = self.close_stack(now, &proposal, out);
        // All survivors have the packets, so every held delivery is stable.
        self.unstable.end().into_iter().for_each(|(from, number, app)| out.deliver(from, number, app));
        if self.defects.has(Defect::ForgetsOpen) {
            open.clear();
        }
        self.offsets.begin_view();
        let (before, members) = (self.view.members(), proposal.view.members());
        let lost: Vec<MemberId> = before.into_iter().filter(|member| !members.contains(member)).collect();
        for &member in &lost {
            let why = self.departure(now, member, ballot, &proposal);
            out.deliver(member, None, App::Notice(Notice::Gone(why)));
        }
        self.view = proposal.view.clone();
        self.accusations.retain(|member, _| !members.contains(member));
        let arrivals = proposal.arrivals.clone();
        self.installed = Some((ballot, Some(proposal)));
        let change = std::mem::replace(&mut self.phase, Phase::Normal);
        out.deliver(self.me, None, App::View(self.view.clone(), arrivals.clone()));
        self.open_stack(now, &members);
        self.admit(now, &arrivals, out);
        for receiver in lost {
            for (batch, reason) in self.directs.take_lost(receiver) {
                self.report_undeliverable(receiver, App::Undeliverable(batch, reason), out);
            }
        }
        let submissions = match change {
            Phase::Changing(change) => change.submissions,
            Phase::Normal | Phase::Out { .. } => VecDeque::new(),
        };
        self.resubmit(now, open, submissions, out);
        // The others may wait for a sign of life in this view.
        self.send_all(now, &[self.sign_of_life()], out);
        for packet in self.early.take() {
            self.receive(now, packet, out);
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

    /// Gives the old stack all packets of the view and closes it. Returns the open multicasts with the numbers of the
    /// run.
    fn close_stack(&mut self, now: Time, proposal: &Proposal, out: &mut Out) -> Vec<App> {
        let mut effects = std::mem::take(&mut self.effects);
        for &(sender, range, _) in proposal.cut.iter().filter(|(sender, ..)| *sender != self.me) {
            for message in self.log.kept(sender, range).cloned().filter_map(|it| Packet::parse(it).ok()) {
                self.stack.handle(now, Input::Receive { from: sender, message }, &mut effects);
            }
        }
        let open = self.stack.close(&proposal.view.members(), &mut effects);
        // Also the numbers that name no message are given, the same at all members.
        self.offsets.reached(self.stack.next_number().unwrap_or_default());
        for effect in effects.drain() {
            // A closed stack sends nothing, and packets that it gets again are no faults.
            if let Effect::Deliver { from, number, app } = effect {
                self.deliver(now, from, number, app, out);
            }
        }
        self.effects = effects;
        open.into_iter()
            .map(|app| match app {
                App::Multicast(batch) => App::Multicast(self.offsets.absolute(self.me, batch)),
                app => app,
            })
            .collect()
    }

    fn open_stack(&mut self, now: Time, members: &[MemberId]) {
        let seed = self.seed.wrapping_add(self.view.number << 32);
        let Self { me, run, window, defects, .. } = *self;
        self.stack =
            stack::build(self.order, StackConfig { me, view: &self.view, run, seed, window, defects });
        self.log = Log::new(members);
        self.detector = Detector::new(self.config.detector, others(members, me), now);
        self.election = Election::new(me);
    }

    /// Submits what the old view left open, before anything newer.
    fn resubmit(&mut self, now: Time, open: Vec<App>, submissions: VecDeque<(To, App)>, out: &mut Out) {
        for app in open {
            self.submit(now, To::Group, app, out);
        }
        for (receiver, batches) in self.directs.take_open() {
            for batch in batches {
                self.submit(now, To::Member(receiver), App::Direct(batch), out);
            }
        }
        let finished = self.finished.clone();
        for (to, app) in submissions {
            self.submit(now, to, app, out);
        }
        if let Some(tally) = finished {
            self.submit(now, To::Group, App::Finished(tally), out);
        }
    }
}
