//! The operations of this server on their way: they wait for room, then for the journal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::desk::{Refusal, Reply};
use crate::chat::operation::{Operation, PostKey};
use crate::cluster::ledger::Ledger;
use crate::cluster::node::Node;
use crate::exit::Failure;
use crate::ids::Time;
use crate::replica::entry::Content;

/// Most operations that wait for room.
const MOST_WAITING: usize = 1024;
/// Longest wait for room.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An operation, and the clients that wait for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) operation: Operation,
    pub(super) replies: Vec<Reply>,
    since: Time,
}

impl Pending {
    fn is_post(&self, key: &PostKey) -> bool {
        matches!(&self.operation, Operation::Post(post) if post.key == *key)
    }
}

/// The operations on their way.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Pending>,
    /// Those that the node has and the journal may not have, by their number among the multicasts of this server.
    under_way: BTreeMap<u64, Pending>,
    next: u64,
}

impl Queue {
    /// Returns an empty queue; the next multicast has the number `next`.
    pub(super) const fn new(next: u64) -> Self {
        Self { waiting: VecDeque::new(), under_way: BTreeMap::new(), next }
    }

    /// Adds an operation, or answers that there are too many.
    pub(super) fn push(&mut self, operation: Operation, reply: Option<Reply>, now: Time) {
        let replies = reply.into_iter().collect();
        let pending = Pending { operation, replies, since: now };
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(pending);
        } else {
            refuse(pending, "the server is busy: try again in a moment");
        }
    }

    /// Lets a client wait for a post that is on its way already; otherwise gives the way of its answer back.
    pub(super) fn wait_for(&mut self, key: &PostKey, reply: Reply) -> Option<Reply> {
        let mut all = self.waiting.iter_mut().chain(self.under_way.values_mut());
        match all.find(|pending| pending.is_post(key)) {
            Some(pending) => {
                pending.replies.push(reply);
                None
            }
            None => Some(reply),
        }
    }

    /// Returns whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Returns whether a user will be in a group, if an operation on its way decides that. With a session, only joins of this
    /// session count.
    pub(super) fn will_be_in(&self, user: &str, group: &str, session: Option<&str>) -> Option<bool> {
        let all = self.under_way.values().chain(&self.waiting);
        all.rev().find_map(|pending| match &pending.operation {
            Operation::Join { session: by, user: of, group: to, .. } => {
                (of == user && to == group && session.is_none_or(|session| session == by)).then_some(true)
            }
            Operation::Leave { user: of, group: to } => (of == user && to == group).then_some(false),
            _ => None,
        })
    }

    /// Submits as many operations as there is room for.
    ///
    /// # Errors
    /// As [`Node::submit`].
    pub(super) fn submit(&mut self, node: &mut Node, ledger: &mut Ledger) -> Result<(), Failure> {
        while !self.waiting.is_empty() && node.window() > 0 {
            let mut batch = node.batch(self.next);
            while let Some(pending) = self.waiting.pop_front() {
                let text = pending.operation.text();
                if !batch.fits(text.len()) {
                    self.waiting.push_front(pending);
                    break;
                }
                let number = batch.push(&text);
                ledger.multicast(node, number, &text)?;
                self.under_way.insert(number, pending);
            }
            let Some(batch) = batch.finish() else { return Ok(()) };
            self.next = batch.next();
            node.submit(Content::Multicast(batch))?;
        }
        Ok(())
    }

    /// Notes that the journal has a multicast of this server. Returns its operation, if this life has submitted it.
    pub(super) fn stored(&mut self, number: u64) -> Option<Pending> {
        self.next = self.next.max(number + 1);
        self.under_way.remove(&number)
    }

    /// Answers those that have waited for too long.
    pub(super) fn expire(&mut self, now: Time, why: impl Fn() -> String) {
        // The server's own operations, for which nobody waits, stay.
        let is_over =
            |pending: &mut Pending| !pending.replies.is_empty() && now.since(pending.since) >= LONGEST_WAIT;
        if self.waiting.front_mut().is_some_and(|first| now.since(first.since) >= LONGEST_WAIT) {
            let all = std::mem::take(&mut self.waiting);
            for mut pending in all {
                if is_over(&mut pending) { refuse(pending, &why()) } else { self.waiting.push_back(pending) }
            }
        }
    }
}

fn refuse(pending: Pending, why: &str) {
    for reply in pending.replies {
        // A client that is gone waits for nothing.
        let _ = reply.send(Err(Refusal::new(503, why)));
    }
}
