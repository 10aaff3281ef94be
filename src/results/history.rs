//! Station 10: the schema of a history, for its writers and its readers: one event on each line, in JSON.
//!
//! A reader skips unknown fields, because later versions of this program may write more. It refuses an unknown event,
//! because it might be a delivery, and then no verdict would be sound.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, Range};

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::authored::{self, Authored};
use crate::nearest::nearest;
use crate::place::{Flaw, quoted};

/// The version of the format, in every line.
const VERSION: u64 = 1;

/// The names of all events.
const EVENTS: [&str; 16] = [
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
    fn parse(text: &'a str) -> Option<Self> {
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

/// A string of the file, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A line of a history as it is read: the fields of all events, of which each event has some. So the parser can borrow
/// from the line, and each mistake has its column.
#[derive(Deserialize)]
pub(crate) struct Row<'a> {
    #[serde(skip)]
    line: &'a [u8],
    v: u64,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    text_b64: Option<Text<'a>>,
    number: Option<u64>,
    epoch: Option<u64>,
    #[serde(borrow)]
    to: Option<Text<'a>>,
    #[serde(borrow)]
    from: Option<Text<'a>>,
    #[serde(borrow)]
    member: Option<Text<'a>>,
    incarnation: Option<u32>,
    #[serde(borrow)]
    group: Option<Text<'a>>,
    #[serde(borrow)]
    groups: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    order: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    members: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    multicasts: Option<u64>,
    delivered: Option<u64>,
    sent: Option<u64>,
    received: Option<u64>,
    undeliverable: Option<u64>,
    time_us: Option<u64>,
    clock: Option<Clock>,
    r#for: Option<String>,
    place: Option<u64>,
    messages: Option<Vec<String>>,
    at: Option<(u64, u16)>,
    deps: Option<Vec<u64>>,
    upto: Option<(u64, u16)>,
    count: Option<u64>,
    #[serde(borrow)]
    digest: Option<Text<'a>>,
    entries: Option<u64>,
    confirmed: Option<u64>,
    calendar_us: Option<u64>,
    #[serde(borrow)]
    removed: Option<Text<'a>>,
    #[serde(borrow)]
    author: Option<Text<'a>>,
    #[serde(borrow)]
    post: Option<Text<'a>>,
    #[serde(default)]
    doubled: bool,
}

/// The version alone, for a line that cannot be parsed otherwise.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

impl<'a> Row<'a> {
    /// Parses a line without its end. Flaws have their place in the line.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Flaw> {
        // The parser would also take an array of the right values, which no program writes.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err(no_event(0, "expected an object"));
        }
        let row = serde_json::from_slice(line).map_err(|error| malformed(line, &error))?;
        Ok(Self { line, ..row })
    }

    /// Returns the group that the line names.
    pub(crate) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Returns the event of the line.
    pub(crate) fn event(&self) -> Result<HistoryEvent<'_>, Flaw> {
        check_version(self.v)?;
        let time_us = self.time_us.unwrap_or_default();
        Ok(match &*self.event {
            "start" => HistoryEvent::Start(Start {
                member: self.need(&self.member, "member")?,
                incarnation: *self.need(&self.incarnation, "incarnation")?,
                group: self.need(&self.group, "group")?,
                groups: self.groups.iter().flatten().map(|group| &**group).collect(),
                order: self.need(&self.order, "order")?,
                method: self.method.as_deref(),
                members: self.members()?,
                time_us,
            }),
            "view" => {
                let number = *self.need(&self.number, "number")?;
                HistoryEvent::View { number, members: self.members()?, time_us }
            }
            "multicast" => {
                let (id, text, author) = (self.id()?, self.text()?, self.author()?);
                HistoryEvent::Multicast { id, text, time_us, author }
            }
            "deliver" => {
                let (id, text, author) = (self.id()?, self.text()?, self.author()?);
                let (number, epoch, doubled) = (self.number, self.epoch, self.doubled);
                HistoryEvent::Deliver { id, text, time_us, number, epoch, author, doubled }
            }
            "send" => {
                let (id, text) = (self.id()?, self.text()?);
                HistoryEvent::Send { id, to: self.need(&self.to, "to")?, text, time_us }
            }
            "receive" => {
                let (id, text) = (self.id()?, self.text()?);
                HistoryEvent::Receive { id, from: self.need(&self.from, "from")?, text, time_us }
            }
            "undeliverable" => {
                let (id, to) = (self.id()?, self.need(&self.to, "to")?);
                HistoryEvent::Undeliverable { id, to, reason: self.need(&self.reason, "reason")?, time_us }
            }
            "end" => {
                let reason = self.need(&self.reason, "reason")?;
                let counts = [self.multicasts, self.delivered, self.sent, self.received, self.undeliverable];
                HistoryEvent::End { reason, counts, time_us }
            }
            "arrive" | "wait" => self.traced(time_us)?,
            _ => self.of_cluster(time_us)?,
        })
    }

    /// Returns the event of a line of `client --trace`.
    fn traced(&self, time_us: u64) -> Result<HistoryEvent<'_>, Flaw> {
        let id = self.id()?;
        Ok(if &*self.event == "arrive" {
            HistoryEvent::Arrive { id, time_us, number: self.number, clock: self.clock.as_ref() }
        } else {
            HistoryEvent::Wait { id, reason: Cow::Owned(self.wait()?), time_us }
        })
    }

    /// Returns the event of a line that only members of clusters write.
    fn of_cluster(&self, time_us: u64) -> Result<HistoryEvent<'_>, Flaw> {
        Ok(match &*self.event {
            "stored" => HistoryEvent::Stored { id: self.id()?, time_us },
            "insert" => {
                let (id, text, at) = (self.id()?, self.text()?, *self.need(&self.at, "at")?);
                let deps = self.deps.as_deref().unwrap_or_default().into();
                HistoryEvent::Insert { id, text, at, deps, time_us }
            }
            "confirm" => HistoryEvent::Confirm {
                upto: *self.need(&self.upto, "upto")?,
                number: *self.need(&self.number, "number")?,
                count: *self.need(&self.count, "count")?,
                digest: self.digest()?,
                time_us,
            },
            "withdraw" => HistoryEvent::Withdraw { id: self.id()?, time_us },
            "epoch" => {
                let number = *self.need(&self.number, "number")?;
                let (members, removed) = (self.members()?, self.removed.as_deref());
                HistoryEvent::Epoch { number, members, removed, time_us }
            }
            "recover" => HistoryEvent::Recover {
                entries: *self.need(&self.entries, "entries")?,
                confirmed: *self.need(&self.confirmed, "confirmed")?,
                time_us,
                calendar_us: self.calendar_us,
            },
            _ => return Err(self.unknown_event()),
        })
    }

    fn digest(&self) -> Result<Digest, Flaw> {
        let digest = self.need(&self.digest, "digest")?;
        u64::from_str_radix(digest, 16).map(Digest).map_err(|_| {
            Flaw::new(self.span(digest), format!("{} is not a digest", quoted(digest.as_bytes())))
                .help("a digest is a hexadecimal number of at most 16 digits")
        })
    }

    /// Returns a field that this event must have.
    fn need<'f, T>(&self, field: &'f Option<T>, name: &str) -> Result<&'f T, Flaw> {
        field.as_ref().ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Flaw {
        Flaw::new(self.span(&self.event), format!("the field \"{name}\" of this event is missing"))
    }

    fn members(&self) -> Result<Cow<'_, [&str]>, Flaw> {
        let members = self.need(&self.members, "members")?;
        Ok(members.iter().map(Deref::deref).collect())
    }

    fn id(&self) -> Result<MessageId<'_>, Flaw> {
        let id = self.need(&self.id, "id")?;
        MessageId::parse(id).ok_or_else(|| {
            Flaw::new(self.span(id), format!("{} is not the id of a message", quoted(id.as_bytes())))
                .help("an id is `<member>/<incarnation>/<number>`, like `c1/1/7`")
        })
    }

    fn text(&self) -> Result<Cow<'_, [u8]>, Flaw> {
        match (&self.text, &self.text_b64) {
            (Some(text), None) => Ok(text.as_bytes().into()),
            (None, Some(text)) => {
                let flaw = |error| Flaw::new(self.span(text), format!("this is not base64: {error}"));
                STANDARD.decode(text.as_bytes()).map(Cow::Owned).map_err(flaw)
            }
            (None, None) => Err(self.missing("text")),
            (Some(_), Some(text)) => Err(Flaw::new(self.span(text), "an event has one text, this has two")),
        }
    }

    fn wait(&self) -> Result<Reason, Flaw> {
        Ok(Reason {
            r#for: self.need(&self.r#for, "for")?.clone(),
            place: self.place,
            messages: self.messages.clone().unwrap_or_default(),
            members: self.members.iter().flatten().map(|name| name.to_string()).collect(),
        })
    }

    fn unknown_event(&self) -> Flaw {
        let message = format!("unknown event {}", quoted(self.event.as_bytes()));
        Flaw::new(self.span(&self.event), message).help(match nearest(&self.event, EVENTS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the events are {}", EVENTS.join(", ")),
        })
    }

    /// Returns the author of the event's text, if it names one.
    fn author(&self) -> Result<Option<Authored<'_>>, Flaw> {
        let Some(name) = &self.author else { return Ok(None) };
        let post = self.need(&self.post, "post")?;
        let post = authored::parse(post).ok_or_else(|| {
            let text = self.post.as_ref().map_or(0..0, |text| self.span(text));
            Flaw::new(text, "this is no text of an author").help("it is like 0123456789abcdef/1")
        })?;
        Ok(Some(Authored { name, post }))
    }

    /// Returns the span of a string in the line, or the start of the line if the string had to be copied.
    fn span(&self, text: &Text<'_>) -> Range<usize> {
        let Cow::Borrowed(text) = text.0 else { return 0..0 };
        let start = text.as_ptr() as usize - self.line.as_ptr() as usize;
        start..start + text.len()
    }
}

fn malformed(line: &[u8], error: &serde_json::Error) -> Flaw {
    if let Ok(Version { v }) = serde_json::from_slice(line)
        && let Err(flaw) = check_version(v)
    {
        return flaw;
    }
    if error.is_eof() {
        return Flaw::new(line.len()..line.len(), "the line ends in the middle of an event")
            .help("only the last line of a .part may be cut off");
    }
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    no_event(error.column().saturating_sub(1).min(line.len()), said)
}

fn no_event(at: usize, why: &str) -> Flaw {
    Flaw::new(at..at, format!("this is no event: {why}"))
        .help("every line of a history is a JSON object with \"v\":1 and \"event\"")
}

fn check_version(version: u64) -> Result<(), Flaw> {
    if version == VERSION {
        return Ok(());
    }
    let message = format!("this is version {version} of the format, and only version {VERSION} is known");
    Err(Flaw::new(0..0, message))
}
