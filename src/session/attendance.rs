//! A process's side of the exchange on the sync port: one request under way at all times.

use std::time::Duration;

use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::{CONNECT_LIMIT, LOST_AFTER};
use crate::wire::control::{
    Ask, GroupEntry, GroupState, HOLD_MILLIS, Identity, LogHead, LogStart, MAX_TOLD, Post, Receipt, Reply,
    Request, Say, Seat, Status, run_as_text, run_from_text,
};

/// Time after which a request without an answer counts as lost: the forwarder answers sooner, even without news.
pub const ASK_AGAIN: Duration = Duration::from_millis(HOLD_MILLIS + 1000);
/// Interval of requests to a forwarder that has been silent for [`ASK_AGAIN`], until [`LOST_AFTER`]: a new connection
/// to it must not stay idle.
pub const REPEAT_EVERY: Duration = Duration::from_millis(500);
/// Interval of requests to a forwarder that does not know this process, and need not know it now.
pub const STANDBY_EVERY: Duration = Duration::from_millis(500);

/// Most receipts in one request.
const MAX_RECEIPTS: usize = 256;

/// The meaning of an answer of the forwarder.
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
        /// The first port on which the forwarder listens; 0 if it has several.
        port_base: u16,
    },
    /// The group still waits.
    Wait {
        /// The missing processes.
        missing: Vec<String>,
        /// The time until the forwarder gives up.
        gives_up_in: Option<Duration>,
    },
    /// All members are ready.
    Start {
        /// The run's number.
        run: u64,
        /// The members.
        members: Vec<Seat>,
        /// The log of its sequencer, if it keeps one.
        log: Option<LogStart>,
    },
    /// These groups are being served.
    Groups(Vec<GroupEntry>),
    /// The members of these groups.
    Members {
        /// The groups.
        groups: Vec<GroupState>,
        /// Whether this is only a part.
        more: bool,
    },
    /// The forwarder does not know this process, perhaps because it was restarted: begin again.
    Forgotten,
    /// These newcomers have been given seats.
    Seated(Vec<Seat>),
    /// A member is to multicast these texts of authors.
    Posts(Vec<Post>),
    /// A member has delivered the text of this author, as this message.
    Posted(String),
    /// It confirms that this process joins elsewhere, or leaves.
    Bye,
    /// The run is over and complete.
    End,
    /// The run is over, or over for this member, with a failure.
    Failed(Failure),
}

/// One process's exchange with a forwarder.
#[derive(Debug)]
pub struct Attendance {
    who: Identity,
    ask: Ask,
    /// The request by which a forwarder that does not know the run takes it up.
    resume: Option<Ask>,
    is_unknown: bool,
    status: Option<Status>,
    awaits_router: bool,
    /// The forwarders that this process names.
    forwarders: Vec<String>,
    /// The number of newcomers' seats that this forwarder has sent.
    told: u32,
    /// Whether this client multicasts texts of authors; `None` for every other process.
    posts: Option<bool>,
    /// The news of texts of authors for the next request.
    receipts: Vec<Receipt>,
    /// The end of the log that this sequencer keeps, or the place at which its run began.
    log: Option<LogHead>,
    seq: u64,
    /// The time of the next request.
    due: Time,
    heard: Option<Time>,
    began: Time,
    connect_limit: Option<Duration>,
    lost_after: Duration,
}

impl Attendance {
    /// Returns an exchange that sends `ask` as `who`. An answer must come within `connect_limit` (never, if none is
    /// given), but no later than [`CONNECT_LIMIT`].
    #[must_use]
    pub fn new(now: Time, who: Identity, ask: Ask, connect_limit: Option<Duration>) -> Self {
        let connect_limit = connect_limit.map(|limit| limit.min(CONNECT_LIMIT));
        Self {
            who,
            ask,
            resume: None,
            is_unknown: false,
            status: None,
            awaits_router: false,
            forwarders: Vec::new(),
            told: 0,
            posts: None,
            receipts: Vec::new(),
            log: None,
            seq: 0,
            due: now,
            heard: None,
            began: now,
            connect_limit,
            lost_after: LOST_AFTER,
        }
    }

    /// Sets the time after which a silent forwarder is given up, instead of [`LOST_AFTER`].
    pub const fn wait_for_lost(&mut self, limit: Duration) {
        self.lost_after = limit;
    }

    /// Returns the identity of this process.
    #[must_use]
    pub const fn who(&self) -> &Identity {
        &self.who
    }

    /// Replaces the repeated request.
    pub fn turn_to(&mut self, ask: Ask) {
        self.ask = ask;
        self.due = Time::ZERO;
    }

    /// Begins a run with these members: a forwarder that does not know the run is told of it first. `is_known`: this
    /// forwarder knows it already.
    pub fn started(&mut self, run: u64, me: &Seat, members: &[Seat], is_known: bool) {
        let members = told(me, members);
        self.who.incarnation = me.incarnation;
        self.resume = Some(Ask::Resume { run: run_as_text(run), slot: me.slot, members });
        self.is_unknown = !is_known;
        self.turn_to(Ask::Alive);
    }

    /// Replaces the members of the run.
    pub fn members_are(&mut self, me: &Seat, seats: &[Seat]) {
        if let Some(Ask::Resume { members, .. }) = &mut self.resume {
            *members = told(me, seats);
        }
    }

    /// Returns the last requests of a process: those that the forwarder may have to know first, then `ask`.
    pub fn last_words(&mut self, now: Time, ask: Ask) -> Vec<Request> {
        self.due = now.after(ASK_AGAIN);
        let asks = self.resume.clone().into_iter().chain([ask]);
        asks.map(|ask| {
            self.seq += 1;
            Request::new(self.seq, self.who.clone(), ask)
        })
        .collect()
    }

    /// Sets the end of the log that this sequencer keeps, or the place at which the run of this member began; requests to
    /// join or resume report it.
    pub fn keeps_log(&mut self, log: LogHead) {
        self.log = Some(log);
    }

    /// Sets the progress that all later requests report.
    pub fn tell(&mut self, status: Status) {
        self.status = Some(status);
    }

    /// Sets whether this process is not ready because it has not reached a router; each request reports it.
    pub const fn awaits_router(&mut self, awaits: bool) {
        self.awaits_router = awaits;
    }

    /// Sets the forwarders that this process names; each request before the start reports them.
    pub fn names(&mut self, forwarders: Vec<String>) {
        self.forwarders = forwarders;
    }

    /// Sets whether this client multicasts texts of authors; each request reports it.
    pub const fn takes_posts(&mut self, takes: bool) {
        self.posts = Some(takes);
    }

    /// Reports what has become of a text of an author, with a request that is due now.
    pub fn report(&mut self, receipt: Receipt) {
        if self.receipts.len() < MAX_RECEIPTS {
            self.receipts.push(receipt);
        }
        self.due = Time::ZERO;
    }

    /// Sends no request before this moment.
    pub fn pause(&mut self, until: Time) {
        self.due = until;
    }

    /// Sends no request for a while, then begins anew, and waits for an answer without a limit.
    pub fn rest(&mut self, now: Time) {
        (self.due, self.heard) = (now.after(ASK_AGAIN), None);
        (self.began, self.connect_limit) = (now, None);
    }

    /// Returns the request to send now, if one is due.
    pub fn request(&mut self, now: Time) -> Option<Request> {
        if now < self.due {
            return None;
        }
        let is_repeated = (ASK_AGAIN..LOST_AFTER).contains(&self.silence(now));
        self.due = now.after(if is_repeated { REPEAT_EVERY } else { ASK_AGAIN });
        self.seq += 1;
        let ask = self.resume.as_ref().filter(|_| self.is_unknown).unwrap_or(&self.ask);
        let is_unknown = self.is_unknown;
        let is_joining = match ask {
            Ask::Join => true,
            Ask::Resume { members, .. } => members.is_empty(),
            _ => false,
        };
        Some(Request {
            status: self.status,
            awaits_router: self.awaits_router,
            connect: if is_joining { self.forwarders.clone() } else { Vec::new() },
            told: self.resume.is_some().then_some(self.told),
            posts: self.posts,
            log: self.log.clone().filter(|_| matches!(ask, Ask::Join | Ask::Resume { .. })),
            // A forwarder that misses one hands the text out again, and then hears of it again.
            receipts: if is_unknown { Vec::new() } else { std::mem::take(&mut self.receipts) },
            ..Request::new(self.seq, self.who.clone(), ask.clone())
        })
    }

    /// Returns the time of the next request, if no answer comes.
    #[must_use]
    pub const fn next_deadline(&self) -> Time {
        self.due
    }

    /// Handles an answer of the forwarder.
    pub fn answered(&mut self, now: Time, reply: Reply) -> News {
        self.heard = Some(now);
        if reply.seq != self.seq {
            // A receipt may have left meanwhile; the texts are no less to be multicast.
            return match reply.say {
                Say::Posts { posts } if self.posts.is_some() => News::Posts(posts),
                _ => News::Nothing,
            };
        }
        let was_unknown = std::mem::replace(&mut self.is_unknown, reply.say == Say::Unknown);
        let is_told_now = self.resume.is_some() && !was_unknown;
        self.due = if self.is_unknown && !is_told_now { now.after(STANDBY_EVERY) } else { now };
        match reply.say {
            Say::Welcome { run, slot, incarnation, port_base } => {
                self.who.incarnation = incarnation;
                match run_from_text(&run) {
                    Some(run) => News::Welcome { run, slot, port_base },
                    None => News::Failed(Failure::new(Exit::Bug, format!("the run's number is `{run}`"))),
                }
            }
            Say::Wait { missing, gives_up_in_ms } => {
                News::Wait { missing, gives_up_in: gives_up_in_ms.map(Duration::from_millis) }
            }
            Say::Start { run, members, log } => match run_from_text(&run) {
                Some(run) => News::Start { run, members, log },
                None => News::Failed(Failure::new(Exit::Bug, format!("the run's number is `{run}`"))),
            },
            Say::Groups { groups } => News::Groups(groups),
            Say::Members { groups, more } => {
                // The caller decides on the next request.
                self.due = now.after(ASK_AGAIN);
                News::Members { groups, more }
            }
            Say::End => News::End,
            Say::Refused { code, reason } | Say::Abort { code, reason } => {
                let exit = Exit::from_code(code).filter(|&exit| exit != Exit::Ok);
                News::Failed(Failure::new(exit.unwrap_or(Exit::Unavailable), reason))
            }
            Say::Unknown => {
                self.told = 0;
                News::Forgotten
            }
            Say::Seated { members } => {
                self.told = self.told.saturating_add(members.len() as u32);
                News::Seated(members)
            }
            Say::Posts { posts } => News::Posts(posts),
            Say::Posted { id } => News::Posted(id),
            Say::Bye => News::Bye,
            Say::CarryOn => News::Nothing,
        }
    }

    /// Returns the length of the forwarder's silence.
    #[must_use]
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.heard.unwrap_or(self.began))
    }

    /// Returns the silence after which the forwarder is given up; `None` without a limit.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        if self.heard.is_some() { Some(self.lost_after) } else { self.connect_limit }
    }

    /// Returns when the forwarder is given up if it does not answer.
    #[must_use]
    pub fn gives_up_at(&self) -> Option<Time> {
        self.patience().map(|limit| self.heard.unwrap_or(self.began).after(limit))
    }

    /// Returns whether the forwarder has ever answered.
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.heard.is_some()
    }
}

/// Returns the members to name in a request, which has a limit; the others report themselves.
fn told(me: &Seat, members: &[Seat]) -> Vec<Seat> {
    let others = members.iter().filter(|seat| seat.slot != me.slot);
    std::iter::once(me).chain(others).take(MAX_TOLD).cloned().collect()
}
