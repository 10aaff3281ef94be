//! An address on which a socket listens, closed and opened again.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::link::is_ipv6;
use super::wakeup::wait;

/// The interval at which it tries again to listen: ZeroMQ's thread closes the port a few milliseconds later …
const AGAIN: Duration = Duration::from_millis(2);
/// … and the number of times.
const TIMES: u32 = 1000;

/// An address on which a socket listens.
pub(super) struct Listener {
    /// As it was asked for.
    pub(super) endpoint: String,
    /// As ZeroMQ knows it.
    bound: String,
}

impl Listener {
    /// Begins to listen.
    pub(super) fn open(socket: &zmq::Socket, endpoint: &str) -> Result<Self, zmq::Error> {
        socket.set_ipv6(is_ipv6(endpoint))?;
        socket.bind(endpoint)?;
        let bound = socket.get_last_endpoint()?.unwrap_or_else(|_| endpoint.to_owned());
        Ok(Self { endpoint: endpoint.to_owned(), bound })
    }

    /// Stops listening, and drops all connections. Returns before ZeroMQ's thread has done it.
    pub(super) fn close(&self, socket: &zmq::Socket) -> Result<(), zmq::Error> {
        socket.unbind(&self.bound)
    }

    /// Listens again after [`Listener::close`], when ZeroMQ's thread is done; waits no longer than a few seconds.
    pub(super) fn open_again(&mut self, socket: &zmq::Socket) -> Result<(), zmq::Error> {
        self.wait_for_end();
        for _ in 1..TIMES {
            match Self::open(socket, &self.endpoint) {
                Err(zmq::Error::EADDRINUSE) => wait([], AGAIN),
                opened => return opened.map(|listener| *self = listener),
            };
        }
        Self::open(socket, &self.endpoint).map(|listener| *self = listener)
    }

    /// Waits until ZeroMQ's thread has closed an earlier listener that is a file: it may remove that of a new one.
    fn wait_for_end(&self) {
        if let Some(path) = self.endpoint.strip_prefix("ipc://") {
            for _ in 0..TIMES {
                let is_open = UnixStream::connect(path).is_ok();
                wait([], AGAIN);
                if !is_open {
                    break;
                }
            }
        }
    }
}
