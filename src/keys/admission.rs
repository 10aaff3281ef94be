//! The members whose keys are accepted, at a forwarder or a router.

use std::sync::{Arc, Mutex};

use super::folder::{FORWARDER, Folder, Keys};
use super::refusals::Refusals;
use crate::engine::Time;
use crate::exit::Failure;
use crate::lock::lock;
use crate::talk::Talk;
use crate::transport::curve::PublicKey;

/// The accepted keys, which the thread of ZeroMQ's questions reads, and the refused ones.
#[derive(Debug)]
pub(crate) struct Admission {
    keys: Mutex<Arc<Keys>>,
    refusals: Mutex<Refusals>,
}

impl Admission {
    /// Reads the keys of a folder.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub(super) fn read(folder: &Folder) -> Result<Self, Failure> {
        Ok(Self { keys: Mutex::new(Arc::new(folder.read()?)), refusals: Mutex::default() })
    }

    /// Returns the keys that are accepted now.
    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&lock(&self.keys))
    }

    /// Accepts these keys from now on, in place of those from before.
    pub(super) fn replace(&self, keys: Keys) {
        *lock(&self.keys) = Arc::new(keys);
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
            lock(&self.refusals).add(address, key);
        }
        member.map(|member| member.name.clone())
    }

    /// Tells which keys were refused.
    pub(crate) fn report(&self, now: Time, talk: &Talk) {
        let due = lock(&self.refusals).due(now);
        due.into_iter().for_each(|line| talk.warn(line));
    }
}
