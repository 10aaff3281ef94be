//! Station 10: a line of a history, read again.

use std::borrow::Cow;
use std::ops::{Deref, Range};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::authored::{self, Authored};
use super::history::{Clock, Digest, EVENTS, HistoryEvent, MessageId, Reason, Start, VERSION};
use crate::nearest::nearest;
use crate::place::{Flaw, quoted};

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
    log: Option<Text<'a>>,
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
                log: self.log.as_deref(),
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
