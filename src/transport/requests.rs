//! Requests and replies at the sync port.

use super::zmq::{Sent, Socket, USER};
use crate::wire::Malformed;

/// A request at the sync port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The address of the process.
    pub asker: Vec<u8>,
    /// The bytes of the request.
    pub request: Vec<u8>,
    /// The user to whom its key belongs, where keys are used.
    pub user: Option<String>,
}

impl Socket {
    /// Sends a request to the forwarder.
    pub fn ask(&self, request: &[u8]) {
        self.send([&[][..], request]);
    }

    /// Returns the forwarder's next reply, if one is waiting.
    #[must_use]
    pub fn answer(&self) -> Option<Result<Vec<u8>, Malformed>> {
        let message = self.receive()?;
        Some(message.and_then(
            |[empty, reply]| {
                if empty.is_empty() { Ok(reply.to_vec()) } else { Err(Malformed) }
            },
        ))
    }

    /// At the forwarder: returns the request of the next process, if one is waiting.
    #[must_use]
    pub fn asked(&self) -> Option<Result<Request, Malformed>> {
        let message = self.receive()?;
        Some(message.and_then(|[asker, empty, mut request]| {
            let user = self.has_users.then(|| request.gets(USER).map(str::to_owned)).flatten();
            let (asker, request) = (asker.to_vec(), request.to_vec());
            if empty.is_empty() { Ok(Request { asker, request, user }) } else { Err(Malformed) }
        }))
    }

    /// Answers a request.
    pub fn reply(&self, asker: &[u8], reply: &[u8]) -> Sent {
        self.send([asker, &[][..], reply])
    }
}
