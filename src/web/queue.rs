//! The operations of this server on their way: they wait for room, then for the journal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::desk::{Refusal, Reply};
use crate::chat::operation::{Operation, Post};
use crate::cluster::ledger::Ledger;
use crate::cluster::node::Node;
use crate::exit::Failure;
use crate::ids::Time;
use crate::replica::entry::Content;

/// Most operations that wait for room.
const MOST_WAITING: usize = 1024;
/// The reason of a refusal: too many wait.
pub(super) const BUSY: &str = "the server is busy: try again in a moment";
/// Longest wait for room.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An operation, and the clients that wait for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) operation: Operation,
    pub(super) replies: Vec<Reply>,
    since: Time,
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

    /// Adds an operation, or answers that there are too many. Returns whether it was added.
    pub(super) fn push(&mut self, operation: Operation, reply: Option<Reply>, now: Time) -> bool {
        let replies = reply.into_iter().collect();
        let pending = Pending { operation, replies, since: now };
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(pending);
        } else {
            refuse(pending, BUSY);
        }
        has_room
    }

    /// Lets a client wait for an operation that is on its way already; otherwise gives the way of its answer back.
    pub(super) fn wait_for(&mut self, operation: &Operation, reply: Reply) -> Option<Reply> {
        let all = self.under_way.values_mut().chain(&mut self.waiting);
        match all.rev().find(|pending| decides(&pending.operation, operation)) {
            Some(pending) if is_same(&pending.operation, operation) => {
                pending.replies.push(reply);
                None
            }
            _ => Some(reply),
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

    /// Answers those that have waited for too long, and the posts that rest on their joins.
    pub(super) fn expire(&mut self, now: Time, why: impl Fn() -> String) {
        if self.waiting.front().is_none_or(|first| now.since(first.since) < LONGEST_WAIT) {
            return;
        }
        let mut refused: Vec<(String, String)> = Vec::new();
        for pending in std::mem::take(&mut self.waiting) {
            // The server's own operations, for which nobody waits, stay.
            let is_over = !pending.replies.is_empty() && now.since(pending.since) >= LONGEST_WAIT;
            let rests_on = |Post { key, .. }: &Post| {
                refused.iter().any(|(user, group)| (user, group) == (&key.user, &key.group))
            };
            match &pending.operation {
                Operation::Join { user, group, .. } if is_over => refused.push((user.clone(), group.clone())),
                Operation::Post(post) if rests_on(post) => {}
                _ if is_over => {}
                _ => {
                    self.waiting.push_back(pending);
                    continue;
                }
            }
            refuse(pending, &why());
        }
    }
}

/// Returns whether an operation on its way decides what another one would change.
fn decides(pending: &Operation, new: &Operation) -> bool {
    use Operation::{Join, Leave};
    match (pending, new) {
        (Join { user, group, .. } | Leave { user, group }, Leave { user: of, group: from }) => {
            user == of && group == from
        }
        (Leave { user, group }, Join { user: of, group: to, .. }) => user == of && group == to,
        _ => is_same(pending, new),
    }
}

/// Returns whether two operations have the same effect.
fn is_same(pending: &Operation, new: &Operation) -> bool {
    use Operation::{Join, Leave, Post};
    match (pending, new) {
        (Post(one), Post(other)) => one.key == other.key,
        (Join { session, group, .. }, Join { session: by, group: to, .. }) => session == by && group == to,
        (Leave { user, group }, Leave { user: of, group: from }) => user == of && group == from,
        _ => false,
    }
}

fn refuse(pending: Pending, why: &str) {
    for reply in pending.replies {
        // A client that is gone waits for nothing.
        let _ = reply.send(Err(Refusal::new(503, why)));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::chat::operation::PostKey;

    fn join(session: &str) -> Operation {
        Operation::Join { session: session.into(), user: "ann".into(), group: "tea".into(), new: true }
    }

    fn leave() -> Operation {
        Operation::Leave { user: "ann".into(), group: "tea".into() }
    }

    fn post(user: &str) -> Operation {
        let key = PostKey { user: user.into(), client: String::new(), group: "tea".into(), n: 1 };
        Operation::Post(Post { key, text: "hello".into(), time_ms: 1 })
    }

    /// Adds an operation for a client that waits, unless the client can wait for another one. Returns whether it was added.
    fn add(
        queue: &mut Queue,
        operation: Operation,
        now: Time,
    ) -> (bool, oneshot::Receiver<super::super::desk::Answer>) {
        let (reply, answer) = oneshot::channel();
        let reply = queue.wait_for(&operation, reply);
        let is_new = reply.is_some();
        if is_new {
            queue.push(operation, reply, now);
        }
        (is_new, answer)
    }

    #[test]
    fn queue_client_waits_for_the_same_operation_unless_another_one_undoes_it() {
        let mut queue = Queue::new(1);
        let steps = [
            (join("a"), true, Some(true)),
            (join("a"), false, Some(true)),
            (join("b"), true, Some(true)),
            (leave(), true, Some(false)),
            (leave(), false, Some(false)),
            (join("a"), true, Some(true)),
            (post("ann"), true, Some(true)),
            (post("ann"), false, Some(true)),
        ];
        for (at, (operation, is_new, will_be_in)) in steps.into_iter().enumerate() {
            assert_eq!(add(&mut queue, operation, Time::ZERO).0, is_new, "step {at}");
            assert_eq!(queue.will_be_in("ann", "tea", None), will_be_in, "step {at}");
        }
        assert_eq!(queue.will_be_in("ann", "tea", Some("b")), Some(false), "b joined before the leave");
        assert_eq!(queue.will_be_in("bob", "tea", None), None);
    }

    #[test]
    fn queue_post_does_not_outlive_the_join_before_it() {
        let mut queue = Queue::new(1);
        let late = Time::ZERO.after(LONGEST_WAIT / 2);
        let (_, mut joined) = add(&mut queue, join("a"), Time::ZERO);
        let (_, mut posted) = add(&mut queue, post("ann"), late);
        let (_, mut other) = add(&mut queue, post("bob"), late);
        queue.expire(Time::ZERO.after(LONGEST_WAIT), || "full".to_owned());
        let full = Ok(Err(Refusal::new(503, "full")));
        assert_eq!((joined.try_recv(), posted.try_recv()), (full.clone(), full));
        assert!(other.try_recv().is_err(), "it waits");
        queue.expire(late.after(LONGEST_WAIT), || "full".to_owned());
        assert!(other.try_recv().is_ok() && queue.is_empty());
    }
}
