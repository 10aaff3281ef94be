//! A run as those need it who draw or explain it: everything that each member's history tells, in its order and with
//! its times, and the first violation.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::evidence::Evidence;
use super::history::Event;
use super::read::{self, Account, Noted, Reason, Run};
use super::verdict::{Verdict, Witness};
use crate::exit::{Exit, Failure};
use crate::talk::natural;

/// One run of one group.
#[derive(Debug)]
pub(crate) struct Chronicle {
    /// The group.
    pub(crate) group: String,
    /// The order with its method, as people read it.
    pub(crate) order: String,
    /// All members, by name, c2 before c10; to one whose history is missing nothing happened that is known.
    pub(crate) members: Vec<Member>,
    /// Every message that was multicast or sent, or given to anybody; multicasts first, each kind by sender and
    /// number.
    pub(crate) messages: Vec<Word>,
    /// The first property that is violated, and how.
    pub(crate) violation: Option<(String, Witness)>,
}

/// One member and what happened at it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The file that tells it.
    pub(crate) file: String,
    /// What happened, first to last.
    pub(crate) happenings: Vec<Happening>,
    /// Whether it was written down when messages arrived.
    pub(crate) is_traced: bool,
    /// Why the rest is unknown, if it is.
    pub(crate) open: Option<String>,
}

/// A message.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Word {
    /// To whom, if it is for one member.
    pub(crate) to: Option<String>,
    /// The name of who sent it.
    pub(crate) sender: String,
    /// Which life of the sender.
    pub(crate) incarnation: u32,
    /// The sender's number of it.
    pub(crate) number: u64,
    /// What it says.
    pub(crate) text: Bytes,
}

/// Something that happened at a member.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// The line of the file.
    pub(crate) line: u32,
    /// In microseconds since the start of the run, by this member's clock.
    pub(crate) time_us: u64,
    /// The message that it is about: its place in [`Chronicle::messages`].
    pub(crate) message: usize,
    /// What it was.
    pub(crate) what: What,
}

/// What can happen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// The member multicast the message.
    Multicast,
    /// The message arrived; the member's clock from then on, and its place in the total order.
    Arrive { clock: Option<String>, number: Option<u64> },
    /// From now on it waits for this.
    Wait(Reason),
    /// It was delivered, with this place in the total order.
    Deliver(Option<u64>),
    /// The member sent it to one other.
    Send,
    /// The member was given it alone.
    Receive,
    /// The member, which sent it to one other, says that it is undeliverable, for this reason.
    Undeliverable(String),
}

impl Word {
    /// Its id, as a history has it: `c1/1/7`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.sender, self.incarnation, self.number)
    }
}

impl Chronicle {
    /// The run of this group in the folder `dir`; of the only group, if none is named. It is judged by this property;
    /// by everything that its order promises, if none is named.
    ///
    /// # Errors
    /// As [`read::read`]; exit 66 also if there is no history of such a group, exit 64 if it must be said which.
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
                .help("say which one with --group")),
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

/// The messages of a run, each with a small index.
struct Words {
    messages: Vec<Word>,
    /// By id and receiver.
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
        // A message is known by the first text that is told of it; that texts differ is the oracles' business.
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

    /// A member; what is traced is put among the other events, by line.
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

/// The message of an event of a member.
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

/// A message of which it is known that it arrived somewhere, and perhaps nothing else.
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
