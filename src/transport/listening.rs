//! All connections dropped, so that all peers are asked for their keys once more. ZeroMQ asks only at the handshake, so
//! this is how a key is taken back, and how the own one is replaced.

use super::curve::KeyPair;
use super::zmq::{Context, Socket, cannot_listen, failed};
use crate::exit::Failure;

impl Context {
    /// Drops all connections of these sockets, which listen, and has them listen again with this pair: every peer
    /// connects again, and is asked for its key.
    ///
    /// # Errors
    /// [`Exit::Unavailable`](crate::exit::Exit::Unavailable) if another process has taken a port meanwhile.
    pub fn listen_again(&self, own: &KeyPair, sockets: &mut [&mut Socket]) -> Result<(), Failure> {
        if let Some(keys) = &self.keys {
            keys.listen_as(own.clone());
        }
        for Socket { raw, listeners, .. } in &mut *sockets {
            let closed = listeners.iter().try_for_each(|listener| listener.close(raw));
            closed.map_err(|error| failed("stop listening", error))?;
        }
        for Socket { raw, listeners, is_drained, .. } in sockets {
            let replaced = raw.set_curve_secretkey(&own.secret.0);
            replaced.map_err(|error| failed("set up a socket", error))?;
            for listener in listeners {
                listener.open_again(raw).map_err(|error| cannot_listen(&listener.endpoint, error))?;
            }
            is_drained.set(false);
        }
        Ok(())
    }
}
