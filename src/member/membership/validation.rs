//! Checks of the membership messages, since any process that reaches the forwarder can publish anything under any slot.
//! A message counts only if the forwarder gave its sender a seat, if the sender can be in the view in which it was
//! sent, and if every member that it names has a seat. PROTOCOL.md has the same rules as a table.

use std::collections::BTreeSet;

use super::Membership;
use crate::ids::MemberId;
use crate::member::view_message::{Accepted, Ballot, Proposal, ViewMessage};
use crate::wire::control::{Role, Seat};

/// The view in which a message was sent: as in the header, and as a whole number.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentIn {
    pub(super) low: u16,
    pub(super) view: u64,
}

impl Membership {
    /// Returns the seat of a member of this run, of any view.
    #[must_use]
    pub fn seat(&self, member: MemberId) -> Option<&Seat> {
        self.seats.get(member).or_else(|| self.given.get(member))
    }

    /// Returns whether the forwarder gave this slot to a member.
    pub(super) fn has_seat(&self, member: MemberId) -> bool {
        self.is_of_view(member) || self.seat(member).is_some()
    }

    /// Returns whether this member can be in a later view: it has a seat, and no later incarnation is known.
    fn may_continue(&self, member: MemberId) -> bool {
        let is_latest = |seat: &Seat| !self.seats.has_later(seat) && !self.given.has_later(seat);
        self.seat(member).map_or_else(|| self.is_of_view(member), is_latest)
    }

    /// Returns whether this is a member of the current view.
    fn is_of_view(&self, member: MemberId) -> bool {
        member == self.me || self.is_member(member)
    }

    /// Returns whether `from` may send this message.
    pub(super) fn may_send(&self, from: MemberId, sent_in: SentIn, message: &ViewMessage) -> bool {
        let SentIn { low, view } = sent_in;
        let is_here = self.is_member(from) && view == self.view.number;
        let is_ahead = self.is_member(from) && view > self.view.number;
        match message {
            ViewMessage::Admit(seat) => low == 0 && seat.slot == from.0 && self.may_be_new(seat),
            ViewMessage::Behind(member, number, ballot) => {
                let is_made = *number == view && *number > 1 && self.has_seat(MemberId(ballot.leader));
                is_made && self.may_continue(from) && self.has_seat(*member)
            }
            ViewMessage::Install(ballot, proposal) => self.may_install(from, view, *ballot, proposal),
            ViewMessage::Here(ballot, other) => {
                let members = other.members();
                let is_in_it = other.number == view && members.contains(&from) && self.may_continue(from);
                is_in_it
                    && self.has_seat(MemberId(ballot.leader))
                    && members.iter().all(|&it| self.has_seat(it))
            }
            ViewMessage::Exclude(member, by, _) => {
                let is_own = !is_here || *member != self.me || *by == from;
                (is_here || is_ahead) && is_own && self.has_seat(*member) && self.has_seat(*by)
            }
            // A message of the next view is judged again when that view has begun here.
            _ if is_ahead => true,
            _ if !is_here => false,
            ViewMessage::Heartbeat
            | ViewMessage::Leave
            | ViewMessage::Ready(_)
            | ViewMessage::Relay(_)
            | ViewMessage::Welcome(..) => true,
            ViewMessage::Verify(member) | ViewMessage::Vouch(member) => self.is_of_view(*member),
            ViewMessage::Election | ViewMessage::Coordinator => self.can_lead(from),
            ViewMessage::Answer(member) => self.can_lead(from) && self.is_of_view(*member),
            ViewMessage::Prepare(ballot, members) => {
                self.leads(from, *ballot)
                    && members.contains(&from)
                    && members.iter().all(|&member| self.is_of_view(member))
            }
            ViewMessage::State(ballot, have, accepted) => {
                self.can_lead(MemberId(ballot.leader))
                    && have.iter().all(|(sender, _)| self.is_of_view(*sender))
                    && accepted.as_ref().is_none_or(|accepted| self.may_be_accepted(accepted))
            }
            ViewMessage::Propose(ballot, proposal) => self.leads(from, *ballot) && self.may_be_next(proposal),
            ViewMessage::Fetch(holder, sender, _) => self.is_of_view(*holder) && self.is_of_view(*sender),
        }
    }

    /// Returns whether the sender leads the change from this view, or is a member of the new view and sends from there.
    fn may_install(&self, from: MemberId, view: u64, ballot: Ballot, proposal: &Proposal) -> bool {
        let next = &proposal.view;
        if next.number <= self.view.number {
            // The view has been installed here; the message is for another member.
            return self.is_member(from) && view == self.view.number;
        }
        if view == self.view.number {
            return self.is_member(from) && self.leads(from, ballot) && self.may_be_next(proposal);
        }
        let is_in_it = next.number == view && next.members().contains(&from) && self.may_continue(from);
        let follows = next.number > self.view.number + 1 || self.may_be_next(proposal);
        is_in_it && follows && self.has_seat(MemberId(ballot.leader)) && self.is_possible(proposal)
    }

    /// Returns whether this process asks with a seat that a forwarder gave it for joining a running group.
    fn may_be_new(&self, seat: &Seat) -> bool {
        seat.late && (self.seats.has(seat) || self.given.has(seat)) && is_of_use(seat)
    }

    fn leads(&self, from: MemberId, ballot: Ballot) -> bool {
        ballot.leader == from.0 && self.can_lead(from)
    }

    fn can_lead(&self, member: MemberId) -> bool {
        self.leaders().contains(&member)
    }

    fn may_be_accepted(&self, (ballot, proposal): &Accepted) -> bool {
        self.can_lead(MemberId(ballot.leader)) && self.may_be_next(proposal)
    }

    /// Returns whether this proposal can follow the current view.
    fn may_be_next(&self, proposal: &Proposal) -> bool {
        let is_of_view = |&(sender, _, holder): &(MemberId, _, MemberId)| {
            self.is_of_view(sender) && self.is_of_view(holder)
        };
        proposal.view.number == self.view.number + 1
            && proposal.cut.iter().all(is_of_view)
            && self.is_possible(proposal)
    }

    /// Returns whether a group can go on in this view: old members in roles that they can have, newcomers with seats
    /// from a forwarder, and a sequencer if the order has one.
    pub(super) fn is_possible(&self, Proposal { view, arrivals, .. }: &Proposal) -> bool {
        let ours = &self.view;
        let (mut known, members) = (BTreeSet::from_iter(ours.members()), view.members());
        let are_new = arrivals.iter().all(|seat| {
            let is_given = self.given.has(seat) || self.seats.has(seat);
            is_given && members.contains(&MemberId(seat.slot)) && known.insert(MemberId(seat.slot))
        });
        let comes = |member: MemberId, fits: fn(&Seat) -> bool| {
            arrivals.iter().any(|seat| seat.slot == member.0 && fits(seat))
        };
        let is_client = |&member: &MemberId| {
            ours.clients.contains(&member) || comes(member, |seat| seat.role == Role::Client)
        };
        let is_candidate =
            |&member: &MemberId| ours.candidates.contains(&member) || comes(member, |seat| seat.can_sequence);
        let can_number =
            |member: MemberId| ours.sequencer == Some(member) || ours.candidates.contains(&member);
        are_new
            && view.sequencer.is_some() == self.order.sequencer
            && view.sequencer.is_none_or(can_number)
            && view.clients.iter().all(is_client)
            && view.candidates.iter().all(is_candidate)
    }
}

/// Returns whether a group can use such a newcomer.
fn is_of_use(seat: &Seat) -> bool {
    seat.role == Role::Client || seat.can_sequence
}
