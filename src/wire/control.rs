//! The talk on the sync port: how a member joins, says that it is ready, is told to start, and says that it is done.
//!
//! One JSON object a message. A member always has one request under way; the forwarder answers at once when
//! there is news and otherwise within [`HOLD_MILLIS`], so that each knows that the other is alive.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::header::VERSION;

/// The forwarder holds a request for at most this long before it answers that there is no news.
pub const HOLD_MILLIS: u64 = 1000;
/// Longest request, in bytes.
pub const MAX_REQUEST: usize = 64 << 10;
/// Most members that a request names: so many fit into it.
pub const MAX_TOLD: usize = 400;
/// Longest reply, in bytes: enough for the member list of the largest group.
pub const MAX_REPLY: usize = 2 << 20;

/// A run's number as messages carry it: sixteen hexadecimal digits.
#[must_use]
pub fn run_as_text(run: u64) -> String {
    format!("{run:016x}")
}

/// The run's number that a message carries.
#[must_use]
pub fn run_from_text(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// What a process is to the group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Multicasts and delivers.
    Client,
    /// Numbers what clients multicast.
    Sequencer,
    /// Takes the place of a sequencer that is lost.
    Standby,
    /// Carries what members send to one another.
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

/// Who asks. The same in every request of a process, but for the incarnation, which it learns when it joins.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The group; empty from processes that serve every group.
    pub group: String,
    /// The member's name.
    pub id: String,
    /// What it is to the group.
    pub role: Role,
    /// Different for each process, so that two processes with one name are told apart.
    pub nonce: u64,
    /// The how-manieth process of this name in this run; 0 until the forwarder has said so.
    pub incarnation: u32,
    /// The value of `--order`; empty where the role does not choose one.
    pub order: String,
    /// The value of `--method`; empty for an order that has none.
    pub method: String,
    /// Whether it can take the place of a sequencer that is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_sequence: bool,
    /// Whether it joins a group that may be running already: nobody waits for it with the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// A request of a member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    /// The protocol version.
    pub v: u8,
    /// Rises with each request of a process; the reply carries it back.
    pub seq: u64,
    /// Who asks.
    #[serde(flatten)]
    pub who: Identity,
    /// What it asks.
    #[serde(flatten)]
    pub ask: Ask,
    /// How far it is, from a member of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Whether the member is not ready because it has not reached a router.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_router: bool,
    /// The forwarders that a member names which has not started, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<String>,
    /// How many [`Say::Seated`] seats it has been told by this forwarder, from a member of a run that wants to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<u32>,
}

/// How far a member of a run is, for those who watch.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The number of its view.
    pub view: u64,
    /// The slot of who numbers in that view or, where nobody does, of the client that comes first in an election.
    pub leader: u16,
    /// How many multicasts were delivered to it.
    pub delivered: u64,
    /// How many batches it holds back.
    pub held: u64,
}

/// What a member asks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// May I take part?
    Join,
    /// My way out and in works: may I start?
    Ready,
    /// I am at work: is there news?
    Alive,
    /// I have everything that all have sent: is it over?
    Done {
        /// The number of my view.
        view: u64,
        /// The slots of its clients.
        clients: Vec<u16>,
    },
    /// I am in a run that another forwarder began: pass on its packets, and watch over it.
    Resume {
        /// The run's number, [as text](run_as_text).
        run: String,
        /// My slot in it.
        slot: u16,
        /// Who takes part, myself included; empty if I have not been told to start: have you been told of it?
        #[serde(default)]
        members: Vec<Seat>,
    },
    /// I join at another forwarder, unless you have started me already.
    Withdraw,
    /// I know that the run is over, from you or from another forwarder.
    Over {
        /// The run's number, [as text](run_as_text).
        run: String,
    },
    /// I must leave before the end.
    Leave {
        /// The exit code I leave with.
        code: u8,
        /// Why, for people.
        reason: String,
    },
    /// I serve every group (router, sequencer): which are there, and is it over?
    Attend,
    /// Who is there? From anybody, about one group or, with an empty name, about all.
    Members {
        /// How many rows are known already.
        skip: u32,
    },
}

/// The forwarder's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reply {
    /// The protocol version.
    pub v: u8,
    /// That of the request.
    pub seq: u64,
    /// What it says.
    #[serde(flatten)]
    pub say: Say,
}

/// What the forwarder answers.
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
    },
    /// Join: no.
    Refused {
        /// The exit code that this means.
        code: u8,
        /// Why, for people.
        reason: String,
    },
    /// No news; these are still missing.
    Wait {
        /// Whom the group waits for, for people.
        missing: Vec<String>,
        /// When the forwarder gives up, in milliseconds; absent if it never does.
        #[serde(skip_serializing_if = "Option::is_none")]
        gives_up_in_ms: Option<u64>,
    },
    /// Ready: everybody is. This is view 1.
    Start {
        /// The run's number, [as text](run_as_text).
        run: String,
        /// Every process of the group.
        members: Vec<Seat>,
    },
    /// To a member of a run that has said how many seats it was told: these are the next that were given to processes
    /// that come into the run.
    Seated {
        /// The seats.
        members: Vec<Seat>,
    },
    /// Alive: no news.
    CarryOn,
    /// Alive, ready, done: I do not know you. If you are in a run, resume it; if you are not, join.
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
    /// The run is over: everybody has everything.
    End,
    /// The run is over before its end.
    Abort {
        /// The exit code that this means.
        code: u8,
        /// Why, for people.
        reason: String,
    },
    /// Leave, withdraw, over: noted.
    Bye,
}

/// One process in the member list.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Seat {
    /// Its slot: how packets name it.
    pub slot: u16,
    /// Its name.
    pub id: String,
    /// Its incarnation.
    pub incarnation: u32,
    /// What it is to the group.
    pub role: Role,
    /// Whether it can take the place of a sequencer that is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_sequence: bool,
    /// Whether it came for a group that may be running: it is in a view when the members have taken it in.
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

/// One group, for those who watch.
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
    /// How far it is.
    pub stage: Stage,
    /// The newest view that a member has told of.
    pub view: Option<u64>,
    /// The name of who numbers in it or, where nobody does, leads it.
    pub leader: Option<String>,
    /// What its start waits for, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Its members.
    pub members: Vec<MemberState>,
}

/// One member, for those who watch.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemberState {
    /// Its name.
    pub id: String,
    /// What it is to the group.
    pub role: Role,
    /// Its incarnation.
    pub incarnation: u32,
    /// How far it is.
    pub stage: Stage,
    /// When the forwarder last heard of it: so many milliseconds ago.
    pub heard_ms: u64,
    /// What it has told of itself last.
    pub status: Option<Status>,
}

/// How far a group is, or a member.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A group whose members come.
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
    /// Whether `start` is an answer to this.
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
    /// A request in this build's protocol version.
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
        }
    }

    /// The request as it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always have a JSON form")
    }
}

impl Reply {
    /// A reply in this build's protocol version.
    #[must_use]
    pub const fn new(seq: u64, say: Say) -> Self {
        Self { v: VERSION, seq, say }
    }

    /// The reply as it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always have a JSON form")
    }
}

/// The request in these bytes.
///
/// # Errors
/// The protocol version of a request of another version; `None` for what is no request at all.
pub fn read_request(bytes: &[u8]) -> Result<Request, Option<u64>> {
    read(bytes, MAX_REQUEST, |request: &Request| request.v)
}

/// The reply in these bytes.
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
