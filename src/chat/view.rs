//! Views of the state for clients: posts and groups.

use std::ops::Bound;

use serde::Serialize;

use super::place::{OperationId, Place};
use super::state::{Group, State};
use crate::ids::MemberId;

/// Most posts that are counted as not read.
pub const MOST_UNREAD: usize = 1000;

/// A post as clients see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Item {
    /// The id.
    pub id: String,
    /// The number in the confirmed order of the cluster; none while the post is tentative.
    pub number: Option<u64>,
    /// The user.
    pub user: String,
    /// The text.
    pub text: String,
    /// The users who like it, in the order in which they began to.
    pub likes: Vec<String>,
    /// The time at the server that accepted it, in milliseconds since 1970.
    pub time_ms: u64,
    /// The key of the client, if it gave one, and its number of the post.
    pub client: Option<String>,
    /// The client's number of the post.
    pub n: u64,
}

/// A group as clients see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct GroupView {
    /// The name.
    pub group: String,
    /// The users who are there, sorted.
    pub users: Vec<String>,
    /// Those of them whose servers are away.
    pub unreachable: Vec<String>,
    /// The number of posts.
    pub posts: usize,
    /// The number of posts of others that the user of the session has not read, up to [`MOST_UNREAD`]; absent without a
    /// session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<usize>,
    /// The number up to which the user of the session has read; absent without a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// True if the user of the session is there; absent without a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<bool>,
    /// The servers that made the group independently of one another, if there are several.
    pub notice: Option<String>,
}

/// The part of a history that a client asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The first ones above a number, then the tentative ones.
    After(u64),
    /// The last ones below a number.
    Before(u64),
    /// The last ones.
    Last,
}

impl State {
    /// Returns a post as clients see it, if it is there.
    #[must_use]
    pub fn item(&self, id: OperationId) -> Option<Item> {
        let copy = self.copies.get(&id)?;
        let key = &copy.post.key;
        Some(Item {
            id: self.written(id),
            number: copy.number,
            user: key.user.clone(),
            text: copy.post.text.clone(),
            likes: self.likes(&copy.post),
            time_ms: copy.post.time_ms,
            client: (!key.client.is_empty()).then(|| key.client.clone()),
            n: key.n,
        })
    }

    /// Returns a part of the posts of a group in their order, at most `limit`, and whether there are more in its direction.
    #[must_use]
    pub fn history(&self, group: &str, part: Part, limit: usize) -> (Vec<Item>, bool) {
        let Some(group) = self.groups.get(group) else { return (Vec::new(), false) };
        let first = |number| group.numbered.partition_point(|(at, _)| *at < number);
        let items = |ids: Vec<OperationId>| ids.into_iter().filter_map(|id| self.item(id)).collect();
        match part {
            Part::After(number) => {
                let last = first(number.saturating_add(1)).checked_sub(1).map(|at| group.numbered[at].1);
                let from = last.map_or(Bound::Unbounded, Bound::Excluded);
                let mut ids = group.posts.range((from, Bound::Unbounded)).map(|(_, &id)| id);
                let page = ids.by_ref().take(limit).collect();
                (items(page), ids.next().is_some())
            }
            Part::Before(number) => {
                let end = group.numbered.get(first(number)).map(|(_, place)| *place);
                // Without a post of that number or a later one, the tentative ones are the end.
                let end = end.or_else(|| group.first_tentative());
                let below = end.map_or(Bound::Unbounded, Bound::Excluded);
                self.last(group, below, limit)
            }
            Part::Last => self.last(group, Bound::Unbounded, limit),
        }
    }

    fn last(&self, group: &Group, below: Bound<Place>, limit: usize) -> (Vec<Item>, bool) {
        let mut ids = group.posts.range((Bound::Unbounded, below)).rev().map(|(_, &id)| id);
        let mut page: Vec<OperationId> = ids.by_ref().take(limit).collect();
        page.reverse();
        (page.into_iter().filter_map(|id| self.item(id)).collect(), ids.next().is_some())
    }

    /// Returns the id of the post that follows a post in its group, if there is one.
    #[must_use]
    pub fn next(&self, id: OperationId) -> Option<OperationId> {
        let copy = self.copies.get(&id)?;
        let posts = &self.groups.get(&copy.post.key.group)?.posts;
        posts.range((Bound::Excluded(copy.at), Bound::Unbounded)).next().map(|(_, &id)| id)
    }

    /// Returns the names of all groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Returns a group as a user sees it, if it is there; `is_away` says which servers are away.
    #[must_use]
    pub fn group_view(
        &self,
        name: &str,
        user: Option<&str>,
        is_away: impl Fn(MemberId) -> bool,
    ) -> Option<GroupView> {
        let group = self.groups.get(name)?;
        let (mut users, mut unreachable) = (Vec::new(), Vec::new());
        for (user, servers) in group.users.there(&self.sessions) {
            users.push(user.to_owned());
            if servers.into_iter().all(&is_away) {
                unreachable.push(user.to_owned());
            }
        }
        Some(GroupView {
            group: name.to_owned(),
            users,
            unreachable,
            posts: group.posts.len(),
            unread: user.map(|user| self.unread(group, user, self.read(user, name))),
            read: user.map(|user| self.read(user, name)),
            joined: user.map(|user| self.is_in(user, name)),
            notice: group.notice(),
        })
    }

    /// Returns the number of posts of others above a number of the confirmed order; tentative ones are above all.
    fn unread(&self, group: &Group, user: &str, read: u64) -> usize {
        let last = group.numbered.partition_point(|(at, _)| *at <= read).checked_sub(1);
        let from = last.map_or(Bound::Unbounded, |at| Bound::Excluded(group.numbered[at].1));
        let above = group.posts.range((from, Bound::Unbounded)).map(|(_, id)| id);
        let of_others = above.filter(|id| self.copies.get(id).is_some_and(|copy| copy.post.key.user != user));
        of_others.take(MOST_UNREAD).count()
    }
}

impl Group {
    fn first_tentative(&self) -> Option<Place> {
        let from = self.numbered.last().map_or(Bound::Unbounded, |(_, place)| Bound::Excluded(*place));
        self.posts.range((from, Bound::Unbounded)).next().map(|(place, _)| *place)
    }

    fn notice(&self) -> Option<String> {
        let mut servers: Vec<&str> = self.made.values().map(String::as_str).collect();
        servers.dedup();
        let is_merged = servers.len() > 1;
        is_merged.then(|| {
            format!("this group was made at {} independently, and is one group now", servers.join(" and at "))
        })
    }
}
