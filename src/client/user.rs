//! Station 2: the user of a client: a command file, a pipe or a person, which supplies messages and takes deliveries.

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

/// The source of a client's operations, before it takes part in a run.
#[derive(Debug)]
pub(super) enum Source {
    Script(Script),
    Lines,
    Terminal,
}

impl Source {
    /// Returns whether direct messages are possible.
    pub(super) fn is_addressed(&self) -> bool {
        match self {
            Self::Script(script) => script.receivers().next().is_some(),
            Self::Lines => false,
            Self::Terminal => true,
        }
    }
}

/// The user of a client in a run.
pub(super) enum User<'a> {
    Script(Replay<'a>),
    Pipe(Pipe),
    Person(Chat),
}

/// The next operation of a user.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next<'u> {
    /// Multicast this text.
    Multicast(&'u Bytes),
    /// Send this text to one member.
    Send(MemberId, &'u Bytes),
    /// Wait until this time, or until input comes.
    Rest(Option<Time>),
    /// Leave the group.
    Leave,
    /// Send nothing more.
    Finished,
}

impl<'a> User<'a> {
    /// Returns the user of `source`, which wakes `node` from now on.
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

    /// Returns the next operation; the same one until [`User::advance`].
    ///
    /// # Errors
    /// The cause, if it cannot be sent, or can no longer be read; the same until then.
    pub(super) fn next(&mut self, now: Time) -> Result<Next<'_>, Failure> {
        match self {
            Self::Script(replay) => Ok(replay.next(now)),
            Self::Pipe(pipe) => pipe.next(),
            Self::Person(chat) => chat.next(),
        }
    }

    /// Begins a new view.
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

    /// Returns the number of operations done, and of all, as far as it is known.
    pub(super) fn operations(&self) -> (u64, u64) {
        match self {
            Self::Script(replay) => replay.operations(),
            Self::Pipe(_) | Self::Person(_) => (0, 0),
        }
    }

    /// Passes a multicast to the user.
    pub(super) fn delivered(&mut self, from: &str, text: &[u8]) {
        match self {
            Self::Script(_) => {}
            Self::Pipe(pipe) => pipe.delivered(from, text),
            Self::Person(chat) => chat.delivered(from, text),
        }
    }

    /// Passes a direct message to the user.
    pub(super) fn received(&mut self, from: &str, text: &[u8]) {
        match self {
            Self::Script(_) => {}
            Self::Pipe(pipe) => pipe.received(from, text),
            Self::Person(chat) => chat.received(from, text),
        }
    }

    /// Shows a person an undeliverable direct message. Scripts and pipes have the warning on standard error.
    pub(super) fn undeliverable(&self, to: &str, text: &[u8]) {
        match self {
            Self::Script(_) | Self::Pipe(_) => {}
            Self::Person(chat) => chat.undeliverable(to, text),
        }
    }

    /// Passes deliveries on to the output.
    pub(super) fn show(&mut self) {
        match self {
            Self::Script(_) => {}
            Self::Pipe(pipe) => pipe.show(),
            Self::Person(chat) => chat.show(),
        }
    }

    /// Returns whether the output is full. The wait of the node ends when that changes.
    ///
    /// # Errors
    /// The cause, if the output has failed.
    pub(super) fn is_full(&self) -> Result<bool, Failure> {
        match self {
            Self::Script(_) => Ok(false),
            Self::Pipe(pipe) => pipe.output().is_full(),
            Self::Person(chat) => chat.output().is_full(),
        }
    }

    /// Returns whether deliveries are still to be shown. The wait of the node ends when that changes.
    ///
    /// # Errors
    /// The cause, if the output has failed.
    pub(super) fn is_behind(&self) -> Result<bool, Failure> {
        match self {
            Self::Script(_) => Ok(false),
            Self::Pipe(pipe) => pipe.output().is_busy(),
            Self::Person(chat) => chat.output().is_busy(),
        }
    }

    /// Returns whether the user is a person, who decides how long to wait.
    pub(super) const fn is_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }
}
