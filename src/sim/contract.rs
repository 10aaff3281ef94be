//! The rules of the engine contract that can be checked from outside, whatever the protocol.

use crate::check::Witness;
use crate::engine::{DropReason, MemberId, Time};

/// Checks rule 4: after a wake at the deadline `due`, the next deadline is later.
pub(super) fn after_wake(me: MemberId, due: Time, next: Option<Time>) -> Option<Witness> {
    let next = next.filter(|&next| next <= due)?;
    Some(Witness::from(format!("{me} was woken at its deadline {due} and its next one is {next}")))
}

/// Checks the reason of a drop: among honest members, a packet may only be a duplicate.
pub(super) fn after_drop(me: MemberId, now: Time, from: MemberId, reason: DropReason) -> Option<Witness> {
    let blamed = reason != DropReason::Duplicate;
    blamed.then(|| Witness::from(format!("{me} blamed {from}, which is honest, for \"{reason}\" at {now}")))
}
