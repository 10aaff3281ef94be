//! Handles received packets: those for the protocol stack, and [valid](super::validation) membership messages.

use super::validation::SentIn;
use super::{Membership, Out};
use crate::engine::DropReason;
use crate::ids::{MemberId, Time};
use crate::member::departure::Departure;
use crate::member::view_message::ViewMessage;
use crate::wire::header::view_near;
use crate::wire::{Kind, Packet};

impl Membership {
    /// Handles a packet of its sender.
    pub(super) fn receive(&mut self, now: Time, packet: Packet, out: &mut Out) {
        let (header, from) = (packet.header, packet.header.sender);
        if header.run != self.run {
            return out.drop(from, DropReason::Malformed);
        }
        if from == self.me || self.is_out() {
            return;
        }
        let Some(view) = view_near(header.view, self.view.number) else {
            return out.drop(from, DropReason::Stranger);
        };
        if header.kind == Kind::Membership {
            return self.receive_message(now, SentIn { low: header.view, view }, packet, out);
        }
        if !self.is_member(from) || view < self.view.number {
            return self.is_behind(now, from, view, out);
        }
        self.detector.heard(now, from);
        if view == self.view.number {
            self.pass(now, packet, out);
        } else {
            self.keep_early(view, packet);
        }
    }

    fn receive_message(&mut self, now: Time, sent_in: SentIn, packet: Packet, out: &mut Out) {
        let (from, view) = (packet.header.sender, sent_in.view);
        let Ok(message) = ViewMessage::decode(packet.clone()) else {
            return out.drop(from, DropReason::Malformed);
        };
        if !self.may_send(from, sent_in, &message) {
            return self.reject(now, from, sent_in, &message, out);
        }
        let is_ours = self.is_member(from) && view >= self.view.number;
        if is_ours {
            self.detector.heard(now, from);
        }
        match message {
            ViewMessage::Admit(seat) => self.admission_requested(now, seat, out),
            ViewMessage::Install(ballot, proposal) => self.adopt(now, ballot, proposal, out),
            ViewMessage::Behind(member, view, ballot) => {
                self.left_behind(now, from, (member, view, ballot), out);
            }
            message if is_ours && view == self.view.number => self.handle_message(now, from, message, out),
            ViewMessage::Exclude(member, by, millis) if member == self.me => {
                self.accused(from, member, (by, millis), out);
            }
            _ if is_ours => self.keep_early(view, packet),
            _ => self.is_behind(now, from, view, out),
        }
    }

    /// Ignores a message that its sender may not send. A sender in an earlier view is told so.
    fn reject(&mut self, now: Time, from: MemberId, sent_in: SentIn, message: &ViewMessage, out: &mut Out) {
        let is_late = sent_in.view < self.view.number || !self.is_member(from);
        let is_of_a_view = match message {
            ViewMessage::Admit(_) | ViewMessage::Behind(..) => false,
            // The Install of a view that has begun here is only late.
            ViewMessage::Install(_, proposal) => proposal.view.number <= self.view.number,
            _ => true,
        };
        if is_late && is_of_a_view {
            return self.is_behind(now, from, sent_in.view, out);
        }
        // A change from a view that this member has missed, whose newcomers it does not know: its leader may be honest, and
        // cannot be judged here.
        let is_beyond = matches!(message, ViewMessage::Install(_, proposal)
            if proposal.view.number > self.view.number + 1
                && (sent_in.view..=sent_in.view + 1).contains(&proposal.view.number));
        let is_to_blame = self.has_seat(from) && !is_beyond;
        out.drop(from, if is_to_blame { DropReason::BreaksContract } else { DropReason::Stranger });
    }

    /// Keeps a packet of the next view until that view is installed here.
    fn keep_early(&mut self, view: u64, packet: Packet) {
        if view == self.view.number + 1 {
            self.early.push(packet);
        }
    }

    /// Handles a packet of an earlier view, or of a process that is not in this one.
    fn is_behind(&mut self, now: Time, from: MemberId, view: u64, out: &mut Out) {
        if self.installed.is_none() || !self.has_seat(from) {
            return out.drop(from, DropReason::Stranger);
        }
        // A sender in a later view will tell us.
        if (1..=self.view.number).contains(&view) {
            self.tell_behind(now, from, out);
        }
    }

    /// Handles a message of the current view.
    fn handle_message(&mut self, now: Time, from: MemberId, message: ViewMessage, out: &mut Out) {
        let mut answers = Vec::new();
        match message {
            ViewMessage::Heartbeat => {}
            ViewMessage::Here(ballot, view) => self.compare_views(now, from, ballot, &view, out),
            ViewMessage::Verify(member) if member == self.me => answers.push(ViewMessage::Heartbeat),
            ViewMessage::Verify(member) if self.detector.vouches_for(now, member) => {
                answers.push(ViewMessage::Vouch(member));
            }
            ViewMessage::Verify(_) => {}
            ViewMessage::Vouch(member) => self.detector.vouched(now, member),
            ViewMessage::Election | ViewMessage::Answer(_) | ViewMessage::Coordinator => {
                self.handle_election(now, from, &message, out);
            }
            ViewMessage::Leave => {
                self.detector.give_up(from, Departure::Left);
                self.check_need_for_change(now, out);
            }
            ViewMessage::Exclude(member, by, millis) => self.accused(from, member, (by, millis), out),
            ViewMessage::Prepare(..)
            | ViewMessage::State(..)
            | ViewMessage::Propose(..)
            | ViewMessage::Fetch(..)
            | ViewMessage::Relay(_)
            | ViewMessage::Ready(_) => self.handle_change(now, from, message, &mut answers, out),
            // A Welcome is for its newcomer; the others are handled before, whatever their view.
            ViewMessage::Welcome(..)
            | ViewMessage::Admit(_)
            | ViewMessage::Install(..)
            | ViewMessage::Behind(..) => {}
        }
        self.send_all(now, &answers, out);
        self.advance(now, out);
    }
}
