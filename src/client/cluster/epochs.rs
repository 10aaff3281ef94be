//! The epochs of a member's cluster: what its operator asks for, and what a change of the members does to its files.

use super::member::Member;
use crate::cluster::file::objection_beside;
use crate::cluster::request::{self, Answer, Asked};
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::replica::epoch::{Change, Request};
use crate::talk::list;

impl Member<'_> {
    /// Begins an epoch.
    ///
    /// # Errors
    /// Exit 69 if this member was removed.
    pub(super) fn begin_epoch(&mut self, number: u16, change: &Change) -> Result<(), Failure> {
        let removed = match &change.request {
            Request::Remove(member) => Some(self.node.name(*member).to_owned()),
            Request::Add { .. } => None,
        };
        self.next_direct.resize(self.node.names().len(), 1);
        let what = match (&change.request, &removed) {
            (Request::Add { name, udp }, _) => format!("{name} at {udp} was added"),
            (_, removed) => format!("{} was removed", removed.as_deref().unwrap_or_default()),
        };
        self.talk.say(format!("epoch {number}: {what}"));
        if !self.node.replica().is_removed() || removed.as_deref() != Some(&self.options.id) {
            return Ok(());
        }
        let id = &self.options.id;
        let lost = match self.ledger.withdrawn() {
            0 => "nothing of it was lost".to_owned(),
            count => format!("{count} of its messages, which no majority had, are void"),
        };
        let why = format!("{id} was removed from the cluster in epoch {number}: {lost}");
        Err(Failure::new(Exit::Unavailable, why).help(
            "it can come back as a new member: `groupcast cluster add`, with another id and an empty folder",
        ))
    }

    /// Takes a request of the operator, or answers one that is met or refused.
    pub(super) fn look_for_requests(&mut self) -> Result<(), Failure> {
        let Some(data) = self.options.data.clone() else { return Ok(()) };
        let asked = match request::asked(&data) {
            Ok(Some(asked)) => asked,
            Ok(None) => return self.take_back(),
            Err(error) => {
                self.talk.detail(format!("cannot read the request in {}: {error}", data.display()));
                return Ok(());
            }
        };
        let answer = match self.judge(&asked) {
            Judged::Met => Answer { asked, epoch: Some(self.node.replica().epoch()), refused: None },
            Judged::Refused(why) => Answer { asked, epoch: None, refused: Some(why) },
            Judged::Open(request) => {
                if self.node.replica().wanted() != Some(&request) {
                    self.node.propose(Some(request))?;
                }
                return Ok(());
            }
        };
        self.take_back()?;
        if let Err(error) = request::answer(&data, &answer) {
            self.talk.warn(format!("cannot answer the request in {}: {error}", data.display()));
        }
        Ok(())
    }

    /// Takes an earlier request back: the operator does not wait for it any more.
    fn take_back(&mut self) -> Result<(), Failure> {
        if self.node.replica().wanted().is_some() { self.node.propose(None) } else { Ok(()) }
    }

    /// Judges a request by the members that there are.
    fn judge(&self, asked: &Asked) -> Judged {
        let replica = self.node.replica();
        let slot_of = |id: &str| {
            let at = self.node.names().iter().position(|name| name == id);
            at.map(|at| MemberId(at as u16))
        };
        match asked {
            Asked::Add { id, udp } => match slot_of(id) {
                Some(slot) if replica.is_member(slot) && usize::from(slot.0) < replica.first_members() => {
                    Judged::Refused(format!("{id} has been a member from the beginning"))
                }
                Some(slot) if replica.is_member(slot) && self.node.address(slot) == Some(*udp) => Judged::Met,
                Some(_) => Judged::Refused(format!("{id} is, or was, the id of a member")),
                None if self.node.slot_at(*udp).is_some() => {
                    Judged::Refused(format!("{udp} is, or was, the address of a member"))
                }
                None => match self.node.address(self.node.me()).and_then(|own| objection_beside(*udp, own)) {
                    Some(why) => Judged::Refused(why),
                    None => Judged::Open(Request::Add { name: id.clone(), udp: *udp }),
                },
            },
            Asked::Remove { id } => match slot_of(id) {
                None => {
                    let names: Vec<&str> = self.node.names().iter().map(String::as_str).collect();
                    Judged::Refused(format!("{id} is none of the members {}", list(&names)))
                }
                Some(slot) if !replica.is_member(slot) => Judged::Met,
                Some(slot) if slot == self.node.me() => {
                    Judged::Refused(format!("{id} cannot remove itself: ask another member"))
                }
                Some(_) if replica.members() < 3 => Judged::Refused(
                    "a majority of the members must agree, and one of two is none: add one while both run"
                        .to_owned(),
                ),
                Some(slot) => Judged::Open(Request::Remove(slot)),
            },
        }
    }
}

/// The state of a request.
enum Judged {
    Met,
    Refused(String),
    Open(Request),
}
