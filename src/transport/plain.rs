//! ZeroMQ as it comes, with unlimited queues and none of our limits: what `groupcast bench` compares with.

use super::zmq::{Context, Socket, failed};
use crate::exit::Failure;

/// A wait for a message ends after this long, so that whoever waits can look for something else.
const PATIENCE_MILLIS: i32 = 200;

/// What a socket does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Sends to all that listen.
    Publish,
    /// Listens to all that publish.
    Subscribe,
    /// Sends to the one that pulls.
    Push,
    /// Takes what is pushed.
    Pull,
    /// Where publishers connect to a proxy.
    Entrance,
    /// Where subscribers connect to a proxy.
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
    /// A socket that listens at `endpoint`, or connects to it.
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

/// Passes on what comes between the two, until the process ends.
pub fn proxy(entrance: &Socket, way: &Socket) {
    // It returns when a signal comes, which ends the process or is nothing to it.
    while zmq::proxy(&entrance.raw, &way.raw) == Err(zmq::Error::EINTR) {}
}

impl Socket {
    /// Sends a frame; `more` of the same message is to come. Queues are unlimited, so nothing is in its way.
    pub fn send_plain(&self, frame: impl Into<Parcel>, more: bool) {
        let _ = self.raw.send(frame.into().0, if more { zmq::SNDMORE } else { 0 });
    }

    /// Takes the next frame into `frame`. False if there is none, or if `waits`, for a while; or for a signal.
    #[must_use]
    pub fn receive_plain(&self, frame: &mut Parcel, waits: bool) -> bool {
        let is_received = self.raw.recv(&mut frame.0, if waits { 0 } else { zmq::DONTWAIT }).is_ok();
        self.is_drained.set(false);
        is_received
    }
}
