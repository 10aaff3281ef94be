//! A process's line to one forwarder: sends the requests that are due and reads the answers.

use std::time::Duration;

use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::QUIET_AFTER;
use crate::session::attendance::{Attendance, News};
use crate::transport::address::{Port, Site};
use crate::transport::resolve::Trouble;
use crate::transport::zmq::{self, Context, Socket};
use crate::wire::control::{Ask, Identity, Request, Say, Seat, Status, read_reply};
use crate::wire::header::VERSION;

/// How long a process that leaves waits for the forwarder to take note.
pub const GOODBYE: Duration = Duration::from_millis(200);

/// A process's line to the sync port of one forwarder.
pub struct Caller {
    socket: Socket,
    endpoint: String,
    attendance: Attendance,
}

impl Caller {
    /// Begins to ask `ask` as `who`; see [`Attendance::new`] for the limit.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the address makes no sense.
    pub fn new(
        context: &Context,
        site: &Site,
        now: Time,
        who: Identity,
        ask: Ask,
        connect_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let endpoint = site.endpoint(Port::Sync);
        let socket = context.asker(site)?;
        Ok(Self { socket, endpoint, attendance: Attendance::new(now, who, ask, connect_limit) })
    }

    /// What to wait on.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Where the forwarder listens.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What is wrong with the name of the forwarder's host.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.socket.trouble()
    }

    /// The talk itself: what is asked, and for how long nothing has been heard.
    #[must_use]
    pub const fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// The forwarder is waited for so long when it does not answer any more.
    pub fn wait_for_lost(&mut self, limit: Duration) {
        self.attendance.wait_for_lost(limit);
    }

    /// Asks something else from now on.
    pub fn turn_to(&mut self, ask: Ask) {
        self.attendance.turn_to(ask);
    }

    /// How far this process is.
    pub fn tell(&mut self, status: Status) {
        self.attendance.tell(status);
    }

    /// Whether this process is not ready because it has not reached a router.
    pub const fn awaits_router(&mut self, awaits: bool) {
        self.attendance.awaits_router(awaits);
    }

    /// Which forwarders this process names.
    pub fn names(&mut self, forwarders: Vec<String>) {
        self.attendance.names(forwarders);
    }

    /// Asks nothing before this moment.
    pub fn pause(&mut self, until: Time) {
        self.attendance.pause(until);
    }

    /// This process is in a run from now on; see [`Attendance::started`].
    pub fn started(&mut self, run: u64, me: &Seat, members: &[Seat], is_known: bool) {
        self.attendance.started(run, me, members, is_known);
    }

    /// The members of the run are these from now on.
    pub fn members_are(&mut self, me: &Seat, members: &[Seat]) {
        self.attendance.members_are(me, members);
    }

    /// Reads one answer that has come, and sends what is due.
    pub fn turn(&mut self, now: Time) -> News {
        let mut news = News::Nothing;
        if self.socket.follow() {
            // What was asked before, nobody has heard.
            self.attendance.pause(now);
        }
        if !self.attendance.has_heard() || self.attendance.silence(now) >= QUIET_AFTER {
            self.socket.seek();
        }
        if let Some(Some(bytes)) = self.socket.answer() {
            news = match read_reply(&bytes) {
                Ok(reply) => self.attendance.answered(now, reply),
                Err(Some(theirs)) => {
                    let message =
                        format!("the forwarder speaks protocol version {theirs}, this program {VERSION}");
                    News::Failed(Failure::new(Exit::Config, message))
                }
                Err(None) => News::Nothing,
            };
        }
        if !matches!(news, News::Failed(_) | News::End)
            && let Some(request) = self.attendance.request(now)
        {
            self.send(&request);
        }
        news
    }

    fn send(&self, request: &Request) {
        self.socket.ask(&request.to_bytes());
    }

    /// Says `ask` as the last thing.
    pub fn say_last(&mut self, now: Time, ask: Ask) {
        for request in self.attendance.last_words(now, ask) {
            self.send(&request);
        }
    }

    /// Gives the forwarder, if it is there, a moment to take note of the last words.
    pub fn await_bye(&self) {
        // Answers to what was asked before may come first.
        for _ in 0..3 {
            zmq::wait(&[&self.socket], None, GOODBYE);
            let Some(answer) = self.socket.answer() else { return };
            if answer.is_some_and(|bytes| read_reply(&bytes).is_ok_and(|reply| reply.say == Say::Bye)) {
                return;
            }
        }
    }

    /// Begins anew with a forwarder that has ended a run or itself, after a moment of rest.
    pub fn rest(&mut self, now: Time) {
        self.attendance.rest(now);
    }
}
