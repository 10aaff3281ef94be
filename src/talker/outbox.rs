//! The posts of this client until they are confirmed, so that none is lost with a server, and none is doubled. Pure.
//!
//! A post keeps its number, by which all servers know copies of it. One is under way at a time: the posts of a client are
//! stored in its order.

use std::collections::VecDeque;

/// Most posts that are stored and not confirmed; the oldest is forgotten, or no more are taken.
pub(super) const MOST_STORED: usize = 10_000;
/// Most posts that wait to be stored; no more are taken.
pub(super) const MOST_WAITING: usize = 64;

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
    /// The number of the one that was sent, and is not answered.
    under_way: Option<u64>,
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

    /// Returns the post to send now, which is under way then.
    pub(super) fn next(&mut self) -> Option<Own> {
        if self.under_way.is_some() {
            return None;
        }
        let next = self.posts.iter().find(|post| !post.is_stored)?;
        self.under_way = Some(next.n);
        Some(next.clone())
    }

    /// Notes that a server has stored the post that was under way.
    pub(super) fn stored(&mut self, n: u64) {
        self.returned();
        self.shown(n);
    }

    /// Notes that a server shows a post: it needs no further copy.
    pub(super) fn shown(&mut self, n: u64) {
        if let Some(post) = self.posts.iter_mut().find(|post| post.n == n) {
            post.is_stored = true;
        }
    }

    /// Notes that the post that was under way has come back; it is sent again.
    pub(super) const fn returned(&mut self) {
        self.under_way = None;
    }

    /// Forgets a post: it is confirmed, or refused.
    pub(super) fn forget(&mut self, n: u64) {
        if self.under_way == Some(n) {
            self.under_way = None;
        }
        self.posts.retain(|post| post.n != n);
    }

    /// Begins at another server, which may have none of the posts.
    pub(super) fn begin_again(&mut self) {
        self.under_way = None;
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

    fn sent(outbox: &mut Outbox) -> Option<u64> {
        outbox.next().map(|post| post.n)
    }

    #[test]
    fn posts_are_sent_one_by_one_and_keep_their_numbers_at_another_server() {
        let mut outbox = Outbox::default();
        ["a", "b", "c", "d"].into_iter().for_each(|text| outbox.push("news", text.to_owned()));
        assert_eq!(sent(&mut outbox), Some(1));
        assert_eq!(sent(&mut outbox), None, "one is under way");
        outbox.stored(1);
        assert_eq!(sent(&mut outbox), Some(2));
        outbox.stored(2);
        outbox.forget(1);
        assert_eq!(sent(&mut outbox), Some(3));
        outbox.begin_again();
        assert_eq!((outbox.len(), outbox.waiting()), (3, 3));
        outbox.shown(3);
        assert_eq!(sent(&mut outbox), Some(2), "stored at the lost server, and not confirmed");
        outbox.stored(2);
        assert_eq!(sent(&mut outbox), Some(4), "the new server shows 3");
        outbox.returned();
        assert_eq!(outbox.next().unwrap().text, "d");
    }

    #[test]
    fn a_refused_post_does_not_hold_up_the_others() {
        let mut outbox = Outbox::default();
        ["a", "b"].into_iter().for_each(|text| outbox.push("news", text.to_owned()));
        assert_eq!(sent(&mut outbox), Some(1));
        outbox.forget(1);
        assert_eq!(sent(&mut outbox), Some(2));
    }
}
