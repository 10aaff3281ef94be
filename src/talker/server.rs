//! Requests to one server, over HTTP.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;

/// Longest wait for a connection.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for an answer: a server waits up to 10 s for room.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Most bytes of an answer.
const MOST_BYTES: u64 = 64 << 20;

/// A request that was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// The server refuses it: the status of HTTP, and a sentence.
    Refused(u16, String),
    /// The server cannot be reached, or answers nothing that makes sense.
    Lost(String),
}

impl Trouble {
    /// Returns the cause.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Refused(_, why) | Self::Lost(why) => why,
        }
    }
}

/// A server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    address: String,
    agent: Agent,
}

impl Server {
    /// Returns the server at `HOST:PORT`. Nothing is sent yet.
    pub(super) fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_global(Some(ANSWER_LIMIT))
            .build();
        Self { address: address.to_owned(), agent: config.into() }
    }

    /// Returns the host and the port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request, with a body or as a question, and waits for the answer.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str, body: Option<&Value>) -> Result<T, Trouble> {
        let url = format!("http://{}{path}", self.address);
        let sent = match body {
            Some(body) => self.agent.post(&url).send_json(body),
            None => self.agent.get(&url).call(),
        };
        let mut response = sent.map_err(|error| lost(&error))?;
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(MOST_BYTES).read_to_string();
        let text = read.map_err(|error| lost(&error))?;
        if status == 200 {
            return serde_json::from_str(&text)
                .map_err(|error| Trouble::Lost(format!("no answer of a chat server: {error}")));
        }
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let why = value["error"].as_str().map_or_else(|| format!("it answers {status}"), str::to_owned);
        Err(Trouble::Refused(status, why))
    }
}

fn lost(error: &ureq::Error) -> Trouble {
    Trouble::Lost(match error {
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        ureq::Error::ConnectionFailed => "nothing answers there".to_owned(),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::Io(error) => cause(error),
        other => other.to_string(),
    })
}

/// Returns the cause of a failure of the system, without its number.
pub(super) fn cause(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) {
        return "the connection has ended".to_owned();
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Returns a text as a part of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b',') {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_are_parts_of_a_query() {
        assert_eq!(encoded("news & more/é"), "news%20%26%20more%2F%C3%A9");
    }

    #[test]
    fn an_address_without_a_server_is_trouble() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let answer = Server::new(&address).ask::<Value>("/api/view", None);
        assert!(matches!(answer, Err(Trouble::Lost(_))), "{answer:?}");
    }
}
