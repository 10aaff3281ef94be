//! The texts of authors, who are no members: those that this member is to multicast for them, and those that it has
//! delivered. A text that two members multicast is delivered once: each member drops the copy that it delivers later.

use std::collections::{BTreeMap, VecDeque};

use super::Replayed;
use crate::engine::{MemberId, View};
use crate::wire::control::{Post, Receipt};
use crate::wire::{Author, Batch};

/// Most authors whose texts are remembered; of more, the one that was delivered first is forgotten.
const MAX_AUTHORS: usize = 4096;
/// Most texts that wait here or are under way; a forwarder hands out no more.
const MAX_POSTS: usize = 256;

/// The texts of authors at one member.
#[derive(Debug, Default)]
pub struct Authors {
    /// The number of the last delivered text of each key, and its message.
    delivered: BTreeMap<u64, (u64, OwnMessage)>,
    /// The keys, in the order of their first delivery.
    keys: VecDeque<u64>,
    /// Texts that this member is to multicast.
    waiting: VecDeque<Post>,
    /// The texts that it has multicast and not delivered.
    under_way: Vec<TextId>,
    /// The numbers of the messages in the batch that is being delivered that are later copies.
    doubled: Vec<u64>,
}

/// A text among all of all authors: the key of the process that posted it, and the number there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TextId {
    /// The key of the process.
    pub key: u64,
    /// The number.
    pub number: u64,
}

impl TextId {
    /// Returns that of a text which a forwarder has handed out.
    #[must_use]
    pub const fn of(post: &Post) -> Self {
        Self { key: post.key, number: post.number }
    }
}

/// A message that carries a text: the member that multicast it, and its number there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnMessage {
    /// The member.
    pub sender: MemberId,
    /// The number among its multicasts.
    pub own_number: u64,
}

/// The next step with a text.
#[derive(Debug, Eq, PartialEq)]
pub enum Duty {
    /// Multicast it.
    Multicast(Post),
    /// Report that it is delivered, as this message.
    Delivered(Post, OwnMessage),
    /// Report that this member does not multicast it.
    Decline(Post),
}

impl Authors {
    /// Notes a delivery; returns true if the text has been delivered before.
    pub fn is_again(&mut self, author: Author<'_>, message: OwnMessage) -> bool {
        let Author { key, number, .. } = author;
        if let Some(last) = self.delivered.get_mut(&key) {
            let is_again = number <= last.0;
            if !is_again {
                *last = (number, message);
            }
            return is_again;
        }
        if self.keys.len() == MAX_AUTHORS
            && let Some(oldest) = self.keys.pop_front()
        {
            self.delivered.remove(&oldest);
        }
        self.keys.push_back(key);
        self.delivered.insert(key, (number, message));
        false
    }

    /// Notes deliveries before the first view of this member.
    pub(super) fn have_delivered(&mut self, deliveries: &mut [Replayed]) {
        for Replayed { origin, author, doubled, .. } in deliveries {
            if let Some((name, key, number)) = author {
                let author = Author { name, key: *key, number: *number };
                let message = OwnMessage { sender: origin.sender, own_number: origin.own_number };
                *doubled = self.is_again(author, message);
            }
        }
    }

    /// Notes the delivery of a batch of `from`, and returns the texts in it that this member was to multicast, each
    /// with its message.
    pub fn deliver(&mut self, from: MemberId, batch: &Batch) -> Vec<(TextId, OwnMessage)> {
        self.doubled.clear();
        let mut done = Vec::new();
        if !batch.has_authors() {
            return done;
        }
        for (own_number, author, _) in batch.entries() {
            let Some(author) = author else { continue };
            let message = OwnMessage { sender: from, own_number };
            if self.is_again(author, message) {
                self.doubled.push(own_number);
            }
            let text = TextId { key: author.key, number: author.number };
            if self.under_way.contains(&text) {
                self.under_way.retain(|known| *known != text);
                done.push((text, message));
            }
        }
        done
    }

    /// Returns the numbers of the messages of the batch that is being delivered that are later copies of their texts.
    #[must_use]
    pub fn doubled(&self) -> &[u64] {
        &self.doubled
    }

    /// Returns true if this message of the batch that is being delivered is a later copy of its text.
    #[must_use]
    pub fn is_doubled(&self, own_number: u64) -> bool {
        self.doubled.contains(&own_number)
    }

    /// Takes a text from a forwarder. One that is here already is no other text, and one that no author can have is
    /// dropped.
    pub fn take(&mut self, post: Post) {
        let text = TextId::of(&post);
        let author = Author { name: &post.author, key: post.key, number: post.number };
        if !author.may_post(post.text.as_bytes()) {
            return;
        }
        if self.under_way.contains(&text) || self.waiting.len() + self.under_way.len() >= MAX_POSTS {
            return;
        }
        self.waiting.retain(|known| TextId::of(known) != text);
        self.waiting.push_back(post);
    }

    /// Returns the next text with which something is to be done. `sends`: this member sends messages; `is_late`: it
    /// joined a running group, so that it does not know what was delivered before.
    pub fn next(&mut self, view: &View, sends: bool, is_late: bool) -> Option<Duty> {
        let is_ready = |post: &Post| {
            let is_waited_for = |slot: &u16| view.clients.contains(&MemberId(*slot));
            !sends || self.delivered_as(post).is_some() || !post.lost.iter().any(is_waited_for)
        };
        let place = self.waiting.iter().position(is_ready)?;
        let post = self.waiting.remove(place)?;
        Some(match self.delivered_as(&post) {
            Some(message) => Duty::Delivered(post, message),
            None if !sends || is_late && post.again => Duty::Decline(post),
            None => {
                self.under_way.push(TextId::of(&post));
                Duty::Multicast(post)
            }
        })
    }

    fn delivered_as(&self, post: &Post) -> Option<OwnMessage> {
        let (number, message) = self.delivered.get(&post.key)?;
        (post.number <= *number).then_some(*message)
    }
}

/// Returns the receipt for a text.
#[must_use]
pub const fn receipt(TextId { key, number }: TextId, id: Option<String>) -> Receipt {
    Receipt { key, number, id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BatchBuilder;

    const A: MemberId = MemberId(0);
    const B: MemberId = MemberId(1);

    /// The first message of a member.
    const fn first_of(sender: MemberId) -> OwnMessage {
        OwnMessage { sender, own_number: 1 }
    }

    fn view(clients: &[MemberId]) -> View {
        View { number: 1, clients: clients.to_vec(), sequencer: None, candidates: Vec::new() }
    }

    fn post(key: u64, lost: &[u16], again: bool) -> Post {
        Post { author: "M".into(), key, number: 1, text: "x".into(), lost: lost.to_vec(), again }
    }

    fn batch(keys: &[u64]) -> Batch {
        let mut batch = BatchBuilder::new(1);
        for &key in keys {
            batch.push_authored(Author { name: "M", key, number: 1 }, b"x");
        }
        batch.finish().unwrap()
    }

    #[test]
    fn the_later_of_two_copies_is_doubled_whoever_multicast_it() {
        let mut authors = Authors::default();
        authors.deliver(A, &batch(&[7, 8]));
        assert!(!authors.is_doubled(1) && !authors.is_doubled(2));
        authors.deliver(B, &batch(&[9, 7]));
        assert!(!authors.is_doubled(1) && authors.is_doubled(2));
        authors.deliver(A, &batch(&[10]));
        assert!(!authors.is_doubled(1), "another batch");
    }

    #[test]
    fn a_text_that_a_lost_member_may_have_multicast_waits_for_the_view_without_it() {
        let mut authors = Authors::default();
        authors.take(post(7, &[1], true));
        assert_eq!(authors.next(&view(&[A, B]), true, false), None);
        assert_eq!(authors.next(&view(&[A]), true, true), Some(Duty::Decline(post(7, &[1], true))));
        authors.take(post(7, &[1], true));
        assert_eq!(authors.next(&view(&[A]), true, false), Some(Duty::Multicast(post(7, &[1], true))));
        authors.take(post(7, &[1], true));
        assert_eq!(authors.next(&view(&[A]), true, false), None, "it is under way");
        assert_eq!(authors.deliver(A, &batch(&[7])), [(TextId { key: 7, number: 1 }, first_of(A))]);
        authors.take(post(7, &[1], true));
        let done = Duty::Delivered(post(7, &[1], true), first_of(A));
        assert_eq!(authors.next(&view(&[A, B]), true, false), Some(done));
    }

    #[test]
    fn a_member_that_has_finished_declines() {
        let mut authors = Authors::default();
        authors.take(post(7, &[], false));
        assert_eq!(authors.next(&view(&[A]), false, false), Some(Duty::Decline(post(7, &[], false))));
    }

    #[test]
    fn no_more_authors_are_remembered_than_there_is_room_for() {
        let mut authors = Authors::default();
        for key in 0..MAX_AUTHORS as u64 + 10 {
            assert!(!authors.is_again(Author { name: "M", key, number: 1 }, first_of(A)));
        }
        assert_eq!((authors.delivered.len(), authors.keys.len()), (MAX_AUTHORS, MAX_AUTHORS));
        assert!(authors.is_again(Author { name: "M", key: 100, number: 1 }, first_of(B)));
    }
}
