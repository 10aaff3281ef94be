//! The parser of history files: one event a line, in JSON, borrowed from the file where possible.
//!
//! Unknown fields are skipped, because later versions of this program may write more. An unknown event is refused,
//! because it might be a delivery, and then no verdict would be sound.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::read_file;
use super::roll::{ANY_LIFE, Roll};
use super::trace::{Clock, Noted, Reason, Trace};
use crate::check::history::{Event, Installed, MessageId, Record, Source as RecordSource};
use crate::exit::Failure;
use crate::nearest::nearest;
use crate::place::{Flaw, Source, quoted, unreadable};

/// The version of the format that this parser reads.
const VERSION: u64 = 1;
/// The events that this parser knows.
const EVENTS: [&str; 10] =
    ["start", "multicast", "deliver", "send", "receive", "undeliverable", "view", "end", "arrive", "wait"];

/// The contents of a history other than its messages.
#[derive(Debug, Default)]
pub(in crate::check) struct Account {
    /// The file's name.
    pub(in crate::check) file: String,
    pub(in crate::check) starts: Vec<Start>,
    pub(in crate::check) views: Vec<View>,
    pub(in crate::check) ends: Vec<End>,
    /// The time of each event of the record, in microseconds.
    pub(in crate::check) times: Vec<u64>,
    /// The arrivals and waits, which no property depends on.
    pub(in crate::check) traces: Vec<Trace>,
    /// The lines of the first and the last event.
    pub(in crate::check) lines: Option<(u32, u32)>,
    /// The line at which the file is cut off.
    pub(in crate::check) cut_off: Option<u32>,
    /// The line of the first receipt whose `from` is not the sender in its id.
    pub(in crate::check) misattributed: Option<u32>,
}

/// The start of a run at a member.
#[derive(Debug)]
pub(in crate::check) struct Start {
    pub(in crate::check) line: u32,
    pub(in crate::check) time_us: u64,
    pub(in crate::check) member: String,
    pub(in crate::check) incarnation: u32,
    pub(in crate::check) group: String,
    pub(in crate::check) order: String,
    pub(in crate::check) method: Option<String>,
    /// The names of the members, sorted, each once.
    pub(in crate::check) members: Vec<String>,
}

/// A view of a member.
#[derive(Debug)]
pub(in crate::check) struct View {
    pub(in crate::check) line: u32,
    pub(in crate::check) number: u64,
    /// The names of the members, sorted, each once.
    pub(in crate::check) members: Vec<String>,
}

/// The end of a run at a member.
#[derive(Debug)]
pub(in crate::check) struct End {
    pub(in crate::check) line: u32,
    pub(in crate::check) reason: String,
    /// The counts of the member: multicast, delivered, sent, received, undeliverable.
    pub(in crate::check) counts: [Option<u64>; 5],
}

/// A string of the file, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of all events; each event has some of them.
#[derive(Deserialize)]
struct Row<'a> {
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
}

/// The version alone, for a line that cannot be parsed otherwise.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// A reason to refuse a history: a mistake in the file, or a failure that concerns no line of it.
enum Trouble {
    Flaw(Flaw),
    Failure(Failure),
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The reason in the end event of a member that left as its commands told it.
const LEFT: &str = "left";

/// Reads the history of the member `id`. The record's message ids hold slots of the name table `roll`.
pub(super) fn read(path: &Path, id: &str, roll: &mut Roll) -> Result<(Account, Record), Failure> {
    let (file, content) = read_file(path)?;
    let mut reader =
        Reader { content, account: Account { file, ..Account::default() }, record: Record::default(), roll };
    match reader.read() {
        Ok(()) => {}
        Err(Trouble::Failure(failure)) => return Err(failure),
        Err(Trouble::Flaw(flaw)) => {
            return Err(Source { name: reader.account.file, text: reader.content }.failure(flaw));
        }
    }
    let Reader { account, mut record, .. } = reader;
    id.clone_into(&mut record.name);
    record.open = account.open(id);
    record.ended = record.open.is_none();
    record.left = record.ended && account.ends.last().is_some_and(|end| end.reason == LEFT);
    record.stopped = account.cut_off.is_none() && !account.ends.is_empty() && !record.ended;
    let lines = record.source.take().unwrap_or_default().lines;
    record.source = Some(RecordSource { file: account.file.clone(), lines });
    Ok((account, record))
}

impl Account {
    /// Returns the reason why the rest of the member's run is unknown, if it is.
    fn open(&self, id: &str) -> Option<String> {
        match (self.cut_off, self.ends.last()) {
            (Some(line), _) => Some(format!("the history of {id} is cut off ({}:{line})", self.file)),
            (None, Some(end)) if end.reason == "done" || end.reason == LEFT => None,
            (None, Some(End { reason, line, .. })) => {
                Some(format!("{id} did not come to the end: {reason} ({}:{line})", self.file))
            }
            (None, None) => Some(format!("the history of {id} has no end ({})", self.file)),
        }
    }
}

struct Reader<'r> {
    content: Bytes,
    account: Account,
    record: Record,
    roll: &'r mut Roll,
}

/// A line of the file, while it is parsed.
struct Line<'l> {
    content: &'l Bytes,
    number: u32,
    span: Range<usize>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Trouble> {
        let content = self.content.clone();
        if let Some(flaw) = unreadable(&content) {
            return Err(flaw.into());
        }
        let mut start = 0;
        for (text, number) in content.split_inclusive(|&byte| byte == b'\n').zip(1..) {
            let line = Line { content: &content, number, span: start..start + text.len() };
            start = line.span.end;
            let whole = text.ends_with(b"\n");
            let text = text.trim_ascii_end();
            if text.is_empty() {
                continue;
            }
            match line.parse(text) {
                Ok(row) => self.row(&line, &row)?,
                // The last line of a `.part` may be cut off, because its writer failed.
                Err(_) if !whole && self.account.file.ends_with(".part") => {
                    self.account.cut_off = Some(number);
                }
                Err(flaw) => return Err(flaw.into()),
            }
        }
        Ok(())
    }

    fn row(&mut self, line: &Line<'_>, row: &Row<'_>) -> Result<(), Trouble> {
        line.check_version(row.v)?;
        let event = &*row.event.0;
        match event {
            "start" => self.account.starts.push(line.start(row)?),
            "view" => {
                let view = line.view(row)?;
                self.record.views.push(Installed {
                    at: self.record.events.len(),
                    number: view.number,
                    members: view.members.clone(),
                    line: Some(view.line),
                });
                self.account.views.push(view);
            }
            "end" => self.account.ends.push(line.end(row)?),
            "multicast" | "deliver" | "send" | "receive" | "undeliverable" => {
                let event = self.message(line, row, event)?;
                self.record.events.push(event);
                self.record.source.get_or_insert_default().lines.push(line.number);
                self.account.times.push(row.time_us.unwrap_or_default());
            }
            "arrive" | "wait" => self.account.traces.push(line.trace(row, event)?),
            _ => return Err(line.unknown_event(&row.event).into()),
        }
        self.account.lines.get_or_insert((line.number, 0)).1 = line.number;
        Ok(())
    }

    fn message(&mut self, line: &Line<'_>, row: &Row<'_>, event: &str) -> Result<Event, Trouble> {
        let (sender, incarnation, number) = line.id(line.need(&row.id, "id", row)?)?;
        let id = MessageId { member: self.roll.slot(sender, incarnation)?, incarnation, number };
        if event == "undeliverable" {
            let to = self.roll.slot(&line.need(&row.to, "to", row)?.0, ANY_LIFE)?;
            let reason = line.need(&row.reason, "reason", row)?.0.to_string();
            return Ok(Event::Undeliverable { id, to, reason });
        }
        let text = line.text(row)?;
        Ok(match event {
            "multicast" => Event::Multicast { id, text },
            "deliver" => Event::Deliver { id, number: row.number, epoch: row.epoch.unwrap_or(1), text },
            "send" => {
                let to = line.need(&row.to, "to", row)?;
                Event::Send { id, to: self.roll.slot(&to.0, ANY_LIFE)?, text }
            }
            _ => {
                if line.need(&row.from, "from", row)?.0 != sender {
                    self.account.misattributed.get_or_insert(line.number);
                }
                Event::Receive { id, text }
            }
        })
    }
}

impl Line<'_> {
    /// Returns the span of a string in the file, or the start of its line if the string had to be copied.
    fn place(&self, text: &Text<'_>) -> Range<usize> {
        let Cow::Borrowed(text) = text.0 else { return self.span.start..self.span.start };
        let start = text.as_ptr() as usize - self.content.as_ptr() as usize;
        start..start + text.len()
    }

    fn parse<'t>(&self, text: &'t [u8]) -> Result<Row<'t>, Flaw> {
        // The parser would also take an array of the right values, which no program writes.
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(self.no_event(self.span.start, "expected an object"));
        }
        serde_json::from_slice(text).map_err(|error| self.malformed(text, &error))
    }

    fn malformed(&self, text: &[u8], error: &serde_json::Error) -> Flaw {
        if let Ok(Version { v }) = serde_json::from_slice(text)
            && let Err(flaw) = self.check_version(v)
        {
            return flaw;
        }
        let at = self.span.start + error.column().saturating_sub(1).min(text.len());
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        if error.is_eof() {
            let end = self.span.start + text.len();
            return Flaw::new(end..end, "the line ends in the middle of an event")
                .help("only the last line of a .part may be cut off");
        }
        self.no_event(at, said)
    }

    fn no_event(&self, at: usize, why: &str) -> Flaw {
        Flaw::new(at..at, format!("this is no event: {why}"))
            .help("every line of a history is a JSON object with \"v\":1 and \"event\"")
    }

    fn check_version(&self, version: u64) -> Result<(), Flaw> {
        if version == VERSION {
            return Ok(());
        }
        let message = format!("this is version {version} of the format, and only version {VERSION} is known");
        Err(Flaw::new(self.span.start..self.span.start, message))
    }

    fn unknown_event(&self, event: &Text<'_>) -> Flaw {
        let flaw = Flaw::new(self.place(event), format!("unknown event {}", quoted(event.0.as_bytes())));
        match nearest(&event.0, EVENTS) {
            Some(meant) => flaw.help(format!("did you mean `{meant}`?")),
            None => flaw.help(format!("the events are {}", EVENTS.join(", "))),
        }
    }

    /// Returns a field that this event must have.
    fn need<'f, T>(&self, field: &'f Option<T>, name: &str, row: &Row<'_>) -> Result<&'f T, Flaw> {
        field.as_ref().ok_or_else(|| self.missing(name, row))
    }

    fn missing(&self, name: &str, row: &Row<'_>) -> Flaw {
        Flaw::new(self.place(&row.event), format!("the field \"{name}\" of this event is missing"))
    }

    /// Parses a message id like `c1/1/7` into member, incarnation and number.
    fn id<'i>(&self, id: &'i Text<'_>) -> Result<(&'i str, u32, u64), Flaw> {
        let flaw = || {
            Flaw::new(self.place(id), format!("{} is not the id of a message", quoted(id.0.as_bytes())))
                .help("an id is `<member>/<incarnation>/<number>`, like `c1/1/7`")
        };
        let mut parts = id.0.rsplitn(3, '/');
        let (number, incarnation, member) = (parts.next(), parts.next(), parts.next());
        let member = member.filter(|member| !member.is_empty()).ok_or_else(flaw)?;
        let incarnation = incarnation.and_then(digits).and_then(|number| u32::try_from(number).ok());
        Ok((member, incarnation.ok_or_else(flaw)?, number.and_then(digits).ok_or_else(flaw)?))
    }

    fn text(&self, row: &Row<'_>) -> Result<Bytes, Flaw> {
        match (&row.text, &row.text_b64) {
            (Some(Text(Cow::Borrowed(text))), None) => Ok(self.content.slice_ref(text.as_bytes())),
            (Some(Text(Cow::Owned(text))), None) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(text)) => STANDARD
                .decode(text.0.as_bytes())
                .map(Bytes::from)
                .map_err(|error| Flaw::new(self.place(text), format!("this is not base64: {error}"))),
            (None, None) => Err(self.missing("text", row)),
            (Some(_), Some(text)) => Err(Flaw::new(self.place(text), "an event has one text, this has two")),
        }
    }

    fn start(&self, row: &Row<'_>) -> Result<Start, Flaw> {
        Ok(Start {
            line: self.number,
            time_us: row.time_us.unwrap_or_default(),
            member: self.need(&row.member, "member", row)?.0.to_string(),
            incarnation: *self.need(&row.incarnation, "incarnation", row)?,
            group: self.need(&row.group, "group", row)?.0.to_string(),
            order: self.need(&row.order, "order", row)?.0.to_string(),
            method: row.method.as_ref().map(|method| method.0.to_string()),
            members: names(self.need(&row.members, "members", row)?),
        })
    }

    fn trace(&self, row: &Row<'_>, event: &str) -> Result<Trace, Flaw> {
        let id = self.need(&row.id, "id", row)?;
        self.id(id)?;
        let what = if event == "arrive" {
            Noted::Arrived { clock: row.clock.as_ref().map(Clock::to_string), number: row.number }
        } else {
            let members = row.members.iter().flatten().map(|name| name.0.to_string()).collect();
            Noted::Waits(Reason {
                what: self.need(&row.r#for, "for", row)?.clone(),
                place: row.place,
                messages: row.messages.clone().unwrap_or_default(),
                members,
            })
        };
        Ok(Trace { line: self.number, time_us: row.time_us.unwrap_or_default(), id: id.0.to_string(), what })
    }

    fn view(&self, row: &Row<'_>) -> Result<View, Flaw> {
        Ok(View {
            line: self.number,
            number: *self.need(&row.number, "number", row)?,
            members: names(self.need(&row.members, "members", row)?),
        })
    }

    fn end(&self, row: &Row<'_>) -> Result<End, Flaw> {
        Ok(End {
            line: self.number,
            reason: self.need(&row.reason, "reason", row)?.0.to_string(),
            counts: [row.multicasts, row.delivered, row.sent, row.received, row.undeliverable],
        })
    }
}

/// Parses a number that consists of digits alone.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn names(members: &[Text<'_>]) -> Vec<String> {
    let mut names: Vec<String> = members.iter().map(|name| name.0.to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
