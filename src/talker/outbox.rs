//! The posts of this client until they are confirmed, so that none is lost with a server, and none is doubled. Pure.
//!
//! A post keeps its number, by which all servers know copies of it. One request is under way at a time, with the next
//! posts: the posts of a client are stored in its order.

use std::collections::VecDeque;

use crate::chat::operation::MOST_POSTS;

/// Most posts that are stored and not confirmed; the oldest is forgotten, or no more are taken.
pub(super) const MOST_STORED: usize = 10_000;
/// Most posts that wait to be stored; no more are taken.
pub(super) const MOST_WAITING: usize = 2 * MOST_POSTS;
/// Most bytes of the texts in one request, whose body has at most 64 KiB: JSON doubles a text at most.
const MOST_BYTES: usize = 24 << 10;

/// A post of this client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Own {
    pub(super) n: u64,
    pub(super) group: String,
    pub(super) text: String,
    is_stored: bool,
}

/// The posts of this client that are not confirmed.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    posts: VecDeque<Own>,
    last: u64,
    /// Whether some were sent, and are not answered.
    are_under_way: bool,
}

impl Outbox {
    /// Adds a post.
    pub(super) fn push(&mut self, group: &str, text: String) {
        self.last += 1;
        self.posts.push_back(Own { n: self.last, group: group.to_owned(), text, is_stored: false });
        if self.posts.len() > MOST_STORED
            && let Some(at) = self.posts.iter().position(|post| post.is_stored)
        {
            self.posts.remove(at);
        }
    }

    /// Returns the posts of one group to send now, in their order, if there are any. They are under way then.
    pub(super) fn next(&mut self) -> Vec<Own> {
        if self.are_under_way {
            return Vec::new();
        }
        let mut bytes = 0;
        let mut unstored = self.posts.iter().filter(|post| !post.is_stored).peekable();
        let group = unstored.peek().map(|first| &first.group);
        let fits = |post: &&Own| {
            bytes += post.text.len();
            Some(&post.group) == group && bytes <= MOST_BYTES
        };
        let next: Vec<Own> = unstored.take_while(fits).take(MOST_POSTS).cloned().collect();
        self.are_under_way = !next.is_empty();
        next
    }

    /// Notes that a server has a post: it needs no further copy.
    pub(super) fn shown(&mut self, n: u64) {
        if let Some(post) = self.posts.iter_mut().find(|post| post.n == n) {
            post.is_stored = true;
        }
    }

    /// Notes that those that were under way are answered. They are sent again, unless the server has them.
    pub(super) const fn answered(&mut self) {
        self.are_under_way = false;
    }

    /// Forgets a post: it is confirmed, or refused.
    pub(super) fn forget(&mut self, n: u64) {
        self.posts.retain(|post| post.n != n);
    }

    /// Begins at another server, which may have none of the posts.
    pub(super) fn begin_again(&mut self) {
        self.are_under_way = false;
        self.posts.iter_mut().for_each(|post| post.is_stored = false);
    }

    /// Returns the number of posts that are not confirmed.
    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    /// Returns the number of posts that are not stored.
    pub(super) fn waiting(&self) -> usize {
        self.posts.iter().filter(|post| !post.is_stored).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends the next posts. Returns their numbers.
    fn sent(outbox: &mut Outbox) -> Vec<u64> {
        outbox.next().iter().map(|post| post.n).collect()
    }

    /// Adds posts in a group.
    fn push(outbox: &mut Outbox, group: &str, texts: &[&str]) {
        texts.iter().for_each(|text| outbox.push(group, (*text).to_owned()));
    }

    /// Notes that the server has some of the posts that were under way.
    fn stored(outbox: &mut Outbox, numbers: &[u64]) {
        outbox.answered();
        numbers.iter().for_each(|n| outbox.shown(*n));
    }

    #[test]
    fn posts_are_sent_in_their_order_and_keep_their_numbers_at_another_server() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "news", &["a"]);
        assert_eq!(sent(&mut outbox), [1]);
        push(&mut outbox, "news", &["b", "c", "d"]);
        assert!(sent(&mut outbox).is_empty(), "one is under way");
        stored(&mut outbox, &[1]);
        assert_eq!(sent(&mut outbox), [2, 3, 4]);
        stored(&mut outbox, &[2]);
        outbox.forget(1);
        assert_eq!(sent(&mut outbox), [3, 4], "those that were not stored");
        outbox.begin_again();
        assert_eq!((outbox.len(), outbox.waiting()), (3, 3));
        outbox.shown(3);
        assert_eq!(sent(&mut outbox), [2, 4], "2 was stored at the lost server; the new one shows 3");
        outbox.answered();
        assert_eq!(outbox.next()[1].text, "d");
    }

    #[test]
    fn a_refused_post_does_not_hold_up_the_others() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "news", &["a", "b"]);
        assert_eq!(sent(&mut outbox), [1, 2]);
        outbox.answered();
        outbox.forget(1);
        assert_eq!(sent(&mut outbox), [2]);
    }

    #[test]
    fn a_request_has_posts_of_one_group_and_a_limit() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "news", &["a"]);
        push(&mut outbox, "tea", &["b"; MOST_POSTS + 1]);
        let long = "x".repeat(MOST_BYTES / 2);
        push(&mut outbox, "tea", &[&long, &long]);
        let mut lengths = Vec::new();
        while outbox.waiting() > 0 {
            let numbers = sent(&mut outbox);
            lengths.push(numbers.len());
            stored(&mut outbox, &numbers);
        }
        assert_eq!(lengths, [1, MOST_POSTS, 2, 1]);
    }
}
