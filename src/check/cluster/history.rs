//! The input of the oracles of clusters: for each member everything that it did, through all its lives.
//!
//! Simulations and folders of history files both become a [`ClusterHistory`], so the same code judges both.

use bytes::Bytes;

use super::super::history::Source;
use super::super::verdict::Place;

/// The identity of a message: the sender's slot, and the message number, from 1, through all lives.
pub(in crate::check) type Id = (u16, u64);

/// A place in the order: the Lamport time, and the sender's slot. All messages of an entry share it.
pub(in crate::check) type Stamp = (u64, u16);

/// The position of an event: the life, and the event in it, from 0.
pub(in crate::check) type Moment = (usize, usize);

/// The settled end: the member knows that everything is confirmed everywhere.
pub(in crate::check) const SETTLED: &str = "settled";

/// A run of a cluster, as recorded by its members.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClusterHistory {
    /// The members, by slot.
    pub members: Vec<MemberStory>,
    /// The names of slots beyond those of the members.
    pub strangers: Vec<String>,
}

/// Everything that one member did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemberStory {
    /// The member's name.
    pub name: String,
    /// The lives, first to last: one for each start of the member, up to the first one without a history.
    pub lives: Vec<Life>,
    /// The number of events in front of the first life that other members have told: see [`ClusterHistory::with_whole_lists`].
    pub before: usize,
    /// The reason why a part of the story is unknown, if it is more specific than a missing end.
    pub open: Option<String>,
}

/// One life of a member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Life {
    /// The events, first to last.
    pub events: Vec<Happening>,
    /// The reason of the end: `settled` if everything was confirmed everywhere. `None` for a member that crashed.
    pub end: Option<String>,
    /// The file that the life was read from, if any, and the line of each event.
    pub source: Option<Source>,
}

/// An event at a member of a cluster. Events that a journal gave back are not told again in a later life.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Happening {
    /// The member multicast a message, its own.
    Multicast {
        /// The message number.
        number: u64,
        /// The text.
        text: Bytes,
    },
    /// The member's own message is in its journal, and was told as sent.
    Stored {
        /// The message number.
        number: u64,
    },
    /// The member showed a message, its own or another's, at its place in the order.
    Insert {
        /// The message: the sender's slot, and the number.
        id: (u16, u64),
        /// The place: the Lamport time, and the sender's slot.
        at: (u64, u16),
        /// For each slot, the number of its messages that the sender had shown.
        deps: Vec<u64>,
        /// The text.
        text: Bytes,
    },
    /// The next `count` messages of the list are final, and nothing will come before them.
    Confirm {
        /// The place up to which everything is final.
        upto: (u64, u16),
        /// The confirmed number of the first of these messages, from 1.
        number: u64,
        /// The number of messages.
        count: u64,
        /// The chained digest of all that is confirmed.
        digest: u64,
    },
    /// A message will never be confirmed, because its sender was removed.
    Withdraw {
        /// The message: the sender's slot, and the number.
        id: (u16, u64),
    },
    /// An epoch began at the member: the cluster has other members. A later life tells it again.
    Epoch {
        /// The number of the epoch, from 2.
        number: u64,
        /// All members of this epoch and of earlier ones, by slot. The last one was added, unless one was removed.
        members: Vec<u16>,
        /// The slot of the member that was removed, perhaps this member itself.
        removed: Option<u16>,
    },
    /// The journal gave back what was stored in earlier lives.
    Recover {
        /// The number of entries.
        entries: u64,
        /// The number of confirmed messages.
        confirmed: u64,
    },
    /// The member sent a direct message.
    Send {
        /// The receiver's slot.
        to: u16,
        /// The number among the member's messages to this receiver, from 1.
        number: u64,
        /// The text.
        text: Bytes,
    },
    /// The member received a direct message.
    Receive {
        /// The sender's slot.
        from: u16,
        /// The number among the sender's messages to this member, from 1.
        number: u64,
        /// The text.
        text: Bytes,
    },
    /// The member reported one of its direct messages as undeliverable.
    Undeliverable {
        /// The receiver's slot.
        to: u16,
        /// The number among the member's messages to this receiver, from 1.
        number: u64,
        /// The reason, as in the history file.
        reason: String,
    },
}

impl ClusterHistory {
    /// Formats a message's identity: `s1/1/7`.
    #[must_use]
    pub fn name(&self, (origin, number): (u16, u64)) -> String {
        format!("{}/1/{number}", self.who(origin))
    }

    /// Returns the name of a member or a stranger.
    #[must_use]
    pub fn who(&self, slot: u16) -> &str {
        let slot = usize::from(slot);
        let stranger = || self.strangers.get(slot - self.members.len()).map_or("?", String::as_str);
        self.members.get(slot).map_or_else(stranger, |member| &member.name)
    }

    /// Formats a place in the order: `[12, s3]`.
    pub(in crate::check) fn stamp(&self, (time, slot): Stamp) -> String {
        format!("[{time}, {}]", self.who(slot))
    }
}

impl MemberStory {
    /// Returns the events of all lives with their positions.
    pub(in crate::check) fn happenings(&self) -> impl Iterator<Item = (Moment, &Happening)> {
        let of_life = |(life, told): (usize, &'_ Life)| (life, told.events.len());
        let all = self.lives.iter().enumerate().map(of_life);
        all.flat_map(|(life, count)| (0..count).map(move |event| (life, event)))
            .map(|moment| (moment, &self.lives[moment.0].events[moment.1]))
    }

    /// Returns true if the last life came to the settled end.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open.is_none() && self.lives.last().is_some_and(Life::is_settled)
    }

    /// Returns true if a life before this one has no end: its last events may be missing.
    pub(in crate::check) fn crashed_before(&self, life: usize) -> bool {
        self.open.is_some() || self.lives[..life].iter().any(|earlier| earlier.end.is_none())
    }

    /// Returns the lines of these events; without files, their numbers from 1, through all lives.
    pub(in crate::check) fn place(&self, moments: &[Moment]) -> Place {
        let mut places: Vec<Place> = Vec::new();
        for &(life, event) in moments {
            let source = self.lives[life].source.as_ref();
            let earlier = || self.lives[..life].iter().map(|life| life.events.len()).sum::<usize>();
            let line = source.map_or_else(|| (earlier() + event + 1) as u32, |source| source.lines[event]);
            let file = source.map(|source| source.file.clone());
            match places.last_mut() {
                Some(last) if last.file == file => last.lines.push(line),
                _ => places.push(Place { member: self.name.clone(), file, lines: vec![line], also: vec![] }),
            }
        }
        let mut places = places.into_iter();
        let first = places.next().unwrap_or_else(|| self.whole());
        Place { also: places.collect(), ..first }
    }

    /// Returns the file of the last life, for an event that is missing.
    pub(in crate::check) fn whole(&self) -> Place {
        let file = self.lives.last().and_then(|life| life.source.as_ref()).map(|source| source.file.clone());
        Place { member: self.name.clone(), file, lines: vec![], also: vec![] }
    }
}

impl Life {
    /// Returns true if the life came to the settled end.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.end.as_deref() == Some(SETTLED)
    }
}
