//! The epochs of a member's cluster: what its operator asks for, and what a change of the members does to its files.

use super::member::Member;
use crate::exit::{Exit, Failure};
use crate::replica::epoch::{Change, Request};

impl Member<'_> {
    /// Begins an epoch.
    ///
    /// # Errors
    /// Exit 69 if this member was removed.
    pub(super) fn begin_epoch(&mut self, number: u16, change: &Change) -> Result<(), Failure> {
        let removed = match &change.request {
            Request::Remove(member) => Some(self.node.name(*member).to_owned()),
            Request::Add { .. } => None,
        };
        self.next_direct.resize(self.node.names().len(), 1);
        let what = match (&change.request, &removed) {
            (Request::Add { name, udp }, _) => format!("{name} at {udp} was added"),
            (_, removed) => format!("{} was removed", removed.as_deref().unwrap_or_default()),
        };
        self.talk.say(format!("epoch {number}: {what}"));
        if !self.node.replica().is_removed() || removed.as_deref() != Some(&self.options.id) {
            return Ok(());
        }
        let id = &self.options.id;
        let lost = match self.ledger.withdrawn() {
            0 => "nothing of it was lost".to_owned(),
            count => format!("{count} of its messages, which no majority had, are void"),
        };
        let why = format!("{id} was removed from the cluster in epoch {number}: {lost}");
        Err(Failure::new(Exit::Unavailable, why).help(
            "it can come back as a new member: `groupcast cluster add`, with another id and an empty folder",
        ))
    }
}
