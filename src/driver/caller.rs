//! A process in touch with the forwarder: sends the requests that are due, reads the answers, and says so when
//! there are none.

use std::time::Duration;

use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::SAY_EVERY;
use crate::session::attendance::{Attendance, News};
use crate::talk::{self, Talk};
use crate::transport::zmq::{self, Context, Port, Socket};
use crate::wire::control::{Ask, Identity, Say, read_reply};
use crate::wire::header::VERSION;

/// How long a process that leaves waits for the forwarder to take note.
pub const GOODBYE: Duration = Duration::from_millis(200);

/// A process's line to the forwarder's sync port.
pub struct Caller {
    socket: Socket,
    endpoint: String,
    attendance: Attendance,
    said: Time,
}

impl Caller {
    /// Begins to ask `ask` as `who`; see [`Attendance::new`] for the limit.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the address makes no sense.
    pub fn new(
        context: &Context,
        (host, port_base): (&str, u16),
        now: Time,
        who: Identity,
        ask: Ask,
        connect_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let endpoint = Port::Sync.endpoint(host, port_base);
        let socket = context.asker(&endpoint)?;
        Ok(Self { socket, endpoint, attendance: Attendance::new(now, who, ask, connect_limit), said: now })
    }

    /// What to wait on.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Who asks.
    #[must_use]
    pub const fn who(&self) -> &Identity {
        self.attendance.who()
    }

    /// Asks something else from now on.
    pub fn turn_to(&mut self, ask: Ask) {
        self.attendance.turn_to(ask);
    }

    /// This process is in a run from now on; see [`Attendance::started`].
    pub fn started(&mut self, run: u64, slot: u16) {
        self.attendance.started(run, slot);
    }

    /// When [`Caller::turn`] is next due, if no answer comes.
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        self.attendance.next_deadline()
    }

    /// Reads one answer that has come, sends what is due, and complains about silence.
    ///
    /// # Errors
    /// What the forwarder said that ends this process, or [`Exit::Unavailable`] after too long a silence.
    pub fn turn(&mut self, now: Time, talk: &Talk) -> Result<News, Failure> {
        let mut news = News::Nothing;
        if let Some(Some(bytes)) = self.socket.answer() {
            news = match read_reply(&bytes) {
                Ok(reply) => self.attendance.answered(now, reply),
                Err(Some(theirs)) => {
                    let message =
                        format!("the forwarder speaks protocol version {theirs}, this program {VERSION}");
                    return Err(Failure::new(Exit::Config, message));
                }
                Err(None) => News::Nothing,
            };
        }
        if let Some(request) = self.attendance.request(now) {
            self.socket.ask(&request.to_bytes());
        }
        self.complain(now, talk)?;
        match news {
            News::Failed(failure) => Err(failure),
            News::End => {
                // The socket lingers for a moment when it is closed, so that this goes out.
                self.socket.ask(&self.attendance.goodbye().to_bytes());
                Ok(news)
            }
            news => Ok(news),
        }
    }

    /// Whether the forwarder has ever answered.
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.attendance.has_heard()
    }

    fn complain(&mut self, now: Time, talk: &Talk) -> Result<(), Failure> {
        let (silence, patience) = (self.attendance.silence(now), self.attendance.patience());
        if let Some(limit) = patience.filter(|limit| silence >= *limit) {
            let what = if self.attendance.has_heard() { "has gone silent" } else { "does not answer" };
            let message = format!("the forwarder at {} {what} ({})", self.endpoint, talk::duration(limit));
            return Err(Failure::new(Exit::Unavailable, message).help(
                "is `forwarder` running, with the same --port-base, on the host that --connect names?",
            ));
        }
        if silence >= SAY_EVERY && now.since(self.said) >= SAY_EVERY {
            self.said = now;
            let left = patience.map_or_else(String::new, |limit| {
                format!(", gives up in {}", talk::duration(limit.saturating_sub(silence)))
            });
            talk.say(format!(
                "waiting for the forwarder at {} ({}{left})",
                self.endpoint,
                talk::duration(silence)
            ));
        }
        Ok(())
    }

    /// Tells the forwarder, if it is there, that this process leaves before the end; gives it a moment to hear that.
    pub fn leave(&mut self, now: Time, failure: &Failure) {
        let (code, reason) = (failure.exit.code(), failure.message.clone());
        self.attendance.turn_to(Ask::Leave { code, reason });
        if let Some(request) = self.attendance.request(now) {
            self.socket.ask(&request.to_bytes());
        }
        // An answer to what was asked before may come first.
        for _ in 0..2 {
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
