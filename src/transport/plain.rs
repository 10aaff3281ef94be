//! ZeroMQ without our limits and with unlimited queues, as the baseline of `groupcast bench`.

use super::zmq::{Context, Socket, failed};
use crate::exit::Failure;

/// Longest wait for a message, so that the caller can check for other work.
const PATIENCE_MILLIS: i32 = 200;

/// The kind of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Sends to all subscribers.
    Publish,
    /// Receives from all publishers.
    Subscribe,
    /// Sends to the one socket that pulls.
    Push,
    /// Receives what is pushed.
    Pull,
    /// The side of a proxy to which publishers connect.
    Entrance,
    /// The side of a proxy to which subscribers connect.
    Way,
}

/// One frame of a message.
#[derive(Debug)]
pub struct Parcel(zmq::Message);

impl Default for Parcel {
    fn default() -> Self {
        Self(zmq::Message::new())
    }
}

impl From<Vec<u8>> for Parcel {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Parcel {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl std::ops::Deref for Parcel {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Context {
    /// Returns a socket that listens at `endpoint`, or connects to it.
    ///
    /// # Errors
    /// [`crate::exit::Exit::Bug`] if ZeroMQ refuses, which it has no reason to.
    pub fn plain(&self, kind: Kind, endpoint: &str, listens: bool) -> Result<Socket, Failure> {
        let kind_of_socket = match kind {
            Kind::Publish => zmq::PUB,
            Kind::Subscribe => zmq::SUB,
            Kind::Push => zmq::PUSH,
            Kind::Pull => zmq::PULL,
            Kind::Entrance => zmq::XSUB,
            Kind::Way => zmq::XPUB,
        };
        let open = || {
            let socket = self.raw.socket(kind_of_socket)?;
            socket.set_rcvhwm(0)?;
            socket.set_sndhwm(0)?;
            socket.set_linger(PATIENCE_MILLIS)?;
            socket.set_rcvtimeo(PATIENCE_MILLIS)?;
            if kind == Kind::Subscribe {
                socket.set_subscribe(b"")?;
            }
            if listens {
                socket.bind(endpoint)?;
            } else {
                socket.connect(endpoint)?;
            }
            Socket::new(socket)
        };
        open().map_err(|error: zmq::Error| failed(&format!("use {endpoint}"), error))
    }
}

/// Passes messages on between the two, until the process ends.
pub fn proxy(entrance: &Socket, way: &Socket) {
    // It returns on a signal, which ends the process or does not concern it.
    while zmq::proxy(&entrance.raw, &way.raw) == Err(zmq::Error::EINTR) {}
}

impl Socket {
    /// Sends a frame; `more` frames of the message follow. Queues are unlimited, so this never blocks.
    pub fn send_plain(&self, frame: impl Into<Parcel>, more: bool) {
        let _ = self.raw.send(frame.into().0, if more { zmq::SNDMORE } else { 0 });
    }

    /// Reads the next frame into `frame`. Returns false if there is none (after a while, if it `waits`), or on a
    /// signal.
    #[must_use]
    pub fn receive_plain(&self, frame: &mut Parcel, waits: bool) -> bool {
        let is_received = self.raw.recv(&mut frame.0, if waits { 0 } else { zmq::DONTWAIT }).is_ok();
        self.is_drained.set(false);
        is_received
    }
}
