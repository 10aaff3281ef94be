//! The processes and conditions for which a group waits, worded for its members and for people at the forwarder.

use super::{Gathering, Group, Phase};
use crate::engine::Time;
use crate::session::actions::Actions;
use crate::session::member::Member;
use crate::talk::list;
use crate::wire::control::{Ask, Request, Role};

/// Most absent clients that a group remembers.
const MAX_ABSENT: usize = 8;

impl Gathering {
    /// Returns the absent clients for people: empty, or in brackets.
    pub(super) fn absences(&self) -> String {
        let all: Vec<&str> = self.absent.values().map(String::as_str).collect();
        if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
    }
}

impl Group {
    /// Records that a client does not take part before the start, and why.
    pub(super) fn misses(&mut self, id: &str, why: String) {
        let Phase::Gathering(Gathering { absent, .. }) = &mut self.phase else { return };
        if absent.len() < MAX_ABSENT || absent.contains_key(id) {
            absent.insert(id.to_owned(), why);
        }
    }

    /// Records that a client takes part after all.
    pub(super) fn is_here(&mut self, id: &str) {
        if let Phase::Gathering(gathering) = &mut self.phase {
            gathering.absent.remove(id);
        }
    }

    /// Warns if a client and another one name different forwarders, because they may never meet; `request` may also
    /// tell that it joins elsewhere. One forwarder may have several names, so only lists of several are compared by
    /// name.
    pub(super) fn compare_forwarders(&mut self, request: &Request, actions: &mut Actions) {
        let Request { who, connect, ask, .. } = request;
        let differs = |other: &[String]| {
            !connect.is_empty()
                && !other.is_empty()
                && (other.len() != connect.len() || (other.len() > 1 && other != connect))
        };
        let other = self.members.iter().find(|(id, member)| **id != who.id && differs(&member.connect));
        let Some((other, member)) = other else { return };
        let named = |id: &str, connect: &[String]| format!("{id} has --connect {}", connect.join(","));
        let lists = format!("{}, {}", named(&who.id, connect), named(other, &member.connect));
        let Phase::Gathering(gathering) = &mut self.phase else { return };
        if !std::mem::replace(&mut gathering.is_parted, true) {
            let cure = "all members of a group must name the same forwarders in the same order";
            actions.notice(format!("{}: warning: {lists}; {cure}", who.group));
        }
        if *ask != Ask::Join {
            self.misses(&who.id, format!("{} joins at another forwarder: {lists}", who.id));
        }
    }

    /// Returns the processes and conditions for which the group waits, for people.
    pub(super) fn missing(&self) -> Vec<String> {
        let state = |member: &Member| match (member.ready, member.peer.present) {
            // The router is named with the members that need it.
            (false, _) if member.awaits_router => None,
            (false, _) => Some(format!("{} (joined, not ready)", member.seat.id)),
            (true, false) => Some(format!("{} (ready, but silent now)", member.seat.id)),
            (true, true) => None,
        };
        match &self.phase {
            Phase::Gathering(_) => {
                let unready = self.members.values().filter_map(state);
                unready.chain(self.empty_seats()).chain(self.needed_router()).collect()
            }
            Phase::Running(running) => {
                let undone = self.clients().filter(|client| client.done.is_none());
                let unheard = if running.taken_up.is_some() { self.empty_seats() } else { Vec::new() };
                undone.map(|client| client.seat.id.clone()).chain(unheard).collect()
            }
            Phase::Over(_) => Vec::new(),
        }
    }

    /// Returns the router and the members that are not ready because they cannot reach one.
    fn needed_router(&self) -> Option<String> {
        let waits = |member: &&Member| member.awaits_router && !member.ready;
        let by: Vec<&String> = self.members.values().filter(waits).map(|member| &member.seat.id).collect();
        (!by.is_empty()).then(|| format!("a router, needed by {}", list(&by)))
    }

    /// Returns the clients and the sequencer that have not joined.
    pub(super) fn empty_seats(&self) -> Vec<String> {
        let absences = match &self.phase {
            Phase::Gathering(gathering) => gathering.absences(),
            _ => String::new(),
        };
        let clients = match self.rules.clients.saturating_sub(self.founders().count()) {
            0 => None,
            1 => Some(format!("1 more client{absences}")),
            more => Some(format!("{more} more clients{absences}")),
        };
        let has_sequencer = self.members.values().any(|member| member.seat.role == Role::Sequencer);
        let sequencer = (self.order.sequencer && !has_sequencer)
            .then(|| format!("a sequencer (order {} needs one)", self.order.title()));
        clients.into_iter().chain(sequencer).collect()
    }

    pub(super) fn progress(&self) -> String {
        let names = |wanted: fn(&&Member) -> bool| {
            list(&self.members.values().filter(wanted).map(|member| &member.seat.id).collect::<Vec<_>>())
        };
        match self.phase {
            Phase::Gathering(_) => format!("ready: {}", names(|member| member.ready)),
            Phase::Running(_) if self.clients().any(|client| client.done.is_some()) => {
                format!("done: {}", names(|member| member.done.is_some()))
            }
            _ => format!("all ready: {}", names(|_| true)),
        }
    }

    /// Returns a text for people with the missing processes, if the group waits for any.
    pub(in crate::session) fn waiting(&self, now: Time) -> Option<String> {
        let gives_up = match self.phase {
            Phase::Gathering(_) => {
                let left = self.rules.start_timeout.saturating_sub(now.since(self.since));
                format!(" (gives up in {} s)", left.as_secs())
            }
            Phase::Running(_) if self.members.values().any(|member| member.done.is_some()) => String::new(),
            _ => return None,
        };
        let missing = self.missing();
        let text = || format!("{}: {}; waiting for {}{gives_up}", self.name, self.progress(), list(&missing));
        (!missing.is_empty()).then(text)
    }
}

/// Returns the missing processes without `id` itself.
pub(in crate::session) fn without(id: &str, missing: &[String]) -> Vec<String> {
    let is_own =
        |what: &str| what.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("));
    missing.iter().filter(|what| !is_own(what)).cloned().collect()
}
