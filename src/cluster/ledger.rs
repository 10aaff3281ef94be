//! Station 10 of a cluster: the events of a member, written into its result files and its history.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::list::List;
use super::node::{Event, Node};
use super::shown::Shown;
use crate::driver::clock::calendar;
use crate::exit::Failure;
use crate::ids::{MemberId, Time};
use crate::order;
use crate::replica::Recovered;
use crate::replica::entry::{Content, Entry};
use crate::replica::epoch::{Change, Request};
use crate::replica::record::Confirmed;
use crate::results::cluster::ClusterResults;
use crate::results::{Counts, MessageId, Start};
use crate::wire::Batch;

/// Longest time until a delivery is in the files, and what a kill takes away of a history.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// The files of a member, and the entries that it shows and has not confirmed.
pub struct Ledger {
    results: ClusterResults,
    list: List,
    shown: Vec<Shown>,
    /// The messages of this member that were withdrawn, because it was removed.
    withdrawn: u64,
    counts: Counts,
    flushed: Time,
}

impl Ledger {
    /// Returns the ledger of a member that goes on from its journal.
    #[must_use]
    pub fn new(results: ClusterResults, recovered: &Recovered) -> Self {
        let origins = recovered.forgotten.origins.iter();
        let shown = origins
            .map(|origin| Shown { before: (origin.number, origin.multicasts), upto: VecDeque::new() })
            .collect();
        let (list, counts) = (List::default(), Counts::default());
        Self { results, list, shown, withdrawn: 0, counts, flushed: Time::ZERO }
    }

    /// Records the start of a life. Hands the confirmed texts that the journal has forgotten, with their senders, to `see`.
    ///
    /// # Errors
    /// As [`ClusterResults`], as for every method below.
    pub fn start(
        &mut self,
        node: &Node,
        cluster: &str,
        recovered: &Recovered,
        see: impl FnMut(&str, &[u8]),
    ) -> Result<(), Failure> {
        let members: Vec<&str> = node.names().iter().map(String::as_str).collect();
        let time_us = node.elapsed_micros();
        self.results.start(&Start {
            member: node.name(node.me()),
            incarnation: recovered.life,
            group: cluster,
            groups: (&[]).into(),
            order: order::TENTATIVE,
            method: None,
            log: None,
            members: (&members).into(),
            time_us,
        })?;
        let calendar_us = u64::try_from(calendar().as_micros()).unwrap_or_default();
        let confirmed = node.replica().confirmed().count;
        self.results.recover(recovered.entries, confirmed, time_us, calendar_us)?;
        let forgotten = &recovered.forgotten;
        // The files of a member that was added begin with what was confirmed after that.
        let count = forgotten.confirmed.count.saturating_sub(recovered.began);
        self.results.forgotten(count, forgotten.received, see)
    }

    /// Records the first events of a life, those of its journal. Events that earlier lives recorded are passed over.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn replay(&mut self, node: &Node, events: &[Event]) -> Result<(), Failure> {
        let now = node.elapsed_micros();
        self.multicast_again(node, events, now)?;
        events.iter().try_for_each(|event| self.record(node, event, now))?;
        self.results.recovered();
        self.counts = Counts::default();
        // A member that is killed soon has a history that tells at least of its start.
        self.results.flush()
    }

    /// Records the multicasts that the journal has and no history tells: a member that was killed loses its last events.
    /// They come before all that this life tells, because nothing later may seem to be their cause.
    fn multicast_again(&mut self, node: &Node, events: &[Event], now: u64) -> Result<(), Failure> {
        for event in events {
            if let Event::Insert(entry) = event
                && let Content::Multicast(batch) = &entry.content
                && entry.id.origin == node.me()
            {
                for (number, text) in batch.messages() {
                    self.results.multicast_again(own(node, number), text, now)?;
                }
            }
        }
        Ok(())
    }

    /// Records a multicast of this member, before its journal has it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn multicast(&mut self, node: &Node, number: u64, text: &[u8]) -> Result<(), Failure> {
        self.counts.multicasts += 1;
        self.results.multicast(own(node, number), text, node.elapsed_micros())
    }

    /// Counts a direct message of this member.
    pub const fn send(&mut self) {
        self.counts.sent += 1;
    }

    /// Records an event at the time `now`, in microseconds of this life.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn record(&mut self, node: &Node, event: &Event, now: u64) -> Result<(), Failure> {
        match event {
            Event::Insert(entry) => self.insert(node, entry, now),
            Event::Confirm(first, confirmed) => self.confirm(node, *first, *confirmed, now),
            Event::Withdraw(entry) => self.withdraw(node, entry, now),
            Event::Epoch(number, change) => self.begin_epoch(node, *number, change, now),
        }
    }

    fn insert(&mut self, node: &Node, entry: &Entry, now: u64) -> Result<(), Failure> {
        let origin = entry.id.origin;
        let messages = match &entry.content {
            Content::Multicast(batch) => {
                self.insert_messages(node, entry, batch, now)?;
                u64::from(batch.count())
            }
            Content::Direct(to, batch) => {
                if origin == node.me() {
                    self.sent(node, *to, batch, now)?;
                }
                if *to == node.me() {
                    self.receive(node, origin, batch, now)?;
                }
                0
            }
            Content::Finished => 0,
        };
        self.shown[usize::from(origin.0)].add(messages);
        self.list.insert(entry.clone());
        Ok(())
    }

    fn insert_messages(
        &mut self,
        node: &Node,
        entry: &Entry,
        batch: &Batch,
        now: u64,
    ) -> Result<(), Failure> {
        let origin = entry.id.origin;
        let causes = entry.causes.iter().zip(&self.shown);
        let deps: Vec<u64> = causes.map(|(&entries, shown)| shown.messages(entries)).collect();
        for (number, text) in batch.messages() {
            let id = MessageId { member: node.name(origin), incarnation: 1, number };
            self.results.insert(id, entry.stamp(), &deps, text, now)?;
            if origin == node.me() {
                self.results.stored(id, now)?;
            }
        }
        Ok(())
    }

    /// Records that the journal has direct messages of this member.
    fn sent(&mut self, node: &Node, to: MemberId, batch: &Batch, now: u64) -> Result<(), Failure> {
        for (number, text) in batch.messages() {
            self.results.sent(own(node, number), node.name(to), text, now)?;
        }
        Ok(())
    }

    fn receive(&mut self, node: &Node, from: MemberId, batch: &Batch, now: u64) -> Result<(), Failure> {
        for (number, text) in batch.messages() {
            let member = node.name(from);
            self.results.receive(member, text)?;
            self.results.received(MessageId { member, incarnation: 1, number }, text, now)?;
            self.counts.received += 1;
        }
        Ok(())
    }

    /// Writes the messages that are confirmed.
    fn confirm(&mut self, node: &Node, first: u64, confirmed: Confirmed, now: u64) -> Result<(), Failure> {
        while let Some(entry) = self.list.take_first(confirmed.upto) {
            let Content::Multicast(batch) = &entry.content else { continue };
            for (_, text) in batch.messages() {
                self.results.confirm(node.name(entry.id.origin), text)?;
                self.counts.delivered += 1;
            }
        }
        if confirmed.count >= first {
            let count = confirmed.count + 1 - first;
            self.results.confirmed(confirmed.upto, first, count, confirmed.digest, now)?;
        }
        Ok(())
    }

    /// Takes an entry of a removed member out of the list.
    fn withdraw(&mut self, node: &Node, entry: &Entry, now: u64) -> Result<(), Failure> {
        self.list.remove(entry.stamp());
        let Content::Multicast(batch) = &entry.content else { return Ok(()) };
        for (number, _) in batch.messages() {
            let member = node.name(entry.id.origin);
            self.results.withdraw(MessageId { member, incarnation: 1, number }, now)?;
        }
        self.withdrawn += u64::from(batch.count());
        Ok(())
    }

    fn begin_epoch(&mut self, node: &Node, number: u16, change: &Change, now: u64) -> Result<(), Failure> {
        let names = names_after(node, change);
        let removed = match &change.request {
            Request::Remove(member) => Some(node.name(*member)),
            Request::Add { .. } => None,
        };
        self.results.epoch(u64::from(number), &names, removed, now)?;
        while self.shown.len() < names.len() {
            self.shown.push(Shown::default());
        }
        Ok(())
    }

    /// Makes the results durable if the journal is to forget what they follow from.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn keep(&mut self, node: &mut Node) -> Result<(), Failure> {
        if node.would_forget() {
            self.results.keep()?;
            node.forget();
        }
        Ok(())
    }

    /// Hands the lines to the system, unless it did so a moment ago.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn flush(&mut self, now: Time) -> Result<(), Failure> {
        if now.since(self.flushed) >= FLUSH_EVERY {
            self.flushed = now;
            self.results.flush()?;
        }
        Ok(())
    }

    /// Writes the list as it is now.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn write_now(&mut self, node: &Node) -> Result<(), Failure> {
        let mut tentative = Vec::new();
        for entry in self.list.entries() {
            if let Content::Multicast(batch) = &entry.content {
                let from = node.name(entry.id.origin);
                tentative.extend(batch.messages().map(|(_, text)| (from, text)));
            }
        }
        self.results.now(tentative.into_iter())
    }

    /// Records the end of the life, and makes the files durable. Returns their names.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn end(mut self, node: &Node, reason: &str) -> Result<Vec<PathBuf>, Failure> {
        self.write_now(node)?;
        self.results.end(reason, &self.counts, node.elapsed_micros())?;
        self.results.finish()
    }

    /// Hands each confirmed text, and its sender, to `see`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn confirmed_texts(&mut self, see: impl FnMut(&str, &[u8])) -> Result<(), Failure> {
        self.results.confirmed_texts(see)
    }

    /// Returns the entries that are shown and not confirmed, in the order of their places.
    pub fn tentative_entries(&self) -> impl Iterator<Item = &Entry> {
        self.list.entries()
    }

    /// Returns the counts of messages of this life.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the number of entries that are shown and not confirmed.
    #[must_use]
    pub fn tentative(&self) -> usize {
        self.list.len()
    }

    /// Returns the number of messages that were withdrawn.
    #[must_use]
    pub const fn withdrawn(&self) -> u64 {
        self.withdrawn
    }
}

/// Returns the identity of a message of this member.
fn own(node: &Node, number: u64) -> MessageId<'_> {
    MessageId { member: node.name(node.me()), incarnation: 1, number }
}

/// Returns the names of the members by slot, as they are in the epoch that a change begins. Later epochs may have begun: the
/// list of this one ends with the member that it added.
fn names_after<'n>(node: &'n Node, change: &Change) -> Vec<&'n str> {
    let is_added = matches!(change.request, Request::Add { .. });
    let slots = change.stored.len() + usize::from(is_added);
    node.names().iter().take(slots).map(String::as_str).collect()
}
