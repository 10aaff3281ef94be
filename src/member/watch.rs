//! The changes that a step of a member makes: the multicasts received, and those that begin to wait.

use std::collections::BTreeMap;

use super::app::App;
use super::membership::Membership;
use crate::engine::{Effect, Effects};
use crate::ids::MemberId;
use crate::waiting::{Clock, Messages, Waiting, WaitsFor};
use crate::wire::Packet;

/// A change at a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// Messages were received.
    Arrived {
        /// The messages.
        messages: Messages,
        /// The global number of the first one, if it is known.
        number: Option<u64>,
        /// The member's clock after their receipt.
        clock: Option<Clock>,
    },
    /// These messages wait for this from now on.
    Waits(Messages, WaitsFor),
}

/// Compares the hold-back queue of a member before and after every step.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Watch {
    /// The messages that are held back, by sender and number, with the reasons.
    held: BTreeMap<(MemberId, u64), WaitsFor>,
}

impl Watch {
    /// Appends the changes of a step that had these effects.
    pub fn look(&mut self, membership: &Membership, effects: &Effects<App, Packet>, notes: &mut Vec<Note>) {
        for effect in effects.as_slice() {
            if let Effect::Deliver { from, number, app: App::Multicast(batch) } = effect
                && self.held.remove(&(*from, batch.first())).is_none()
            {
                let messages = Messages { sender: *from, first: batch.first(), next: batch.next() };
                notes.push(Note::Arrived { messages, number: *number, clock: membership.clock() });
            }
        }
        for Waiting { messages, number, waits_for } in membership.waiting() {
            let before = self.held.insert((messages.sender, messages.first), waits_for.clone());
            if before.is_none() {
                notes.push(Note::Arrived { messages, number, clock: membership.clock() });
            }
            if before.as_ref() != Some(&waits_for) {
                notes.push(Note::Waits(messages, waits_for));
            }
        }
    }
}
