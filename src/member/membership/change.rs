//! The view change, up to the installation: steps 1 to 4 of docs/VIEWS.md. [`Flush`] has the rules.

use std::collections::{BTreeSet, VecDeque};

use super::{Membership, Out, Phase, ViewChange};
use crate::ids::{MemberId, Time, To};
use crate::member::app::App;
use crate::member::departure::{Fence, Notice};
use crate::member::flush::{FETCH, Flush, Outcome, Rules};
use crate::member::view_message::{Ballot, Proposal, ViewMessage};
use crate::wire::{Frames, Kind, Packet};

impl Membership {
    // Step 1: all stop, and report their packets.

    /// Stops the stack: sends what is owed, and nothing after it.
    fn stop(&mut self, now: Time, out: &mut Out) {
        if !self.is_normal() {
            return;
        }
        self.drive(now, out, |stack, effects| stack.flush(now, effects));
        let (submissions, unresponsive) = (VecDeque::new(), BTreeSet::new());
        let change = ViewChange { flush: Flush::new(self.me, now), submissions, unresponsive };
        self.phase = Phase::Changing(Box::new(change));
    }

    /// Leads an attempt with all members that are present.
    pub(super) fn lead_change(&mut self, now: Time, out: &mut Out) {
        self.stop(now, out);
        let invited = self.present().collect();
        let mut messages = Vec::new();
        if let Phase::Changing(change) = &mut self.phase {
            change.flush.begin_attempt(now, invited, &self.log, &mut messages);
        }
        self.send_all(now, &messages, out);
        self.advance(now, out);
    }

    /// Handles a message of a view change.
    pub(super) fn handle_change(
        &mut self,
        now: Time,
        from: MemberId,
        message: ViewMessage,
        answers: &mut Vec<ViewMessage>,
        out: &mut Out,
    ) {
        match message {
            ViewMessage::Prepare(..) => {
                self.stop(now, out);
                self.election.settled();
            }
            ViewMessage::Propose(..) => self.stop(now, out),
            _ => {}
        }
        let Phase::Changing(change) = &mut self.phase else { return };
        let flush = &mut change.flush;
        match message {
            ViewMessage::Prepare(ballot, _) => flush.handle_prepare(now, ballot, &self.log, answers),
            ViewMessage::State(ballot, have, accepted) => {
                flush.handle_state(now, from, ballot, have, accepted);
            }
            ViewMessage::Propose(ballot, proposal) => flush.handle_proposal(now, ballot, proposal),
            ViewMessage::Fetch(holder, sender, ranges) => {
                flush.handle_fetch(now, from, sender, &ranges);
                let wanted = ranges.into_iter().filter(|_| holder == self.me);
                let packets = wanted.flat_map(|range| self.log.kept(sender, range)).take(FETCH);
                answers.extend(packets.cloned().map(ViewMessage::Relay));
            }
            ViewMessage::Relay(frames) => self.handle_relayed(now, from, frames),
            ViewMessage::Ready(ballot) => flush.handle_ready(now, from, ballot),
            _ => {}
        }
    }

    // Steps 2 to 4: the leader proposes, members fetch and accept, the leader installs.

    /// Adds a packet that `by` relays, if it was asked for.
    fn handle_relayed(&mut self, now: Time, by: MemberId, frames: Frames) {
        let epoch = self.epoch();
        let (Phase::Changing(change), Ok(packet)) = (&mut self.phase, Packet::parse(frames)) else { return };
        let header = packet.header;
        let is_of_view =
            header.kind == Kind::Data && header.to == To::Group && (header.run, header.view) == epoch;
        if let Some(number) = packet.number().filter(|_| is_of_view)
            && change.flush.wants(by, header.sender, number)
        {
            self.log.add(header.sender, number, &packet.frames);
            change.flush.record_fetched(now, header.sender, number);
        }
    }

    /// Takes the steps of the view change that are possible now.
    pub(super) fn advance(&mut self, now: Time, out: &mut Out) {
        let Phase::Changing(change) = &mut self.phase else { return };
        let rules = Rules {
            view: &self.view,
            has_sequencer: self.order.sequencer,
            majority: self.config.majority,
            defects: self.defects,
            arrivals: self.arrivals.seats(now),
        };
        let mut messages = Vec::new();
        let outcome = change.flush.advance(now, &self.log, &rules, &mut messages);
        self.send_all(now, &messages, out);
        match outcome {
            Outcome::Open => {}
            Outcome::Installed(ballot, proposal) => self.install(now, ballot, proposal, out),
            // The forwarder knows whether the clients left or were lost; it ends the run.
            Outcome::NobodyLeft => {
                self.go_out();
                out.deliver(self.me, None, App::Notice(Notice::NobodyLeft));
            }
        }
    }

    /// Repeats the messages of the view change that are not answered.
    pub(super) fn repeat_change_messages(&mut self, now: Time, out: &mut Out) {
        let mut messages = Vec::new();
        if let Phase::Changing(change) = &mut self.phase {
            change.flush.repeat(now, &self.log, &mut messages);
        }
        self.send_all(now, &messages, out);
    }

    /// Handles the news that this view has been installed elsewhere.
    pub(super) fn adopt(&mut self, now: Time, ballot: Ballot, proposal: Proposal, out: &mut Out) {
        let view = proposal.view.number;
        if view <= self.view.number {
            return;
        }
        if !proposal.view.members().contains(&self.me) || view != self.view.number + 1 {
            return self.fence(Fence::WentOn(view), out);
        }
        if self.flush().is_some_and(|flush| flush.has_accepted(&proposal)) {
            return self.install(now, ballot, proposal, out);
        }
        // The view is decided: adopt it once its packets are here.
        self.stop(now, out);
        if let Phase::Changing(change) = &mut self.phase {
            change.flush.handle_proposal(now, ballot, proposal);
        }
        self.advance(now, out);
    }
}
