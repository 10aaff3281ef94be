//! The timeline of a run, for the diagram and `explain`: every event of every history with its time, and the first
//! violation.

mod cluster;

use std::path::Path;

use bytes::Bytes;

use super::checker::Checker;
use super::cluster::Stories;
use super::history::{Event, EventKind, History, Inserted, Record};
use super::read::{self, Run};
use super::verdict::{Verdict, Witness};
use crate::exit::{Exit, Failure};
use crate::talk::natural;

/// One run of one group.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The group's name.
    pub(crate) group: String,
    /// The title of the order with its method.
    pub(crate) order: String,
    /// All members in natural order (c2 before c10). A member without a history has no events.
    pub(crate) members: Vec<Member>,
    /// All messages that were sent or delivered: multicasts first, each kind sorted by sender and number.
    pub(crate) messages: Vec<Message>,
    /// The names of the members of a cluster by slot; `None` for a group.
    pub(crate) slots: Option<Vec<String>>,
    /// The first violated property and its witness.
    pub(crate) violation: Option<(String, Witness)>,
}

/// A member and its events.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The names of the history files. A member of a cluster has one for each life.
    pub(crate) files: Vec<String>,
    /// The events, first to last.
    pub(crate) events: Vec<TimelineEvent>,
    /// True if the history records when messages arrived (`--trace`).
    pub(crate) is_traced: bool,
    /// The reason why the rest is unknown, if it is.
    pub(crate) open: Option<String>,
}

/// A message.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Message {
    /// The receiver of a direct message; `None` for a multicast.
    pub(crate) to: Option<String>,
    /// The sender's name.
    pub(crate) sender: String,
    /// The sender's incarnation.
    pub(crate) incarnation: u32,
    /// The message number.
    pub(crate) number: u64,
    /// The message's text.
    pub(crate) text: Bytes,
}

/// An event at a member.
#[derive(Clone, Debug)]
pub(crate) struct TimelineEvent {
    /// The index of the history file in [`Member::files`].
    pub(crate) file: usize,
    /// The line in the history file; 0 if the file has none.
    pub(crate) line: u32,
    /// Microseconds since the start of the run, by this member's clock.
    pub(crate) time_us: u64,
    /// The index of the message in [`Timeline::messages`], if the event concerns exactly one.
    pub(crate) message: Option<usize>,
    /// The kind of event.
    pub(crate) kind: EventKind,
    /// True if a crash has lost the event, and a later life tells it from its journal. It happened before that crash.
    pub(crate) is_again: bool,
}

impl Message {
    /// Returns the message of an event at a member.
    fn of(history: &History, event: &Event, member: usize) -> Self {
        let id = event.id();
        let to = match event {
            Event::Multicast { .. } | Event::Deliver { .. } => None,
            Event::Send { to, .. } | Event::Undeliverable { to, .. } => Some(history.who(*to).to_owned()),
            Event::Receive { .. } => Some(history.records[member].name.clone()),
        };
        let sender = history.who(id.member).to_owned();
        Self { to, sender, incarnation: id.incarnation, number: id.number, text: event.text().clone() }
    }

    /// Returns the message of a traced event, without its text.
    fn traced((sender, incarnation, number): &(String, u32, u64)) -> Self {
        let (incarnation, number) = (*incarnation, *number);
        Self { to: None, sender: sender.clone(), incarnation, number, text: Bytes::new() }
    }

    /// Returns what identifies the message, and its position among all.
    fn key(&self) -> (Option<&str>, &str, u32, u64) {
        (self.to.as_deref(), &self.sender, self.incarnation, self.number)
    }

    /// Formats the message's id as in a history: `c1/1/7`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.sender, self.incarnation, self.number)
    }
}

impl TimelineEvent {
    /// Returns true if the event concerns this message.
    pub(crate) fn is_of(&self, message: usize) -> bool {
        self.message == Some(message)
            || matches!(&self.kind, EventKind::Confirm { messages, .. } if messages.contains(&message))
    }
}

impl Member {
    /// Formats the position of an event: `(history_c1.jsonl:12)`.
    pub(crate) fn source(&self, event: usize) -> String {
        match self.events[event].line {
            0 => format!("({})", self.file_of(event)),
            line => format!("({}:{line})", self.file_of(event)),
        }
    }

    /// Returns the name of the history that tells an event.
    pub(crate) fn file_of(&self, event: usize) -> &str {
        &self.files[self.events[event].file]
    }
}

impl Timeline {
    /// Returns true if a member of a cluster shows a message of its own here, below all others: it has just multicast it, so
    /// that nothing new is to be seen.
    pub(crate) fn is_own_at_the_end(&self, (lane, index): (usize, usize)) -> bool {
        let member = &self.members[lane];
        let event = &member.events[index];
        let is_own = |message: usize| self.messages[message].sender == member.name;
        matches!(&event.kind, EventKind::Insert(inserted) if inserted.above == 0)
            && !event.is_again
            && event.message.is_some_and(is_own)
    }

    /// Formats a place in the order of a cluster: `[12, s3]`.
    pub(crate) fn stamp(&self, (time, slot): (u64, u16)) -> String {
        let name = self.slots.iter().flatten().nth(usize::from(slot));
        format!("[{time}, {}]", name.map_or("?", |name| name))
    }

    /// Reads the run of `group` from the folder `dir`; without a name, the only group there. Judges `property`, or
    /// all that the order promises.
    ///
    /// # Errors
    /// As [`read::read`]; exit 66 if no history is of this group, exit 64 if there are several groups and none is
    /// named.
    pub(crate) fn read(dir: &Path, group: Option<&str>, property: Option<&str>) -> Result<Self, Failure> {
        let (mut runs, _) = read::read(dir, None)?;
        runs.retain(Run::has_histories);
        let groups: Vec<String> = runs.iter().filter_map(|run| run.group.clone()).collect();
        if let Some(wanted) = group {
            runs.retain(|run| run.group.as_deref() == Some(wanted));
        }
        let names = groups.join(", ");
        match (&runs[..], group) {
            ([run], _) => Ok(Self::new(run, property)),
            ([], None) => {
                Err(Failure::new(Exit::NoInput, format!("there are no histories in {}", dir.display()))
                    .help("a client writes history_<id>.jsonl, unless it is told --no-history"))
            }
            ([], Some(wanted)) => {
                Err(Failure::new(Exit::NoInput, format!("no history is of a group {wanted}"))
                    .help(format!("the groups are {names}")))
            }
            _ => Err(Failure::new(Exit::Usage, format!("the folder has runs of several groups: {names}"))
                .help("choose one with --group")),
        }
    }

    fn new(run: &Run, property: Option<&str>) -> Self {
        let checker = Checker::new(run, None);
        let judged = property.map_or_else(|| checker.promised(None), |property| vec![property]);
        let violation = judged.into_iter().find_map(|name| match checker.judge(name) {
            Verdict::Violated(witness) => Some((name.to_owned(), witness)),
            Verdict::Valid | Verdict::Undecided(_) => None,
        });
        let stories = run.cluster.as_ref().map(Stories::new);
        let messages = stories.as_ref().map_or_else(|| messages(run), cluster::messages);
        let orders = checker.orders(None);
        let told = run.starts().next().map_or_else(String::new, |(_, _, start)| start.order.clone());
        let mut members: Vec<Member> = match &stories {
            Some(stories) => cluster::members(run, stories, &messages),
            None => (0..run.members.len()).map(|member| timeline(run, &messages, member)).collect(),
        };
        let slots = || members.iter().map(|member| member.name.clone()).collect();
        let slots = stories.is_some().then(slots);
        members.sort_by_cached_key(|member| natural(&member.name));
        Self {
            group: run.group.clone().unwrap_or_default(),
            order: if let [order] = orders[..] { order.title() } else { told },
            members,
            messages,
            slots,
            violation,
        }
    }
}

/// Returns all messages of a run, sorted.
fn messages(run: &Run) -> Vec<Message> {
    let records = run.history.records.iter().enumerate();
    let of_record = |(member, record): (usize, &'_ Record)| {
        record.events.iter().map(|event| Message::of(&run.history, event, member)).collect::<Vec<_>>()
    };
    let traces = run
        .members
        .iter()
        .filter_map(|member| member.history_file.as_ref())
        .flat_map(|history_file| &history_file.traces);
    let mut messages: Vec<Message> =
        records.flat_map(of_record).chain(traces.map(|trace| Message::traced(&trace.id))).collect();
    // Keep the first text of each message; oracles report differing texts.
    messages.sort_by(|one, other| one.key().cmp(&other.key()));
    messages.dedup_by(|one, other| one.key() == other.key());
    messages
}

/// Builds a member's timeline, with traced events sorted among the others by line.
fn timeline(run: &Run, messages: &[Message], member: usize) -> Member {
    let record = &run.history.records[member];
    let (name, open) = (record.name.clone(), record.open.clone());
    let Some(history_file) = run.members[member].history_file.as_ref() else {
        return Member { name, files: Vec::new(), events: Vec::new(), is_traced: false, open };
    };
    let started = history_file.starts.first().map_or(0, |start| start.time_us);
    let timed = |line: u32, time_us: u64, message: &Message, kind: EventKind| {
        let message = Some(messages.binary_search_by(|known| known.key().cmp(&message.key())).ok()?);
        let time_us = time_us.saturating_sub(started);
        Some(TimelineEvent { file: 0, line, time_us, message, kind, is_again: false })
    };
    let lines = record.source.iter().flat_map(|source| &source.lines);
    let recorded =
        record.events.iter().zip(lines).zip(&history_file.times).filter_map(|((event, &line), &time)| {
            timed(line, time, &Message::of(&run.history, event, member), event.into())
        });
    let traced = history_file.traces.iter().filter_map(|trace| {
        timed(trace.line, trace.time_us, &Message::traced(&trace.id), trace.kind.clone())
    });
    let mut events: Vec<TimelineEvent> = recorded.chain(traced).collect();
    events.sort_by_key(|event| event.line);
    let files = vec![history_file.file.clone()];
    Member { name, files, events, is_traced: !history_file.traces.is_empty(), open }
}
