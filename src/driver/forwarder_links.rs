//! A process's links to all its forwarders, of which one is enough.
//!
//! The end of a run is accepted from any forwarder. The failure of a run is accepted when no other forwarder continues it.

use std::time::Duration;

use super::forwarder_link::ForwarderLink;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::attendance::News;
use crate::session::{QUIET_AFTER, SAY_EVERY};
use crate::talk::{self, Talk};
use crate::transport::address::{Port, Site};
use crate::transport::zmq::{Context, Socket};
use crate::units;
use crate::wire::control::{Ask, Identity, LogHead, Receipt, Seat, Status};

/// A process's links to all its forwarders, in the order in which they were named.
pub struct ForwarderLinks {
    links: Vec<ForwarderLink>,
    /// The first failure reported by a forwarder while another one continued the run.
    verdict: Option<Failure>,
    reported: Time,
}

impl ForwarderLinks {
    /// Starts sending `ask` as `who` to the forwarder at each site; `connect_limit` as for [`Attendance::new`](crate::session::attendance::Attendance::new).
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if an address is invalid.
    pub fn new(
        context: &Context,
        sites: &[Site],
        now: Time,
        who: &Identity,
        ask: &Ask,
        connect_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let link = |site| ForwarderLink::new(context, site, now, who.clone(), ask.clone(), connect_limit);
        let mut links = sites.iter().map(link).collect::<Result<Vec<_>, Failure>>()?;
        // As in --connect: by the first of their ports.
        let named = |site: &Site| site.endpoint(Port::In).trim_start_matches("tcp://").to_owned();
        let names: Vec<String> = sites.iter().map(named).collect();
        links.iter_mut().for_each(|link| link.attendance.names(names.clone()));
        Ok(Self { links, verdict: None, reported: now })
    }

    /// Sets the time after which a forwarder that has fallen silent is given up.
    pub fn wait_for_lost(&mut self, limit: Duration) {
        self.links.iter_mut().for_each(|link| link.attendance.wait_for_lost(limit));
    }

    /// Returns the sockets to poll.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.links.iter().filter(|link| !link.is_out).map(|link| &link.socket)
    }

    /// Returns the time at which [`ForwarderLinks::turn`] is next due, if no reply comes.
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        let due = |link: &ForwarderLink| link.attendance.next_deadline();
        let due = self.links.iter().filter(|link| !link.is_out).map(due).min().unwrap_or(Time::ZERO);
        self.gives_up_at().map_or(due, |at| due.min(at))
    }

    /// Returns the time at which all forwarders are given up, if none answers and none has reported a failed run.
    fn gives_up_at(&self) -> Option<Time> {
        let open = self.links.iter().filter(|link| !link.is_out && self.verdict.is_none());
        let limits = open.map(|link| link.attendance.gives_up_at());
        limits.collect::<Option<Vec<Time>>>()?.into_iter().max()
    }

    /// Replaces the repeated request to every forwarder.
    pub fn turn_to(&mut self, ask: &Ask) {
        self.links.iter_mut().for_each(|link| link.attendance.turn_to(ask.clone()));
    }

    /// Replaces the repeated request to this forwarder.
    pub fn turn_one_to(&mut self, at: usize, ask: Ask) {
        self.links[at].attendance.turn_to(ask);
    }

    /// Replaces the repeated request to every forwarder except these.
    pub fn turn_others_to(&mut self, except: &[usize], ask: &Ask) {
        for (at, link) in self.links.iter_mut().enumerate() {
            if !except.contains(&at) {
                link.attendance.turn_to(ask.clone());
            }
        }
    }

    /// Sets the status that the next request to every forwarder reports.
    pub fn tell(&mut self, status: Status) {
        self.links.iter_mut().for_each(|link| link.attendance.tell(status));
    }

    /// Sets the end of the log that this sequencer keeps.
    pub fn keeps_log(&mut self, log: &LogHead) {
        self.links.iter_mut().for_each(|link| link.attendance.keeps_log(log.clone()));
    }

    /// Sets whether this client multicasts texts of authors.
    pub fn takes_posts(&mut self, takes: bool) {
        self.links.iter_mut().for_each(|link| link.attendance.takes_posts(takes));
    }

    /// Reports what has become of a text of an author. A forwarder that did not hand it out ignores it.
    pub fn report(&mut self, receipt: &Receipt) {
        self.links.iter_mut().for_each(|link| link.attendance.report(receipt.clone()));
    }

    /// Sets whether this process is not ready because it has not reached a router.
    pub fn awaits_router(&mut self, awaits: bool) {
        self.links.iter_mut().for_each(|link| link.attendance.awaits_router(awaits));
    }

    /// Postpones the next requests until `until`.
    pub fn pause(&mut self, until: Time) {
        self.links.iter_mut().for_each(|link| link.attendance.pause(until));
    }

    /// Notes that this process is in a run, started by the forwarder `at`, and reports it to the others.
    pub fn started(&mut self, at: usize, run: u64, me: &Seat, members: &[Seat]) {
        for (index, link) in self.links.iter_mut().enumerate() {
            link.attendance.started(run, me, members, index == at);
        }
    }

    /// Replaces the members of the run, which a forwarder that takes the run over is told.
    pub fn members_are(&mut self, me: &Seat, members: &[Seat]) {
        self.links.iter_mut().for_each(|link| link.attendance.members_are(me, members));
    }

    /// Returns whether [`ForwarderLinks::turn`] has nothing to do: no reply has come, and no request is due.
    #[must_use]
    pub fn is_quiet(&self, now: Time) -> bool {
        now < self.next_deadline() && self.sockets().all(Socket::is_drained)
    }

    /// Reads a reply of each forwarder, sends the requests that are due, and reports silence. Returns each news with the
    /// index of its forwarder.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if all forwarders have been silent for too long.
    pub fn turn(&mut self, now: Time, talk: &Talk) -> Result<Vec<(usize, News)>, Failure> {
        let mut all = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            if link.is_out {
                // The news of its handshakes must not pile up.
                let _ = link.shake_hands();
                continue;
            }
            match link.turn(now) {
                News::Nothing => {}
                news => all.push((at, news)),
            }
        }
        self.report_problems(talk);
        self.check_silence(now, talk)?;
        Ok(all)
    }

    /// Reports a definite failure to look up a host name, and keys that do not fit, once for each reason.
    fn report_problems(&mut self, talk: &Talk) {
        for link in self.links.iter_mut().filter(|link| !link.is_out) {
            if let Some(trouble) = link.trouble().filter(|trouble| trouble.is_definite)
                && link.reported_trouble.as_ref() != Some(&trouble.message)
            {
                talk.warn(format!("{}; trying again", trouble.message));
                link.reported_trouble = Some(trouble.message);
            }
        }
    }

    /// Returns the problems with the host names and the keys of these forwarders.
    fn problems(&self, at: &[usize]) -> Option<String> {
        let trouble = |&at: &usize| self.links[at].trouble().map(|trouble| trouble.message);
        let found: Vec<String> = at.iter().filter_map(trouble).collect();
        (!found.is_empty()).then(|| found.join("; "))
    }

    /// Handles a forwarder that has ended the run, or this process's part in it; ignored while another continues the run.
    ///
    /// # Errors
    /// The first failure that a forwarder reported, if no forwarder continues the run.
    pub fn lose(&mut self, at: usize, failure: Failure, now: Time, talk: &Talk) -> Result<(), Failure> {
        self.links[at].is_out = true;
        let others = self.in_touch(now);
        if !others.is_empty() {
            let (name, others) = (self.name(at), talk::list(&others));
            talk.warn(format!("{name} says: {}; going on with {others}", failure.message));
            self.verdict.get_or_insert(failure);
            return Ok(());
        }
        Err(self.verdict.take().unwrap_or(failure))
    }

    /// Returns whether any forwarder has ever answered.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.links.iter().any(|link| link.attendance.has_heard())
    }

    /// Returns whether this forwarder has answered lately.
    #[must_use]
    pub fn is_in_touch(&self, at: usize, now: Time) -> bool {
        self.links[at].is_in_touch(now)
    }

    /// Returns the time since this forwarder's last answer.
    #[must_use]
    pub fn silence(&self, at: usize, now: Time) -> Duration {
        self.links[at].silence(now)
    }

    /// Returns the name of a forwarder in messages.
    #[must_use]
    pub fn name(&self, at: usize) -> String {
        match self.links.len() {
            1 => "the forwarder".to_owned(),
            _ => self.full_name(at),
        }
    }

    fn full_name(&self, at: usize) -> String {
        format!("the forwarder at {}", self.links[at].endpoint)
    }

    fn in_touch(&self, now: Time) -> Vec<String> {
        let answering = (0..self.links.len()).filter(|&at| self.is_in_touch(at, now));
        answering.map(|at| self.full_name(at)).collect()
    }

    fn check_silence(&mut self, now: Time, talk: &Talk) -> Result<(), Failure> {
        let open: Vec<usize> = (0..self.links.len()).filter(|&at| !self.links[at].is_out).collect();
        let silence = open.iter().map(|&at| self.links[at].silence(now)).min().unwrap_or_default();
        // Once a forwarder has reported a failed run, one that continues it would answer soon.
        let patience = |link: &ForwarderLink| {
            if self.verdict.is_some() { Some(QUIET_AFTER) } else { link.attendance.patience() }
        };
        let left = |&at: &usize| {
            let link = &self.links[at];
            patience(link).map(|limit| limit.saturating_sub(link.silence(now)))
        };
        let left = open.iter().map(left).collect::<Option<Vec<Duration>>>();
        let left = left.map(|left| left.into_iter().max().unwrap_or(Duration::MAX));
        if left == Some(Duration::ZERO) {
            let failure = self.silence_failure(&open, silence);
            return Err(self.verdict.take().unwrap_or(failure));
        }
        if silence < SAY_EVERY {
            self.report_silence(now, talk);
        } else if now.since(self.reported) >= SAY_EVERY {
            self.reported = now;
            let left =
                left.map_or_else(String::new, |left| format!(", gives up in {}", units::duration(left)));
            let why = self.problems(&open).map_or_else(String::new, |why| format!(": {why}"));
            let names = talk::list(&self.full_names(&open));
            talk.say(format!("waiting for {names} ({}{left}){why}", units::duration(silence)));
        }
        Ok(())
    }

    fn full_names(&self, at: &[usize]) -> Vec<String> {
        at.iter().map(|&at| self.full_name(at)).collect()
    }

    /// Returns the failure after too long a silence of all forwarders in `open`.
    fn silence_failure(&self, open: &[usize], silence: Duration) -> Failure {
        let what = match (self.has_heard(), open.len()) {
            (true, 1) => "has gone silent",
            (false, 1) => "does not answer",
            (true, _) => "have gone silent",
            (false, _) => "do not answer",
        };
        let names = talk::list(&self.full_names(open));
        let message = format!("{names} {what} ({})", units::duration(silence));
        let is_denied = open.iter().any(|&at| self.links[at].is_denied());
        match self.problems(open) {
            Some(why) if is_denied => Failure::new(Exit::Denied, format!("{message}: {why}"))
                .help("--keys with the file that `groupcast keys pack` makes on the forwarder's machine"),
            Some(why) => Failure::new(Exit::Unavailable, format!("{message}: {why}")).help(
                "is the host in --connect spelt as this machine knows it? an address needs no name server",
            ),
            None => Failure::new(Exit::Unavailable, message)
                .help("is `forwarder` running, with the same --port-base, on the host that --connect names?"),
        }
    }

    /// Reports once that a forwarder is silent while another is not, and once that it is back.
    fn report_silence(&mut self, now: Time, talk: &Talk) {
        for at in 0..self.links.len() {
            let link = &self.links[at];
            let is_silent = !link.is_out && link.silence(now) >= QUIET_AFTER;
            if is_silent == link.is_silent {
                continue;
            }
            let (name, others) = (self.full_name(at), talk::list(&self.in_touch(now)));
            let why = self.problems(&[at]).map_or_else(String::new, |why| format!(" ({why})"));
            match (is_silent, link.attendance.has_heard()) {
                (true, true) => talk.warn(format!("{name} has gone silent{why}; going on with {others}")),
                (true, false) => talk.warn(format!("{name} does not answer{why}; going on with {others}")),
                (false, _) => talk.say(format!("{name} answers")),
            }
            self.links[at].is_silent = is_silent;
        }
    }

    /// Reports to every forwarder that the run `run` is over, as one of them said.
    pub fn over(&mut self, now: Time, run: &str) {
        for link in self.links.iter_mut().filter(|link| !link.is_out) {
            link.say_last(now, Ask::Over { run: run.to_owned() });
        }
    }

    /// Reports to all forwarders that this process leaves before the end, and gives those that have answered lately a
    /// moment to confirm.
    pub fn leave(&mut self, now: Time, failure: &Failure) {
        let (code, reason) = (failure.exit.code(), failure.message.clone());
        for link in &mut self.links {
            link.say_last(now, Ask::Leave { code, reason: reason.clone() });
        }
        for link in &self.links {
            if link.is_in_touch(now) {
                link.await_bye();
            } else {
                // It does not answer.
                link.socket.linger(Duration::ZERO);
            }
        }
    }

    /// Starts again, after a pause, with forwarders that have ended a run or themselves.
    pub fn rest(&mut self, now: Time) {
        self.verdict = None;
        for link in &mut self.links {
            link.is_out = false;
            link.attendance.rest(now);
        }
    }
}
