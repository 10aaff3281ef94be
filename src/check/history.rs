//! What the oracles judge: of each member, everything it multicast and was given, in its own order.
//!
//! A simulation and a directory of history files both come down to this, so both are judged by the same code.

use std::ops::Range;

use bytes::Bytes;

use super::verdict::Place;

/// The identity of a message. It identifies; what came before what is told by the records alone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MessageId {
    /// Who sent it: the index of its record; beyond the records, that of a stranger.
    pub member: u16,
    /// Which life of that member; 1 for the first.
    pub incarnation: u32,
    /// The sender's number of it, from 1; multicasts and the messages to each other member are counted apart.
    pub number: u64,
}

/// One thing that happened at a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It multicast a message.
    Multicast {
        /// Which.
        id: MessageId,
        /// Its text.
        text: Bytes,
    },
    /// It was given a multicast message, its own or another's.
    Deliver {
        /// Which.
        id: MessageId,
        /// Its place in the total order, from 1, where the order has one.
        number: Option<u64>,
        /// Which counting of places this is, from 1.
        epoch: u64,
        /// Its text.
        text: Bytes,
    },
    /// It sent a message to one member.
    Send {
        /// Which.
        id: MessageId,
        /// To whom: the index of a record.
        to: u16,
        /// Its text.
        text: Bytes,
    },
    /// It was given a message that was sent to it alone.
    Receive {
        /// Which.
        id: MessageId,
        /// Its text.
        text: Bytes,
    },
    /// It says that a message that it sent to one member is undeliverable.
    Undeliverable {
        /// Which.
        id: MessageId,
        /// To whom it was sent: the index of a record.
        to: u16,
        /// Why.
        reason: String,
    },
}

/// The text of an event that has none.
static NO_TEXT: Bytes = Bytes::new();

/// A list of members that was given to a member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Installed {
    /// How many of the record's events came before it.
    pub at: usize,
    /// Its number.
    pub number: u64,
    /// The names of its members, ascending, each once.
    pub members: Vec<String>,
    /// Its line in the file, if it was read from one.
    pub line: Option<u32>,
}

/// Everything that happened at one member, in its order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// The member's name.
    pub name: String,
    /// What happened, first to last.
    pub events: Vec<Event>,
    /// The views that it was given, first to last.
    pub views: Vec<Installed>,
    /// Whether the member came to the end of the run.
    pub ended: bool,
    /// Whether it stopped before the end of the run and the record says so: this is all that it ever did.
    pub stopped: bool,
    /// Whether it left before the end, with everything done that it had begun: what came after that, it need not have.
    pub left: bool,
    /// Whether a later life of the same member took its place in a group that went on.
    pub replaced: bool,
    /// Why it is not known to have come to the end, where more can be said than that the record has no end.
    pub open: Option<String>,
    /// The file that all this was read from, if it was.
    pub source: Option<Source>,
}

/// Where a record was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Source {
    /// The file's name.
    pub file: String,
    /// Of each event: its line.
    pub lines: Vec<u32>,
}

/// A run as its members saw it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// One record of each member. Together with the strangers there are at most 65,536.
    pub records: Vec<Record>,
    /// Names that messages are said to be from, or to go to, and that are no members'.
    pub strangers: Vec<String>,
}

impl Event {
    /// The message it is about.
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

    /// Whether it is about a message to one member.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        matches!(self, Self::Send { .. } | Self::Receive { .. } | Self::Undeliverable { .. })
    }

    /// The message's text; empty where the event does not tell it.
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

impl History {
    /// A message as people read it: `c1/1/7`.
    #[must_use]
    pub fn name(&self, id: MessageId) -> String {
        format!("{}/{}/{}", self.who(id.member), id.incarnation, id.number)
    }

    /// The name of a member or a stranger.
    #[must_use]
    pub fn who(&self, member: u16) -> &str {
        let member = usize::from(member);
        let stranger = || self.strangers.get(member - self.records.len()).map_or("?", String::as_str);
        self.records.get(member).map_or_else(stranger, |record| &record.name)
    }
}

impl Record {
    /// Whether everything that happened is known; if not, more may have happened than the record tells.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.ended || self.stopped
    }

    /// The view in which it came into a group that was running, without what had been before.
    #[must_use]
    pub fn came_late(&self) -> Option<u64> {
        let first = self.views.first()?;
        let is_delivery = |event: &Event| matches!(event, Event::Deliver { .. });
        (first.number > 1 && !self.events[..first.at].iter().any(is_delivery)).then_some(first.number)
    }

    /// Whether it was in the group for a part of the run only.
    #[must_use]
    pub fn is_in_part(&self) -> bool {
        self.left || self.came_late().is_some()
    }

    /// The events of one of its views.
    #[must_use]
    pub fn within(&self, view: usize) -> Range<usize> {
        let end = self.views.get(view + 1).map_or(self.events.len(), |next| next.at);
        self.views[view].at..end
    }

    /// Where it was given these views, as far as lines tell.
    #[must_use]
    pub fn place_of(&self, views: &[usize]) -> Place {
        let lines = views.iter().filter_map(|&view| self.views[view].line).collect();
        let file = self.source.as_ref().map(|source| source.file.clone());
        Place { member: self.name.clone(), file, lines }
    }

    /// Where these events stand; the first event of a record is 1.
    #[must_use]
    pub fn place(&self, events: &[usize]) -> Place {
        let line = |&event: &usize| match &self.source {
            Some(source) => source.lines[event],
            None => event as u32 + 1,
        };
        let lines = events.iter().map(line).collect();
        let file = self.source.as_ref().map(|source| source.file.clone());
        Place { member: self.name.clone(), file, lines }
    }
}
