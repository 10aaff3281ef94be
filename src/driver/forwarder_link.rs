//! A process's link to one forwarder: sends the requests that are due and reads the replies.

use std::time::Duration;

use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::QUIET_AFTER;
use crate::session::attendance::{Attendance, News};
use crate::transport::address::{Port, Site};
use crate::transport::curve::PublicKey;
use crate::transport::monitor::Handshake;
use crate::transport::resolve::Trouble;
use crate::transport::zmq::{self, Context, Socket};
use crate::wire::control::{Ask, Identity, Request, Say, read_reply};
use crate::wire::header::VERSION;

/// Time for which a leaving process waits for the forwarder's confirmation.
pub(super) const GOODBYE: Duration = Duration::from_millis(200);

/// Broken handshakes in a row that are no accident: ZeroMQ does not tell why one breaks off.
const UNEXPLAINED: usize = 3;

/// A process's link to the sync port of one forwarder.
pub(super) struct ForwarderLink {
    pub(super) socket: Socket,
    /// The address of the sync port.
    pub(super) endpoint: String,
    /// The state of the exchange: the pending request, and the length of the silence.
    pub(super) attendance: Attendance,
    /// The forwarder has ended the run, or this process's part in it.
    pub(super) is_out: bool,
    /// The silence of the forwarder has been reported to the user.
    pub(super) is_silent: bool,
    /// The problem with its host name or its keys that was reported last.
    pub(super) reported_trouble: Option<String>,
    /// The key of this process, if it has one.
    key: Option<PublicKey>,
    /// The number of handshakes in a row that have broken off.
    broken: usize,
}

impl ForwarderLink {
    /// Starts sending `ask` as `who`; see [`Attendance::new`] for the limit.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the address is invalid.
    pub(super) fn new(
        context: &Context,
        site: &Site,
        now: Time,
        who: Identity,
        ask: Ask,
        connect_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let endpoint = site.endpoint(Port::Sync);
        let socket = context.asker(site)?;
        let attendance = Attendance::new(now, who, ask, connect_limit);
        Ok(Self {
            socket,
            endpoint,
            attendance,
            is_out: false,
            is_silent: false,
            reported_trouble: None,
            key: context.key(),
            broken: 0,
        })
    }

    pub(super) fn silence(&self, now: Time) -> Duration {
        self.attendance.silence(now)
    }

    /// Returns whether the forwarder has answered lately, and has not ended the run.
    pub(super) fn is_in_touch(&self, now: Time) -> bool {
        !self.is_out && self.attendance.has_heard() && self.silence(now) < QUIET_AFTER
    }

    /// Reads one reply, if one has come, and sends the request that is due.
    pub(super) fn turn(&mut self, now: Time) -> News {
        if let Some(denied) = self.shake_hands() {
            return News::Failed(denied);
        }
        let mut news = News::Nothing;
        if self.socket.follow() {
            // The former address did not answer, so earlier requests are lost.
            self.attendance.pause(now);
        }
        if !self.attendance.has_heard() || self.attendance.silence(now) >= QUIET_AFTER {
            self.socket.seek();
        }
        if let Some(Ok(bytes)) = self.socket.answer() {
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

    /// Reads how handshakes have ended; returns the failure of a process whose key is not accepted.
    pub(super) fn shake_hands(&mut self) -> Option<Failure> {
        while let Some(handshake) = self.socket.handshake() {
            match handshake {
                Handshake::Succeeded => self.broken = 0,
                Handshake::Mismatched => self.breaks_off(UNEXPLAINED),
                // Of another key than expected, only the forwarder is told.
                Handshake::Failed if self.key.is_some() => self.breaks_off(1),
                Handshake::Begun | Handshake::Failed => {}
                Handshake::Denied => return Some(self.denied()),
            }
        }
        None
    }

    /// Notes a handshake that broke off, as good as `times`. Often enough, it is no accident: then the forwarder may have
    /// replaced its key by the next one.
    fn breaks_off(&mut self, times: usize) {
        let tries = self.broken / UNEXPLAINED;
        self.broken = self.broken.saturating_add(times);
        if self.broken / UNEXPLAINED > tries {
            self.socket.leave_keys();
        }
    }

    fn denied(&self) -> Failure {
        let (id, endpoint) = (&self.attendance.who().id, &self.endpoint);
        let key =
            self.key.map_or_else(|| "this process".to_owned(), |key| format!("the key {}", key.short()));
        let message = format!("the forwarder at {endpoint} does not accept {key} of {id}");
        Failure::new(Exit::Denied, message).help(format!(
            "on the forwarder's machine: `groupcast keys add KEYS {id} --public FILE`, with the public key {}",
            self.key.map_or_else(String::new, |key| key.to_string())
        ))
    }

    /// Returns the problem with its host name or with keys, if there is one.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let keys = self.is_denied().then(|| {
            let endpoint = &self.endpoint;
            let message = match self.key {
                Some(_) => {
                    format!("the forwarder at {endpoint} uses no keys, or has another one than expected here")
                }
                None => format!("the forwarder at {endpoint} seems to use keys, and this process has none"),
            };
            Trouble { message, is_definite: true }
        });
        keys.or_else(|| self.socket.trouble())
    }

    /// Returns whether a key is in the way: none that the forwarder may have is its key.
    pub(super) fn is_denied(&self) -> bool {
        self.broken >= UNEXPLAINED * self.socket.keys()
    }

    fn send(&self, request: &Request) {
        self.socket.ask(&request.to_bytes());
    }

    /// Sends `ask` as the final request.
    pub(super) fn say_last(&mut self, now: Time, ask: Ask) {
        for request in self.attendance.last_words(now, ask) {
            self.send(&request);
        }
    }

    /// Waits up to [`GOODBYE`] for the forwarder to confirm the final request.
    pub(super) fn await_bye(&self) {
        // Replies to earlier requests may come first.
        for _ in 0..3 {
            zmq::wait(&[&self.socket], None, GOODBYE);
            let Some(answer) = self.socket.answer() else { return };
            if answer.is_ok_and(|bytes| read_reply(&bytes).is_ok_and(|reply| reply.say == Say::Bye)) {
                return;
            }
        }
    }
}
