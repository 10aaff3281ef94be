//! The desk: the bounded queue of requests from the thread of the web to that of the member, and their answers.

use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::chat::place::OperationId;
use crate::chat::view::Part;
use crate::transport::wakeup::Waker;

/// Most requests that wait at the desk.
const MOST_WAITING: usize = 1024;
/// Most events that wait for one socket.
const MOST_EVENTS: usize = 1000;

/// The time for which a server that lacks what a client has seen waits for it.
const CATCH_UP: Duration = Duration::from_secs(2);
/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The reason of a refusal: the server ends.
pub(super) const ENDS: &str = "the server ends: go on at another one";

/// A command of a client: it becomes an operation.
#[derive(Debug)]
pub(super) enum Command {
    Session { user: String, client: String },
    Logout(OfSession),
    Join(OfGroup),
    Leave(OfGroup),
    Post { session: String, group: String, n: u64, text: String },
    Like { session: String, id: String, on: bool },
    Read { session: String, group: String, number: u64 },
}

/// The body of a command with nothing but a session.
#[derive(Debug, Deserialize)]
pub(super) struct OfSession {
    pub(super) session: String,
}

/// The body of a command about a group.
#[derive(Debug, Deserialize)]
pub(super) struct OfGroup {
    pub(super) session: String,
    pub(super) group: String,
}

/// A question of a client.
#[derive(Debug)]
pub(super) enum Question {
    History { group: String, part: Part, limit: usize, lacks: u64 },
    Groups { session: Option<String> },
    View,
    Health,
    Metrics,
}

/// A request for events.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) group: Option<String>,
    pub(super) after: u64,
    pub(super) session: Option<String>,
    pub(super) lacks: u64,
    pub(super) events: mpsc::Sender<Utf8Bytes>,
}

/// A refusal: the status of HTTP, and the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// The body of an answer, mostly JSON, or a refusal.
pub(super) type Answer = Result<String, Refusal>;
/// The way of an answer. A client may be gone.
pub(super) type Reply = oneshot::Sender<Answer>;

/// A request.
#[derive(Debug)]
pub(super) enum Request {
    /// Commands of one client. After one that is refused, the others are refused, too.
    Commands(Vec<(Command, Reply)>),
    Question(Question, Reply),
    /// A question for the number of multicasts that the server lacks, up to a number of each of these servers.
    Lacks(Vec<(String, u64)>, oneshot::Sender<u64>),
    Subscribe(Subscription),
}

/// The side of the web.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    requests: mpsc::Sender<Request>,
    waker: Waker,
}

/// The side of the member.
pub(super) type Requests = mpsc::Receiver<Request>;

/// Returns the two sides. `waker` wakes the member.
pub(super) fn desk(waker: Waker) -> (Desk, Requests) {
    let (requests, received) = mpsc::channel(MOST_WAITING);
    (Desk { requests, waker }, received)
}

impl Desk {
    /// Asks the member a question.
    pub(super) async fn ask(&self, question: Question) -> Answer {
        self.answered(|reply| Request::Question(question, reply)).await
    }

    /// Gives the member a command. The answer comes when its operation is stored.
    pub(super) async fn command(&self, command: Command) -> Answer {
        self.answered(|reply| Request::Commands(vec![(command, reply)])).await
    }

    /// Gives the member commands of one client, which are done in their order up to the first that is refused. Returns the
    /// answers up to there, or the refusal of the first.
    pub(super) async fn commands(&self, commands: Vec<Command>) -> Result<Vec<String>, Refusal> {
        let with_reply = |command| {
            let (reply, answer) = oneshot::channel();
            ((command, reply), answer)
        };
        let (commands, answers): (Vec<_>, Vec<_>) = commands.into_iter().map(with_reply).unzip();
        self.send(Request::Commands(commands))?;
        let mut done = Vec::new();
        for answer in answers {
            match awaited(answer).await {
                Ok(answer) => done.push(answer),
                Err(refusal) if done.is_empty() => return Err(refusal),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Asks for events. Returns them, the first ones at once; it ends if the client does not read them.
    pub(super) fn subscribe(
        &self,
        group: Option<String>,
        after: u64,
        session: Option<String>,
        lacks: u64,
    ) -> Result<mpsc::Receiver<Utf8Bytes>, Refusal> {
        let (events, received) = mpsc::channel(MOST_EVENTS);
        self.send(Request::Subscribe(Subscription { group, after, session, lacks, events }))?;
        Ok(received)
    }

    async fn answered(&self, request: impl FnOnce(Reply) -> Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply))?;
        awaited(answer).await
    }

    /// Waits a while for what a client has seen, a list of ids like `s1-17,s2-9`. Returns how many multicasts are lacking
    /// then.
    pub(super) async fn catch_up(&self, seen: &str) -> Result<u64, Refusal> {
        let ids = seen.split(',').filter(|id| !id.is_empty()).map(|id| {
            let (server, number) = OperationId::split(id).ok_or_else(|| {
                Refusal::new(400, format!("cannot read seen: {id:?} is no id of a post like s1-17"))
            })?;
            Ok((server.to_owned(), number))
        });
        let seen = ids.collect::<Result<Vec<_>, Refusal>>()?;
        let mut waited = Duration::ZERO;
        loop {
            let lacks = if seen.is_empty() { 0 } else { self.lacks(seen.clone()).await? };
            if lacks == 0 || waited >= CATCH_UP {
                return Ok(lacks);
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    async fn lacks(&self, seen: Vec<(String, u64)>) -> Result<u64, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Lacks(seen, reply))?;
        answer.await.map_err(|_| Refusal::new(503, ENDS))
    }

    fn send(&self, request: Request) -> Result<(), Refusal> {
        let sent = self.requests.try_send(request);
        sent.map_err(|_| Refusal::new(503, "the server is busy: try again in a moment"))?;
        self.waker.wake();
        Ok(())
    }
}

/// Waits for an answer. A member that ends gives none.
async fn awaited(answer: oneshot::Receiver<Answer>) -> Answer {
    answer.await.unwrap_or_else(|_| Err(Refusal::new(503, ENDS)))
}
