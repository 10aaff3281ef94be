//! A history made ready to be judged: every message has a small index, so that an oracle is a walk over arrays.

use super::departures;
use super::history::{Event, History, MessageId, Record};
use super::verdict::{Verdict, Witness};

/// Stands for an event that did not happen.
const NEVER: u32 = u32::MAX;

/// A history with an index for each of its multicast messages.
pub struct Catalogue<'h> {
    /// What is judged.
    pub history: &'h History,
    /// The messages that were multicast or delivered, ascending; a message's index is its place here.
    ids: Vec<MessageId>,
    /// Of each event of each member: its message, or [`NEVER`] if it is about none that was multicast.
    messages: Vec<Vec<u32>>,
    /// Of each message: the first event of its sender's record that multicasts it.
    origins: Vec<u32>,
    /// Of each message: the view in which it was delivered, if that is known; nothing if everybody owes everything.
    views: Option<Vec<u64>>,
    /// Of each member: whether the others went on without it, and then how far it is one of them.
    departures: Vec<Option<usize>>,
}

/// The first event of one member that delivers each message.
pub(super) struct Deliveries(Vec<u32>);

impl<'h> Catalogue<'h> {
    /// Indexes the messages of `history`: sorting them is the only work that is more than linear.
    #[must_use]
    pub fn new(history: &'h History) -> Self {
        let events = history.records.iter().flat_map(|record| &record.events);
        let is_multicast = |event: &&Event| matches!(event, Event::Multicast { .. });
        let mut ids: Vec<MessageId> = events.filter(is_multicast).map(Event::id).collect();
        sort(&mut ids);
        let found = |ids: &[MessageId]| history.records.iter().map(|record| indices(ids, record)).unzip();
        let (mut messages, unknown): (Vec<Vec<u32>>, Vec<Vec<MessageId>>) = found(&ids);
        if unknown.iter().any(|unknown| !unknown.is_empty()) {
            // Deliveries of what no record multicasts.
            ids.extend(unknown.into_iter().flatten());
            sort(&mut ids);
            (messages, _) = found(&ids);
        }
        let origins = vec![NEVER; ids.len()];
        let departures = vec![None; history.records.len()];
        let mut catalogue = Self { history, ids, messages, origins, views: None, departures };
        for member in 0..history.records.len() {
            let found: Vec<_> = catalogue.multicasts(member).collect();
            for (event, message) in found.into_iter().rev() {
                catalogue.origins[message] = event as u32;
            }
        }
        if history.records.iter().any(Record::is_in_part) {
            catalogue.views = Some(catalogue.views_of_messages());
        }
        if history.records.iter().any(|record| record.views.len() > 1) {
            catalogue.departures = departures::find(&catalogue);
        }
        catalogue
    }

    /// Of each message: the view in which somebody who came to the end delivered it; 0 if that is not known.
    fn views_of_messages(&self) -> Vec<u64> {
        let mut views = vec![0; self.len()];
        for member in self.members().filter(|&member| self.record(member).ended) {
            let given = &self.record(member).views;
            let mut current = 0;
            for (event, message) in self.deliveries(member) {
                while given.get(current).is_some_and(|view| view.at <= event) {
                    current += 1;
                }
                if current > 0 && views[message] == 0 {
                    views[message] = given[current - 1].number;
                }
            }
        }
        views
    }

    /// Whether a member that came to the end must have delivered this message, if others have: it was there.
    pub(super) fn owes(&self, member: usize, message: usize) -> bool {
        let record = self.record(member);
        let Some(view) = self.views.as_ref().map(|views| views[message]).filter(|&view| view > 0) else {
            // Those who delivered it are lost: that may have been before it came.
            return record.came_late().is_none();
        };
        let came_after = record.came_late().is_some_and(|first| view < first);
        // It went some time in its last view, while others still delivered.
        let left_before = record.left && record.views.last().is_some_and(|last| view >= last.number);
        !came_after && !left_before
    }

    /// Whether the others went on without this member, and came to the end.
    pub(super) fn is_lost(&self, member: usize) -> bool {
        self.departures[member].is_some()
    }

    /// The members' indices.
    pub(super) fn members(&self) -> std::ops::Range<usize> {
        0..self.history.records.len()
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// A member's record.
    pub(super) fn record(&self, member: usize) -> &'h Record {
        &self.history.records[member]
    }

    /// The record of a message's sender; nothing if there is no such member.
    pub(super) fn sender(&self, message: usize) -> Option<&'h Record> {
        self.history.records.get(usize::from(self.ids[message].member))
    }

    /// A message's identity.
    pub(super) fn id(&self, message: usize) -> MessageId {
        self.ids[message]
    }

    /// A message as people read it.
    pub(super) fn name(&self, message: usize) -> String {
        self.history.name(self.ids[message])
    }

    /// The message that an event of a member is about, if it was multicast or delivered.
    pub(super) fn message(&self, (member, event): (usize, usize)) -> Option<usize> {
        happened(self.messages[member][event])
    }

    /// The first event of the sender's record that multicasts this message.
    pub(super) fn origin(&self, message: usize) -> Option<usize> {
        happened(self.origins[message])
    }

    /// A member's deliveries in its order: the event, and the message.
    pub(super) fn deliveries(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.events(member, |event| matches!(event, Event::Deliver { .. }))
    }

    /// The same of those that all have to have in common: what a lost member was given in the end, others may have been
    /// given elsewhere, or never.
    pub(super) fn common_deliveries(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let departure = self.departures[member].unwrap_or(usize::MAX);
        self.deliveries(member).take_while(move |&(event, _)| event < departure)
    }

    /// A member's multicasts of messages of its own, in its order: the event, and the message.
    pub(super) fn multicasts(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let is_own = move |id: MessageId| usize::from(id.member) == member;
        self.events(member, move |event| matches!(event, Event::Multicast { id, .. } if is_own(*id)))
    }

    /// A member's multicasts and deliveries in its order: the event, and the message.
    pub(super) fn group_events(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.events(member, |event| multicast_id(event).is_some())
    }

    fn events(&self, member: usize, which: impl Fn(&Event) -> bool) -> impl Iterator<Item = (usize, usize)> {
        let record = self.record(member);
        let messages = &self.messages[member];
        (0..record.events.len())
            .filter(move |&event| which(&record.events[event]))
            .map(move |event| (event, messages[event] as usize))
    }

    /// Where a member delivered each message first.
    pub(super) fn first_deliveries(&self, member: usize) -> Deliveries {
        let mut first = vec![NEVER; self.len()];
        for (event, message) in self.deliveries(member) {
            first[message] = first[message].min(event as u32);
        }
        Deliveries(first)
    }

    /// The verdict of an oracle that looked for a violation: without one, it takes a run in which something was
    /// multicast, and that is known to its end, to call a property valid.
    pub(super) fn conclude(&self, violation: Option<Witness>) -> Verdict {
        let something = self.origins.iter().any(|&event| event != NEVER);
        self.conclude_if(violation, something, "nothing was multicast")
    }

    /// The same for a property of what was multicast and when: a lost member may not have come to write that down.
    pub(super) fn conclude_of_senders(&self, violation: Option<Witness>) -> Verdict {
        let is_of_lost = |message: usize| {
            self.departures.get(usize::from(self.id(message).member)).is_some_and(Option::is_some)
        };
        let unknown = (0..self.len()).find(|&message| self.origin(message).is_none() && is_of_lost(message));
        match (self.conclude(violation), unknown) {
            (Verdict::Valid, Some(message)) => {
                let name = self.name(message);
                Verdict::Undecided(format!(
                    "{name} was delivered, and the history of its sender does not tell of it"
                ))
            }
            (verdict, _) => verdict,
        }
    }

    /// The same for a property that needs something else to have happened.
    pub(super) fn conclude_if(&self, violation: Option<Witness>, something: bool, nothing: &str) -> Verdict {
        if let Some(witness) = violation {
            return Verdict::Violated(witness);
        }
        let is_open = |&member: &usize| !self.record(member).ended && !self.is_lost(member);
        match self.members().find(is_open).map(|member| self.record(member)) {
            Some(Record { open: Some(reason), .. }) => Verdict::Undecided(reason.clone()),
            Some(record) => Verdict::Undecided(format!("the history of {} has no end", record.name)),
            None if !something => Verdict::Undecided(nothing.to_owned()),
            None => Verdict::Valid,
        }
    }
}

impl Deliveries {
    /// The event that delivered this message first.
    pub(super) fn of(&self, message: usize) -> Option<usize> {
        happened(self.0[message])
    }
}

fn happened(event: u32) -> Option<usize> {
    (event != NEVER).then_some(event as usize)
}

fn sort(ids: &mut Vec<MessageId>) {
    ids.sort_unstable();
    ids.dedup();
}

/// Of each event of a record: its message; and the messages that are not among `ids`. Most often the next message of a
/// sender is the one after its last, so that is where it is looked for first.
fn indices(ids: &[MessageId], record: &Record) -> (Vec<u32>, Vec<MessageId>) {
    let (mut next, mut unknown) = (Vec::new(), Vec::new());
    let mut index = |event| {
        let Some(id) = multicast_id(event) else { return NEVER };
        let sender = usize::from(id.member);
        if sender >= next.len() {
            next.resize(sender + 1, 0);
        }
        let place = match ids.get(next[sender]) {
            Some(known) if *known == id => Ok(next[sender]),
            _ => ids.binary_search(&id),
        };
        match place {
            Ok(place) => {
                next[sender] = place + 1;
                place as u32
            }
            Err(_) => {
                unknown.push(id);
                NEVER
            }
        }
    };
    (record.events.iter().map(&mut index).collect(), unknown)
}

const fn multicast_id(event: &Event) -> Option<MessageId> {
    match event {
        Event::Multicast { id, .. } | Event::Deliver { id, .. } => Some(*id),
        Event::Send { .. } | Event::Receive { .. } | Event::Undeliverable { .. } => None,
    }
}
