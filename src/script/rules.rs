//! Station 1, second step: a record becomes an operation, or a flaw with the right form.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::csv::{Field, Record};
use super::id::check_id;
use super::{GroupId, MAX_SLEEP, Named, Op, ReceiverId};
use crate::nearest::nearest;
use crate::place::{Flaw, quoted};
use crate::wire::batch::MAX_TEXT;

const MULTICAST: &str = "Multicast";
const SLEEP: &str = "sleep";
const LEAVE: &str = "leave";

/// Words of other languages for an operation, and the operation.
const SYNONYMS: [(&str, &str); 6] = [
    ("broadcast", MULTICAST),
    ("publish", MULTICAST),
    ("wait", SLEEP),
    ("pause", SLEEP),
    ("delay", SLEEP),
    ("quit", LEAVE),
];
/// Characters that other formats put between fields, with their names.
const SEPARATORS: [(char, &str); 7] = [
    (';', "semicolons"),
    ('\t', "tabs"),
    ('|', "vertical bars"),
    (':', "colons"),
    (' ', "spaces"),
    ('\u{ff0c}', "wide commas"),
    ('\u{60c}', "Arabic commas"),
];
/// Quotation marks that editors put in the place of `"`.
const TYPOGRAPHIC: [char; 6] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{ab}', '\u{bb}'];

/// The ids that a command file may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ids {
    /// Ids that [`check_id`] accepts.
    Ours,
    /// Any ids: the file is of another program, and is only compared with results.
    Any,
}

/// The rules of one client's command file, and the receivers and groups seen so far.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    me: &'a str,
    ids: Ids,
    receivers: Vec<Named>,
    known: BTreeMap<Bytes, ReceiverId>,
    groups: Vec<Named>,
    has_left: bool,
}

impl<'a> Rules<'a> {
    /// Returns the rules of the command file of `me`.
    pub(super) const fn new(me: &'a str, ids: Ids) -> Self {
        Self { me, ids, receivers: Vec::new(), known: BTreeMap::new(), groups: Vec::new(), has_left: false }
    }

    /// Returns the receivers and the groups of all operations, in order of appearance.
    pub(super) fn names(self) -> (Vec<Named>, Vec<Named>) {
        (self.receivers, self.groups)
    }

    /// Returns the operation of `record`.
    pub(super) fn op(&mut self, record: Record) -> Result<Op, Flaw> {
        if self.has_left {
            return Err(Flaw::new(record.span, format!("nothing can follow `{LEAVE}`"))
                .help("a client that has left the group takes part in nothing more"));
        }
        match &*record.fields[0].text {
            // A client may have that id: its direct messages have more fields.
            first if first == LEAVE.as_bytes() && (self.me != LEAVE || record.count == 1) => {
                self.leave(record)
            }
            first if first == MULTICAST.as_bytes() => self.multicast(record).map(Op::Multicast),
            first if group_in(first).is_some() => {
                let group = self.group(&record.fields[0])?;
                Ok(Op::MulticastTo { group, text: self.multicast(record)? })
            }
            first if first == SLEEP.as_bytes() => sleep(record),
            first if first == self.me.as_bytes() => self.send(record),
            _ => Err(self.no_operation(&record.fields[0])),
        }
    }

    fn multicast(&self, record: Record) -> Result<Bytes, Flaw> {
        let usage = || with_text(&format!("{MULTICAST},{}", self.me));
        let [_, sender, text] = exactly(record, usage)?;
        if sender.text == self.me {
            return checked(text);
        }
        self.check_field_id(&sender)?;
        Err(self.line_of_another(&sender))
    }

    /// Returns the group of `Multicast@<group>`.
    fn group(&mut self, field: &Field) -> Result<GroupId, Flaw> {
        let name = group_in(&field.text).unwrap_or_default();
        if let Some(known) = self.groups.iter().position(|group| group.id.as_bytes() == name) {
            return Ok(GroupId(known as u32));
        }
        let span = field.span.clone();
        let id = String::from_utf8_lossy(name).into_owned();
        if let Err(reason) = check_id(&id) {
            let flaw = Flaw::new(span, format!("{} is no name of a group: {reason}", quoted(name)));
            return Err(flaw.help(with_text(&format!("{MULTICAST}@<group>,{}", self.me))));
        }
        self.groups.push(Named { id, span });
        Ok(GroupId((self.groups.len() - 1) as u32))
    }

    fn leave(&mut self, record: Record) -> Result<Op, Flaw> {
        let [_] = exactly(record, || format!("write `{LEAVE}`, alone on its line"))?;
        self.has_left = true;
        Ok(Op::Leave)
    }

    fn send(&mut self, record: Record) -> Result<Op, Flaw> {
        let usage = || with_text(&format!("{},<receiver>", self.me));
        let [_, receiver, text] = exactly(record, usage)?;
        if receiver.text == self.me {
            return Err(Flaw::new(receiver.span, "a client does not send to itself")
                .help(format!("`{MULTICAST},{},<text>` reaches every member, its sender too", self.me)));
        }
        Ok(Op::Send { to: self.receiver(&receiver)?, text: checked(text)? })
    }

    fn receiver(&mut self, field: &Field) -> Result<ReceiverId, Flaw> {
        if let Some(&receiver) = self.known.get(&field.text) {
            return Ok(receiver);
        }
        let id = self.check_field_id(field)?.to_owned();
        let next = ReceiverId(self.receivers.len() as u32);
        self.receivers.push(Named { id, span: field.span.clone() });
        self.known.insert(field.text.clone(), next);
        Ok(next)
    }

    fn no_operation(&self, first: &Field) -> Flaw {
        let unknown = |help: String| {
            Flaw::new(first.span.clone(), format!("unknown operation {}", quoted(&first.text))).help(help)
        };
        if let Some(trimmed) = trimmed(first) {
            return unknown(format!("spaces are part of a field: write {} without them", quoted(trimmed)));
        }
        let word = std::str::from_utf8(&first.text).unwrap_or_default();
        if word.contains(TYPOGRAPHIC) {
            return unknown(TYPEWRITTEN.to_owned());
        }
        if let Some((message, help)) = self.separator(word) {
            return Flaw::new(first.span.clone(), message).help(help);
        }
        if let Some(help) = self.no_comma(word) {
            return Flaw::new(first.span.clone(), "a comma is missing").help(help);
        }
        if word == "send" && self.me != word {
            return unknown(with_text(&format!("{},<receiver>", self.me)));
        }
        let synonym = SYNONYMS.iter().find(|(other, _)| word.eq_ignore_ascii_case(other));
        if let Some((_, meant)) = synonym.filter(|_| word != self.me) {
            return unknown(format!("did you mean `{meant}`? {}", self.usage()));
        }
        let meant = nearest(word, [MULTICAST, SLEEP, LEAVE]);
        if let Some(meant) = meant.or_else(|| word.eq_ignore_ascii_case(self.me).then_some(self.me)) {
            return unknown(format!("did you mean `{meant}`?"));
        }
        if check_id(word).is_ok() { self.line_of_another(first) } else { unknown(self.usage()) }
    }

    /// Returns the words with which a line begins.
    const fn words(&self) -> [&'a str; 4] {
        [MULTICAST, SLEEP, LEAVE, self.me]
    }

    /// Returns the mistake in a line without a comma after its first word, and the correction.
    fn separator(&self, field: &str) -> Option<(String, String)> {
        let begins = |separator: char| {
            let (word, rest) = field.split_once(separator)?;
            self.words().iter().any(|known| word.eq_ignore_ascii_case(known)).then_some(rest)
        };
        if begins(',').is_some() {
            return Some((
                "the whole line is one quoted field".into(),
                "remove the quotes around the line".into(),
            ));
        }
        let (_, name) = SEPARATORS.iter().find(|(separator, _)| begins(*separator).is_some())?;
        Some((
            format!("{name} separate the fields of this line"),
            format!("separate the fields with commas: {}", self.usage()),
        ))
    }

    /// Returns the correction of a first field that runs into the second one.
    fn no_comma(&self, field: &str) -> Option<String> {
        let rest = |word: &str| {
            let (start, rest) = field.split_at_checked(word.len())?;
            (start.eq_ignore_ascii_case(word) && !rest.is_empty()).then_some(rest)
        };
        if let Some(seconds) = rest(SLEEP).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            return Some(format!("write `{SLEEP},{seconds}`"));
        }
        (rest(MULTICAST)? == self.me).then(|| with_text(&format!("{MULTICAST},{}", self.me)))
    }

    /// Returns the id that a field holds.
    fn check_field_id<'f>(&self, field: &'f Field) -> Result<&'f str, Flaw> {
        let flaw = || Flaw::new(field.span.clone(), format!("{} is not an id", quoted(&field.text)));
        let text = std::str::from_utf8(&field.text);
        if let (Ids::Any, Ok(id)) = (self.ids, text)
            && !id.trim().is_empty()
        {
            return Ok(id);
        }
        if let Some(trimmed) = trimmed(field) {
            return Err(
                flaw().help(format!("spaces are part of a field: write {} without them", quoted(trimmed)))
            );
        }
        let id = text.map_err(|_| flaw().help("an id is never anything but ASCII"))?;
        check_id(id).map_err(|reason| flaw().help(reason))?;
        Ok(id)
    }

    fn line_of_another(&self, id: &Field) -> Flaw {
        let message = format!("this is a line of another client, {}", quoted(&id.text));
        let help = match std::str::from_utf8(&id.text).ok().and_then(|id| nearest(id, [self.me])) {
            Some(me) => format!("did you mean `{me}`? these are its commands: {}", self.usage()),
            None => format!("these are the commands of `{}`: {}", self.me, self.usage()),
        };
        Flaw::new(id.span.clone(), message).help(help)
    }

    fn usage(&self) -> String {
        let me = self.me;
        format!(
            "a line is `{MULTICAST},{me},<text>`, `{SLEEP},<seconds>`, `{me},<receiver>,<text>` or `{LEAVE}`"
        )
    }
}

/// The help for typographic quotation marks.
const TYPEWRITTEN: &str = "typographic quotation marks do not quote: write `\"` in their place";

/// Returns the help for a line with too few or too many fields, if its characters show the cause.
fn instead(fields: &[Field]) -> Option<&'static str> {
    let has = |mark: fn(char) -> bool| {
        fields
            .iter()
            .filter_map(|field| std::str::from_utf8(&field.text).ok())
            .any(|text| text.contains(mark))
    };
    if has(|c| TYPOGRAPHIC.contains(&c)) {
        return Some(TYPEWRITTEN);
    }
    has(|c| c == '\r')
        .then_some("a carriage return alone ends no line: save the file with line ends LF or CRLF")
}

/// Returns the form of an operation that ends with a text.
fn with_text(start: &str) -> String {
    format!("write `{start},<text>`; a text with a comma must be quoted: `{start},\"one, two\"`")
}

/// Returns the name of the group in `Multicast@<group>`.
fn group_in(word: &[u8]) -> Option<&[u8]> {
    word.strip_prefix(MULTICAST.as_bytes())?.strip_prefix(b"@")
}

fn sleep(record: Record) -> Result<Op, Flaw> {
    let usage = || format!("write `{SLEEP},<seconds>`; decimals follow a point: `{SLEEP},0.25`");
    let [_, seconds] = exactly(record, usage)?;
    if let Some(trimmed) = trimmed(&seconds) {
        return Err(not_seconds(&seconds)
            .help(format!("spaces are part of a field: write {} without them", quoted(trimmed))));
    }
    let duration = parse_seconds(&seconds.text)
        .ok_or_else(|| not_seconds(&seconds).help("write digits, with decimals or without: `3`, `0.25`"))?;
    if duration > MAX_SLEEP {
        return Err(Flaw::new(seconds.span, "a sleep is longer than a day")
            .help(format!("a sleep takes at most {} seconds", MAX_SLEEP.as_secs())));
    }
    Ok(Op::Sleep(duration))
}

fn not_seconds(field: &Field) -> Flaw {
    Flaw::new(field.span.clone(), format!("{} is not a number of seconds", quoted(&field.text)))
}

/// Parses digits, and after a point more digits. A value beyond the longest duration becomes that one; digits below a
/// nanosecond are cut off.
fn parse_seconds(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let nanos = decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| 10 * sum + u32::from(digit - b'0'));
    Some(Duration::new(whole.parse().unwrap_or(u64::MAX), nanos))
}

/// Returns the fields of `record` if it has exactly as many as its operation takes.
fn exactly<const N: usize>(record: Record, usage: impl Fn() -> String) -> Result<[Field; N], Flaw> {
    let Record { count, span, fields, .. } = record;
    fields.try_into().map_err(|fields: Vec<Field>| {
        let start = fields.get(N).map_or(span.start, |surplus| surplus.span.start);
        let message =
            format!("this operation has {N} field{}, this line has {count}", if N == 1 { "" } else { "s" });
        Flaw::new(start..span.end, message).help(instead(&fields).map_or_else(usage, str::to_owned))
    })
}

/// Returns a field without the spaces around it, if there are any.
fn trimmed(field: &Field) -> Option<&[u8]> {
    // Editors also leave invisible spaces, such as a byte order mark within the file.
    let is_space =
        |c: char| c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    let text = std::str::from_utf8(&field.text);
    let trimmed =
        text.map_or_else(|_| field.text.trim_ascii(), |text| text.trim_matches(is_space).as_bytes());
    (trimmed.len() < field.text.len()).then_some(trimmed)
}

/// Returns the text of a field, if it is not too long.
fn checked(field: Field) -> Result<Bytes, Flaw> {
    if field.text.len() <= MAX_TEXT {
        return Ok(field.text);
    }
    let message = format!("this text has {} bytes, at most {MAX_TEXT} are possible", field.text.len());
    Err(Flaw::new(field.span, message).help("split it into several messages"))
}
