//! What is new after a step of a member: which multicasts have arrived, and which of them wait for something else.

use std::collections::BTreeMap;

use super::{App, Membership};
use crate::engine::{Effect, Effects, MemberId};
use crate::waiting::{Clock, Messages, Waiting, WaitsFor};
use crate::wire::Frames;

/// What a watch notes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// These messages are here.
    Arrived {
        /// Which.
        messages: Messages,
        /// The place of the first in the total order, if it is known already.
        number: Option<u64>,
        /// The member's clock, when they had been taken in.
        clock: Option<Clock>,
    },
    /// From now on these messages wait for this.
    Waits(Messages, WaitsFor),
}

/// Compares what a member holds back before and after every step.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Watch {
    /// What is held back, and for what.
    held: BTreeMap<(MemberId, u64), WaitsFor>,
}

impl Watch {
    /// What is new after a step that had these effects.
    pub fn look(&mut self, membership: &Membership, effects: &Effects<App, Frames>, notes: &mut Vec<Note>) {
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
