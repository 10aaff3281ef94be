//! The processes and conditions for which a group waits, worded for its members and for people at the forwarder.

use super::group::{Group, Phase};
use super::register::{Actions, Rules};
use super::seated::Member;
use crate::talk::list;
use crate::wire::control::{Ask, Request, Role};

/// Most absent clients that a group remembers.
const MAX_ABSENT: usize = 8;

impl Group {
    /// Records that a client does not take part before the start, and why.
    pub(super) fn misses(&mut self, id: &str, why: String) {
        if self.phase == Phase::Gathering && (self.absent.len() < MAX_ABSENT || self.absent.contains_key(id))
        {
            self.absent.insert(id.to_owned(), why);
        }
    }

    /// Returns the absent clients for people: empty, or in brackets.
    pub(super) fn absences(&self) -> String {
        let all: Vec<&str> = self.absent.values().map(String::as_str).collect();
        if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
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
        let other = self.seats.iter().find(|(id, seat)| **id != who.id && differs(&seat.connect));
        let Some((other, seat)) = other.filter(|_| self.phase == Phase::Gathering) else { return };
        let named = |id: &str, connect: &[String]| format!("{id} has --connect {}", connect.join(","));
        let lists = format!("{}, {}", named(&who.id, connect), named(other, &seat.connect));
        if *ask != Ask::Join {
            let why = format!("{} joins at another forwarder: {lists}", who.id);
            self.misses(&who.id, why);
        }
        if !std::mem::replace(&mut self.is_parted, true) {
            let cure = "all members of a group must name the same forwarders in the same order";
            actions.notices.push(format!("{}: warning: {lists}; {cure}", who.group));
        }
    }

    /// Returns the processes and conditions for which the group waits, for people.
    pub(super) fn missing(&self, rules: &Rules) -> Vec<String> {
        if self.phase != Phase::Gathering {
            let late = self.seats.iter().filter(|(_, seat)| seat.role == Role::Client && seat.done.is_none());
            let unheard = self.empty_seats(rules).filter(|_| self.resumed.is_some());
            return late.map(|(id, _)| id.clone()).chain(unheard).collect();
        }
        let state = |(id, seat): (&String, &Member)| match (seat.ready, seat.presence.present) {
            // The router is named with the members that need it.
            (false, _) if seat.awaits_router => None,
            (false, _) => Some(format!("{id} (joined, not ready)")),
            (true, false) => Some(format!("{id} (ready, but silent now)")),
            (true, true) => None,
        };
        let parts = self.empty_seats(rules).chain(self.needed_router());
        self.seats.iter().filter_map(state).chain(parts).collect()
    }

    /// Returns the router and the members that are not ready because they cannot reach one.
    fn needed_router(&self) -> Option<String> {
        let waits = |(_, seat): &(&String, &Member)| seat.awaits_router && !seat.ready;
        let by: Vec<&String> = self.seats.iter().filter(waits).map(|(id, _)| id).collect();
        (!by.is_empty()).then(|| format!("a router, needed by {}", list(&by)))
    }

    /// Returns the clients and the sequencer that have not joined.
    pub(super) fn empty_seats(&self, rules: &Rules) -> impl Iterator<Item = String> {
        let clients = match rules.clients.saturating_sub(self.founders().count()) {
            0 => None,
            1 => Some(format!("1 more client{}", self.absences())),
            more => Some(format!("{more} more clients{}", self.absences())),
        };
        let has_sequencer = self.seats.values().any(|seat| seat.role == Role::Sequencer);
        let sequencer = (self.order.sequencer && !has_sequencer)
            .then(|| format!("a sequencer (order {} needs one)", self.order.title()));
        clients.into_iter().chain(sequencer)
    }

    pub(super) fn progress(&self) -> String {
        let names = |wanted: fn(&Member) -> bool| {
            self.seats.iter().filter(|(_, seat)| wanted(seat)).map(|(id, _)| id.as_str()).collect::<Vec<_>>()
        };
        match self.phase {
            Phase::Gathering => format!("ready: {}", list(&names(|seat| seat.ready))),
            Phase::Running if self.clients().any(|seat| seat.done.is_some()) => {
                format!("done: {}", list(&names(|seat| seat.done.is_some())))
            }
            _ => format!("all ready: {}", list(&names(|_| true))),
        }
    }
}

/// Returns the missing processes without `id` itself.
pub(super) fn without(id: &str, missing: &[String]) -> Vec<String> {
    let is_own =
        |what: &str| what.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("));
    missing.iter().filter(|what| !is_own(what)).cloned().collect()
}
