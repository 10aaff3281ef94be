//! A simulated member of a cluster: a replica that comes and goes, the disk that stays, and the story that the oracles
//! judge.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::workload::Task;
use super::disk::Disk;
use crate::check::cluster::{Happening, Life, MemberStory};
use crate::engine::{MemberId, Time, To};
use crate::journal;
use crate::replica::entry::{Content, Entry, EntryId, Stamp};
use crate::replica::epoch::{Change, Request};
use crate::replica::newcomer::Newcomer;
use crate::replica::record::{Confirmed, Snapshot};
use crate::replica::{Config, Effects, Replica};
use crate::wire::{Batch, BatchBuilder};

/// A member.
pub(super) struct Member {
    pub(super) config: Config,
    pub(super) disk: Disk,
    /// The replica, while the member is up.
    pub(super) replica: Option<Replica>,
    /// Its submissions, in order. Task *i* is its entry *i* + 1; the entry after the last says that it has finished.
    pub(super) tasks: Vec<Task>,
    /// The number of its entries that were submitted, in this life or an earlier one.
    pub(super) submitted: usize,
    /// The number of starts.
    pub(super) life: u32,
    pub(super) story: MemberStory,
    /// For each life, the time of every event; the first one is the start.
    pub(super) times: Vec<Vec<Time>>,
    /// The present time.
    pub(super) now: Time,
    /// For each member, the number of messages in its first so many entries, as they were shown here.
    counts: Vec<Vec<u64>>,
    /// The number of messages that were confirmed before this life, and of direct ones that were received.
    written: (u64, u64),
    /// The number of direct messages that were shown in this life, those shown again included.
    received: u64,
    /// The highest place of an entry that it has shown.
    highest: Stamp,
    /// The entries that it shows and has not confirmed in this life.
    tentative: BTreeMap<Stamp, EntryId>,
    /// The entries that were withdrawn.
    withdrawn: BTreeSet<EntryId>,
    /// For each slot whose member was removed, the number of its last entry: later causes are void.
    cuts: BTreeMap<usize, u64>,
    /// The number of entries that it has shown above others.
    pub(super) inserted_above: u64,
    /// The epoch of its messages.
    pub(super) epoch: u16,
    /// Its state before it has a journal, if it was not there from the beginning.
    pub(super) newcomer: Option<Newcomer>,
    /// It was removed, and knows it.
    pub(super) is_removed: bool,
}

impl Member {
    pub(super) fn new(config: Config, slots: usize, tasks: Vec<Task>) -> Self {
        Self {
            config,
            disk: Disk::default(),
            replica: None,
            tasks,
            submitted: 0,
            life: 0,
            story: MemberStory { name: config.me.to_string(), ..MemberStory::default() },
            times: Vec::new(),
            now: Time::ZERO,
            counts: vec![vec![0]; slots],
            written: (0, 0),
            received: 0,
            highest: Stamp::default(),
            tentative: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            cuts: BTreeMap::new(),
            inserted_above: 0,
            epoch: 1,
            newcomer: None,
            is_removed: false,
        }
    }

    /// Becomes a new member that has no journal, unless it has one or is no new member. Returns whether it does.
    pub(super) fn begin_newcomer(&mut self, now: Time, others: usize) -> bool {
        let is_new = usize::from(self.config.me.0) >= self.config.members && self.disk.recovered().1 == 1;
        if is_new {
            self.newcomer = Some(Newcomer::new(now, self.config.me, self.config.members, others));
        }
        is_new
    }

    /// Takes note of the epoch that begins. If this member is removed, it ends.
    pub(super) fn begin_epoch(&mut self, number: u16, change: &Change) {
        self.epoch = number;
        let (removed, slots) = match change.request {
            Request::Remove(member) => (Some(member.0), change.stored.len()),
            Request::Add { .. } => (None, change.stored.len() + 1),
        };
        self.happens(Happening::Epoch {
            number: u64::from(number),
            members: (0..slots as u16).collect(),
            removed,
        });
        if let Some(slot) = removed {
            let cut = change.stored.get(usize::from(slot)).copied().unwrap_or(0);
            self.cuts.insert(usize::from(slot), cut);
        }
        if removed == Some(self.config.me.0) {
            self.is_removed = true;
            self.end("removed");
        }
    }

    /// Takes the withdrawal of an entry, which is told once.
    pub(super) fn withdraw(&mut self, entry: &Entry) {
        self.tentative.remove(&entry.stamp());
        if let Content::Multicast(batch) = &entry.content
            && self.withdrawn.insert(entry.id)
        {
            for (number, _) in batch.messages() {
                self.happens(Happening::Withdraw { id: (entry.id.origin.0, number) });
            }
        }
    }

    /// Starts the member from its disk.
    pub(super) fn start(&mut self, now: Time) -> Result<Effects, String> {
        let mut effects = Effects::new();
        let (records, next) = self.disk.recovered();
        if let Some(flaw) = journal::first_flaw(records) {
            return Err(format!("the journal: {flaw}"));
        }
        let (replica, recovered) = Replica::recover(now, self.config, records, next, &mut effects)
            .map_err(|damaged| format!("record {} of the journal: {}", damaged.index, damaged.reason))?;
        self.submitted = replica.entries_of(self.config.me) as usize;
        self.replica = Some(replica);
        self.life = recovered.life;
        self.received = recovered.forgotten.received;
        if self.life == 1 {
            self.begin_after(&recovered.forgotten);
        }
        let mut life = Life::default();
        life.events.push(Happening::Recover {
            entries: recovered.entries,
            confirmed: recovered.forgotten.confirmed.count,
        });
        self.story.lives.push(life);
        self.times.push(vec![now]);
        Ok(effects)
    }

    /// Begins where the others have forgotten the rest.
    fn begin_after(&mut self, forgotten: &Snapshot) {
        self.written.0 = forgotten.confirmed.count;
        for (counts, origin) in self.counts.iter_mut().zip(&forgotten.origins) {
            *counts = vec![0; origin.number as usize];
            counts.push(origin.multicasts);
        }
    }

    /// Returns the time of the next task.
    pub(super) fn next_task(&self) -> Option<Time> {
        self.replica.as_ref()?;
        self.tasks.get(self.submitted).map(|task| task.at)
    }

    /// Returns whether there is something to submit.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.tasks.get(self.submitted).map_or(self.submitted == self.tasks.len(), |task| task.at <= now)
    }

    /// Returns the next submission, if its time has come.
    pub(super) fn next_submission(&mut self, now: Time) -> Option<Content> {
        let content = match self.tasks.get(self.submitted) {
            Some(task) if task.at > now => return None,
            Some(task) => self.content(&task.clone()),
            None if self.submitted == self.tasks.len() => Content::Finished,
            None => return None,
        };
        self.submitted += 1;
        Some(content)
    }

    /// Returns the content of a task. Its texts name the life, so that no two lives send the same under one number.
    fn content(&mut self, task: &Task) -> Content {
        let is_same = |other: &&Task| other.to == task.to;
        let earlier =
            self.tasks[..self.submitted].iter().filter(is_same).map(|task| task.paddings.len() as u64);
        let mut batch = BatchBuilder::new(earlier.sum::<u64>() + 1);
        for &padding in &task.paddings {
            let text = format!("{}>{} life {} {}", self.config.me, task.to, self.life, ".".repeat(padding));
            let number = batch.push(text.as_bytes());
            let text = Bytes::from(text);
            self.happens(match task.to {
                To::Group => Happening::Multicast { number, text },
                To::Member(to) => Happening::Send { to: to.0, number, text },
            });
        }
        let batch = batch.finish().expect("a task has messages");
        match task.to {
            To::Group => Content::Multicast(batch),
            To::Member(to) => Content::Direct(to, batch),
        }
    }

    fn happens(&mut self, happening: Happening) {
        self.story.lives.last_mut().expect("a member that acts is up").events.push(happening);
        self.times.last_mut().expect("every life has its times").push(self.now);
    }

    /// Records that an entry is shown. A second showing in a later life is no news.
    pub(super) fn insert(&mut self, entry: &Entry) {
        let origin = usize::from(entry.id.origin.0);
        let is_again = self.counts[origin].len() as u64 > entry.id.number;
        self.tentative.insert(entry.stamp(), entry.id);
        let messages = match &entry.content {
            Content::Multicast(batch) => u64::from(batch.count()),
            _ => 0,
        };
        if !is_again {
            let before = self.counts[origin].last().copied().unwrap_or(0);
            self.counts[origin].push(before + messages);
            self.inserted_above += u64::from(entry.stamp() < self.highest);
            self.highest = self.highest.max(entry.stamp());
        }
        match &entry.content {
            Content::Multicast(batch) if !is_again => self.insert_messages(entry, batch),
            Content::Direct(to, batch) if *to == self.config.me => self.receive(entry.id.origin, batch),
            _ => {}
        }
    }

    fn insert_messages(&mut self, entry: &Entry, batch: &Batch) {
        // Without its causes, which only a planted defect leaves out, the count is not known here.
        let count = |(slot, (&cause, counts)): (usize, (&u64, &Vec<u64>))| {
            let cause = self.cuts.get(&slot).map_or(cause, |&cut| cut.min(cause));
            counts.get(cause as usize).copied().unwrap_or(u64::MAX)
        };
        let deps: Vec<u64> = entry.causes.iter().zip(&self.counts).enumerate().map(count).collect();
        let at = (entry.time, entry.id.origin.0);
        for (number, text) in batch.messages() {
            let (id, text) = ((entry.id.origin.0, number), Bytes::copy_from_slice(text));
            self.happens(Happening::Insert { id, at, deps: deps.clone(), text });
            if entry.id.origin == self.config.me {
                self.happens(Happening::Stored { number });
            }
        }
    }

    fn receive(&mut self, from: MemberId, batch: &Batch) {
        for (number, text) in batch.messages() {
            self.received += 1;
            if self.received > self.written.1 {
                self.written.1 = self.received;
                let text = Bytes::copy_from_slice(text);
                self.happens(Happening::Receive { from: from.0, number, text });
            }
        }
    }

    /// Records a confirmation, and returns the confirmed entries. A second confirmation in a later life is no news.
    pub(super) fn confirm(&mut self, first: u64, confirmed: Confirmed) -> Vec<EntryId> {
        let Confirmed { upto, count, digest, .. } = confirmed;
        let number = first.max(self.written.0 + 1);
        if count >= number {
            self.written.0 = count;
            let upto = (upto.time, upto.origin.0);
            self.happens(Happening::Confirm { upto, number, count: count + 1 - number, digest });
        }
        let later = self.tentative.split_off(&upto);
        let mut entries: Vec<EntryId> = std::mem::replace(&mut self.tentative, later).into_values().collect();
        entries.extend(self.tentative.remove(&upto));
        entries
    }

    /// Records the end of a life.
    pub(super) fn end(&mut self, reason: &str) {
        if let Some(life) = self.story.lives.last_mut() {
            life.end = Some(reason.to_owned());
        }
    }

    /// Crashes; the disk keeps `kept` of the writes that it had not synced.
    pub(super) fn crash(&mut self, kept: usize) {
        self.replica = None;
        self.newcomer = None;
        self.tentative.clear();
        self.disk.crash(kept);
    }
}
