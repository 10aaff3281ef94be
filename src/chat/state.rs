//! The state of the chat: groups, posts, likes and users, as they follow from the operations in their order.
//!
//! In a cluster, an operation can take its place above others that were shown before. Instead of a replay from there, each
//! fact remembers the place of the operation that decided it: the last like of a user counts, the first copy of a post, a
//! join above the last leave. So the state is a function of the operations and their places, whenever each came, and equal
//! to that of a replay in order (a test compares the two). Only a withdrawn operation needs a new state.

use std::collections::BTreeMap;

use super::operation::{Operation, Post, PostKey};
use super::place::{OperationId, Place};
use super::session::{Session, Sessions, Users};
use crate::ids::MemberId;
use crate::replica::entry::Stamp;

/// A change of the state that others are told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A post is shown in a group.
    Posted(String, OperationId),
    /// A post is not shown any more: another copy of it stands above.
    Gone(String, OperationId),
    /// The likes of a post have changed.
    Liked(String, OperationId),
    /// The users, the notice or the count of a group have changed.
    Group(String),
    /// A user has read a group further.
    Read(String, String),
}

/// A copy of a post.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PostCopy {
    pub(super) post: Post,
    pub(super) at: Place,
    /// Its number in the confirmed order.
    pub(super) number: Option<u64>,
}

/// A group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Group {
    /// The posts that are shown, by place.
    pub(super) posts: BTreeMap<Place, OperationId>,
    /// The numbers of the confirmed ones and their places, ascending.
    pub(super) numbered: Vec<(u64, Place)>,
    pub(super) users: Users,
    /// The operations that made the group where it was not known yet.
    pub(super) made: BTreeMap<Place, String>,
}

/// The state of the chat.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// The names of the servers by slot.
    pub(super) names: Vec<String>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) copies: BTreeMap<OperationId, PostCopy>,
    /// The copies of each post.
    posts: BTreeMap<PostKey, BTreeMap<Place, OperationId>>,
    /// For each id and user the last like or unlike.
    likes: BTreeMap<OperationId, BTreeMap<String, (Place, bool)>>,
    pub(super) sessions: Sessions,
    /// For each user and group the number up to which the user has read.
    reads: BTreeMap<(String, String), u64>,
    /// The operations without a number.
    open: BTreeMap<Place, Option<OperationId>>,
    confirmed: u64,
    /// The place up to which all is confirmed.
    confirmed_upto: Stamp,
    /// The number of the last multicast of each server.
    last: BTreeMap<MemberId, u64>,
}

impl State {
    /// Returns the state before the first operation, of servers with these names.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Applies an operation at its place, or notes that a text at this place is none. Returns what has changed.
    pub fn apply(&mut self, id: OperationId, at: Place, operation: Option<Operation>) -> Vec<Change> {
        let is_post = matches!(operation, Some(Operation::Post(_)));
        self.open.insert(at, is_post.then_some(id));
        let last = self.last.entry(id.origin).or_default();
        *last = id.number.max(*last);
        match operation {
            Some(Operation::Session { session, user, client }) => {
                self.sessions.begin(session, Session { user, client, server: id.origin, began: at });
                Vec::new()
            }
            Some(Operation::End { session }) => {
                let user = self.user(&session).map(str::to_owned);
                self.sessions.end(session);
                user.map_or_else(Vec::new, |user| self.groups_with(&user))
            }
            Some(Operation::Life) => {
                self.sessions.start(id.origin, at);
                self.groups_of(id.origin)
            }
            Some(Operation::Join { session, user, group, new }) => {
                let joined = self.groups.entry(group.clone()).or_default();
                joined.users.join(user, session, at);
                if new {
                    let server = self.names.get(usize::from(id.origin.0)).cloned().unwrap_or_default();
                    joined.made.insert(at, server);
                }
                vec![Change::Group(group)]
            }
            Some(Operation::Leave { user, group }) => {
                self.groups.entry(group.clone()).or_default().users.leave(user, at);
                vec![Change::Group(group)]
            }
            Some(Operation::Post(post)) => self.post(id, at, post),
            Some(Operation::Like { user, id, on }) => self.like(user, &id, on, at),
            Some(Operation::Read { user, group, number }) => {
                let read = self.reads.entry((user.clone(), group.clone())).or_default();
                let is_news = number > *read;
                *read = number.max(*read);
                if is_news { vec![Change::Read(user, group)] } else { Vec::new() }
            }
            None => Vec::new(),
        }
    }

    fn post(&mut self, id: OperationId, at: Place, post: Post) -> Vec<Change> {
        let group = post.key.group.clone();
        let copies = self.posts.entry(post.key.clone()).or_default();
        let first = copies.first_key_value().map(|(&place, &id)| (place, id));
        copies.insert(at, id);
        self.copies.insert(id, PostCopy { post, at, number: None });
        let shown = &mut self.groups.entry(group.clone()).or_default().posts;
        match first {
            Some((place, _)) if place < at => Vec::new(),
            Some((place, other)) => {
                shown.remove(&place);
                shown.insert(at, id);
                vec![Change::Gone(group.clone(), other), Change::Posted(group, id)]
            }
            None => {
                shown.insert(at, id);
                vec![Change::Posted(group.clone(), id), Change::Group(group)]
            }
        }
    }

    fn like(&mut self, user: String, id: &str, on: bool, at: Place) -> Vec<Change> {
        let Some(id) = OperationId::parse(id, &self.names) else { return Vec::new() };
        let last = self.likes.entry(id).or_default().entry(user).or_insert((at, on));
        *last = (at, on).max(*last);
        match self.shown_as(id) {
            Some(shown) => {
                let group = self.copies[&shown].post.key.group.clone();
                vec![Change::Liked(group, shown)]
            }
            None => Vec::new(),
        }
    }

    /// Confirms all operations up to a place. Returns the groups with the posts that have a number now.
    pub fn confirm(&mut self, upto: Stamp) -> Vec<(String, OperationId, u64)> {
        let mut numbered = Vec::new();
        self.confirmed_upto = upto.max(self.confirmed_upto);
        while let Some(first) = self.open.first_entry().filter(|first| first.key().stamp <= upto) {
            let (place, post) = first.remove_entry();
            self.confirmed += 1;
            let Some(id) = post else { continue };
            let Some(copy) = self.copies.get_mut(&id) else { continue };
            copy.number = Some(self.confirmed);
            let key = &copy.post.key;
            if let Some(group) =
                self.groups.get_mut(&key.group).filter(|group| group.posts.contains_key(&place))
            {
                group.numbered.push((self.confirmed, place));
                numbered.push((key.group.clone(), id, self.confirmed));
            }
        }
        numbered
    }

    /// Forgets the sessions that have ended. Their beginnings are confirmed, so that nothing brings them back; and a session
    /// comes before its joins and its end, which are of the same server.
    pub fn forget_ended_sessions(&mut self) {
        if self.sessions.forget_ended(self.confirmed_upto) {
            self.groups.values_mut().for_each(|group| group.users.keep_those_of(&self.sessions));
        }
    }

    /// Adds the server of a slot. After a restart it may be known already.
    pub fn add_server(&mut self, slot: usize, name: String) {
        match self.names.get_mut(slot) {
            Some(known) => *known = name,
            None => self.names.push(name),
        }
    }

    /// Ends all sessions of a server that was removed from the cluster.
    pub fn remove_server(&mut self, server: MemberId) -> Vec<Change> {
        self.sessions.remove(server);
        self.groups_of(server)
    }

    /// Returns the number of the last confirmed operation.
    #[must_use]
    pub const fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Returns the number of operations that are not confirmed.
    #[must_use]
    pub fn tentative(&self) -> usize {
        self.open.len()
    }

    /// Returns the names of the servers by slot.
    #[must_use]
    pub fn server_names(&self) -> &[String] {
        &self.names
    }

    /// Returns the servers that were removed.
    pub fn removed_servers(&self) -> impl Iterator<Item = MemberId> {
        self.sessions.removed()
    }

    /// Returns the server of this name.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<MemberId> {
        let slot = self.names.iter().position(|known| known == name)?;
        u16::try_from(slot).ok().map(MemberId)
    }

    /// Returns the number of multicasts of a server that were applied.
    #[must_use]
    pub fn multicasts_of(&self, server: MemberId) -> u64 {
        self.last.get(&server).copied().unwrap_or_default()
    }

    /// Returns the user of a session that lives.
    #[must_use]
    pub fn user(&self, session: &str) -> Option<&str> {
        self.sessions.living(session).map(|session| session.user.as_str())
    }

    /// Returns the key of the client of a session that lives; empty if it gave none.
    #[must_use]
    pub fn client(&self, session: &str) -> Option<&str> {
        self.sessions.living(session).map(|session| session.client.as_str())
    }

    /// Returns the sessions that live at a server, with their users.
    pub fn sessions_at(&self, server: MemberId) -> impl Iterator<Item = (&str, &str)> {
        self.sessions.at(server)
    }

    /// Returns whether a group is there.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Returns whether a user is in a group.
    #[must_use]
    pub fn is_in(&self, user: &str, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.users.has(user, &self.sessions))
    }

    /// Returns whether a user is in a group by this session.
    #[must_use]
    pub fn is_in_by(&self, session: &str, user: &str, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.users.has_by(user, session, &self.sessions))
    }

    /// Returns whether a user has read a group up to this number.
    #[must_use]
    pub fn has_read(&self, user: &str, group: &str, number: u64) -> bool {
        number <= self.read(user, group)
    }

    /// Returns the id by which a post is shown, if it is there.
    #[must_use]
    pub fn posted(&self, key: &PostKey) -> Option<OperationId> {
        self.posts.get(key)?.first_key_value().map(|(_, &id)| id)
    }

    /// Returns the id by which the post with this id is shown: its own, or that of an earlier copy.
    #[must_use]
    pub fn shown_as(&self, id: OperationId) -> Option<OperationId> {
        self.posted(&self.copies.get(&id)?.post.key)
    }

    /// Returns the id that others write so.
    #[must_use]
    pub fn parse_id(&self, id: &str) -> Option<OperationId> {
        OperationId::parse(id, &self.names)
    }

    /// Returns an id as others write it.
    #[must_use]
    pub fn written(&self, id: OperationId) -> String {
        id.shown(&self.names)
    }

    /// Returns the number up to which a user has read a group.
    pub(super) fn read(&self, user: &str, group: &str) -> u64 {
        self.reads.get(&(user.to_owned(), group.to_owned())).copied().unwrap_or_default()
    }

    /// Returns the users who like a post, in the order in which they began to.
    pub(super) fn likes(&self, post: &Post) -> Vec<String> {
        let copies = self.posts.get(&post.key).into_iter().flat_map(BTreeMap::values);
        let mut last: BTreeMap<&String, (Place, bool)> = BTreeMap::new();
        for (user, &decided) in copies.filter_map(|id| self.likes.get(id)).flatten() {
            let known = last.entry(user).or_insert(decided);
            *known = decided.max(*known);
        }
        let mut users: Vec<(Place, &String)> =
            last.into_iter().filter(|(_, (_, on))| *on).map(|(user, (place, _))| (place, user)).collect();
        users.sort_unstable();
        users.into_iter().map(|(_, user)| user.clone()).collect()
    }

    /// Returns a change for each group in which a user ever was.
    fn groups_with(&self, user: &str) -> Vec<Change> {
        let groups = self.groups.iter().filter(|(_, group)| group.users.knows(user));
        groups.map(|(name, _)| Change::Group(name.clone())).collect()
    }

    /// Returns a change for each group that a session of a server has joined.
    fn groups_of(&self, server: MemberId) -> Vec<Change> {
        let groups =
            self.groups.iter().filter(|(_, group)| group.users.has_session_of(server, &self.sessions));
        groups.map(|(name, _)| Change::Group(name.clone())).collect()
    }
}
