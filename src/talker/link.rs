//! A session at one server: commands in their order, questions beside them, and the events of a group.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde_json::{Value, json};

use super::server::{Server, Trouble, encoded};
use super::socket::{Heard, Socket};
use super::told::{Groups, View};
use crate::transport::wakeup::Waker;

/// Most requests that wait in each of the two queues.
const MOST_ASKED: usize = 32;

/// The purpose of a request, for its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Stores the posts with these numbers of ours.
    Post(Vec<u64>),
    Like {
        name: String,
        on: bool,
    },
    /// Looks for the post with this number, to like it or not.
    Find {
        number: u64,
        on: bool,
    },
    Join(String),
    Leave(String),
    /// Shows the last posts of the group for the first time.
    Begin(String),
    /// Shows the last posts once more.
    History,
    /// Takes the confirmed posts above the cursor.
    Pull,
    Groups,
    Members,
    View,
    LogOut,
    /// Needs no answer.
    Nothing,
}

impl Purpose {
    /// Returns the end of "cannot …".
    pub(super) fn verb(&self) -> String {
        match self {
            Self::Post(_) => "post".to_owned(),
            Self::Like { name, on: true } => format!("like {name}"),
            Self::Like { name, on: false } => format!("unlike {name}"),
            Self::Find { number, .. } => format!("find #{number}"),
            Self::Join(group) | Self::Begin(group) => format!("join {group}"),
            Self::Leave(group) => format!("leave {group}"),
            Self::History | Self::Pull => "read the history".to_owned(),
            Self::Groups | Self::Members => "list the groups".to_owned(),
            Self::View => "see the servers".to_owned(),
            Self::LogOut => "end the session".to_owned(),
            Self::Nothing => "tell what was read".to_owned(),
        }
    }

    /// Returns whether the request changes something and is told to no other server by itself.
    const fn is_to_be_repeated(&self) -> bool {
        matches!(self, Self::Like { .. } | Self::Leave(_))
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) purpose: Purpose,
    pub(super) path: String,
    /// The body, without the session.
    pub(super) body: Option<Value>,
}

impl Ask {
    /// Returns a command.
    pub(super) fn command(purpose: Purpose, path: &str, body: Value) -> Self {
        Self { purpose, path: format!("/api/{path}"), body: Some(body) }
    }

    /// Returns the command to join a group. Its answer says in `new` whether the group was not there.
    pub(super) fn join(group: &str) -> Self {
        Self::command(Purpose::Join(group.to_owned()), "join", json!({ "group": group }))
    }

    /// Returns the command to leave a group. It is refused if the user is not in it.
    pub(super) fn leave(group: &str) -> Self {
        Self::command(Purpose::Leave(group.to_owned()), "leave", json!({ "group": group }))
    }

    /// Returns a question.
    pub(super) fn question(purpose: Purpose, path: &str) -> Self {
        Self { purpose, path: format!("/api/{path}"), body: None }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) purpose: Purpose,
    pub(super) outcome: Result<Value, Trouble>,
}

/// A session that has begun.
#[derive(Debug)]
pub(super) struct Opened {
    server: Server,
    session: String,
    pub(super) view: View,
    /// The joined groups that were not there.
    pub(super) new_groups: Vec<String>,
}

/// Begins a session and joins the groups again. Waits for the server.
///
/// # Errors
/// "cannot …: cause".
pub(super) fn open(server: Server, user: &str, client: &str, groups: &[String]) -> Result<Opened, String> {
    let name = server.address().to_owned();
    let view: View =
        server.ask("/api/view", None).map_err(|trouble| format!("cannot reach {name}: {}", trouble.why()))?;
    let name = view.server.clone();
    let body = json!({"user": user, "client": client});
    let begun: Value = server
        .ask("/api/session", Some(&body))
        .map_err(|trouble| format!("cannot begin a session at {name}: {}", trouble.why()))?;
    let session = begun["session"].as_str().unwrap_or_default().to_owned();
    let mut new_groups = Vec::new();
    for group in groups {
        let answer = perform(&server, &session, &Ask::join(group)).map_err(|trouble| {
            // Nobody is to take the user for present. A server that is lost ends the session by itself.
            let _ = server.ask::<Value>("/api/logout", Some(&json!({ "session": session })));
            format!("cannot join {group} at {name}: {}", trouble.why())
        })?;
        new_groups.extend((answer["new"] == true).then(|| group.clone()));
    }
    Ok(Opened { server, session, view, new_groups })
}

/// Does a request. The answer to a join or a leave tells nothing of the group, so the client asks for the groups first.
fn perform(server: &Server, session: &str, ask: &Ask) -> Result<Value, Trouble> {
    let Some(mut body) = ask.body.clone() else { return server.ask(&ask.path, None) };
    let found = match &ask.purpose {
        Purpose::Join(group) | Purpose::Leave(group) => {
            let Groups { groups } = server.ask(&format!("/api/groups?session={}", encoded(session)), None)?;
            groups.into_iter().find(|known| known.group == *group)
        }
        _ => None,
    };
    if matches!((&ask.purpose, &found), (Purpose::Leave(_), Some(group)) if group.joined == Some(false)) {
        return Err(Trouble::Refused(409, "you are not in it".to_owned()));
    }
    body["session"] = json!(session);
    let answer = server.ask(&ask.path, Some(&body))?;
    Ok(if matches!(ask.purpose, Purpose::Join(_)) { json!({ "new": found.is_none() }) } else { answer })
}

/// A session at a server. Its threads end with it.
#[derive(Debug)]
pub(super) struct Link {
    /// The id of the server.
    pub(super) id: String,
    address: String,
    session: String,
    commands: SyncSender<Ask>,
    questions: SyncSender<Ask>,
    answers: Receiver<Answer>,
    /// The commands that are not answered and would be lost with the server.
    unanswered: VecDeque<Ask>,
    socket: Option<Socket>,
    waker: Waker,
}

impl Link {
    /// Takes a session over.
    pub(super) fn new(opened: Opened, waker: Waker) -> Self {
        let Opened { server, session, view, .. } = opened;
        let (sender, answers) = sync_channel(2 * MOST_ASKED);
        let lane = || {
            let (asked, asks) = sync_channel::<Ask>(MOST_ASKED);
            let (server, session) = (server.clone(), session.clone());
            let (sender, waker) = (sender.clone(), waker.clone());
            thread::spawn(move || {
                for ask in asks {
                    let outcome = perform(&server, &session, &ask);
                    // Nobody takes the last answer of a session.
                    let _ = sender.send(Answer { purpose: ask.purpose, outcome });
                    waker.wake();
                }
            });
            asked
        };
        let (commands, questions) = (lane(), lane());
        let address = server.address().to_owned();
        Self {
            id: view.server,
            address,
            session,
            commands,
            questions,
            answers,
            unanswered: VecDeque::new(),
            socket: None,
            waker,
        }
    }

    /// Sends a request. Returns false if too many wait.
    pub(super) fn ask(&mut self, ask: Ask) -> bool {
        let lane = if ask.body.is_some() { &self.commands } else { &self.questions };
        let is_sent = lane.try_send(ask.clone()).is_ok();
        if is_sent && ask.purpose.is_to_be_repeated() {
            self.unanswered.push_back(ask);
        }
        is_sent
    }

    /// Returns an answer that has come.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        if answer.purpose.is_to_be_repeated() && !matches!(answer.outcome, Err(Trouble::Lost(_))) {
            self.unanswered.pop_front();
        }
        Some(answer)
    }

    /// Returns the commands that another server has to be given.
    pub(super) fn unanswered(&mut self) -> Vec<Ask> {
        self.unanswered.drain(..).collect()
    }

    /// Follows a group, or none, from above a number on. `seen` has the last ids of each server.
    pub(super) fn follow(&mut self, group: Option<&str>, after: u64, seen: &str) {
        let mut path = format!("/ws?session={}&after={after}", encoded(&self.session));
        if let Some(group) = group {
            path += &format!("&group={}", encoded(group));
        }
        if !seen.is_empty() {
            path += &format!("&seen={}", encoded(seen));
        }
        // The old one ends first.
        self.socket = None;
        self.socket = Some(Socket::open(&self.address, &path, self.waker.clone()));
    }

    /// Returns what the socket has brought.
    pub(super) fn heard(&self) -> Option<Heard> {
        self.socket.as_ref()?.take()
    }

    /// Returns the session, for a question.
    pub(super) fn session(&self) -> String {
        encoded(&self.session)
    }

    /// Ends the session when everything before has been answered. Returns false if too much waits.
    pub(super) fn log_out(&mut self) -> bool {
        self.socket = None;
        self.ask(Ask::command(Purpose::LogOut, "logout", json!({})))
    }
}
