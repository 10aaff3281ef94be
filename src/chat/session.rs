//! Sessions, and the users of groups that follow from them.
//!
//! A user is in a group as long as a session of the user lives that joined it after the user last left it. A session lives
//! until it ends, or until its server starts again or is removed from the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::place::Place;
use crate::ids::MemberId;
use crate::replica::entry::Stamp;

/// A session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Session {
    pub(super) user: String,
    /// The key of the client; empty if it gave none.
    pub(super) client: String,
    pub(super) server: MemberId,
    pub(super) began: Place,
}

/// The sessions of all servers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Sessions {
    sessions: BTreeMap<String, Session>,
    /// The sessions that have ended, also those whose beginning has not come.
    ended: BTreeSet<String>,
    /// The last start of each server.
    lives: BTreeMap<MemberId, Place>,
    /// The servers that were removed from the cluster.
    removed: Vec<MemberId>,
}

impl Sessions {
    pub(super) fn begin(&mut self, session: String, new: Session) {
        // Of two sessions with one key the first counts: nobody takes over the session of another.
        self.sessions
            .entry(session)
            .and_modify(|known| {
                if new.began < known.began {
                    known.clone_from(&new);
                }
            })
            .or_insert(new);
    }

    pub(super) fn end(&mut self, session: String) {
        self.ended.insert(session);
    }

    /// Notes a start of a server.
    pub(super) fn start(&mut self, server: MemberId, at: Place) {
        let last = self.lives.entry(server).or_insert(at);
        *last = at.max(*last);
    }

    pub(super) fn remove(&mut self, server: MemberId) {
        if !self.removed.contains(&server) {
            self.removed.push(server);
            self.removed.sort_unstable();
        }
    }

    /// Returns the servers that were removed.
    pub(super) fn removed(&self) -> impl Iterator<Item = MemberId> {
        self.removed.iter().copied()
    }

    /// Returns a session that lives.
    pub(super) fn living(&self, session: &str) -> Option<&Session> {
        let found = self.sessions.get(session)?;
        let is_over = self.ended.contains(session)
            || self.lives.get(&found.server).is_some_and(|life| found.began < *life)
            || self.removed.contains(&found.server);
        (!is_over).then_some(found)
    }

    /// Forgets the sessions that have ended and began at a place up to this one, and the ends of those that it knows not, or
    /// not any more. Returns whether there were any.
    pub(super) fn forget_ended(&mut self, upto: Stamp) -> bool {
        let is_over =
            |(key, session): &(&String, &Session)| session.began.stamp <= upto && self.living(key).is_none();
        let keys: BTreeSet<String> =
            self.sessions.iter().filter(is_over).map(|(key, _)| key.clone()).collect();
        self.sessions.retain(|key, _| !keys.contains(key));
        self.ended.retain(|key| self.sessions.contains_key(key));
        !keys.is_empty()
    }

    /// Returns the number of sessions that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Returns the sessions that live at a server, with their users.
    pub(super) fn at(&self, server: MemberId) -> impl Iterator<Item = (&str, &str)> {
        let living = self.sessions.keys().filter_map(move |key| Some((key, self.living(key)?)));
        living
            .filter(move |(_, session)| session.server == server)
            .map(|(key, session)| (key.as_str(), session.user.as_str()))
    }
}

/// The users of one group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Users {
    /// For each user the sessions that joined, and where.
    joined: BTreeMap<String, BTreeMap<String, Place>>,
    /// For each user the last leave.
    left: BTreeMap<String, Place>,
}

impl Users {
    pub(super) fn join(&mut self, user: String, session: String, at: Place) {
        let last = self.joined.entry(user).or_default().entry(session).or_insert(at);
        *last = at.max(*last);
    }

    pub(super) fn leave(&mut self, user: String, at: Place) {
        let last = self.left.entry(user).or_insert(at);
        *last = at.max(*last);
    }

    /// Forgets the joins of sessions that are forgotten.
    pub(super) fn keep_those_of(&mut self, sessions: &Sessions) {
        for joined in self.joined.values_mut() {
            joined.retain(|session, _| sessions.sessions.contains_key(session));
        }
        self.joined.retain(|_, joined| !joined.is_empty());
    }

    /// Returns whether a user is there.
    pub(super) fn has(&self, user: &str, sessions: &Sessions) -> bool {
        self.servers_of(user, sessions).next().is_some()
    }

    /// Returns whether a user is there by this session.
    pub(super) fn has_by(&self, user: &str, session: &str, sessions: &Sessions) -> bool {
        let at = self.joined.get(user).and_then(|joined| joined.get(session));
        let is_left = |at| self.left.get(user).is_some_and(|left| *left > at);
        at.is_some_and(|&at| !is_left(at)) && sessions.living(session).is_some()
    }

    /// Returns the servers of the sessions by which a user is there.
    fn servers_of<'s>(&'s self, user: &str, sessions: &'s Sessions) -> impl Iterator<Item = MemberId> + 's {
        let left = self.left.get(user).copied();
        let joined = self.joined.get(user).into_iter().flatten();
        joined
            .filter(move |(_, at)| left.is_none_or(|left| left < **at))
            .filter_map(|(session, _)| sessions.living(session))
            .map(|session| session.server)
    }

    /// Returns the users that are there, sorted, each with the servers of the sessions.
    pub(super) fn there<'s>(
        &'s self,
        sessions: &'s Sessions,
    ) -> impl Iterator<Item = (&'s str, Vec<MemberId>)> + 's {
        let servers = |user: &'s String| (user.as_str(), self.servers_of(user, sessions).collect::<Vec<_>>());
        self.joined.keys().map(servers).filter(|(_, servers)| !servers.is_empty())
    }

    /// Returns whether a user ever joined.
    pub(super) fn knows(&self, user: &str) -> bool {
        self.joined.contains_key(user)
    }

    /// Returns whether a session of a server ever joined.
    pub(super) fn has_session_of(&self, server: MemberId, sessions: &Sessions) -> bool {
        let mut keys = self.joined.values().flat_map(BTreeMap::keys);
        keys.any(|key| sessions.sessions.get(key).is_some_and(|session| session.server == server))
    }
}
