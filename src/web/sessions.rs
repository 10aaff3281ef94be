//! The use of the sessions of this server: one that nobody uses for an hour is to end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chat::state::State;
use crate::ids::{MemberId, Time};

/// The time after which a session ends that nobody uses.
const LIMIT: Duration = Duration::from_secs(3600);
/// Most sessions of a server.
const MOST: usize = 10_000;

/// The last use of each session of this server.
#[derive(Debug, Default)]
pub(super) struct Uses(BTreeMap<String, Time>);

impl Uses {
    /// Notes that a session is used.
    pub(super) fn note(&mut self, session: &str, now: Time) {
        self.0.insert(session.to_owned(), now);
    }

    /// Returns whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Returns the sessions of a server that are to end now, and forgets those that have ended.
    pub(super) fn idle(&mut self, state: &State, server: MemberId, now: Time) -> Vec<String> {
        let mut idle = Vec::new();
        for (session, _) in state.sessions_at(server) {
            let last = self.0.entry(session.to_owned()).or_insert(now);
            if now.since(*last) >= LIMIT {
                // It ends when that is stored; until then, it is not to end once more.
                *last = now;
                idle.push(session.to_owned());
            }
        }
        self.0.retain(|session, _| state.user(session).is_some());
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::operation::Operation;
    use crate::chat::place::{OperationId, Place};
    use crate::replica::entry::Stamp;

    #[test]
    fn session_that_nobody_uses_ends_once() {
        let me = MemberId(0);
        let mut state = State::new(vec!["s1".to_owned()]);
        for (number, session) in (1..).zip(["used", "idle"]) {
            let begin = Operation::Session {
                session: session.to_owned(),
                user: "ann".to_owned(),
                client: String::new(),
            };
            let at = Place { stamp: Stamp { time: number, origin: me }, index: 0 };
            state.apply(OperationId { origin: me, number }, at, Some(begin));
        }
        let mut uses = Uses::default();
        let begin = Time::ZERO;
        assert!(uses.idle(&state, me, begin).is_empty());
        uses.note("used", begin.after(LIMIT / 2));
        assert_eq!(uses.idle(&state, me, begin.after(LIMIT)), ["idle"]);
        assert!(uses.idle(&state, me, begin.after(LIMIT)).is_empty());
        assert!(!uses.is_full());
    }
}
