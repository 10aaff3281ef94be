//! Sends the posts of this client, again if need be.

use std::time::Duration;

use serde_json::{Value, json};

use super::link::{Ask, Link, Purpose};
use super::outbox::Outbox;
use super::server::Trouble;
use crate::ids::Time;

/// The time after which a post is sent again that a server could not take.
const PAUSE: Duration = Duration::from_millis(500);

/// The posts of this client, and the wait before the next is sent.
#[derive(Debug, Default)]
pub(super) struct Posting {
    pub(super) outbox: Outbox,
    /// True once the server has told which posts it has.
    pub(super) is_ready: bool,
    due: Time,
    /// The reason why the server cannot take a post now.
    refusal: Option<String>,
}

/// The outcome of a post.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Posted {
    /// It is stored.
    Stored,
    /// It will be sent again; the reason, if it is a new one.
    Waits(Option<String>),
    /// Its user is not in the group.
    Outside(String),
    /// The server will never take it.
    Refused(String),
    /// The server is lost.
    Lost(String),
}

impl Posting {
    /// Begins at another server.
    pub(super) fn begin_again(&mut self) {
        self.outbox.begin_again();
        (self.is_ready, self.refusal) = (false, None);
    }

    /// Sends the next post, unless one is under way.
    pub(super) fn send(&mut self, link: &mut Link, now: Time) {
        if !self.is_ready || now < self.due {
            return;
        }
        let Some(post) = self.outbox.next() else { return };
        let body = json!({"group": post.group, "n": post.n, "text": post.text});
        if !link.ask(Ask::command(Purpose::Post(post.n), "post", body)) {
            self.outbox.returned();
        }
    }

    /// Takes the answer to a post.
    pub(super) fn answered(&mut self, n: u64, outcome: Result<Value, Trouble>, now: Time) -> Posted {
        match outcome {
            Ok(_) => {
                self.refusal = None;
                self.outbox.stored(n);
                Posted::Stored
            }
            Err(Trouble::Refused(429 | 503, why)) => {
                self.again(now);
                let is_new = self.refusal.as_ref() != Some(&why);
                self.refusal = Some(why.clone());
                Posted::Waits(is_new.then_some(why))
            }
            Err(Trouble::Refused(401, why)) => Posted::Lost(why),
            Err(Trouble::Refused(404 | 409, why)) => {
                self.again(now);
                Posted::Outside(why)
            }
            Err(Trouble::Refused(_, why)) => Posted::Refused(why),
            Err(Trouble::Lost(why)) => Posted::Lost(format!("cannot post: {why}")),
        }
    }

    fn again(&mut self, now: Time) {
        self.outbox.returned();
        self.due = now.after(PAUSE);
    }

    /// Returns the reason why the server cannot take a post now.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}
