//! Station 10: the schema of a history, for its writers and its readers: one event on each line, in JSON.
//!
//! A reader skips unknown fields, because later versions of this program may write more. It refuses an unknown event,
//! because it might be a delivery, and then no verdict would be sound.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::authored::Authored;

/// The version of the format, in every line.
pub(super) const VERSION: u64 = 1;

/// The names of all events.
pub(super) const EVENTS: [&str; 16] = [
    "start",
    "multicast",
    "deliver",
    "send",
    "receive",
    "undeliverable",
    "view",
    "end",
    "arrive",
    "wait",
    "stored",
    "insert",
    "confirm",
    "withdraw",
    "recover",
    "epoch",
];

/// The names of the counts in an end.
const COUNTS: [&str; 5] = ["multicasts", "delivered", "sent", "received", "undeliverable"];

/// A message: its sender, the sender's incarnation, and its number, from 1. It prints as `c1/1/7`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageId<'a> {
    /// The sender's id.
    pub member: &'a str,
    /// The sender's incarnation.
    pub incarnation: u32,
    /// The message number.
    pub number: u64,
}

/// The start of a run of one client.
#[derive(Clone, Debug, Serialize)]
pub struct Start<'a> {
    /// The client's id.
    pub member: &'a str,
    /// The client's incarnation.
    pub incarnation: u32,
    /// The group.
    pub group: &'a str,
    /// All groups of a client that has several, the first one first; then its other events name their group.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub groups: Cow<'a, [&'a str]>,
    /// The value of `--order`.
    pub order: &'a str,
    /// The value of `--method`, where the order has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    /// The number of the log of the group's sequencer, if it keeps one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<&'a str>,
    /// The members of view 1.
    pub members: Cow<'a, [&'a str]>,
    /// The time, in microseconds since the run began.
    pub time_us: u64,
}

/// An event of a history. The order of the fields is the order in the file.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum HistoryEvent<'a> {
    Start(Start<'a>),
    View {
        number: u64,
        members: Cow<'a, [&'a str]>,
        time_us: u64,
    },
    Multicast {
        id: MessageId<'a>,
        #[serde(flatten, serialize_with = "write_text")]
        text: Cow<'a, [u8]>,
        time_us: u64,
        #[serde(flatten)]
        author: Option<Authored<'a>>,
    },
    Deliver {
        id: MessageId<'a>,
        #[serde(flatten, serialize_with = "write_text")]
        text: Cow<'a, [u8]>,
        time_us: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// The epoch of the number, which no version of this program has written so far.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        #[serde(flatten)]
        author: Option<Authored<'a>>,
        /// Whether the text of this author was delivered before: this copy is in no result file.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        doubled: bool,
    },
    Arrive {
        id: MessageId<'a>,
        time_us: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        clock: Option<&'a Clock>,
    },
    Wait {
        id: MessageId<'a>,
        #[serde(flatten)]
        reason: Cow<'a, Reason>,
        time_us: u64,
    },
    Send {
        id: MessageId<'a>,
        to: &'a str,
        #[serde(flatten, serialize_with = "write_text")]
        text: Cow<'a, [u8]>,
        time_us: u64,
    },
    Receive {
        id: MessageId<'a>,
        from: &'a str,
        #[serde(flatten, serialize_with = "write_text")]
        text: Cow<'a, [u8]>,
        time_us: u64,
    },
    Undeliverable {
        id: MessageId<'a>,
        to: &'a str,
        reason: &'a str,
        time_us: u64,
    },
    /// A member of a cluster has stored a message of its own.
    Stored {
        id: MessageId<'a>,
        time_us: u64,
    },
    /// A member of a cluster shows a message at its place in the order.
    Insert {
        id: MessageId<'a>,
        #[serde(flatten, serialize_with = "write_text")]
        text: Cow<'a, [u8]>,
        /// The Lamport time and the slot of the sender.
        at: (u64, u16),
        /// For each member, the number of its messages that the sender had shown.
        deps: Cow<'a, [u64]>,
        time_us: u64,
    },
    /// The next `count` messages of the list of a member of a cluster are final, up to a place.
    Confirm {
        upto: (u64, u16),
        /// The confirmed number of the first of them.
        number: u64,
        count: u64,
        digest: Digest,
        time_us: u64,
    },
    /// A message of a removed member of a cluster will never be confirmed.
    Withdraw {
        id: MessageId<'a>,
        time_us: u64,
    },
    /// A new list of the members of a cluster. The last member was added, if none was removed.
    Epoch {
        number: u64,
        members: Cow<'a, [&'a str]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        removed: Option<&'a str>,
        time_us: u64,
    },
    /// The journal gave back the entries and the confirmed messages of earlier lives.
    Recover {
        entries: u64,
        confirmed: u64,
        time_us: u64,
        /// The same moment by the calendar, in microseconds since 1970.
        #[serde(skip_serializing_if = "Option::is_none")]
        calendar_us: Option<u64>,
    },
    End {
        reason: &'a str,
        /// The client's counts, in the order of [`COUNTS`]. A history of another program may lack some.
        #[serde(flatten, serialize_with = "write_counts")]
        counts: [Option<u64>; 5],
        time_us: u64,
    },
}

/// The chained digest of everything that is confirmed. It is written in hexadecimal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Digest(pub(crate) u64);

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

/// The clock of a member: a number, or a count of messages for each member.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Clock {
    Lamport(u64),
    Vector(BTreeMap<String, u64>),
}

/// The reason why a message waits.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Reason {
    /// The kind of reason: `earlier`, `cause`, `number`, …
    pub(crate) r#for: String,
    /// The global number that must be delivered first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<u64>,
    /// The messages that must be delivered first, like `c1/1/7` or `c1/1/7-9`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) messages: Vec<String>,
    /// The members from which a packet must arrive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<String>,
}

impl HistoryEvent<'_> {
    /// Appends the event as a line, without its end, with the group of a client that has several.
    pub(super) fn write(&self, line: &mut Vec<u8>, group: Option<&str>) {
        // A start names its group in any case.
        let group = group.filter(|_| !matches!(self, Self::Start(_)));
        #[derive(Serialize)]
        struct Line<'e, 'a> {
            v: u64,
            #[serde(flatten)]
            event: &'e HistoryEvent<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            group: Option<&'e str>,
        }
        serde_json::to_writer(line, &Line { v: VERSION, event: self, group })
            .expect("memory takes every event");
    }
}

/// Writes a text as JSON can hold it: as `text`, or as `text_b64` if it is not UTF-8.
fn write_text<S: Serializer>(text: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_map(Some(1))?;
    match std::str::from_utf8(text.as_ref()) {
        Ok(text) => fields.serialize_entry("text", text)?,
        Err(_) => {
            let encoded = Base64Display::<GeneralPurpose>::new(text.as_ref(), &STANDARD);
            fields.serialize_entry("text_b64", &format_args!("{encoded}"))?;
        }
    }
    fields.end()
}

fn write_counts<S: Serializer>(counts: &[Option<u64>; 5], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(COUNTS.iter().zip(counts))
}

impl fmt::Display for MessageId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.member, self.incarnation, self.number)
    }
}

impl Serialize for MessageId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'a> MessageId<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '/');
        let number = digits(parts.next()?)?;
        let incarnation = u32::try_from(digits(parts.next()?)?).ok()?;
        let member = parts.next().filter(|member| !member.is_empty())?;
        Some(Self { member, incarnation, number })
    }
}

/// Parses a number that consists of digits alone.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lamport(time) => write!(f, "{time}"),
            Self::Vector(counts) => {
                let counts: Vec<String> =
                    counts.iter().map(|(member, count)| format!("{member} {count}")).collect();
                write!(f, "({})", counts.join(", "))
            }
        }
    }
}
