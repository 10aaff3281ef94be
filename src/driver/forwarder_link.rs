//! A process's link to one forwarder: sends the requests that are due and reads the replies.

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

/// Time for which a leaving process waits for the forwarder's confirmation.
pub const GOODBYE: Duration = Duration::from_millis(200);

/// A process's link to the sync port of one forwarder.
pub struct ForwarderLink {
    socket: Socket,
    endpoint: String,
    attendance: Attendance,
}

impl ForwarderLink {
    /// Starts sending `ask` as `who`; see [`Attendance::new`] for the limit.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the address is invalid.
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

    /// Returns the socket to poll.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the address of the forwarder's sync port.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the problem with the forwarder's host name, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.socket.trouble()
    }

    /// Returns the state of the exchange: the pending request, and the length of the silence.
    #[must_use]
    pub const fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// Sets the time after which a silent forwarder is given up.
    pub fn wait_for_lost(&mut self, limit: Duration) {
        self.attendance.wait_for_lost(limit);
    }

    /// Replaces the repeated request.
    pub fn turn_to(&mut self, ask: Ask) {
        self.attendance.turn_to(ask);
    }

    /// Sets the status that the next requests report.
    pub fn tell(&mut self, status: Status) {
        self.attendance.tell(status);
    }

    /// Sets whether this process is not ready because it has not reached a router.
    pub const fn awaits_router(&mut self, awaits: bool) {
        self.attendance.awaits_router(awaits);
    }

    /// Sets the forwarders that the requests name.
    pub fn names(&mut self, forwarders: Vec<String>) {
        self.attendance.names(forwarders);
    }

    /// Postpones the next request until `until`.
    pub fn pause(&mut self, until: Time) {
        self.attendance.pause(until);
    }

    /// Notes that this process is in a run; see [`Attendance::started`].
    pub fn started(&mut self, run: u64, me: &Seat, members: &[Seat], is_known: bool) {
        self.attendance.started(run, me, members, is_known);
    }

    /// Replaces the members of the run.
    pub fn members_are(&mut self, me: &Seat, members: &[Seat]) {
        self.attendance.members_are(me, members);
    }

    /// Reads one reply, if one has come, and sends the request that is due.
    pub fn turn(&mut self, now: Time) -> News {
        let mut news = News::Nothing;
        if self.socket.follow() {
            // The former address did not answer, so earlier requests are lost.
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

    /// Sends `ask` as the final request.
    pub fn say_last(&mut self, now: Time, ask: Ask) {
        for request in self.attendance.last_words(now, ask) {
            self.send(&request);
        }
    }

    /// Waits up to [`GOODBYE`] for the forwarder to confirm the final request.
    pub fn await_bye(&self) {
        // Replies to earlier requests may come first.
        for _ in 0..3 {
            zmq::wait(&[&self.socket], None, GOODBYE);
            let Some(answer) = self.socket.answer() else { return };
            if answer.is_some_and(|bytes| read_reply(&bytes).is_ok_and(|reply| reply.say == Say::Bye)) {
                return;
            }
        }
    }

    /// Starts again, after a pause, with a forwarder that has ended a run or itself.
    pub fn rest(&mut self, now: Time) {
        self.attendance.rest(now);
    }
}
