//! Asks a chat server whether it answers, without keeping anybody waiting.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Longest wait for one step of an answer.
const LIMIT: Duration = Duration::from_secs(1);
/// Most bytes and reads of an answer that are looked at.
const MOST_BYTES: usize = 512;
const MOST_READS: usize = 8;

/// The question to one server.
#[derive(Debug)]
pub(super) struct Health {
    address: SocketAddr,
    question: Option<Receiver<Result<(), String>>>,
    has_answered: bool,
    /// The last reason why it did not answer.
    pub(super) why: String,
}

impl Health {
    /// Prepares to ask the server at an address.
    pub(super) const fn of(address: SocketAddr) -> Self {
        Self { address, question: None, has_answered: false, why: String::new() }
    }

    /// Returns whether the server has answered that it is well. To be called again and again: each call asks anew if the
    /// last question has failed.
    pub(super) fn has_answered(&mut self) -> bool {
        match self.question.as_ref().map(Receiver::try_recv) {
            _ if self.has_answered => return true,
            Some(Ok(Ok(()))) => {
                self.has_answered = true;
                return true;
            }
            Some(Err(TryRecvError::Empty)) => return false,
            Some(Ok(Err(why))) => self.why = why,
            Some(Err(TryRecvError::Disconnected)) | None => {}
        }
        let (sender, receiver) = channel();
        let address = self.address;
        self.question = Some(receiver);
        std::thread::spawn(move || sender.send(ask(address)));
        false
    }
}

/// Asks once.
fn ask(address: SocketAddr) -> Result<(), String> {
    let answer = answer(address).map_err(|error| error.to_string())?;
    let status = answer.lines().next().unwrap_or_default();
    let mut words = status.split(' ');
    match (words.next(), words.next()) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some("200")) => Ok(()),
        _ => Err(format!("it answered {status:?}")),
    }
}

/// Returns the beginning of the answer.
fn answer(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // One packet: a server that answers at the first one would cut off the rest.
    let question = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let (mut answer, mut part) = (Vec::new(), [0; MOST_BYTES]);
    for _ in 0..MOST_READS {
        let count = stream.read(&mut part)?;
        answer.extend_from_slice(&part[..count]);
        if count == 0 || answer.contains(&b'\n') || answer.len() >= MOST_BYTES {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one question at a port.
    fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut part = [0; 256];
                let count = stream.read(&mut part).unwrap();
                assert!(count > 0, "the question is cut off");
                question.extend_from_slice(&part[..count]);
            }
            assert!(question.starts_with(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(text.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_200_is_well() {
        assert_eq!(ask(answering("HTTP/1.1 200 OK\r\n\r\n{}")), Ok(()));
        for text in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "", "200\r\n", "HTTP/1.1 2000\r\n"] {
            assert!(ask(answering(text)).unwrap_err().starts_with("it answered"), "{text}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(closed).is_err());
    }
}
