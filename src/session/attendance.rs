//! A member's side of the talk on the sync port: one request under way at all times.

use std::time::Duration;

use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::{CONNECT_LIMIT, LOST_AFTER};
use crate::wire::control::{
    Ask, GroupEntry, HOLD_MILLIS, Identity, Reply, Request, Say, Seat, run_as_text, run_from_text,
};

/// A request that has had no answer for this long was lost: the forwarder answers sooner, even without news.
pub const ASK_AGAIN: Duration = Duration::from_millis(HOLD_MILLIS + 1000);

/// What the forwarder's answer means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// Nothing new, or an answer to an older request.
    Nothing,
    /// The member has a slot in this run.
    Welcome {
        /// The run's number.
        run: u64,
        /// The member's slot.
        slot: u16,
    },
    /// The group still waits.
    Wait {
        /// For whom.
        missing: Vec<String>,
        /// Until when, from now.
        gives_up_in: Option<Duration>,
    },
    /// Everybody is ready; these are the members.
    Start(Vec<Seat>),
    /// These groups are being served.
    Groups(Vec<GroupEntry>),
    /// The forwarder is another one, and has to be told from the beginning.
    Forgotten,
    /// The run is over and complete.
    End,
    /// The run is over, or over for this member, with a failure.
    Failed(Failure),
}

/// One process's talk with the forwarder.
#[derive(Debug)]
pub struct Attendance {
    who: Identity,
    ask: Ask,
    /// How to go on with a forwarder that does not know this run.
    resume: Option<Ask>,
    is_unknown: bool,
    seq: u64,
    asked: Option<Time>,
    heard: Option<Time>,
    began: Time,
    connect_limit: Option<Duration>,
}

impl Attendance {
    /// Begins to ask `ask` as `who`. An answer must come within `connect_limit` (never, if none is given), but no
    /// later than within [`CONNECT_LIMIT`].
    #[must_use]
    pub fn new(now: Time, who: Identity, ask: Ask, connect_limit: Option<Duration>) -> Self {
        let connect_limit = connect_limit.map(|limit| limit.min(CONNECT_LIMIT));
        Self {
            who,
            ask,
            resume: None,
            is_unknown: false,
            seq: 0,
            asked: None,
            heard: None,
            began: now,
            connect_limit,
        }
    }

    /// Who asks.
    #[must_use]
    pub const fn who(&self) -> &Identity {
        &self.who
    }

    /// Asks something else from now on.
    pub fn turn_to(&mut self, ask: Ask) {
        self.ask = ask;
        self.asked = None;
    }

    /// This process is in a run from now on: a forwarder that does not know it is told so, before anything else.
    pub fn started(&mut self, run: u64, slot: u16) {
        self.resume = Some(Ask::Resume { run: run_as_text(run), slot });
    }

    /// Asks nothing for a while, and then the same as if it never had; waits for the answer for ever.
    pub fn rest(&mut self, now: Time) {
        (self.asked, self.heard) = (Some(now), None);
        (self.began, self.connect_limit) = (now, None);
    }

    /// The request to send now, if one is due.
    pub fn request(&mut self, now: Time) -> Option<Request> {
        if self.asked.is_some_and(|at| now < at.after(ASK_AGAIN)) {
            return None;
        }
        self.asked = Some(now);
        self.seq += 1;
        let ask = self.resume.as_ref().filter(|_| self.is_unknown).unwrap_or(&self.ask);
        Some(Request::new(self.seq, self.who.clone(), ask.clone()))
    }

    /// What a process says that knows the end: the forwarder waits for it, because an end may be lost on the way.
    pub fn goodbye(&mut self) -> Request {
        self.seq += 1;
        Request::new(self.seq, self.who.clone(), Ask::Leave { code: 0, reason: String::new() })
    }

    /// When the next request is due, if no answer comes.
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        self.asked.map_or(Time::ZERO, |at| at.after(ASK_AGAIN))
    }

    /// The forwarder has answered.
    pub fn answered(&mut self, now: Time, reply: Reply) -> News {
        self.heard = Some(now);
        if reply.seq != self.seq {
            return News::Nothing;
        }
        self.asked = None;
        self.is_unknown = reply.say == Say::Unknown;
        match reply.say {
            Say::Welcome { run, slot, incarnation } => {
                self.who.incarnation = incarnation;
                match run_from_text(&run) {
                    Some(run) => News::Welcome { run, slot },
                    None => News::Failed(Failure::new(Exit::Bug, format!("the run's number is `{run}`"))),
                }
            }
            Say::Wait { missing, gives_up_in_ms } => {
                News::Wait { missing, gives_up_in: gives_up_in_ms.map(Duration::from_millis) }
            }
            Say::Start { members } => News::Start(members),
            Say::Groups { groups } => News::Groups(groups),
            Say::End => News::End,
            Say::Refused { code, reason } | Say::Abort { code, reason } => {
                let exit = Exit::from_code(code).filter(|&exit| exit != Exit::Ok);
                News::Failed(Failure::new(exit.unwrap_or(Exit::Unavailable), reason))
            }
            Say::Unknown => News::Forgotten,
            Say::CarryOn | Say::Bye => News::Nothing,
        }
    }

    /// How long nothing has been heard of the forwarder.
    #[must_use]
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.heard.unwrap_or(self.began))
    }

    /// After how long a silence the forwarder is given up; `None` for a process that waits for it for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        if self.heard.is_some() { Some(LOST_AFTER) } else { self.connect_limit }
    }

    /// Whether the forwarder has ever answered.
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.heard.is_some()
    }
}
