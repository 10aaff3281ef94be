//! What the oracles judge: of each member, everything it multicast and was given, in its own order.
//!
//! A simulation and a directory of history files both come down to this, so both are judged by the same code.

use bytes::Bytes;

/// The identity of a message. It identifies; what came before what is told by the records alone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MessageId {
    /// Who sent it: the index of its record.
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
}

/// Everything that happened at one member, in its order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// The member's name.
    pub name: String,
    /// What happened, first to last.
    pub events: Vec<Event>,
    /// Whether the member came to the end of the run; if not, more may have happened than is known.
    pub ended: bool,
}

/// A run as its members saw it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// One record of each member; at most 65,536.
    pub records: Vec<Record>,
}

impl Event {
    /// The message it is about.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        match self {
            Self::Multicast { id, .. }
            | Self::Deliver { id, .. }
            | Self::Send { id, .. }
            | Self::Receive { id, .. } => *id,
        }
    }

    /// The message's text.
    #[must_use]
    pub const fn text(&self) -> &Bytes {
        match self {
            Self::Multicast { text, .. }
            | Self::Deliver { text, .. }
            | Self::Send { text, .. }
            | Self::Receive { text, .. } => text,
        }
    }
}

impl History {
    /// A message as people read it: `c1/1/7`.
    #[must_use]
    pub fn name(&self, id: MessageId) -> String {
        let member = self.records.get(usize::from(id.member)).map_or("?", |record| &record.name);
        format!("{member}/{}/{}", id.incarnation, id.number)
    }
}

impl Record {
    /// Where these events stand, for a witness: `(event 3)`, `(events 3, 5)`; the first event of a record is 1.
    #[must_use]
    pub fn place(&self, events: &[usize]) -> String {
        let numbers: Vec<String> = events.iter().map(|event| (event + 1).to_string()).collect();
        format!("(event{} {})", if events.len() == 1 { "" } else { "s" }, numbers.join(", "))
    }
}
