//! Joining: starts the thread of a member, and waits until the group has it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::builder::Builder;
use super::error::Error;
use super::handle::{Access, Group, Membership};
use super::shared::Shared;
use super::worker;
use crate::transport::limits;
use crate::transport::wakeup::wakeup;

/// How much later than its timeout the worker may report why it could not join.
const GRACE: Duration = Duration::from_millis(300);

impl Builder {
    /// Joins the group: waits until the group starts, or admits this member.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a wrong setting, [`Error::CannotJoin`] if the group refuses this member or cannot be reached,
    /// [`Error::TimedOut`].
    pub fn join(self) -> Result<Group, Error> {
        let joining = self.joining()?;
        limits::prepare();
        let (wakeup, waker) = wakeup().map_err(Error::of_joining)?;
        let shared = Arc::new(Shared::new()?);
        let (id, timeout, theirs) = (self.id.clone(), self.timeout, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name(format!("groupcast {id}"))
            .spawn(move || worker::run(&self, &joining, &theirs, wakeup))
            .map_err(|error| Error::System(format!("cannot start a thread: {error}")))?;
        let access = Access { id, timeout, shared, waker: Box::new(move || waker.wake()) };
        // The worker has the same timeout, and tells the forwarder when it is reached.
        Membership { access: Arc::new(access), thread: Mutex::new(Some(thread)) }
            .join(timeout.saturating_add(GRACE))
    }
}
