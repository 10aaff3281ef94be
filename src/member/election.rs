//! The election of the leader by the bully algorithm (Garcia-Molina 1982; CDK, figure 15.8): the highest member that
//! can lead and is present.
//!
//! A member that wants a leader sends `Election` to all higher ones. A higher member answers and calls an election
//! itself. A member without an answer leads, and announces it.

use std::time::Duration;

use super::view_message::ViewMessage;
use crate::ids::{MemberId, Time};

/// Longest wait for an answer; after it, the caller leads.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// Longest wait for the leader after an answer; after it, the caller calls again.
pub const LEADS_WITHIN: Duration = Duration::from_millis(400);

/// One member's part in electing a leader.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Election {
    me: MemberId,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum State {
    /// No election is under way.
    Idle,
    /// This member called; if no higher one answers until then, it leads.
    Called(Time),
    /// A higher member answered; if no leader is announced until then, this one calls again.
    Answered(Time),
}

impl Election {
    /// Returns the state of `me` without an election.
    #[must_use]
    pub const fn new(me: MemberId) -> Self {
        Self { me, state: State::Idle }
    }

    /// Calls an election. `above` are the higher members that are present, as far as is known. Returns whether this one
    /// leads.
    pub fn call(&mut self, now: Time, above: &[MemberId], messages: &mut Vec<ViewMessage>) -> bool {
        if self.state != State::Idle {
            return false;
        }
        if above.is_empty() {
            messages.push(ViewMessage::Coordinator);
            return true;
        }
        messages.push(ViewMessage::Election);
        self.state = State::Called(now.after(ANSWER_WITHIN));
        false
    }

    /// Answers the election of `from` and calls one. Returns whether this member leads.
    pub fn called(
        &mut self,
        now: Time,
        from: MemberId,
        above: &[MemberId],
        messages: &mut Vec<ViewMessage>,
    ) -> bool {
        if from >= self.me {
            return false;
        }
        messages.push(ViewMessage::Answer(from));
        self.call(now, above, messages)
    }

    /// Records the answer of `from`.
    pub fn answered(&mut self, now: Time, from: MemberId) {
        if from > self.me && matches!(self.state, State::Called(_)) {
            self.state = State::Answered(now.after(LEADS_WITHIN));
        }
    }

    /// Ends the election: there is a leader.
    pub fn settled(&mut self) {
        self.state = State::Idle;
    }

    /// Returns when the next step is due.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Idle => None,
            State::Called(until) | State::Answered(until) => Some(until),
        }
    }

    /// Takes the step that is due. Returns whether this member leads now.
    pub fn check(&mut self, now: Time, above: &[MemberId], messages: &mut Vec<ViewMessage>) -> bool {
        match self.state {
            State::Called(until) if until <= now => {
                self.state = State::Idle;
                messages.push(ViewMessage::Coordinator);
                true
            }
            State::Answered(until) if until <= now => {
                self.state = State::Idle;
                self.call(now, above, messages)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the messages until there is a leader, if member `first` of `count` notices that one is wanted and all
    /// are present: an election goes to each higher member, an answer to one, the announcement to all others.
    fn messages(count: u16, first: u16) -> u64 {
        let mut all: Vec<Election> = (0..count).map(|me| Election::new(MemberId(me))).collect();
        let above = |me: MemberId| (me.0 + 1..count).map(MemberId).collect::<Vec<_>>();
        let (mut messages, mut under_way, mut sent) = (Vec::new(), Vec::new(), 0);
        let mut leader = None;
        let mut tell =
            |me: MemberId, leads: bool, messages: &mut Vec<ViewMessage>, under_way: &mut Vec<_>| {
                under_way.extend(messages.drain(..).map(|call| (me, call)));
                leader = leader.or(leads.then_some(me));
                leader
            };
        let leads = all[usize::from(first)].call(Time::ZERO, &above(MemberId(first)), &mut messages);
        let mut known = tell(MemberId(first), leads, &mut messages, &mut under_way);
        while let Some((from, call)) = under_way.pop() {
            match call {
                ViewMessage::Election => {
                    for to in above(from) {
                        sent += 1;
                        // A leader that is called has announced itself already.
                        let leads = if known == Some(to) {
                            messages.push(ViewMessage::Answer(from));
                            false
                        } else {
                            all[usize::from(to.0)].called(Time::ZERO, from, &above(to), &mut messages)
                        };
                        known = tell(to, leads, &mut messages, &mut under_way);
                    }
                }
                ViewMessage::Answer(to) => {
                    sent += 1;
                    all[usize::from(to.0)].answered(Time::ZERO, from);
                }
                ViewMessage::Coordinator => sent += u64::from(count) - 1,
                other => panic!("an election sends no {other:?}"),
            }
        }
        assert_eq!(known, Some(MemberId(count - 1)), "the highest leads");
        sent
    }

    #[test]
    fn it_takes_as_many_messages_as_the_formula_says() {
        // (N - P + 1)(N - P) + N - 1, where the member with the P-th lowest number notices.
        for count in 2..9_u64 {
            for first in 1..=count {
                let expected = (count - first + 1) * (count - first) + count - 1;
                assert_eq!(messages(count as u16, first as u16 - 1), expected, "{first} of {count}");
            }
        }
    }
}
