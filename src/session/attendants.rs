//! The routers and sequencers at this forwarder, which serve every group.

use super::actions::{Actions, Incoming, ended};
use super::peer::Peer;
use super::{MAX_ROUTERS, MAX_STANDBYS};
use crate::engine::Time;
use crate::exit::Failure;
use crate::wire::control::{Ask, GroupEntry, Identity, Role, Say};

#[derive(Debug, Default)]
pub(super) struct Attendants(Vec<Attendant>);

#[derive(Debug)]
struct Attendant {
    role: Role,
    id: String,
    peer: Peer,
    /// The groups that it was last sent.
    sent: Vec<GroupEntry>,
}

/// A role that no process plays any more, and the reason.
pub(super) type Vacancy = (Role, String);

impl Attendants {
    /// Returns the id of a process that has the place of this one, if all places of its role are taken.
    pub(super) fn taken_by(&self, who: &Identity) -> Option<&str> {
        let most = match who.role {
            Role::Router => MAX_ROUTERS,
            Role::Standby => MAX_STANDBYS,
            Role::Sequencer | Role::Client => 1,
        };
        let is_known = self.knows(who);
        let mut present = self.0.iter().filter(|there| there.role == who.role && there.peer.gone.is_none());
        let first = present.next().filter(|_| !is_known)?;
        (present.count() + 1 >= most).then_some(&*first.id)
    }

    /// Returns whether this process has a place.
    pub(super) fn knows(&self, who: &Identity) -> bool {
        self.0.iter().any(|there| there.peer.nonce == Some(who.nonce))
    }

    /// Handles a request of a process that has a place, or takes one.
    pub(super) fn asked(&mut self, now: Time, incoming: &Incoming, actions: &mut Actions) -> Option<Vacancy> {
        let who = &incoming.request.who;
        let place = self.0.iter().position(|there| there.peer.nonce == Some(who.nonce));
        let place = place.unwrap_or_else(|| {
            // The new process replaces one that is gone.
            self.0.retain(|there| there.role != who.role || there.peer.gone.is_none());
            actions.notice(format!("{} is here", name(who.role, &who.id)));
            let peer = Peer::new(now, who.nonce, incoming.asker.clone());
            self.0.push(Attendant { role: who.role, id: who.id.clone(), peer, sent: Vec::new() });
            self.0.len() - 1
        });
        let peer = &mut self.0[place].peer;
        peer.hears(now, incoming);
        match &incoming.request.ask {
            Ask::Leave { code, reason } => {
                peer.say_bye(actions);
                let name = name(who.role, &who.id);
                self.remove(place, format!("{name} left the run: {reason} (exit {code})"), actions)
            }
            Ask::Over { .. } => {
                peer.say_bye(actions);
                None
            }
            _ => None,
        }
    }

    /// Removes the first process that is lost.
    pub(super) fn drop_lost(&mut self, now: Time, actions: &mut Actions) -> Option<Vacancy> {
        let (place, why) = self.0.iter().enumerate().find_map(|(place, there)| {
            let name = name(there.role, &there.id);
            there.peer.lost(now).map(|why| (place, format!("{name} is lost: {why}")))
        })?;
        self.remove(place, why, actions)
    }

    fn remove(&mut self, place: usize, why: String, actions: &mut Actions) -> Option<Vacancy> {
        let role = self.0.remove(place).role;
        actions.notice(why.clone());
        (!self.is_here(role)).then_some((role, why))
    }

    /// Returns whether a process of this role is here.
    pub(super) fn is_here(&self, role: Role) -> bool {
        self.0.iter().any(|there| there.role == role)
    }

    pub(super) fn peers(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.0.iter_mut().map(|there| &mut there.peer)
    }

    /// Answers those that have not received these groups, or all with the end.
    pub(super) fn answer(
        &mut self,
        now: Time,
        groups: &[GroupEntry],
        end: Option<&Result<(), Failure>>,
        actions: &mut Actions,
    ) {
        for there in &mut self.0 {
            there.peer.nudge(now, actions);
            let say = match end {
                Some(result) => ended(result),
                None if there.sent != groups || there.peer.is_overdue(now) => {
                    Say::Groups { groups: groups.to_vec() }
                }
                None => continue,
            };
            if there.peer.held.is_some() {
                groups.clone_into(&mut there.sent);
                there.peer.answer(say, actions);
            }
        }
    }

    /// Returns whether all of them know the end of all runs.
    pub(super) fn know_the_end(&self, now: Time, may_ask_later: bool) -> bool {
        let knows = |peer: &Peer| peer.knows_the_end(now, may_ask_later) || peer.is_gone_for_good(now);
        self.0.iter().all(|there| knows(&there.peer))
    }
}

/// Names a router or sequencer for people: its id alone, if that is its role.
fn name(role: Role, id: &str) -> String {
    if id == role.to_string() { format!("the {role}") } else { format!("the {role} {id}") }
}
