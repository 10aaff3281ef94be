//! How long each message stayed at each member, and why.

use std::collections::BTreeMap;

use crate::check::{Chronicle, Happening, Member, What};

/// One message at one member: the places of its events among those of the member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stay {
    /// The member multicast it, or sent it to one other.
    pub(crate) sent: Option<usize>,
    /// It arrived.
    pub(crate) arrived: Option<usize>,
    /// Each time that it waited for something else.
    pub(crate) waits: Vec<usize>,
    /// It was delivered, or received by the one member it is for: the first time.
    pub(crate) delivered: Option<usize>,
    /// The member, which sent it, says that it is undeliverable.
    pub(crate) undeliverable: Option<usize>,
}

/// All messages at all members.
#[derive(Debug)]
pub(crate) struct Stays(BTreeMap<(usize, usize), Stay>);

impl Stays {
    /// The stays of a run.
    pub(crate) fn of(chronicle: &Chronicle) -> Self {
        let mut stays: BTreeMap<(usize, usize), Stay> = BTreeMap::new();
        for (lane, member) in chronicle.members.iter().enumerate() {
            for (index, Happening { message, what, .. }) in member.happenings.iter().enumerate() {
                let stay = stays.entry((lane, *message)).or_default();
                match what {
                    What::Multicast | What::Send => _ = stay.sent.get_or_insert(index),
                    What::Arrive { .. } => _ = stay.arrived.get_or_insert(index),
                    What::Wait(_) => stay.waits.push(index),
                    What::Undeliverable(_) => _ = stay.undeliverable.get_or_insert(index),
                    What::Deliver(_) | What::Receive => _ = stay.delivered.get_or_insert(index),
                }
            }
        }
        Self(stays)
    }

    /// A message at a member; nothing happened to it there, if there is no such.
    pub(crate) fn of_message(&self, lane: usize, message: usize) -> Stay {
        self.0.get(&(lane, message)).cloned().unwrap_or_default()
    }

    /// Every stay, with its member and its message.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize, &Stay)> {
        self.0.iter().map(|(&(lane, message), stay)| (lane, message, stay))
    }
}

impl Stay {
    /// How the message came there: the first event that could not be without it, which a line to it ends at.
    pub(crate) fn received(&self) -> Option<usize> {
        self.arrived.into_iter().chain(self.delivered).min()
    }

    /// Whether it had to wait.
    pub(crate) const fn is_held_back(&self) -> bool {
        self.arrived.is_some() && !self.waits.is_empty()
    }

    /// How long it was held back, if it was and that is over, in microseconds.
    pub(crate) fn length(&self, member: &Member) -> Option<u64> {
        let at = |index: usize| member.happenings[index].time_us;
        Some(at(self.delivered?).saturating_sub(at(self.arrived?)))
    }
}
