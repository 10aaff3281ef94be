//! A small cluster for tests: replicas, a network that is cut where a test says so, disks that sync at once or not at all.
//!
//! Every input is also given to a copy of the replica, by which the contract of engines is checked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::defect::Defects;
use crate::ids::{MemberId, Time, To};
use crate::prng::Prng;
use crate::replica::entry::{Content, Entry, EntryId, Stamp};
use crate::replica::epoch::Request;
use crate::replica::message::{Line, Message, Want};
use crate::replica::record::{Confirmed, Record};
use crate::replica::recover::Damaged;
use crate::replica::{Config, DropReason, Effect, Effects, Input, Replica};
use crate::wire::BatchBuilder;

/// More inputs than any test needs between two moments of rest.
const MOST_INPUTS: usize = 200_000;

/// A change of a journal that is not synced.
#[derive(Clone, Debug)]
enum Write {
    Append(u64, Bytes),
    Remove(Vec<u64>),
}

/// A journal: the synced records, as bytes, and the index of the last one that was ever synced.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub(super) records: BTreeMap<u64, Bytes>,
    last: u64,
}

impl Journal {
    fn keep(&mut self, write: Write) {
        match write {
            Write::Append(index, bytes) => {
                self.records.insert(index, bytes);
                self.last = index;
            }
            Write::Remove(indices) => self.records.retain(|index, _| !indices.contains(index)),
        }
    }
}

/// A member: its replica, its journal, and what its application was told.
pub(super) struct Node {
    pub(super) config: Config,
    pub(super) replica: Option<Replica>,
    pub(super) journal: Journal,
    written: Vec<Write>,
    /// Its disk syncs nothing.
    pub(super) is_stuck: bool,
    /// The texts of what it has shown in this life, by place.
    pub(super) shown: BTreeMap<Stamp, (EntryId, String)>,
    pub(super) confirmed: Confirmed,
    /// Its promise in its last word, and the entries that it said to have confirmed.
    promised: Option<(Line, u64)>,
    pub(super) forked: Vec<EntryId>,
    pub(super) outdated: Vec<EntryId>,
    pub(super) diverged: Vec<MemberId>,
    pub(super) drops: Vec<DropReason>,
    /// The epoch of its messages.
    pub(super) epoch: u16,
    /// The texts that it took back.
    pub(super) withdrawn: Vec<String>,
    /// Its messages since a test looked last.
    pub(super) sent: Vec<(To, Message)>,
}

impl Node {
    fn new(config: Config) -> Self {
        Self {
            config,
            replica: None,
            journal: Journal::default(),
            written: Vec::new(),
            is_stuck: false,
            shown: BTreeMap::new(),
            confirmed: Confirmed::default(),
            promised: None,
            forked: Vec::new(),
            outdated: Vec::new(),
            diverged: Vec::new(),
            drops: Vec::new(),
            epoch: 1,
            withdrawn: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(super) fn replica(&self) -> &Replica {
        self.replica.as_ref().unwrap()
    }

    /// Its list: all that it shows.
    pub(super) fn list(&self) -> Vec<&str> {
        self.shown.values().map(|(_, text)| text.as_str()).collect()
    }

    /// The part of its list that is final.
    pub(super) fn final_list(&self) -> Vec<&str> {
        self.shown.range(..=self.confirmed.upto).map(|(_, (_, text))| text.as_str()).collect()
    }

    /// The requests that it has sent since a test looked last.
    pub(super) fn wants(&mut self) -> Vec<(To, Want)> {
        let sent = std::mem::take(&mut self.sent).into_iter();
        let wants = sent.filter_map(|(to, message)| match message {
            Message::Want(want) => Some((to, want)),
            _ => None,
        });
        wants.collect()
    }

    /// Checks that a journal gave what the member had promised and shown before.
    fn check_promises(&self, before: &BTreeMap<Stamp, (EntryId, String)>) {
        let replica = self.replica();
        for (stamp, (id, text)) in before {
            let is_forgotten = id.number <= replica.log.forgotten(usize::from(id.origin.0));
            let again = self.shown.get(stamp).is_some_and(|(_, again)| again == text);
            assert!(is_forgotten || again, "{id:?} is lost");
        }
        let Some((line, confirmed)) = &self.promised else { return };
        let kept = |origin: usize, number: u64| number.min(replica.membership.cut(origin).unwrap_or(number));
        for (origin, &stored) in line.stored.iter().enumerate() {
            assert!(replica.log.stored(origin) >= kept(origin, stored), "{origin}: {line:?}");
        }
        assert!(replica.clock >= line.clock, "{line:?}");
        assert!(replica.flow.sent() >= kept(replica.me, line.sent), "{line:?}");
        assert!(replica.confirmed().entries >= *confirmed);
    }
}

/// A cluster.
pub(super) struct Cluster {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    flying: VecDeque<(usize, usize, u16, Bytes)>,
    /// The pairs of sender and receiver between which everything is lost.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Loses one datagram of so many, if any.
    pub(super) loss: Option<(Prng, u64)>,
    /// Checks the contract at each input, which takes a copy of the replica.
    pub(super) is_checked: bool,
}

impl Cluster {
    /// A cluster whose members have just started.
    pub(super) fn new(members: usize) -> Self {
        Self::with(members, |_| {})
    }

    pub(super) fn with(members: usize, settings: impl Fn(&mut Config)) -> Self {
        let config = |me| {
            let (longest, room, limit) = (1_165, 92, 1 << 30);
            let me = MemberId(me as u16);
            let mut config =
                Config { me, members, longest, room, limit, snapshot_every: 1 << 20, defects: Defects::NONE };
            settings(&mut config);
            config
        };
        let mut cluster = Self {
            now: Time::ZERO,
            nodes: (0..members).map(|me| Node::new(config(me))).collect(),
            flying: VecDeque::new(),
            cut: BTreeSet::new(),
            loss: None,
            is_checked: true,
        };
        (0..members).for_each(|at| cluster.start(at));
        cluster
    }

    /// Starts a member from its journal.
    pub(super) fn start(&mut self, at: usize) {
        self.try_start(at).unwrap();
    }

    pub(super) fn try_start(&mut self, at: usize) -> Result<(), Damaged> {
        let node = &mut self.nodes[at];
        let read = |(&index, bytes): (&u64, &Bytes)| (index, Record::parse(bytes.clone()).unwrap());
        let records: Vec<(u64, Record)> = node.journal.records.iter().map(read).collect();
        let mut effects = Effects::new();
        let next = node.journal.last + 1;
        let (replica, recovered) = Replica::recover(self.now, node.config, &records, next, &mut effects)?;
        assert_eq!(
            recovered.entries,
            effects.iter().filter(|e| matches!(e, Effect::Insert(_))).count() as u64
        );
        node.replica = Some(replica);
        node.epoch = 1;
        let before = std::mem::take(&mut node.shown);
        node.confirmed = recovered.forgotten.confirmed;
        self.perform(at, effects);
        self.nodes[at].check_promises(&before);
        Ok(())
    }

    /// Crashes a member; its disk keeps the first `kept` writes of those that it had not synced.
    pub(super) fn crash(&mut self, at: usize, kept: usize) {
        let node = &mut self.nodes[at];
        node.replica = None;
        let written = std::mem::take(&mut node.written);
        written.into_iter().take(kept).for_each(|write| node.journal.keep(write));
    }

    /// The number of writes that a disk has not synced.
    pub(super) fn unsynced(&self, at: usize) -> usize {
        self.nodes[at].written.len()
    }

    /// Crashes a member, and starts it from this journal, a copy of its own from earlier.
    pub(super) fn restore(&mut self, at: usize, copy: Journal) {
        self.crash(at, 0);
        let node = &mut self.nodes[at];
        node.journal = copy;
        node.shown.clear();
        node.promised = None;
        self.start(at);
    }

    /// Cuts two members off from each other.
    pub(super) fn part(&mut self, a: usize, b: usize) {
        self.cut.extend([(a, b), (b, a)]);
    }

    /// Submits a text, if the member takes it now.
    pub(super) fn submit(&mut self, at: usize, text: &str) -> bool {
        let is_welcome = self.nodes[at].replica().window() > 0;
        if is_welcome {
            let number = self.nodes[at].replica().log.received(at) + 1;
            self.handle(at, Input::Submit(multicast(number, text)));
        }
        is_welcome
    }

    /// Submits something else than a text.
    pub(super) fn submit_content(&mut self, at: usize, content: Content) {
        self.handle(at, Input::Submit(content));
    }

    /// Submits a text, and lets its member store and send it, as far as it may.
    pub(super) fn say(&mut self, at: usize, text: &str) {
        assert!(self.submit(at, text), "{at} takes nothing now");
        self.sync(at);
    }

    /// Syncs the disk of a member.
    pub(super) fn sync(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.written.is_empty() || node.replica.is_none() {
            return;
        }
        for write in std::mem::take(&mut node.written) {
            node.journal.keep(write);
        }
        let upto = node.journal.last;
        self.handle(at, Input::Stored(upto));
    }

    /// Gives a member a message, past the network. Returns the number of effects.
    pub(super) fn inject(&mut self, from: usize, to: usize, message: Message) -> usize {
        let epoch = self.nodes[to].replica().epoch();
        self.handle(to, Input::Receive(MemberId(from as u16), epoch, message))
    }

    /// Asks a member for a change of the members.
    pub(super) fn ask(&mut self, at: usize, request: Request) {
        self.handle(at, Input::Propose(Some(request)));
    }

    /// Takes that request back.
    pub(super) fn take_back(&mut self, at: usize) {
        self.handle(at, Input::Propose(None));
    }

    fn handle(&mut self, at: usize, input: Input) -> usize {
        let (now, is_checked) = (self.now, self.is_checked);
        let Some(replica) = &mut self.nodes[at].replica else { return 0 };
        let twin = is_checked.then(|| (replica.clone(), input.clone()));
        let mut effects = Effects::new();
        replica.handle(now, input, &mut effects);
        if let Some((mut twin, input)) = twin {
            let mut same = Effects::new();
            twin.handle(now, input, &mut same);
            assert!(same == effects && twin == *replica, "same inputs, other effects");
            let mut rest = Effects::new();
            twin.handle(now, Input::Wake, &mut rest);
            assert!(rest.is_empty(), "left for later: {rest:?}");
            assert!(twin.next_deadline().is_none_or(|due| due > now), "due again at once");
        }
        let count = effects.len();
        self.perform(at, effects);
        count
    }

    fn perform(&mut self, at: usize, effects: Effects) {
        let members = self.nodes.len();
        for effect in effects {
            let node = &mut self.nodes[at];
            match effect {
                Effect::Store(record) => {
                    let appended = node.written.iter().filter(|write| matches!(write, Write::Append(..)));
                    let index = node.journal.last + appended.count() as u64 + 1;
                    node.written.push(Write::Append(index, record.bytes()));
                }
                Effect::Remove(indices) => node.written.push(Write::Remove(indices)),
                Effect::Insert(entry) => {
                    let text = text_of(&entry);
                    assert!(node.shown.insert(entry.stamp(), (entry.id, text)).is_none());
                }
                Effect::Confirm { first, confirmed } => {
                    assert_eq!(first, node.confirmed.count + 1);
                    node.confirmed = confirmed;
                }
                Effect::Withdraw(entry) => {
                    let shown = node.shown.remove(&entry.stamp());
                    node.withdrawn.extend(shown.map(|(_, text)| text));
                }
                Effect::Epoch(number, _) => node.epoch = number,
                Effect::Forked(id) => node.forked.push(id),
                Effect::Outdated(id) => node.outdated.push(id),
                Effect::Diverged(from) => node.diverged.push(from),
                Effect::Drop(_, reason) => node.drops.push(reason),
                Effect::Send(to, message) => {
                    if let Message::Word(word) = &message {
                        node.promised = Some((word.lines[0].clone(), word.confirmed));
                    }
                    let bytes = message.bytes();
                    assert!(bytes.len() <= node.config.longest, "{} bytes: {message:?}", bytes.len());
                    node.sent.push((to, message));
                    let is_receiver = |&other: &usize| match to {
                        To::Group => other != at,
                        To::Member(member) => other == usize::from(member.0),
                    };
                    let receivers = (0..members).filter(is_receiver);
                    let epoch = node.epoch;
                    self.flying.extend(receivers.map(|other| (at, other, epoch, bytes.clone())));
                }
            }
        }
    }

    /// Lets time pass: datagrams arrive, disks sync, deadlines pass.
    pub(super) fn run(&mut self, long: Duration) {
        let end = self.now.after(long);
        for _ in 0..MOST_INPUTS {
            if let Some((from, to, epoch, bytes)) = self.flying.pop_front() {
                if !self.cut.contains(&(from, to)) && !self.loses() {
                    let message = Message::parse(bytes).unwrap();
                    self.handle(to, Input::Receive(MemberId(from as u16), epoch, message));
                }
                continue;
            }
            let syncing = |node: &Node| !node.is_stuck && node.replica.is_some() && !node.written.is_empty();
            if let Some(at) = self.nodes.iter().position(syncing) {
                self.sync(at);
                continue;
            }
            let due = |node: &Node| node.replica.as_ref().and_then(Replica::next_deadline);
            let next = (0..self.nodes.len()).filter_map(|at| Some((due(&self.nodes[at])?, at))).min();
            let Some((time, at)) = next.filter(|&(time, _)| time <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(time);
            self.handle(at, Input::Wake);
        }
        panic!("the cluster never rests");
    }

    fn loses(&mut self) -> bool {
        self.loss.as_mut().is_some_and(|(prng, share)| prng.below(*share) == 0)
    }

    /// Lets time pass until everything is confirmed everywhere.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            self.run(Duration::from_millis(100));
            let replicas = || self.nodes.iter().map(Node::replica);
            let first = self.nodes[0].replica().confirmed();
            if replicas().all(|replica| replica.has_confirmed_all() && replica.confirmed() == first) {
                return;
            }
        }
        let state = |node: &Node| (node.replica().tentative(), node.replica().waits_for());
        panic!("never settled: {:?}", self.nodes.iter().map(state).collect::<Vec<_>>());
    }
}

impl Replica {
    /// The number of its entries that it has not sent.
    pub(super) fn unsent(&self) -> u64 {
        self.log.received(self.me) - self.flow.sent()
    }

    /// Whether it has confirmed all that it knows of.
    fn has_confirmed_all(&self) -> bool {
        let is_here = |origin| self.last_known(origin) <= self.log.stored(origin);
        self.tentative() == 0 && self.unsent() == 0 && (0..self.slots()).all(is_here)
    }
}

/// A multicast of one text, the sender's `number`-th.
pub(super) fn multicast(number: u64, text: &str) -> Content {
    let mut batch = BatchBuilder::new(number);
    batch.push(text.as_bytes());
    Content::Multicast(batch.finish().unwrap())
}

fn text_of(entry: &Entry) -> String {
    match &entry.content {
        Content::Multicast(batch) => {
            batch.messages().map(|(_, text)| String::from_utf8_lossy(text)).collect()
        }
        content => format!("{content:?}"),
    }
}
