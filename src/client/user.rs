//! Station 2: whom a client works for: a command file, a pipe or a person. Says what is to be sent next, and takes
//! what was delivered.

use bytes::Bytes;

use super::chat::Chat;
use super::pipe::Pipe;
use super::replay::Replay;
use crate::driver::Node;
use crate::engine::{MemberId, Time};
use crate::exit::Failure;
use crate::script::Script;
use crate::talk::Talk;
use crate::transport::wakeup::wakeup;

/// Where a client's operations come from, before it takes part in a run.
#[derive(Debug)]
pub(super) enum Source {
    Script(Script),
    Lines,
    Terminal,
}

impl Source {
    /// Whether something may be sent to a single member.
    pub(super) fn is_addressed(&self) -> bool {
        match self {
            Self::Script(script) => script.receivers().next().is_some(),
            Self::Lines => false,
            Self::Terminal => true,
        }
    }
}

/// Whom a client works for, in a run.
pub(super) enum User<'a> {
    Script(Replay<'a>),
    Pipe(Pipe),
    Person(Chat),
}

/// What a user wants next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next<'u> {
    /// This text to the group.
    Multicast(&'u Bytes),
    /// This text to one member.
    Send(MemberId, &'u Bytes),
    /// Nothing until this time, or until something comes in.
    Rest(Option<Time>),
    /// To leave the group.
    Leave,
    /// Nothing more.
    Finished,
}

impl<'a> User<'a> {
    /// The user that `source` stands for. From now on it wakes `node`.
    pub(super) fn meet(
        source: &'a Source,
        node: &mut Node,
        speed: f64,
        talk: &Talk,
    ) -> Result<Self, Failure> {
        if let Source::Script(script) = source {
            return Ok(Self::Script(Replay::new(script, node, speed)));
        }
        let (wakeup, waker) = wakeup()?;
        node.wake_by(wakeup);
        match source {
            Source::Terminal => Ok(Self::Person(Chat::begin(node, waker, talk)?)),
            _ => Ok(Self::Pipe(Pipe::begin(waker, talk)?)),
        }
    }

    /// What is to be done next. The same again, until [`User::advance`].
    ///
    /// # Errors
    /// What cannot be sent, or can no longer be read; the same again.
    pub(super) fn next(&mut self, now: Time) -> Result<Next<'_>, Failure> {
        match self {
            Self::Script(replay) => Ok(replay.next(now)),
            Self::Pipe(pipe) => pipe.next(),
            Self::Person(chat) => chat.next(),
        }
    }

    /// The group is another one from now on.
    pub(super) fn meet_group(&mut self, node: &Node) {
        match self {
            Self::Script(replay) => replay.meet_group(node),
            Self::Pipe(_) => {}
            Self::Person(chat) => chat.meet_group(node),
        }
    }

    /// Shows a person that a member is gone; returns false if nobody is there to see it.
    pub(super) fn departed(&self, words: &str) -> bool {
        if let Self::Person(chat) = self {
            chat.note(words);
        }
        self.is_person()
    }

    /// Marks the current operation as done.
    pub(super) fn advance(&mut self) {
        match self {
            Self::Script(replay) => replay.advance(),
            Self::Pipe(pipe) => pipe.advance(),
            Self::Person(chat) => chat.advance(),
        }
    }

    /// How many operations are done, and how many there are, as far as that is known.
    pub(super) fn operations(&self) -> (u64, u64) {
        match self {
            Self::Script(replay) => replay.operations(),
            Self::Pipe(_) | Self::Person(_) => (0, 0),
        }
    }

    /// A multicast was delivered.
    pub(super) fn delivered(&mut self, from: &str, text: &[u8]) {
        match self {
            Self::Script(_) => {}
            Self::Pipe(pipe) => pipe.delivered(from, text),
            Self::Person(chat) => chat.delivered(from, text),
        }
    }

    /// A message to this client alone arrived.
    pub(super) fn received(&mut self, from: &str, text: &[u8]) {
        match self {
            Self::Script(_) => {}
            Self::Pipe(pipe) => pipe.received(from, text),
            Self::Person(chat) => chat.received(from, text),
        }
    }

    /// A message of this client to `to` alone is undeliverable. Scripts and pipes have the warning on standard error.
    pub(super) fn undeliverable(&self, to: &str, text: &[u8]) {
        match self {
            Self::Script(_) | Self::Pipe(_) => {}
            Self::Person(chat) => chat.undeliverable(to, text),
        }
    }

    /// Hands on what was delivered, to be seen.
    pub(super) fn show(&mut self) {
        match self {
            Self::Script(_) => {}
            Self::Pipe(pipe) => pipe.show(),
            Self::Person(chat) => chat.show(),
        }
    }

    /// Whether no more can be shown for now. The wait of the node ends when that changes.
    ///
    /// # Errors
    /// That nothing can be shown any more.
    pub(super) fn is_full(&self) -> Result<bool, Failure> {
        match self {
            Self::Script(_) => Ok(false),
            Self::Pipe(pipe) => pipe.output().is_full(),
            Self::Person(chat) => chat.output().is_full(),
        }
    }

    /// Whether something is still to be shown. The wait of the node ends when that changes.
    ///
    /// # Errors
    /// That nothing can be shown any more.
    pub(super) fn is_behind(&self) -> Result<bool, Failure> {
        match self {
            Self::Script(_) => Ok(false),
            Self::Pipe(pipe) => pipe.output().is_busy(),
            Self::Person(chat) => chat.output().is_busy(),
        }
    }

    /// Whether somebody is there who decides for how long to wait.
    pub(super) const fn is_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }
}
