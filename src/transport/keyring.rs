//! The keys of a process: by which it listens, and by which it connects to each site. They may change while it runs.
//!
//! One connection to a site decides which keys are in use there, that to the sync port: after handshakes that broke off
//! without a reason it chooses others, and all sockets of the context follow.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::address::Site;
use super::curve::{KeyPair, PublicKey};
use crate::lock::lock;

/// The keys for one connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// The pair of this process, which it proves.
    pub own: KeyPair,
    /// The key that the forwarder or router at the other end has to prove.
    pub forwarder: PublicKey,
}

/// Returns the credentials as they are now, if they can be read; the first is the best. Called when none of those from
/// before works.
pub type ReadAgain = dyn Fn() -> Option<Vec<Credential>> + Send + Sync;

/// The keys of a process.
pub struct Keyring {
    /// The pair that it proves where it listens.
    own: Mutex<KeyPair>,
    /// The credentials that may be right where it connects; at least one.
    known: Mutex<Vec<Credential>>,
    read_again: Box<ReadAgain>,
    sites: Mutex<Vec<(Site, Weak<Choice>)>>,
}

/// The credential in use at one site.
pub(super) struct Choice {
    keyring: Arc<Keyring>,
    /// The number of changes of the credential.
    version: AtomicU64,
    credential: Mutex<Credential>,
}

impl Keyring {
    /// Returns the keys of a process that begins with the first of these credentials; there is at least one.
    #[must_use]
    pub fn new(known: Vec<Credential>, read_again: Box<ReadAgain>) -> Self {
        Self {
            own: Mutex::new(known[0].own.clone()),
            known: Mutex::new(known),
            read_again,
            sites: Mutex::default(),
        }
    }

    /// Returns the pair that it proves where it listens.
    pub(super) fn own(&self) -> KeyPair {
        lock(&self.own).clone()
    }

    /// Replaces the pair that it proves where it listens.
    pub(super) fn listen_as(&self, own: KeyPair) {
        *lock(&self.own) = own;
    }

    /// Returns the number of credentials that may be right.
    pub(super) fn count(&self) -> usize {
        lock(&self.known).len()
    }

    /// Returns the choice for a site, the same for all sockets.
    pub(super) fn at(self: &Arc<Self>, site: &Site) -> Arc<Choice> {
        let mut sites = lock(&self.sites);
        sites.retain(|(_, choice)| choice.strong_count() > 0);
        let known = sites.iter().find(|(known, _)| known == site).and_then(|(_, choice)| choice.upgrade());
        known.unwrap_or_else(|| {
            let credential = Mutex::new(lock(&self.known)[0].clone());
            let choice =
                Arc::new(Choice { keyring: Arc::clone(self), version: AtomicU64::new(1), credential });
            sites.push((site.clone(), Arc::downgrade(&choice)));
            choice
        })
    }

    /// Returns the credential to try after `used`. When all were tried, the keys are read again.
    fn after(&self, used: &Credential) -> Credential {
        let mut known = lock(&self.known);
        if known.last() == Some(used)
            && let Some(read) = (self.read_again)().filter(|read| !read.is_empty())
        {
            *known = read;
        }
        let at = known.iter().position(|credential| credential == used);
        known[at.map_or(0, |at| (at + 1) % known.len())].clone()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("own", &self.own().public).finish_non_exhaustive()
    }
}

impl Choice {
    /// Returns the number of changes, which tells a socket whether it is up to date.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns the credential in use.
    pub(super) fn credential(&self) -> Credential {
        lock(&self.credential).clone()
    }

    /// Returns the number of credentials that may be right.
    pub(super) fn count(&self) -> usize {
        self.keyring.count()
    }

    /// Chooses another credential than that of `version`, unless this has happened, or there is no other.
    pub(super) fn leave(&self, version: u64) {
        let mut credential = lock(&self.credential);
        if self.version() != version {
            return;
        }
        let next = self.keyring.after(&credential);
        if next != *credential {
            *credential = next;
            self.version.store(version + 1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential() -> Credential {
        Credential { own: KeyPair::new().unwrap(), forwarder: KeyPair::new().unwrap().public }
    }

    fn site(port_base: u16) -> Site {
        Site { host: "127.0.0.1".to_owned(), port_base }
    }

    #[test]
    fn keyring_tries_all_credentials_and_then_reads_them_again() {
        let [a, b, c] = [credential(), credential(), credential()];
        let read = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&read);
        let read_again = Box::new(move || lock(&answer).clone());
        let keyring = Arc::new(Keyring::new(vec![a.clone(), b.clone()], read_again));
        let (here, there) = (keyring.at(&site(1)), keyring.at(&site(5)));
        here.leave(here.version());
        assert_eq!((here.credential(), there.credential()), (b.clone(), a.clone()), "each site has its own");
        assert!(Arc::ptr_eq(&here, &keyring.at(&site(1))), "all sockets have the same choice");
        here.leave(here.version());
        assert_eq!(here.credential(), a, "nothing new could be read");
        here.leave(here.version());
        *lock(&read) = Some(vec![b.clone(), c.clone()]);
        here.leave(here.version());
        assert_eq!((here.credential(), here.count()), (c, 2));
        there.leave(there.version());
        assert_eq!(there.credential(), b, "the one that it had is not known any more");
    }

    #[test]
    fn keyring_changes_once_for_all_that_complain_of_the_same_keys() {
        let (a, b) = (credential(), credential());
        let keyring = Arc::new(Keyring::new(vec![a.clone(), b.clone()], Box::new(|| None)));
        let choice = keyring.at(&site(1));
        let version = choice.version();
        choice.leave(version);
        choice.leave(version);
        assert_eq!(choice.credential(), b);
        let alone = Arc::new(Keyring::new(vec![a], Box::new(|| None))).at(&site(1));
        alone.leave(alone.version());
        assert_eq!(alone.version(), 1, "without another one, no connection is made anew");
    }
}
