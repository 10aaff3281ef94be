//! The events of each message at each member.

use std::collections::BTreeMap;

use crate::check::{EventKind, Member, Timeline, TimelineEvent};

/// The events of one message at one member, as indices of the member's events.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Passage {
    /// The multicast or the sending of a direct message.
    pub(crate) sent: Option<usize>,
    /// The arrival.
    pub(crate) arrived: Option<usize>,
    /// The waits, one for each reason.
    pub(crate) waits: Vec<usize>,
    /// In a cluster: the showing of the message at its place.
    pub(crate) shown: Option<usize>,
    /// The first delivery, or receipt of a direct message; in a cluster, the confirmation.
    pub(crate) delivered: Option<usize>,
    /// The sender's report that the message is undeliverable.
    pub(crate) undeliverable: Option<usize>,
}

/// The events of all messages at all members.
#[derive(Debug)]
pub(crate) struct Passages(BTreeMap<(usize, usize), Passage>);

impl Passages {
    /// Collects the events of a run.
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let mut passages: BTreeMap<(usize, usize), Passage> = BTreeMap::new();
        for (lane, member) in timeline.members.iter().enumerate() {
            for (index, TimelineEvent { message, kind, .. }) in member.events.iter().enumerate() {
                if let EventKind::Confirm { messages, .. } = kind {
                    for &message in messages {
                        passages.entry((lane, message)).or_default().delivered.get_or_insert(index);
                    }
                }
                let Some(message) = *message else { continue };
                let passage = passages.entry((lane, message)).or_default();
                match kind {
                    EventKind::Multicast | EventKind::Send => _ = passage.sent.get_or_insert(index),
                    EventKind::Arrive { .. } => _ = passage.arrived.get_or_insert(index),
                    EventKind::Wait(_) => passage.waits.push(index),
                    EventKind::Undeliverable(_) => _ = passage.undeliverable.get_or_insert(index),
                    EventKind::Deliver(_) | EventKind::Receive => _ = passage.delivered.get_or_insert(index),
                    EventKind::Insert(_) => _ = passage.shown.get_or_insert(index),
                    EventKind::Lost
                    | EventKind::Confirm { .. }
                    | EventKind::Withdraw
                    | EventKind::Begin(_)
                    | EventKind::End(_) => {}
                }
            }
        }
        Self(passages)
    }

    /// Returns the events of a message at a member; without any, an empty record.
    pub(crate) fn of_message(&self, lane: usize, message: usize) -> Passage {
        self.0.get(&(lane, message)).cloned().unwrap_or_default()
    }

    /// Iterates over all records with their member and message.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize, &Passage)> {
        self.0.iter().map(|(&(lane, message), passage)| (lane, message, passage))
    }
}

impl Passage {
    /// Returns the first event that needs the message: its arrival, its showing or its delivery.
    pub(crate) fn received(&self) -> Option<usize> {
        [self.arrived, self.shown, self.delivered].into_iter().flatten().min()
    }

    /// Returns the event from which on the message waits for its delivery or confirmation, if it does.
    pub(crate) const fn waits_from(&self) -> Option<usize> {
        if self.is_held_back() { self.arrived } else { self.shown }
    }

    /// Returns true if the message had to wait.
    pub(crate) const fn is_held_back(&self) -> bool {
        self.arrived.is_some() && !self.waits.is_empty()
    }

    /// Returns the time from arrival to delivery in microseconds, if both are known.
    pub(crate) fn length(&self, member: &Member) -> Option<u64> {
        let at = |index: usize| member.events[index].time_us;
        Some(at(self.delivered?).saturating_sub(at(self.arrived?)))
    }
}
