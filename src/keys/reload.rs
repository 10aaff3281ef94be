//! The keys of a running forwarder or router, read again at SIGHUP and when their folder has changed.
//!
//! All of the folder is read before any of it counts. If one file is not as it must be, the keys from before stay in
//! force: otherwise a slip in one file could let nobody in, or a half-copied folder everybody out.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::admission::Admission;
use super::folder::{ANY, FORWARDER, Folder, Keys, Stamp};
use crate::cli::Access;
use crate::engine::Time;
use crate::exit::Failure;
use crate::talk::Talk;
use crate::transport::curve::{KeyPair, PublicKey};
use crate::transport::signals;

/// The interval at which the folder is looked at. A change is read when the folder has been the same for as long:
/// somebody may be copying files into it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The folder of the accepted keys, with what was last seen of it.
pub(crate) struct Reload {
    folder: Folder,
    admission: Arc<Admission>,
    /// Whether SIGHUP has come.
    is_asked: Arc<AtomicBool>,
    looked: Time,
    /// The folder at the last look.
    last: Option<Stamp>,
    /// The folder whose keys are in force, or were refused.
    read: Option<Stamp>,
    /// The key that the forwarder, or the router, proves now.
    own: PublicKey,
    /// The reason why the keys could not be read that was told last.
    complaint: Option<String>,
}

impl Reload {
    /// Begins to look at the folder of these accepted keys, and catches SIGHUP.
    ///
    /// # Errors
    /// [`Exit::Bug`](crate::exit::Exit::Bug) if the system does not let it.
    pub(crate) fn begin(
        access: &Access,
        admission: Option<&Arc<Admission>>,
    ) -> Result<Option<Self>, Failure> {
        let (Some(path), Some(admission)) = (&access.keys, admission) else { return Ok(None) };
        Ok(Some(Self {
            folder: Folder(path.clone()),
            own: admission.keys().forwarder,
            admission: Arc::clone(admission),
            is_asked: signals::on_hangup()?,
            looked: Time::ZERO,
            last: None,
            read: None,
            complaint: None,
        }))
    }

    /// Reads the keys again if that is due, and accepts them in place of those from before. Returns the own pair if all
    /// peers have to connect again.
    pub(crate) fn look(&mut self, now: Time, talk: &Talk) -> Option<KeyPair> {
        let is_asked = self.is_asked.swap(false, Ordering::Relaxed);
        if !is_asked && now.since(self.looked) < LOOK_EVERY {
            return None;
        }
        self.looked = now;
        let stamp = Some(self.folder.stamp());
        let is_settled = mem::replace(&mut self.last, stamp.clone()) == stamp;
        if !is_asked && (!is_settled || self.read == stamp) {
            return None;
        }
        let read = self.folder.read().and_then(|keys| Ok((keys, self.folder.pair(FORWARDER)?)));
        let after = Some(self.folder.stamp());
        if !is_asked && after != stamp {
            self.last = after;
            return None;
        }
        self.read = stamp;
        match read {
            Ok((keys, own)) => self.accept(keys, own, is_asked, talk),
            Err(failure) => {
                self.complain(failure.message, is_asked, talk);
                None
            }
        }
    }

    fn accept(&mut self, keys: Keys, own: KeyPair, is_asked: bool, talk: &Talk) -> Option<KeyPair> {
        let change = Change::between(&self.admission.keys(), &keys, self.own != own.public);
        let is_back = self.complaint.take().is_some();
        if is_asked || is_back || change.is_any() {
            talk.say(format!("keys read again: {}", change.words(&own.public)));
        }
        self.own = own.public;
        self.admission.replace(keys);
        change.must_ask_again().then_some(own)
    }

    /// Tells why the keys were not read; once for each reason, unless somebody has asked.
    fn complain(&mut self, why: String, is_asked: bool, talk: &Talk) {
        if is_asked || self.complaint.as_ref() != Some(&why) {
            talk.warn(format!("cannot read the keys again: {why}; those from before stay in force"));
        }
        self.complaint = Some(why);
    }
}

/// The difference between the keys from before and those that were read.
#[derive(Debug, Default, Eq, PartialEq)]
struct Change {
    /// The number of keys that were not accepted before.
    new: usize,
    /// The number of keys that are not accepted any more.
    gone: usize,
    /// The number of keys that now belong to another member, or permit something else.
    other: usize,
    /// Whether the own key is another one.
    own: bool,
    /// The key that is to take the place of the own one: true if there is one now, false if that from before has gone.
    next: Option<bool>,
    /// Whether there was a key for any id: its owners may have had an id that has a key of its own now.
    shared: bool,
}

impl Change {
    fn between(before: &Keys, now: &Keys, own: bool) -> Self {
        let (old, new) = (&before.members, &now.members);
        Self {
            new: new.keys().filter(|key| !old.contains_key(key)).count(),
            gone: old.keys().filter(|key| !new.contains_key(key)).count(),
            other: old.iter().filter(|(key, member)| new.get(key).is_some_and(|new| new != *member)).count(),
            own,
            next: (before.next != now.next && !own).then_some(before.next.is_none()),
            shared: old.values().any(|member| member.name == ANY),
        }
    }

    /// Returns whether anything has changed.
    fn is_any(&self) -> bool {
        *self != Self { shared: self.shared, ..Self::default() }
    }

    /// Returns whether somebody who is connected may be so wrongly now.
    fn must_ask_again(&self) -> bool {
        let has_lost_id = self.new > 0 && self.shared;
        self.gone > 0 || self.other > 0 || has_lost_id || self.own || self.next == Some(false)
    }

    fn words(&self, own: &PublicKey) -> String {
        let counted = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let next = self.next.map(|is_there| {
            let is = if is_there { "there" } else { "gone" };
            format!("the next key of the forwarder is {is}")
        });
        let parts = [
            counted(self.new, "accepted that was not"),
            counted(self.gone, "no longer"),
            counted(self.other, "for another member or permission"),
            self.own.then(|| format!("the forwarder's is now {}", own.short())),
            next,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join(", ") }
    }
}
