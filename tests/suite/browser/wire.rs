//! The DevTools protocol: one JSON text for each command, answer and event, through two pipes.
//!
//! A browser ends when its pipes close, so none outlives a test that was killed.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// No browser that works takes this long for an answer.
const LIMIT: Duration = Duration::from_secs(100);
const END_OF_MESSAGE: u8 = 0;

/// Both directions to a browser.
pub(super) struct Wire {
    commands: ChildStdin,
    answers: Receiver<Value>,
    last: u64,
    /// The complaints of its pages so far.
    pub(super) errors: Vec<String>,
    /// Requests of pages that are held, with the session of each page.
    pub(super) held: VecDeque<Value>,
}

impl Wire {
    pub(super) fn new(commands: ChildStdin, output: ChildStdout) -> Self {
        let (found, answers) = channel();
        // Reading has no limit of its own, waiting for the thread has one. It ends with the browser.
        thread::spawn(move || {
            for message in BufReader::new(output).split(END_OF_MESSAGE) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if found.send(message).is_err() {
                    return;
                }
            }
        });
        Self { commands, answers, last: 0, errors: Vec::new(), held: VecDeque::new() }
    }

    /// Gives a command to the page with this session, or to the browser itself without one; returns the result.
    pub(super) fn ask(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(END_OF_MESSAGE);
        self.commands.write_all(&bytes).unwrap_or_else(|error| panic!("{method}: {error}"));
        loop {
            let mut answer = self.next(method);
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method} {parameters}: {}", answer["error"]);
                return answer["result"].take();
            }
        }
    }

    /// Waits for a request that a page was told to hold.
    pub(super) fn held(&mut self) -> Value {
        loop {
            if let Some(request) = self.held.pop_front() {
                return request;
            }
            self.next("a held request");
        }
    }

    /// Returns the next message; notes it if it is an event that is kept.
    fn next(&mut self, what: &str) -> Value {
        let message = self.answers.recv_timeout(LIMIT);
        let message = message.unwrap_or_else(|error| panic!("{what}: the browser is silent: {error}"));
        let event = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.errors.push(event["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if event["type"] == "error" || event["type"] == "assert" => {
                self.errors.push(event["args"].to_string());
            }
            "Log.entryAdded" if event["entry"]["level"] == "error" => {
                self.errors.push(format!("{} ({})", event["entry"]["text"], event["entry"]["url"]));
            }
            "Inspector.targetCrashed" => panic!("{what}: the page crashed"),
            "Fetch.requestPaused" => self.held.push_back(event["requestId"].clone()),
            _ => {}
        }
        message
    }
}
