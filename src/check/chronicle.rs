//! The timeline of a run, for the diagram and `explain`: every event of every history with its time, and the first
//! violation.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::evidence::Evidence;
use super::history::Event;
use super::read::{self, Account, Noted, Run};
use super::verdict::{Verdict, Witness};
use crate::exit::{Exit, Failure};
use crate::results::Reason;
use crate::talk::natural;

/// One run of one group.
#[derive(Debug)]
pub(crate) struct Chronicle {
    /// The group's name.
    pub(crate) group: String,
    /// The title of the order with its method.
    pub(crate) order: String,
    /// All members in natural order (c2 before c10). A member without a history has no events.
    pub(crate) members: Vec<Member>,
    /// All messages that were sent or delivered: multicasts first, each kind sorted by sender and number.
    pub(crate) messages: Vec<Word>,
    /// The first violated property and its witness.
    pub(crate) violation: Option<(String, Witness)>,
}

/// A member and its events.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The history file's name.
    pub(crate) file: String,
    /// The events, first to last.
    pub(crate) happenings: Vec<Happening>,
    /// True if the history records when messages arrived (`--trace`).
    pub(crate) is_traced: bool,
    /// The reason why the rest is unknown, if it is.
    pub(crate) open: Option<String>,
}

/// A message.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Word {
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
pub(crate) struct Happening {
    /// The line in the history file.
    pub(crate) line: u32,
    /// Microseconds since the start of the run, by this member's clock.
    pub(crate) time_us: u64,
    /// The index of the message in [`Chronicle::messages`].
    pub(crate) message: usize,
    /// The kind of event.
    pub(crate) what: What,
}

/// The kind of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// The member multicast the message.
    Multicast,
    /// The message arrived. Fields: the member's clock afterwards, and the global number.
    Arrive { clock: Option<String>, number: Option<u64> },
    /// The message began to wait, for this reason.
    Wait(Reason),
    /// The member delivered the message, with this global number.
    Deliver(Option<u64>),
    /// The member sent the direct message.
    Send,
    /// The member received the direct message.
    Receive,
    /// The member reported its direct message as undeliverable, for this reason.
    Undeliverable(String),
}

impl Word {
    /// Formats the message's id as in a history: `c1/1/7`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.sender, self.incarnation, self.number)
    }
}

impl Chronicle {
    /// Reads the run of `group` from the folder `dir`; without a name, the only group there. Judges `property`, or
    /// all that the order promises.
    ///
    /// # Errors
    /// As [`read::read`]; exit 66 if no history is of this group, exit 64 if there are several groups and none is
    /// named.
    pub(crate) fn read(dir: &Path, group: Option<&str>, property: Option<&str>) -> Result<Self, Failure> {
        let mut runs = read::read(dir, None)?;
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
        let evidence = Evidence::new(run);
        let judged = property.map_or_else(|| evidence.promised(None), |property| vec![property]);
        let violation = judged.into_iter().find_map(|name| match evidence.judge(name) {
            Verdict::Violated(witness) => Some((name.to_owned(), witness)),
            Verdict::Valid | Verdict::Undecided(_) => None,
        });
        let words = Words::of(run);
        let orders = evidence.orders(None);
        let told = run.starts().next().map_or_else(String::new, |(_, _, start)| start.order.clone());
        let mut members: Vec<Member> =
            (0..run.members.len()).map(|member| words.member(run, member)).collect();
        members.sort_by_cached_key(|member| natural(&member.name));
        Self {
            group: run.group.clone().unwrap_or_default(),
            order: if let [order] = orders[..] { order.title() } else { told },
            members,
            messages: words.messages,
            violation,
        }
    }
}

/// The messages of a run, indexed.
struct Words {
    messages: Vec<Word>,
    /// Index by id and receiver.
    indices: BTreeMap<(String, Option<String>), usize>,
}

impl Words {
    fn of(run: &Run) -> Self {
        let mut messages: Vec<Word> = Vec::new();
        for (receiver, record) in run.history.records.iter().enumerate() {
            for event in &record.events {
                messages.push(word(run, event, receiver));
            }
        }
        let traces =
            run.members.iter().filter_map(|member| member.account()).flat_map(|account| &account.traces);
        messages.extend(traces.filter_map(|trace| untold(&trace.id)));
        // Keep the first text of each message; oracles report differing texts.
        let key = |word: &Word| (word.to.clone(), word.sender.clone(), word.incarnation, word.number);
        messages.sort_by_key(key);
        messages.dedup_by_key(|word| key(word));
        let keys = messages.iter().map(|word| (word.id(), word.to.clone()));
        let indices = keys.zip(0..).collect();
        Self { messages, indices }
    }

    fn index(&self, id: String, to: Option<String>) -> Option<usize> {
        self.indices.get(&(id, to)).copied()
    }

    /// Builds a member's timeline, with traced events sorted among the others by line.
    fn member(&self, run: &Run, member: usize) -> Member {
        let record = &run.history.records[member];
        let (name, open) = (record.name.clone(), record.open.clone());
        let Some(account) = run.members[member].account() else {
            return Member { name, file: String::new(), happenings: Vec::new(), is_traced: false, open };
        };
        let lines = record.source.iter().flat_map(|source| &source.lines);
        let started = account.starts.first().map_or(0, |start| start.time_us);
        let told =
            record.events.iter().zip(lines).zip(&account.times).filter_map(|((event, &line), &time)| {
                let Word { to, .. } = word(run, event, member);
                let message = self.index(run.history.name(event.id()), to)?;
                Some(Happening { line, time_us: time.saturating_sub(started), message, what: what(event) })
            });
        let mut happenings: Vec<Happening> = told.chain(self.traced(account, started)).collect();
        happenings.sort_by_key(|happening| happening.line);
        Member { name, file: account.file.clone(), happenings, is_traced: !account.traces.is_empty(), open }
    }

    fn traced<'a>(&'a self, account: &'a Account, started: u64) -> impl Iterator<Item = Happening> + 'a {
        account.traces.iter().filter_map(move |trace| {
            let what = match trace.what.clone() {
                Noted::Arrived { clock, number } => What::Arrive { clock, number },
                Noted::Waits(reason) => What::Wait(reason),
            };
            let message = self.index(trace.id.clone(), None)?;
            let time_us = trace.time_us.saturating_sub(started);
            Some(Happening { line: trace.line, time_us, message, what })
        })
    }
}

/// Returns the message of an event at a member.
fn word(run: &Run, event: &Event, member: usize) -> Word {
    let id = event.id();
    let to = match event {
        Event::Multicast { .. } | Event::Deliver { .. } => None,
        Event::Send { to, .. } | Event::Undeliverable { to, .. } => Some(run.history.who(*to).to_owned()),
        Event::Receive { .. } => Some(run.history.records[member].name.clone()),
    };
    let sender = run.history.who(id.member).to_owned();
    Word { to, sender, incarnation: id.incarnation, number: id.number, text: event.text().clone() }
}

/// Builds a message from its id alone, for one that only traces mention.
fn untold(id: &str) -> Option<Word> {
    let mut parts = id.rsplitn(3, '/');
    let (number, incarnation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Word { to: None, sender: parts.next()?.to_owned(), incarnation, number, text: Bytes::new() })
}

fn what(event: &Event) -> What {
    match event {
        Event::Multicast { .. } => What::Multicast,
        Event::Deliver { number, .. } => What::Deliver(*number),
        Event::Send { .. } => What::Send,
        Event::Receive { .. } => What::Receive,
        Event::Undeliverable { reason, .. } => What::Undeliverable(reason.clone()),
    }
}
