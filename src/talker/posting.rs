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

/// The outcome of posts that were sent.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Posted {
    /// The first ones, perhaps all, are stored. The others will be sent again.
    Stored,
    /// All will be sent again; the reason, if it is a new one.
    Waits(Option<String>),
    /// The user is not in the group.
    Outside(String),
    /// The server will never take the first one.
    Refused(String),
    /// The server is lost.
    Lost(String),
}

/// Returns the numbers of the posts that are stored, by the answer to these: the first ones.
pub(super) fn stored<'n>(numbers: &'n [u64], answer: &Value) -> &'n [u64] {
    let count = answer["posts"].as_array().map_or(0, Vec::len);
    &numbers[..count.min(numbers.len())]
}

impl Posting {
    /// Begins at another server.
    pub(super) fn begin_again(&mut self) {
        self.outbox.begin_again();
        (self.is_ready, self.refusal) = (false, None);
    }

    /// Sends the next posts, unless some are under way.
    pub(super) fn send(&mut self, link: &mut Link, now: Time) {
        if !self.is_ready || now < self.due {
            return;
        }
        let posts = self.outbox.next();
        let Some(first) = posts.first() else { return };
        let numbers = posts.iter().map(|post| post.n).collect();
        let texts: Vec<Value> = posts.iter().map(|post| json!({"n": post.n, "text": post.text})).collect();
        let body = json!({"group": first.group, "posts": texts});
        if !link.ask(Ask::command(Purpose::Post(numbers), "posts", body)) {
            self.outbox.answered();
        }
    }

    /// Takes the answer to the posts with these numbers. A refusal concerns the first.
    pub(super) fn answered(&mut self, numbers: &[u64], outcome: Result<Value, Trouble>, now: Time) -> Posted {
        self.outbox.answered();
        match outcome {
            Ok(answer) => match stored(numbers, &answer) {
                [] => Posted::Lost("no answer of a chat server".to_owned()),
                stored => {
                    self.refusal = None;
                    stored.iter().for_each(|n| self.outbox.shown(*n));
                    Posted::Stored
                }
            },
            Err(Trouble::Refused(429 | 503, why)) => {
                self.due = now.after(PAUSE);
                let is_new = self.refusal.as_ref() != Some(&why);
                self.refusal = Some(why.clone());
                Posted::Waits(is_new.then_some(why))
            }
            Err(Trouble::Refused(401, why)) => Posted::Lost(why),
            Err(Trouble::Refused(404 | 409, why)) => {
                self.due = now.after(PAUSE);
                Posted::Outside(why)
            }
            Err(Trouble::Refused(_, why)) => Posted::Refused(why),
            Err(Trouble::Lost(why)) => Posted::Lost(format!("cannot post: {why}")),
        }
    }

    /// Returns the reason why the server cannot take a post now.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}
