//! The handshakes of a socket, as ZeroMQ reports them: whether the other side accepts this one, and its key.

use std::sync::atomic::{AtomicU64, Ordering};

/// The outcome of a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    /// The other side has accepted the connection.
    Begun,
    /// Each side accepts the other.
    Succeeded,
    /// The other side does not accept this key. ZeroMQ does not try again.
    Denied,
    /// One side uses keys and the other one does not, or expects another key. ZeroMQ may not try again.
    Mismatched,
    /// The handshake broke off: perhaps for the same reason, of which only the other side was told.
    Failed,
}

/// The events of interest, with their meaning.
const EVENTS: [(u32, Handshake); 5] = [
    (zmq_sys::ZMQ_EVENT_CONNECTED, Handshake::Begun),
    (zmq_sys::ZMQ_EVENT_HANDSHAKE_SUCCEEDED, Handshake::Succeeded),
    (zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, Handshake::Denied),
    (zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, Handshake::Mismatched),
    (zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, Handshake::Failed),
];

/// The details of a mismatch: a message that cannot be opened, and another kind of security.
const MISMATCHES: [u32; 2] =
    [zmq_sys::ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC, zmq_sys::ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH];

/// Distinguishes the monitors of a process.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The monitor of one socket.
pub(super) struct Monitor(zmq::Socket);

impl Monitor {
    /// Begins to watch a socket, before it listens or connects.
    pub(super) fn of(context: &zmq::Context, socket: &zmq::Socket) -> Result<Self, zmq::Error> {
        let endpoint = format!("inproc://handshakes-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let wanted = EVENTS.iter().fold(0, |wanted, (event, _)| wanted | event);
        socket.monitor(&endpoint, wanted.cast_signed())?;
        let events = context.socket(zmq::PAIR)?;
        // ZeroMQ's thread of all connections would wait for room.
        events.set_rcvhwm(0)?;
        events.set_linger(0)?;
        events.connect(&endpoint)?;
        Ok(Self(events))
    }

    /// Waits for the next handshake, for no longer than `millis`.
    pub(super) fn wait(&self, millis: i64) -> Option<Handshake> {
        // An error is a signal, which may end the wait early.
        let _ = self.0.poll(zmq::POLLIN, millis);
        self.next()
    }

    /// Returns the next handshake that was reported.
    pub(super) fn next(&self) -> Option<Handshake> {
        loop {
            let event = match self.0.recv_bytes(zmq::DONTWAIT) {
                Err(zmq::Error::EINTR) => continue,
                event => event.ok()?,
            };
            // The second frame names the endpoint.
            while self.0.get_rcvmore().unwrap_or(false) {
                let _ = self.0.recv_bytes(zmq::DONTWAIT);
            }
            let number = event.first_chunk().map(|&bytes| u32::from(u16::from_ne_bytes(bytes)));
            let known = EVENTS.iter().find(|(event, _)| Some(*event) == number);
            let detail = event.last_chunk().map(|&bytes| u32::from_ne_bytes(bytes));
            match known {
                Some((_, Handshake::Mismatched)) if !detail.is_some_and(|it| MISMATCHES.contains(&it)) => {
                    return Some(Handshake::Failed);
                }
                Some((_, handshake)) => return Some(*handshake),
                None => {}
            }
        }
    }
}
