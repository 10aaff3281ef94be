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
use crate::transport::address::{Port, Site};
use crate::transport::zmq::{Context, Socket};
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
    /// The last that people were told of the name of its host.
    trouble: Option<String>,
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
            Ok(Line { caller, is_out: false, is_missed: false, trouble: None })
        };
        let mut lines = sites.iter().map(line).collect::<Result<Vec<Line>, Failure>>()?;
        // As --connect has them: by the first of their ports.
        let named = |site: &Site| site.endpoint(Port::In).trim_start_matches("tcp://").to_owned();
        let names: Vec<String> = sites.iter().map(named).collect();
        lines.iter_mut().for_each(|line| line.caller.names(names.clone()));
        Ok(Self { lines, verdict: None, said: now })
    }

    /// A forwarder that has answered and does not any more is waited for so long from now on.
    pub fn wait_for_lost(&mut self, limit: Duration) {
        self.lines.iter_mut().for_each(|line| line.caller.wait_for_lost(limit));
    }

    /// What to wait on.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.lines.iter().filter(|line| !line.is_out).map(|line| line.caller.socket())
    }

    /// When [`Callers::turn`] is next due, if no answer comes.
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        let due = |line: &Line| line.caller.attendance().next_deadline();
        let due = self.lines.iter().filter(|line| !line.is_out).map(due).min().unwrap_or(Time::ZERO);
        self.gives_up_at().map_or(due, |at| due.min(at))
    }

    /// When all forwarders are given up, if none answers and none has said that the run failed.
    fn gives_up_at(&self) -> Option<Time> {
        let open = self.lines.iter().filter(|line| !line.is_out && self.verdict.is_none());
        let limits = open.map(|line| line.caller.attendance().gives_up_at());
        limits.collect::<Option<Vec<Time>>>()?.into_iter().max()
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
        self.tell_troubles(talk);
        self.complain(now, talk)?;
        Ok(all)
    }

    /// Says at once that a name is not found, once for each reason.
    fn tell_troubles(&mut self, talk: &Talk) {
        for line in self.lines.iter_mut().filter(|line| !line.is_out) {
            if let Some(trouble) = line.caller.trouble().filter(|trouble| trouble.is_definite)
                && line.trouble.as_ref() != Some(&trouble.message)
            {
                talk.warn(format!("{}; trying again", trouble.message));
                line.trouble = Some(trouble.message);
            }
        }
    }

    /// What is wrong with the names of the hosts of these forwarders.
    fn troubles(&self, at: &[usize]) -> Option<String> {
        let trouble = |&at: &usize| self.lines[at].caller.trouble().map(|trouble| trouble.message);
        let troubles: Vec<String> = at.iter().filter_map(trouble).collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
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
        let open: Vec<usize> = (0..self.lines.len()).filter(|&at| !self.lines[at].is_out).collect();
        let silence = open.iter().map(|&at| self.lines[at].silence(now)).min().unwrap_or_default();
        // Another forwarder has said that the run failed: this one would have to contradict it soon.
        let patience = |line: &Line| {
            if self.verdict.is_some() { Some(QUIET_AFTER) } else { line.caller.attendance().patience() }
        };
        let left = |&at: &usize| {
            let line = &self.lines[at];
            patience(line).map(|limit| limit.saturating_sub(line.silence(now)))
        };
        let left = open.iter().map(left).collect::<Option<Vec<Duration>>>();
        let left = left.map(|left| left.into_iter().max().unwrap_or(Duration::MAX));
        if left == Some(Duration::ZERO) {
            let failure = self.silent(&open, silence);
            return Err(self.verdict.take().unwrap_or(failure));
        }
        if silence < SAY_EVERY {
            self.tell_who_is_missed(now, talk);
        } else if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            let left =
                left.map_or_else(String::new, |left| format!(", gives up in {}", talk::duration(left)));
            let why = self.troubles(&open).map_or_else(String::new, |why| format!(": {why}"));
            let names = talk::list(&self.full_names(&open));
            talk.say(format!("waiting for {names} ({}{left}){why}", talk::duration(silence)));
        }
        Ok(())
    }

    fn full_names(&self, at: &[usize]) -> Vec<String> {
        at.iter().map(|&at| self.full_name(at)).collect()
    }

    /// The end after too long a silence of all that are open.
    fn silent(&self, open: &[usize], silence: Duration) -> Failure {
        let what = match (self.has_heard(), open.len()) {
            (true, 1) => "has gone silent",
            (false, 1) => "does not answer",
            (true, _) => "have gone silent",
            (false, _) => "do not answer",
        };
        let names = talk::list(&self.full_names(open));
        let message = format!("{names} {what} ({})", talk::duration(silence));
        match self.troubles(open) {
            Some(why) => Failure::new(Exit::Unavailable, format!("{message}: {why}")).help(
                "is the host in --connect spelt as this machine knows it? an address needs no name server",
            ),
            None => Failure::new(Exit::Unavailable, message)
                .help("is `forwarder` running, with the same --port-base, on the host that --connect names?"),
        }
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
            let why = self.troubles(&[at]).map_or_else(String::new, |why| format!(" ({why})"));
            match (is_missed, line.caller.attendance().has_heard()) {
                (true, true) => talk.warn(format!("{name} has gone silent{why}; going on with {others}")),
                (true, false) => talk.warn(format!("{name} does not answer{why}; going on with {others}")),
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

    /// Tells the forwarders that are there that this process leaves before the end; gives those that have answered lately a
    /// moment to hear that.
    pub fn leave(&mut self, now: Time, failure: &Failure) {
        let (code, reason) = (failure.exit.code(), failure.message.clone());
        for line in &mut self.lines {
            line.caller.say_last(now, Ask::Leave { code, reason: reason.clone() });
        }
        for line in &self.lines {
            if line.is_in_touch(now) {
                line.caller.await_bye();
            } else {
                line.caller.socket().give_up();
            }
        }
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
