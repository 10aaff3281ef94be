//! Requests that have come to the forwarder, its answers to them, and the settings that decide about both.

use std::time::Duration;

use super::CHALLENGE;
use crate::engine::Time;
use crate::exit::Failure;
use crate::wire::control::{Reply, Request, Say};

/// The receiver of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asker {
    /// A process: the address of the connection on which it asked.
    Connection(Vec<u8>),
    /// The sequencer inside the forwarder, for this run.
    Embedded(String),
    /// No process: a member that another one has named, and that has not asked yet.
    Nobody,
}

/// A request that has come.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) asker: Asker,
    pub(super) since: Time,
    pub(super) request: Request,
}

impl Incoming {
    /// Returns whether it came so lately that the process whose place it wants may turn out to be gone.
    pub(super) fn may_wait(&self, now: Time) -> bool {
        now < self.since.after(CHALLENGE)
    }
}

/// The effects of the registry; appended to, in order.
#[derive(Debug, Default)]
pub struct Actions {
    /// Answers to send.
    pub replies: Vec<(Asker, Reply)>,
    /// Notices for people.
    pub notices: Vec<String>,
}

impl Actions {
    pub(super) fn reply(&mut self, asker: Asker, seq: u64, say: Say) {
        self.replies.push((asker, Reply::new(seq, say)));
    }

    pub(super) fn answer(&mut self, incoming: Incoming, say: Say) {
        self.reply(incoming.asker, incoming.request.seq, say);
    }

    pub(super) fn refuse(&mut self, incoming: Incoming, why: &Failure) {
        self.answer(incoming, refused(why));
    }

    pub(super) fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }
}

/// Returns the answer to a request that is refused.
#[must_use]
pub fn refused(why: &Failure) -> Say {
    Say::Refused { code: why.exit.code(), reason: why.message.clone() }
}

/// Returns the answer to all members of a run that has ended like this.
pub(super) fn ended(result: &Result<(), Failure>) -> Say {
    match result {
        Ok(()) => Say::End,
        Err(failure) => Say::Abort { code: failure.exit.code(), reason: failure.message.clone() },
    }
}

/// The configuration of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The number of clients of each group.
    pub clients: usize,
    /// The longest time until a start.
    pub start_timeout: Duration,
    /// True to serve one run after the other instead of ending after the first.
    pub stay: bool,
    /// True if a sequencer may still come that the runs do not need: it has to hear of their end.
    pub sequencer_may_come: bool,
    /// The first port on which the forwarder listens; 0 if it has several.
    pub port_base: u16,
}
