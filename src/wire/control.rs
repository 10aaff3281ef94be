//! The messages on the sync port, by which a member joins, reports that it is ready, is started, and reports that it is
//! done.
//!
//! Each message is a JSON object. A member always has one request under way; the forwarder answers at once when there
//! is news and otherwise within [`HOLD_MILLIS`], so that each knows that the other is alive.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::header::VERSION;

/// Longest time for which the forwarder holds a request before it answers that there is no news.
pub const HOLD_MILLIS: u64 = 1000;
/// Longest request, in bytes.
pub const MAX_REQUEST: usize = 64 << 10;
/// Most members in a request: so many fit into it.
pub const MAX_TOLD: usize = 400;
/// Longest reply, in bytes: enough for the member list of the largest group.
pub const MAX_REPLY: usize = 2 << 20;

/// Returns whether a port is none, and stands in no message.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// Returns a run number as messages carry it: sixteen hexadecimal digits.
#[must_use]
pub fn run_as_text(run: u64) -> String {
    format!("{run:016x}")
}

/// Returns the run number that a message carries.
#[must_use]
pub fn run_from_text(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The role of a process in the group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Multicasts and delivers.
    Client,
    /// Numbers the messages of the clients.
    Sequencer,
    /// Takes the place of a sequencer that is lost.
    Standby,
    /// Carries packets from one member to one other.
    Router,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Sequencer => "sequencer",
            Self::Standby => "standby",
            Self::Router => "router",
        })
    }
}

/// The identity of a process. The same in all its requests, but for the incarnation, which it learns when it joins.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The group; empty from processes that serve every group.
    pub group: String,
    /// The member id.
    pub id: String,
    /// Its role.
    pub role: Role,
    /// Different for each process, so that two processes with one id are told apart.
    pub nonce: u64,
    /// Its incarnation; 0 until the forwarder has assigned it.
    pub incarnation: u32,
    /// The value of `--order`; empty where the role does not choose one.
    pub order: String,
    /// The value of `--method`; empty for an order that has none.
    pub method: String,
    /// The value of `--reliability`; empty for the default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reliability: String,
    /// Whether it can become the sequencer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_sequence: bool,
    /// Whether it may join a running group; the start does not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

impl Identity {
    /// Returns the identity of a process that names no order, and joins no running group.
    #[must_use]
    pub fn new(group: &str, id: &str, role: Role, nonce: u64) -> Self {
        Self {
            group: group.to_owned(),
            id: id.to_owned(),
            role,
            nonce,
            incarnation: 0,
            order: String::new(),
            method: String::new(),
            reliability: String::new(),
            can_sequence: false,
            late: false,
        }
    }
}

/// A request of a member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    /// The protocol version.
    pub v: u8,
    /// Rises with each request of a process; the reply carries it back.
    pub seq: u64,
    /// The sender.
    #[serde(flatten)]
    pub who: Identity,
    /// The request itself.
    #[serde(flatten)]
    pub ask: Ask,
    /// The progress of the sender, if it is a member of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Whether the member is not ready because it has not reached a router.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_router: bool,
    /// The forwarders of a member that has not started, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<String>,
    /// The number of [`Say::Seated`] seats that it has received from this forwarder, if it wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<u32>,
    /// Of a client that delivers texts of authors: whether it multicasts them now, because it sends messages of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posts: Option<bool>,
    /// The news since the last request of texts that this forwarder has handed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
    /// Of a sequencer that joins, and that keeps a log of its group: the end of the log. Of a member that resumes a run
    /// with a log: the place at which the run began, and no lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogHead>,
}

/// The end of a log, from which a run goes on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogHead {
    /// The number of the log, [as text](run_as_text).
    pub run: String,
    /// The place of its last message; 0 of an empty log.
    pub place: u64,
    /// The newest incarnation of each client that has messages in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lives: BTreeMap<String, u32>,
}

/// The log of a run, as members learn of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogStart {
    /// The number of the log, [as text](run_as_text).
    pub run: String,
    /// The place of the last message that was in it at the start.
    pub place: u64,
}

/// A text that somebody who is no member sends to the group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Post {
    /// The name of its author.
    pub author: String,
    /// The nonce of the process that posts.
    pub key: u64,
    /// The number of the text among those of this process, from 1.
    pub number: u64,
    /// The text.
    pub text: String,
    /// The slots of members that may have multicast it: this one does so only in a view without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<u16>,
    /// Whether any member may have multicast it, so that a member that joined late does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// The outcome of a text at a member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// The nonce of the process that posts.
    pub key: u64,
    /// The number of the text.
    pub number: u64,
    /// The message that the member delivered, like `c1/1/7`; absent if it does not multicast the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The progress of a member of a run, for `groupcast members`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The number of its view.
    pub view: u64,
    /// The slot of the sequencer of that view or, in an order without one, of the first client in an election.
    pub leader: u16,
    /// The number of multicasts delivered to it.
    pub delivered: u64,
    /// The number of batches in its hold-back queue.
    pub held: u64,
    /// Whether its short packets pass the door of the sequencer, instead of the forwarder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_door: bool,
}

/// A request to the forwarder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Request to join.
    Join,
    /// Its packets come back through the forwarder, so it may start.
    Ready,
    /// It is running and asks for news.
    Alive,
    /// It has delivered everything, and asks whether the run is over.
    Done {
        /// The number of its view.
        view: u64,
        /// The slots of its clients.
        clients: Vec<u16>,
    },
    /// It is in a run that another forwarder began: serve that run, and watch over it.
    Resume {
        /// The run's number, [as text](run_as_text).
        run: String,
        /// Its slot in the run.
        slot: u16,
        /// The members, itself included; empty if it has not been started, and asks whether the run is known here.
        #[serde(default)]
        members: Vec<Seat>,
    },
    /// It joins at another forwarder, unless it has been started here already.
    Withdraw,
    /// It knows that the run is over, from this forwarder or another one.
    Over {
        /// The run's number, [as text](run_as_text).
        run: String,
    },
    /// It has to leave before the end.
    Leave {
        /// Its exit code.
        code: u8,
        /// The reason, for people.
        reason: String,
    },
    /// It serves every group (router, sequencer), and asks for all groups and whether they are over.
    Attend,
    /// Request of any process, whose id is the author's name and whose nonce its key, to multicast a text in the group.
    Post {
        /// The number of the text among those of this process, from 1.
        number: u64,
        /// The text, at most [`MAX_POSTED`](super::batch::MAX_POSTED) bytes.
        text: String,
        /// Whether another forwarder, or an earlier process here, may have handed it to a member.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// Request of any process for the members of one group or, with an empty name, of all.
    Members {
        /// The number of rows that it has already.
        skip: u32,
    },
}

/// The forwarder's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reply {
    /// The protocol version.
    pub v: u8,
    /// The `seq` of the request.
    pub seq: u64,
    /// The answer itself.
    #[serde(flatten)]
    pub say: Say,
}

/// An answer of the forwarder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Say {
    /// Join: yes.
    Welcome {
        /// The run's number, [as text](run_as_text).
        run: String,
        /// The member's slot.
        slot: u16,
        /// The member's incarnation.
        incarnation: u32,
        /// The first port on which the forwarder listens; 0 if it has several. A member that connects to another one
        /// comes by way of something in between.
        #[serde(default, skip_serializing_if = "is_zero")]
        port_base: u16,
    },
    /// Join: no.
    Refused {
        /// The exit code that this means.
        code: u8,
        /// The reason, for people.
        reason: String,
    },
    /// No news; these are still missing.
    Wait {
        /// The missing processes, for people.
        missing: Vec<String>,
        /// The time until the forwarder gives up, in milliseconds; absent if it never does.
        #[serde(skip_serializing_if = "Option::is_none")]
        gives_up_in_ms: Option<u64>,
    },
    /// Ready: all members are, and view 1 begins.
    Start {
        /// The run's number, [as text](run_as_text).
        run: String,
        /// Every process of the group.
        members: Vec<Seat>,
        /// The log of its sequencer, if it keeps one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<LogStart>,
    },
    /// To a member that has sent [`Request::told`]: the next seats that were given to processes that join the run.
    Seated {
        /// The seats.
        members: Vec<Seat>,
    },
    /// Alive: no news.
    CarryOn,
    /// Alive, ready, done: the process is unknown here. It should resume its run or, without one, join.
    Unknown,
    /// Attend: the groups that are being served now.
    Groups {
        /// Their names with their orders.
        groups: Vec<GroupEntry>,
    },
    /// Members: these, or a part of them.
    Members {
        /// The groups, each with its members.
        groups: Vec<GroupState>,
        /// Whether there are more rows than fit into an answer.
        more: bool,
    },
    /// To a member that [multicasts texts of authors](Request::posts): the next ones.
    Posts {
        /// The texts.
        posts: Vec<Post>,
    },
    /// Post: a member has delivered the text.
    Posted {
        /// The message, like `c1/1/7`.
        id: String,
    },
    /// The run is over, and all members have everything.
    End,
    /// The run is over before its end.
    Abort {
        /// The exit code that this means.
        code: u8,
        /// The reason, for people.
        reason: String,
    },
    /// Leave, withdraw, over: noted.
    Bye,
}

/// One process in the member list.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Seat {
    /// The slot by which packets name it.
    pub slot: u16,
    /// Its id.
    pub id: String,
    /// Its incarnation.
    pub incarnation: u32,
    /// Its role.
    pub role: Role,
    /// Whether it can become the sequencer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_sequence: bool,
    /// Whether it came to join a running group: it is in a view once the members have taken it in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// One group that is being served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupEntry {
    /// Its name.
    pub group: String,
    /// The number of its run, [as text](run_as_text).
    pub run: String,
    /// Its order.
    pub order: String,
    /// Its method; empty if the order has none.
    pub method: String,
}

/// One group, for `groupcast members`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupState {
    /// Its name.
    pub group: String,
    /// The number of its run, [as text](run_as_text).
    pub run: String,
    /// Its order.
    pub order: String,
    /// Its method; empty if the order has none.
    pub method: String,
    /// Its reliability; empty for the default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reliability: String,
    /// Its stage.
    pub stage: Stage,
    /// The newest view that a member has reported.
    pub view: Option<u64>,
    /// The id of its sequencer or, in an order without one, of the first client in an election.
    pub leader: Option<String>,
    /// The processes and conditions for which its start waits, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Its members.
    pub members: Vec<MemberState>,
}

/// One member, for `groupcast members`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemberState {
    /// Its id.
    pub id: String,
    /// Its role.
    pub role: Role,
    /// Its incarnation.
    pub incarnation: u32,
    /// Its stage.
    pub stage: Stage,
    /// The time since the forwarder last heard it, in milliseconds.
    pub heard_ms: u64,
    /// The last progress that it reported.
    pub status: Option<Status>,
}

/// The stage of a group or a member.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A group that waits for members before its start.
    Gathering,
    /// A member that is not ready yet.
    Joined,
    /// A member that may start.
    Ready,
    /// The run has started.
    Running,
    /// A client that has everything.
    Done,
    /// A member whose connection has closed, and which may come back.
    Gone,
    /// The run is over.
    Over,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gathering => "gathering",
            Self::Joined => "joined",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Gone => "gone",
            Self::Over => "over",
        })
    }
}

impl Ask {
    /// Returns whether `start` is an answer to this request.
    #[must_use]
    pub const fn wants_start(&self) -> bool {
        match self {
            Self::Ready | Self::Withdraw => true,
            Self::Resume { members, .. } => members.is_empty(),
            _ => false,
        }
    }
}

impl Request {
    /// Returns a request in this build's protocol version.
    #[must_use]
    pub const fn new(seq: u64, who: Identity, ask: Ask) -> Self {
        Self {
            v: VERSION,
            seq,
            who,
            ask,
            status: None,
            awaits_router: false,
            connect: Vec::new(),
            told: None,
            posts: None,
            receipts: Vec::new(),
            log: None,
        }
    }

    /// Returns the request as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always have a JSON form")
    }
}

impl Reply {
    /// Returns a reply in this build's protocol version.
    #[must_use]
    pub const fn new(seq: u64, say: Say) -> Self {
        Self { v: VERSION, seq, say }
    }

    /// Returns the reply as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always have a JSON form")
    }
}

/// Reads a request.
///
/// # Errors
/// The protocol version of a request of another version; `None` for anything that is not a request.
pub fn read_request(bytes: &[u8]) -> Result<Request, Option<u64>> {
    read(bytes, MAX_REQUEST, |request: &Request| request.v)
}

/// Reads a reply.
///
/// # Errors
/// As [`read_request`].
pub fn read_reply(bytes: &[u8]) -> Result<Reply, Option<u64>> {
    read(bytes, MAX_REPLY, |reply: &Reply| reply.v)
}

fn read<T: DeserializeOwned>(bytes: &[u8], limit: usize, version: fn(&T) -> u8) -> Result<T, Option<u64>> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u64,
    }
    if bytes.len() > limit {
        return Err(None);
    }
    match serde_json::from_slice::<T>(bytes) {
        Ok(message) if version(&message) == VERSION => Ok(message),
        _ => {
            let theirs = serde_json::from_slice::<Versioned>(bytes).ok().map(|any| any.v);
            Err(theirs.filter(|&v| v != u64::from(VERSION)))
        }
    }
}
