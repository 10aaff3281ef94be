//! The input of the oracles: for each member, everything it sent and delivered, in its own order.
//!
//! Simulations and folders of history files both become a [`History`], so the same code judges both.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::verdict::{Place, Verdict};
use crate::results::Reason;

/// The identity of a message. It tells nothing about causality; only the records do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MessageId {
    /// The index of the sender's record; indices beyond the records name strangers.
    pub member: u16,
    /// The sender's incarnation, from 1.
    pub incarnation: u32,
    /// The message number, from 1. Multicasts and the messages to each single member are counted separately.
    pub number: u64,
}

/// An event at a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The member multicast a message.
    Multicast {
        /// The message's identity.
        id: MessageId,
        /// The message's text.
        text: Bytes,
    },
    /// The member delivered a multicast message, its own or another's.
    Deliver {
        /// The message's identity.
        id: MessageId,
        /// The global number, from 1, if the order assigns one.
        number: Option<u64>,
        /// The epoch of the global number, from 1.
        epoch: u64,
        /// The message's text.
        text: Bytes,
    },
    /// The member sent a direct message.
    Send {
        /// The message's identity.
        id: MessageId,
        /// The index of the receiver's record.
        to: u16,
        /// The message's text.
        text: Bytes,
    },
    /// The member received a direct message.
    Receive {
        /// The message's identity.
        id: MessageId,
        /// The message's text.
        text: Bytes,
    },
    /// The member reported one of its direct messages as undeliverable.
    Undeliverable {
        /// The message's identity.
        id: MessageId,
        /// The index of the receiver's record.
        to: u16,
        /// The reason, as in the history file.
        reason: String,
    },
}

/// The kind of an event in the timeline of a member, which also has the events that `client --trace` adds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EventKind {
    /// The member multicast the message.
    Multicast,
    /// The message arrived. Fields: the member's clock afterwards, and the global number.
    Arrive { clock: Option<String>, number: Option<u64> },
    /// The message began to wait, for this reason.
    Wait(Reason),
    /// The member delivered the message, with this global number.
    Deliver(Option<u64>),
    /// The member sent the direct message.
    Send,
    /// The member received the direct message.
    Receive,
    /// The member reported its direct message as undeliverable, for this reason.
    Undeliverable(String),
    /// In a cluster: the member multicast the message, and crashed before its journal had it.
    Lost,
    /// In a cluster: the member showed the message at its place.
    Insert(Inserted),
    /// In a cluster: the next messages of the list became final. Fields: the confirmed number of the first, and all of
    /// them in their order, as indices of messages.
    Confirm { number: u64, messages: Vec<usize> },
    /// In a cluster: the message will never be confirmed.
    Withdraw,
    /// In a cluster: the life of this number began.
    Begin(u32),
    /// In a cluster: a life ended for this reason; without one, it was killed, or its rest is not known.
    End(Option<String>),
}

/// The way in which a message took its place in the list of a member of a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Inserted {
    /// The place: the Lamport time, and the sender's slot.
    pub(crate) at: (u64, u16),
    /// The number of messages that the member showed before and that stand below it.
    pub(crate) above: u64,
    /// The first of them, as an index of messages.
    pub(crate) over: Option<usize>,
}

/// The text of an event without one.
static NO_TEXT: Bytes = Bytes::new();

/// A view that a member installed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Installed {
    /// The number of the record's events before the view.
    pub at: usize,
    /// The view number.
    pub number: u64,
    /// The names of the view's members, ascending, each once.
    pub members: Vec<String>,
    /// The line in the history file, if the record was read from one.
    pub line: Option<u32>,
}

/// The author of the text of an event, who is no member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authored {
    /// Its name.
    pub name: String,
    /// The text: the key of the process that posted it, and the number there.
    pub post: (u64, u64),
    /// True of a delivery whose text was delivered before, as another message: no application saw it.
    pub is_doubled: bool,
}

/// The events of one member, in its order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// The member's name.
    pub name: String,
    /// The events, first to last.
    pub events: Vec<Event>,
    /// The authors of texts that members multicast for somebody else, by the index of the event.
    pub authored: BTreeMap<usize, Authored>,
    /// The views that the member installed, first to last.
    pub views: Vec<Installed>,
    /// True if the member reached the end of the run.
    pub ended: bool,
    /// True if the member stopped early and the record says so: the record is complete.
    pub stopped: bool,
    /// True if the member left early with all its operations finished. It owes no later delivery.
    pub left: bool,
    /// True if a later incarnation of the member joined the group that went on.
    pub replaced: bool,
    /// True of a run with a log, whose numbers go on behind those of earlier runs.
    pub has_log: bool,
    /// The reason why the end is unknown, if it is more specific than a missing end event.
    pub open: Option<String>,
    /// The file that the record was read from, if any.
    pub source: Option<Source>,
}

/// The file of a record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Source {
    /// The file name.
    pub file: String,
    /// The line of each event.
    pub lines: Vec<u32>,
    /// Further files of the record, each with the number of the record's events before it.
    pub further: Vec<(usize, String)>,
}

impl Source {
    /// Returns the last file.
    #[must_use]
    pub(super) fn last_file(&self) -> &str {
        self.further.last().map_or(&self.file, |(_, file)| file)
    }

    /// Returns the file of an event.
    fn file_of(&self, event: usize) -> &str {
        let began = |(first, _): &&(usize, String)| *first <= event;
        self.further.iter().take_while(began).last().map_or(&self.file, |(_, file)| file)
    }
}

/// A run, as recorded by its members.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// One record for each member. Records and strangers together number at most 65,536.
    pub records: Vec<Record>,
    /// Names of senders and receivers that are no members.
    pub strangers: Vec<String>,
    /// The verdict on the order across this group and others, if one of its members is in several.
    pub across: Option<Verdict>,
}

impl Event {
    /// Returns the identity of the event's message.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        match self {
            Self::Multicast { id, .. }
            | Self::Deliver { id, .. }
            | Self::Send { id, .. }
            | Self::Receive { id, .. }
            | Self::Undeliverable { id, .. } => *id,
        }
    }

    /// Returns true if the event concerns a direct message.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        matches!(self, Self::Send { .. } | Self::Receive { .. } | Self::Undeliverable { .. })
    }

    /// Returns the message's text; empty for an event that records none.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        match self {
            Self::Multicast { text, .. }
            | Self::Deliver { text, .. }
            | Self::Send { text, .. }
            | Self::Receive { text, .. } => text,
            Self::Undeliverable { .. } => &NO_TEXT,
        }
    }
}

impl From<&Event> for EventKind {
    fn from(event: &Event) -> Self {
        match event {
            Event::Multicast { .. } => Self::Multicast,
            Event::Deliver { number, .. } => Self::Deliver(*number),
            Event::Send { .. } => Self::Send,
            Event::Receive { .. } => Self::Receive,
            Event::Undeliverable { reason, .. } => Self::Undeliverable(reason.clone()),
        }
    }
}

impl History {
    /// Formats a message's identity: `c1/1/7`.
    #[must_use]
    pub fn name(&self, id: MessageId) -> String {
        format!("{}/{}/{}", self.who(id.member), id.incarnation, id.number)
    }

    /// Returns the name of a member or a stranger.
    #[must_use]
    pub fn who(&self, member: u16) -> &str {
        let member = usize::from(member);
        let stranger = || self.strangers.get(member - self.records.len()).map_or("?", String::as_str);
        self.records.get(member).map_or_else(stranger, |record| &record.name)
    }
}

impl Record {
    /// Returns true if an application saw the delivery with this index: it is no later copy of an author's text.
    #[must_use]
    pub(super) fn is_seen(&self, event: usize) -> bool {
        self.authored.get(&event).is_none_or(|authored| !authored.is_doubled)
    }

    /// Returns the name before `###` in the result line of an event, if it is the name of an author.
    #[must_use]
    pub(super) fn author(&self, event: usize) -> Option<&str> {
        self.authored.get(&event).map(|authored| &*authored.name)
    }

    /// Returns true if the record is complete; otherwise more may have happened.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.ended || self.stopped
    }

    /// Returns the first view of a newcomer, which joined the running group, or one with a log, without the earlier
    /// messages.
    #[must_use]
    pub fn came_late(&self) -> Option<u64> {
        let first = self.views.first()?;
        let is_delivery = |event: &Event| matches!(event, Event::Deliver { .. });
        let is_without = || !self.events[..first.at].iter().any(is_delivery);
        let is_late = first.number > 1 || self.has_log && self.first_number().is_some_and(|first| first > 1);
        (is_late && is_without()).then_some(first.number)
    }

    /// Returns the global number of the first delivery.
    fn first_number(&self) -> Option<u64> {
        self.events.iter().find_map(|event| match event {
            Event::Deliver { number, .. } => *number,
            _ => None,
        })
    }

    /// Returns true if the member was in the group for only part of the run.
    #[must_use]
    pub fn is_in_part(&self) -> bool {
        self.left || self.came_late().is_some()
    }

    /// Returns the range of events within one of the member's views.
    #[must_use]
    pub fn within(&self, view: usize) -> Range<usize> {
        let end = self.views.get(view + 1).map_or(self.events.len(), |next| next.at);
        self.views[view].at..end
    }

    /// Returns the lines of these views, as far as they are known.
    #[must_use]
    pub fn place_of(&self, views: &[usize]) -> Place {
        self.at(views.iter().filter_map(|&view| self.views[view].line).collect())
    }

    /// Returns the lines of these events; without a file, their numbers from 1.
    #[must_use]
    pub fn place(&self, events: &[usize]) -> Place {
        let Some(source) = &self.source else {
            return self.at(events.iter().map(|&event| event as u32 + 1).collect());
        };
        let mut places: Vec<Place> = Vec::new();
        for &event in events {
            let file = source.file_of(event);
            if places.last().is_none_or(|last| last.file.as_deref() != Some(file)) {
                places.push(Place { file: Some(file.to_owned()), ..self.at(vec![]) });
            }
            let last = places.last_mut().expect("a place was added if there was none");
            last.lines.push(source.lines[event]);
        }
        let mut places = places.into_iter();
        let first = places.next().unwrap_or_else(|| self.at(vec![]));
        Place { also: places.collect(), ..first }
    }

    fn at(&self, lines: Vec<u32>) -> Place {
        let file = self.source.as_ref().map(|source| source.file.clone());
        Place { member: self.name.clone(), file, lines, also: vec![] }
    }
}
