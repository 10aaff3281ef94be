//! The members whose keys are accepted, at a forwarder or a router.

use std::sync::Mutex;

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
    keys: Keys,
    refusals: Mutex<Refusals>,
}

impl Admission {
    /// Reads the keys of a folder.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub(super) fn read(folder: &Folder) -> Result<Self, Failure> {
        Ok(Self { keys: folder.read()?, refusals: Mutex::default() })
    }

    /// Returns the name of the key of a peer at this address, if it is accepted. Routers have the forwarder's.
    pub(super) fn admit(&self, key: PublicKey, address: &str) -> Option<String> {
        if key == self.keys.forwarder {
            return Some(FORWARDER.to_owned());
        }
        let member = self.keys.members.get(&key);
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
