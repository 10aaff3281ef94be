//! A history with an index for every message, so that oracles walk over arrays.

use super::departures;
use super::history::{Event, History, MessageId, Record};
use super::verdict::{Verdict, Witness};

/// A history in which each multicast message has an index.
pub struct MessageIndex<'h> {
    /// The indexed history.
    pub history: &'h History,
    /// The messages that were multicast or delivered, ascending. A message's index is its position here.
    ids: Vec<MessageId>,
    /// For each event of each member: its message index; none for events of direct messages.
    messages: Vec<Vec<Option<u32>>>,
    /// For each message: the first event of its sender's record that multicasts it.
    origins: Vec<Option<usize>>,
    /// For each message: the view in which it was delivered, 0 if unknown. `None` if all members owe all messages.
    views: Option<Vec<u64>>,
    /// For each lost member: the first event at which it departs from the members that went on without it.
    departures: Vec<Option<usize>>,
}

impl<'h> MessageIndex<'h> {
    /// Indexes the messages of `history`. Sorting them is the only step that is more than linear.
    #[must_use]
    pub fn new(history: &'h History) -> Self {
        let events = history.records.iter().flat_map(|record| &record.events);
        let is_multicast = |event: &&Event| matches!(event, Event::Multicast { .. });
        let mut ids: Vec<MessageId> = events.filter(is_multicast).map(Event::id).collect();
        sort(&mut ids);
        let found = |ids: &[MessageId]| history.records.iter().map(|record| indices(ids, record)).unzip();
        let (mut messages, unknown): (Vec<Vec<Option<u32>>>, Vec<Vec<MessageId>>) = found(&ids);
        if unknown.iter().any(|unknown| !unknown.is_empty()) {
            // Some deliveries have no multicast in any record; index their messages too.
            ids.extend(unknown.into_iter().flatten());
            sort(&mut ids);
            (messages, _) = found(&ids);
        }
        let origins = vec![None; ids.len()];
        let has_changed = history.records.iter().any(|record| record.views.len() > 1 || record.replaced);
        let departures =
            if has_changed { departures::find(&history.records) } else { vec![None; history.records.len()] };
        let mut index = Self { history, ids, messages, origins, views: None, departures };
        for member in 0..history.records.len() {
            let found: Vec<_> = index.multicasts(member).collect();
            for (event, message) in found.into_iter().rev() {
                index.origins[message] = Some(event);
            }
        }
        if history.records.iter().any(Record::is_in_part) {
            index.views = Some(index.views_of_messages());
        }
        index
    }

    /// Returns, for each message, the view in which a member that reached the end delivered it; 0 if none did.
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

    /// Returns true if `member`, having reached the end, must have delivered a message that others delivered.
    pub(super) fn owes(&self, member: usize, message: usize) -> bool {
        let record = self.record(member);
        let Some(view) = self.views.as_ref().map(|views| views[message]).filter(|&view| view > 0) else {
            // Only lost members delivered the message, perhaps before the newcomer joined.
            return record.came_late().is_none();
        };
        let came_after = record.came_late().is_some_and(|first| view < first);
        // The member left at an unknown point of its last view, while others still delivered.
        let left_before = record.left && record.views.last().is_some_and(|last| view >= last.number);
        !came_after && !left_before
    }

    /// Returns true if other members went on without this one and reached the end.
    pub(super) fn is_lost(&self, member: usize) -> bool {
        self.departures[member].is_some()
    }

    pub(super) fn members(&self) -> std::ops::Range<usize> {
        0..self.history.records.len()
    }

    /// Returns the number of messages.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns the record of a member.
    pub(super) fn record(&self, member: usize) -> &'h Record {
        &self.history.records[member]
    }

    /// Returns the record of a message's sender, or `None` for a stranger.
    pub(super) fn sender(&self, message: usize) -> Option<&'h Record> {
        self.history.records.get(usize::from(self.ids[message].member))
    }

    /// Returns the identity of a message.
    pub(super) fn id(&self, message: usize) -> MessageId {
        self.ids[message]
    }

    /// Formats the identity of a message.
    pub(super) fn name(&self, message: usize) -> String {
        self.history.name(self.ids[message])
    }

    /// Returns the message of an event, if it was multicast or delivered.
    pub(super) fn message(&self, (member, event): (usize, usize)) -> Option<usize> {
        self.messages[member][event].map(|message| message as usize)
    }

    /// Returns the first event of the sender's record that multicasts this message.
    pub(super) fn origin(&self, message: usize) -> Option<usize> {
        self.origins[message]
    }

    /// Returns a member's deliveries in order, as pairs of event and message.
    pub(super) fn deliveries(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.events(member, |event| matches!(event, Event::Deliver { .. }))
    }

    /// Returns the deliveries that all members must agree on: those of a lost member end at its departure, because
    /// the survivors may deliver the rest in another order or not at all.
    pub(super) fn common_deliveries(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let departure = self.departures[member].unwrap_or(usize::MAX);
        self.deliveries(member).take_while(move |&(event, _)| event < departure)
    }

    /// Returns a member's multicasts of its own messages in order, as pairs of event and message.
    pub(super) fn multicasts(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let is_own = move |id: MessageId| usize::from(id.member) == member;
        self.events(member, move |event| matches!(event, Event::Multicast { id, .. } if is_own(*id)))
    }

    /// Returns a member's multicasts and deliveries in order, as pairs of event and message.
    pub(super) fn group_events(&self, member: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.events(member, |event| multicast_id(event).is_some())
    }

    fn events(&self, member: usize, which: impl Fn(&Event) -> bool) -> impl Iterator<Item = (usize, usize)> {
        let record = self.record(member);
        let messages = &self.messages[member];
        (0..record.events.len())
            .filter(move |&event| which(&record.events[event]))
            .filter_map(move |event| Some((event, messages[event]? as usize)))
    }

    /// Returns, for each message, the first event at which a member delivers it.
    pub(super) fn first_deliveries(&self, member: usize) -> Vec<Option<usize>> {
        let mut first = vec![None; self.len()];
        for (event, message) in self.deliveries(member) {
            first[message].get_or_insert(event);
        }
        first
    }

    /// Returns an oracle's verdict. Without a violation, a property is valid only if something was multicast and
    /// every record has an end.
    pub(super) fn conclude(&self, violation: Option<Witness>) -> Verdict {
        let something = self.origins.iter().any(Option::is_some);
        self.conclude_if(violation, something, "nothing was multicast")
    }

    /// Concludes as [`Self::conclude`] for a property that depends on the senders' records, which are incomplete
    /// for lost members.
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

    /// Concludes as [`Self::conclude`] for a property that needs events of its own kind (`something`).
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

fn sort(ids: &mut Vec<MessageId>) {
    ids.sort_unstable();
    ids.dedup();
}

/// Returns the message index of each event, and the messages that `ids` lacks. A sender's next message usually
/// follows its last one in `ids`, so that position is tried before the binary search.
fn indices(ids: &[MessageId], record: &Record) -> (Vec<Option<u32>>, Vec<MessageId>) {
    let (mut next, mut unknown) = (Vec::new(), Vec::new());
    let mut index = |event| {
        let id = multicast_id(event)?;
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
                Some(place as u32)
            }
            Err(_) => {
                unknown.push(id);
                None
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
