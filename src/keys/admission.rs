//! The members whose keys are accepted, at a forwarder or a router.

use std::sync::{Arc, Mutex};

use super::folder::{FORWARDER, Folder, Keys};
use super::refusals::Refusals;
use super::rights::Rights;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::lock::lock;
use crate::talk::Talk;
use crate::transport::curve::PublicKey;
use crate::wire::control::{Request, Seat};
use crate::wire::topic;

/// The accepted keys, which the thread of ZeroMQ's questions reads, and the refused ones.
#[derive(Debug)]
pub(crate) struct Admission {
    accepted: Mutex<Arc<Accepted>>,
    /// The refusals of strangers' keys, and those of members: one must not hide the other.
    strangers: Mutex<Refusals>,
    refusals: Mutex<Refusals>,
}

/// The accepted keys, and the rights of their owners.
#[derive(Debug)]
struct Accepted {
    keys: Arc<Keys>,
    rights: Rights,
}

impl Accepted {
    fn of(keys: Keys) -> Self {
        Self { rights: Rights::of(&keys), keys: Arc::new(keys) }
    }
}

impl Admission {
    /// Reads the keys of a folder.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub(super) fn read(folder: &Folder) -> Result<Self, Failure> {
        Ok(Self {
            accepted: Mutex::new(Arc::new(Accepted::of(folder.read()?))),
            strangers: Mutex::default(),
            refusals: Mutex::default(),
        })
    }

    /// Returns the keys that are accepted now.
    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.accepted().keys)
    }

    /// Accepts these keys from now on, in place of those from before.
    pub(super) fn replace(&self, keys: Keys) {
        *lock(&self.accepted) = Arc::new(Accepted::of(keys));
    }

    /// Returns the name of the key of a peer at this address, if it is accepted. Routers have the forwarder's, or the one
    /// that is to take its place.
    pub(super) fn admit(&self, key: PublicKey, address: &str) -> Option<String> {
        let keys = self.keys();
        if key == keys.forwarder || Some(key) == keys.next {
            return Some(FORWARDER.to_owned());
        }
        let member = keys.members.get(&key);
        if member.is_none() {
            let from = if address.is_empty() { "a process of this machine" } else { address };
            let key = key.short();
            lock(&self.strangers)
                .add(format!("{from} was refused: its key {key} is in no file of the members"));
        }
        member.map(|member| member.name.clone())
    }

    /// Checks a request at the sync port; see [`Rights::check`].
    ///
    /// # Errors
    /// [`Exit::Denied`].
    pub(crate) fn check(&self, user: Option<&str>, request: &Request) -> Result<(), Failure> {
        let user = user.ok_or_else(|| Failure::new(Exit::Denied, "a process without a key"))?;
        let checked = self.accepted().rights.check(user, request);
        checked.inspect_err(|failure| self.refuse(format!("a request was refused: {}", failure.message)))
    }

    /// Returns whether a user may publish under this topic, which is that of the member in this seat.
    pub(crate) fn may_publish(&self, user: Option<&str>, topic: &[u8], seat: &Seat) -> bool {
        let (user, group) = (user.unwrap_or_default(), topic::group(topic).unwrap_or_default());
        let may = self.accepted().rights.may_publish(user, group, seat);
        if !may {
            self.refuse(format!("a packet was dropped: {user} has published it in the place of {}", seat.id));
        }
        may
    }

    /// Returns whether a user may have the packets for this route, and send packets as its owner.
    pub(crate) fn may_take(&self, user: &str, route: &str) -> bool {
        let may = self.accepted().rights.may_take(user, route);
        if !may {
            self.refuse(format!("{user} was refused the place of {} at the router", route.escape_default()));
        }
        may
    }

    fn accepted(&self) -> Arc<Accepted> {
        Arc::clone(&lock(&self.accepted))
    }

    /// Notes a handshake that broke off: that of a process without keys, or with those of another forwarder.
    pub(crate) fn note_broken_handshake(&self) {
        let why = "it has no keys, or those of another forwarder";
        lock(&self.strangers).add(format!("a process tries to connect, and cannot: {why}"));
    }

    fn refuse(&self, sentence: String) {
        lock(&self.refusals).add(sentence);
    }

    /// Tells which keys, requests and packets were refused.
    pub(crate) fn report(&self, now: Time, talk: &Talk) {
        for refusals in [&self.strangers, &self.refusals] {
            let due = lock(refusals).due(now);
            due.into_iter().for_each(|line| talk.warn(line));
        }
    }
}
