//! The engine contract, watched from outside: what any engine does wrong whatever its protocol is.

use crate::check::Witness;
use crate::engine::{DropReason, MemberId, Time};

/// Rule 4: after a wake at the deadline `due`, the next one is later.
pub(super) fn after_wake(me: MemberId, due: Time, next: Option<Time>) -> Option<Witness> {
    let next = next.filter(|&next| next <= due)?;
    Some(Witness::from(format!("{me} was woken at its deadline {due} and its next one is {next}")))
}

/// Among honest members the network may repeat a packet, and nothing else is wrong with any.
pub(super) fn after_drop(me: MemberId, now: Time, from: MemberId, reason: DropReason) -> Option<Witness> {
    let blamed = reason != DropReason::Duplicate;
    blamed.then(|| Witness::from(format!("{me} blamed {from}, which is honest, for \"{reason}\" at {now}")))
}
