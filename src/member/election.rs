//! Who leads? The bully algorithm (Garcia-Molina 1982; CDK, figure 15.8): the highest of those who can lead and are
//! there.
//!
//! A member that wants a leader calls an `Election`. Whoever comes before it answers, and calls one itself. Who gets no
//! answer leads, and says so.

use std::time::Duration;

use crate::engine::{MemberId, Time};

/// An answer comes within this, or nobody is there.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// A member that has answered leads within this, or it is called again.
pub const LEADS_WITHIN: Duration = Duration::from_millis(400);

/// What an election wants said.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Call {
    /// To those that come before us.
    Election,
    /// To that member: we come before you.
    Answer(MemberId),
    /// To all: we lead.
    Coordinator,
}

/// One member's part in electing a leader.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Election {
    me: MemberId,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum State {
    /// Nobody is being elected.
    Idle,
    /// We called; until then somebody that comes before us answers, or we lead.
    Called(Time),
    /// Somebody answered; until then it says that it leads, or we call again.
    Answered(Time),
}

impl Election {
    /// Nobody is being elected.
    #[must_use]
    pub const fn new(me: MemberId) -> Self {
        Self { me, state: State::Idle }
    }

    /// A leader is wanted. `above` are those that come before us, as far as we know that they are there. Whether we lead.
    pub fn call(&mut self, now: Time, above: &[MemberId], calls: &mut Vec<Call>) -> bool {
        if self.state != State::Idle {
            return false;
        }
        if above.is_empty() {
            calls.push(Call::Coordinator);
            return true;
        }
        calls.push(Call::Election);
        self.state = State::Called(now.after(ANSWER_WITHIN));
        false
    }

    /// `from` calls an election. Whether we lead, by what we know of those above us.
    pub fn called(&mut self, now: Time, from: MemberId, above: &[MemberId], calls: &mut Vec<Call>) -> bool {
        if from >= self.me {
            return false;
        }
        calls.push(Call::Answer(from));
        self.call(now, above, calls)
    }

    /// `from` has answered us.
    pub fn answered(&mut self, now: Time, from: MemberId) {
        if from > self.me && matches!(self.state, State::Called(_)) {
            self.state = State::Answered(now.after(LEADS_WITHIN));
        }
    }

    /// Somebody leads.
    pub fn settled(&mut self) {
        self.state = State::Idle;
    }

    /// When the next step is due.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Idle => None,
            State::Called(until) | State::Answered(until) => Some(until),
        }
    }

    /// Time has passed. Whether we lead now.
    pub fn look(&mut self, now: Time, above: &[MemberId], calls: &mut Vec<Call>) -> bool {
        match self.state {
            State::Called(until) if until <= now => {
                self.state = State::Idle;
                calls.push(Call::Coordinator);
                true
            }
            State::Answered(until) if until <= now => {
                self.state = State::Idle;
                self.call(now, above, calls)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages it takes until one leads, if `first` of `count` members notices that a leader is wanted and all
    /// are there: an election goes to each that comes before, an answer to one, the news of the leader to all others.
    fn messages(count: u16, first: u16) -> u64 {
        let mut all: Vec<Election> = (0..count).map(|me| Election::new(MemberId(me))).collect();
        let above = |me: MemberId| (me.0 + 1..count).map(MemberId).collect::<Vec<_>>();
        let (mut calls, mut under_way, mut sent) = (Vec::new(), Vec::new(), 0);
        let mut leader = None;
        let mut tell = |me: MemberId, leads: bool, calls: &mut Vec<Call>, under_way: &mut Vec<_>| {
            under_way.extend(calls.drain(..).map(|call| (me, call)));
            leader = leader.or(leads.then_some(me));
            leader
        };
        let leads = all[usize::from(first)].call(Time::ZERO, &above(MemberId(first)), &mut calls);
        let mut known = tell(MemberId(first), leads, &mut calls, &mut under_way);
        while let Some((from, call)) = under_way.pop() {
            match call {
                Call::Election => {
                    for to in above(from) {
                        sent += 1;
                        // A leader that is called has said already that it leads.
                        let leads = if known == Some(to) {
                            calls.push(Call::Answer(from));
                            false
                        } else {
                            all[usize::from(to.0)].called(Time::ZERO, from, &above(to), &mut calls)
                        };
                        known = tell(to, leads, &mut calls, &mut under_way);
                    }
                }
                Call::Answer(to) => {
                    sent += 1;
                    all[usize::from(to.0)].answered(Time::ZERO, from);
                }
                Call::Coordinator => sent += u64::from(count) - 1,
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
