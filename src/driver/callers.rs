//! A process in touch with its forwarders, of which one is enough: what one of them says or fails to say, and what
//! follows from that when there are others.
//!
//! The end of a run is true whoever says it. That a run has failed is believed when no other forwarder goes on with it.

use std::time::Duration;

use super::Caller;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::attendance::News;
use crate::session::{QUIET_AFTER, SAY_EVERY};
use crate::talk::{self, Talk};
use crate::transport::zmq::{Context, Port, Site, Socket};
use crate::wire::control::{Ask, Identity, Seat, Status};

/// A process's lines to all its forwarders, in the order in which they were named.
pub struct Callers {
    lines: Vec<Line>,
    /// The first thing that a forwarder said and that was not believed.
    verdict: Option<Failure>,
    said: Time,
}

struct Line {
    caller: Caller,
    /// This forwarder has ended the run, or this process's part in it.
    is_out: bool,
    /// People have been told that it is silent.
    is_missed: bool,
}

impl Line {
    fn silence(&self, now: Time) -> Duration {
        self.caller.attendance().silence(now)
    }

    fn is_in_touch(&self, now: Time) -> bool {
        !self.is_out && self.caller.attendance().has_heard() && self.silence(now) < QUIET_AFTER
    }
}

impl Callers {
    /// Begins to ask the forwarder at each site `ask` as `who`; `connect_limit` as for [`Caller::new`].
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if an address makes no sense.
    pub fn new(
        context: &Context,
        sites: &[Site],
        now: Time,
        who: &Identity,
        ask: &Ask,
        connect_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let line = |site| {
            let caller = Caller::new(context, site, now, who.clone(), ask.clone(), connect_limit)?;
            Ok(Line { caller, is_out: false, is_missed: false })
        };
        let mut lines = sites.iter().map(line).collect::<Result<Vec<Line>, Failure>>()?;
        // As --connect has them: by the first of their ports.
        let named = |site: &Site| site.endpoint(Port::In).trim_start_matches("tcp://").to_owned();
        let names: Vec<String> = sites.iter().map(named).collect();
        lines.iter_mut().for_each(|line| line.caller.names(names.clone()));
        Ok(Self { lines, verdict: None, said: now })
    }

    /// What to wait on.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.lines.iter().filter(|line| !line.is_out).map(|line| line.caller.socket())
    }

    /// When [`Callers::turn`] is next due, if no answer comes.
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        let due = |line: &Line| line.caller.attendance().next_deadline();
        self.lines.iter().filter(|line| !line.is_out).map(due).min().unwrap_or(Time::ZERO)
    }

    /// Asks every forwarder something else from now on.
    pub fn turn_to(&mut self, ask: &Ask) {
        self.lines.iter_mut().for_each(|line| line.caller.turn_to(ask.clone()));
    }

    /// Asks this forwarder something else from now on.
    pub fn turn_one_to(&mut self, at: usize, ask: Ask) {
        self.lines[at].caller.turn_to(ask);
    }

    /// Asks every forwarder but these something else from now on.
    pub fn turn_others_to(&mut self, except: &[usize], ask: &Ask) {
        for (at, line) in self.lines.iter_mut().enumerate() {
            if !except.contains(&at) {
                line.caller.turn_to(ask.clone());
            }
        }
    }

    /// Tells every forwarder with the next request how far this process is.
    pub fn tell(&mut self, status: Status) {
        self.lines.iter_mut().for_each(|line| line.caller.tell(status));
    }

    /// Tells every forwarder whether this process is not ready because it has not reached a router.
    pub fn awaits_router(&mut self, awaits: bool) {
        self.lines.iter_mut().for_each(|line| line.caller.awaits_router(awaits));
    }

    /// Asks nothing before this moment.
    pub fn pause(&mut self, until: Time) {
        self.lines.iter_mut().for_each(|line| line.caller.pause(until));
    }

    /// This process is in a run from now on, as the forwarder `at` said; the others are told.
    pub fn started(&mut self, at: usize, run: u64, me: &Seat, members: &[Seat]) {
        for (place, line) in self.lines.iter_mut().enumerate() {
            line.caller.started(run, me, members, place == at);
        }
    }

    /// The members of the run are these from now on: a forwarder that takes it up is told so.
    pub fn members_are(&mut self, me: &Seat, members: &[Seat]) {
        self.lines.iter_mut().for_each(|line| line.caller.members_are(me, members));
    }

    /// Reads an answer of each forwarder, sends what is due, and complains about silence. Each news comes with the
    /// place of its forwarder.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] after too long a silence of all.
    pub fn turn(&mut self, now: Time, talk: &Talk) -> Result<Vec<(usize, News)>, Failure> {
        let mut all = Vec::new();
        for (at, line) in self.lines.iter_mut().enumerate().filter(|(_, line)| !line.is_out) {
            match line.caller.turn(now) {
                News::Nothing => {}
                news => all.push((at, news)),
            }
        }
        self.complain(now, talk)?;
        Ok(all)
    }

    /// The forwarder `at` has ended the run, or this process's part in it: that is so, unless another goes on with it.
    ///
    /// # Errors
    /// Why it is so.
    pub fn lose(&mut self, at: usize, failure: Failure, now: Time, talk: &Talk) -> Result<(), Failure> {
        self.lines[at].is_out = true;
        let others = self.in_touch(now);
        if !others.is_empty() {
            let (name, others) = (self.name(at), talk::list(&others));
            talk.warn(format!("{name} says: {}; going on with {others}", failure.message));
            self.verdict.get_or_insert(failure);
            return Ok(());
        }
        Err(self.verdict.take().unwrap_or(failure))
    }

    /// Whether one of them has ever answered.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.lines.iter().any(|line| line.caller.attendance().has_heard())
    }

    /// Whether this one has answered lately.
    #[must_use]
    pub fn is_in_touch(&self, at: usize, now: Time) -> bool {
        self.lines[at].is_in_touch(now)
    }

    /// How long nothing has been heard of this one.
    #[must_use]
    pub fn silence(&self, at: usize, now: Time) -> Duration {
        self.lines[at].silence(now)
    }

    /// A forwarder for people.
    #[must_use]
    pub fn name(&self, at: usize) -> String {
        match self.lines.len() {
            1 => "the forwarder".to_owned(),
            _ => self.full_name(at),
        }
    }

    fn full_name(&self, at: usize) -> String {
        format!("the forwarder at {}", self.lines[at].caller.endpoint())
    }

    fn in_touch(&self, now: Time) -> Vec<String> {
        let places = (0..self.lines.len()).filter(|&at| self.is_in_touch(at, now));
        places.map(|at| self.full_name(at)).collect()
    }

    fn complain(&mut self, now: Time, talk: &Talk) -> Result<(), Failure> {
        let open = || self.lines.iter().filter(|line| !line.is_out);
        let silence = open().map(|line| line.silence(now)).min().unwrap_or_default();
        if silence < SAY_EVERY {
            self.tell_who_is_missed(now, talk);
            return Ok(());
        }
        // Another forwarder has said that the run failed: this one would have to contradict it soon.
        let patience = |line: &Line| {
            if self.verdict.is_some() { Some(QUIET_AFTER) } else { line.caller.attendance().patience() }
        };
        let left = open().map(|line| patience(line).map(|limit| limit.saturating_sub(line.silence(now))));
        let left =
            left.collect::<Option<Vec<Duration>>>().map(|left| left.into_iter().max().unwrap_or_default());
        let names: Vec<String> =
            (0..self.lines.len()).filter(|&at| !self.lines[at].is_out).map(|at| self.full_name(at)).collect();
        if left == Some(Duration::ZERO) {
            let what = match (self.has_heard(), names.len()) {
                (true, 1) => "has gone silent",
                (false, 1) => "does not answer",
                (true, _) => "have gone silent",
                (false, _) => "do not answer",
            };
            let message = format!("{} {what} ({})", talk::list(&names), talk::duration(silence));
            return Err(self.verdict.take().unwrap_or_else(|| {
                Failure::new(Exit::Unavailable, message).help(
                    "is `forwarder` running, with the same --port-base, on the host that --connect names?",
                )
            }));
        }
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            let left =
                left.map_or_else(String::new, |left| format!(", gives up in {}", talk::duration(left)));
            talk.say(format!("waiting for {} ({}{left})", talk::list(&names), talk::duration(silence)));
        }
        Ok(())
    }

    /// Says once that a forwarder is silent while another is not, and that it is back.
    fn tell_who_is_missed(&mut self, now: Time, talk: &Talk) {
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            let is_missed = !line.is_out && line.silence(now) >= QUIET_AFTER;
            if is_missed == line.is_missed {
                continue;
            }
            let (name, others) = (self.full_name(at), talk::list(&self.in_touch(now)));
            match (is_missed, line.caller.attendance().has_heard()) {
                (true, true) => talk.warn(format!("{name} has gone silent; going on with {others}")),
                (true, false) => talk.warn(format!("{name} does not answer; going on with {others}")),
                (false, _) => talk.say(format!("{name} answers")),
            }
            self.lines[at].is_missed = is_missed;
        }
    }

    /// Tells every forwarder that the run `run` is over, whoever said it.
    pub fn over(&mut self, now: Time, run: &str) {
        for line in self.lines.iter_mut().filter(|line| !line.is_out) {
            line.caller.say_last(now, Ask::Over { run: run.to_owned() });
        }
    }

    /// Tells the forwarders that are there that this process leaves before the end; gives them a moment to hear that.
    pub fn leave(&mut self, now: Time, failure: &Failure) {
        let (code, reason) = (failure.exit.code(), failure.message.clone());
        for line in &mut self.lines {
            line.caller.say_last(now, Ask::Leave { code, reason: reason.clone() });
        }
        self.lines.iter().for_each(|line| line.caller.await_bye());
    }

    /// Begins anew, after a moment of rest: the forwarders have ended a run, or themselves.
    pub fn rest(&mut self, now: Time) {
        self.verdict = None;
        for line in &mut self.lines {
            line.is_out = false;
            line.caller.rest(now);
        }
    }
}
