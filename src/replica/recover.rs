//! Recovery: a replica goes on from the records of its journal.

use std::time::Duration;

use super::early::Early;
use super::entry::{Entry, EntryId, MOST_MEMBERS};
use super::epoch::{Change, Membership, Request};
use super::flow::Flow;
use super::log::Log;
use super::matrix::Matrix;
use super::record::{Confirmed, Forgotten, Record, Snapshot};
use super::repair::Repair;
use super::vote::Votes;
use super::words::Words;
use super::{Config, Effect, Effects, Pending, Phase, Replica};
use crate::ids::Time;

/// The time for which a member listens before it sends, so that it hears whether its journal is an old copy.
const LISTEN: Duration = Duration::from_secs(1);

/// The content of a journal, in brief.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// The life that begins, from 1.
    pub life: u32,
    /// The forgotten part of the log: nothing of it is shown again.
    pub forgotten: Snapshot,
    /// The number of entries that are shown again.
    pub entries: u64,
    /// The number of messages that were confirmed when this member was added to the cluster.
    pub began: u64,
}

/// The error of records that no replica has written in this order: the journal is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Damaged {
    /// The index of the record.
    pub index: u64,
    /// The reason.
    pub reason: &'static str,
}

impl Replica {
    /// Returns the replica that goes on from the records of its journal, each with its index; `next` is the index of the
    /// next record. Appends the effects: the entries are inserted again in the order in which they were first, and those
    /// known to be confirmed are confirmed.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn recover(
        now: Time,
        config: Config,
        records: &[(u64, Record)],
        next: u64,
        out: &mut Effects,
    ) -> Result<(Self, Recovered), Damaged> {
        let me = usize::from(config.me.0);
        let added = |(_, record): &&(u64, Record)| {
            matches!(record, Record::Change(_, Change { request: Request::Add { .. }, .. }))
        };
        let slots = (config.members + records.iter().filter(added).count()).min(MOST_MEMBERS);
        let snapshot = last_snapshot(slots, records);
        let mut replica = Self {
            config,
            me,
            life: 1,
            phase: Phase::Sending,
            now,
            clock: snapshot.confirmed.upto.time,
            log: Log::from_snapshot(&snapshot),
            early: vec![Early::default(); slots],
            matrix: Matrix::new(config.me, config.members),
            flow: Flow::new(me, config.members, 0),
            repair: Repair::new(me, config.members, config.room, config.longest),
            words: Words::new(now, config.members, Confirmed::default()),
            next_index: next,
            pending: [].into(),
            superseded: Vec::new(),
            confirmed_index: None,
            is_announcing: false,
            snapshot_index: None,
            clock_index: None,
            forgotten_bytes: 0,
            finished: snapshot.origins.iter().map(|origin| origin.finished).collect(),
            membership: Membership::new(config.members),
            votes: Votes::default(),
        };
        replica.widen(slots);
        let entries = replica.replay(&snapshot, records, out)?;
        if !replica.is_removed() && replica.me >= replica.membership.slots() {
            return Err(Damaged { index: 0, reason: "of a member that was never added" });
        }
        if replica.membership.members() > 1 {
            replica.phase = Phase::Listening(now.after(LISTEN));
        }
        replica.begin(out);
        let began = records.iter().find_map(|(_, record)| match record {
            Record::Began(confirmed) => Some(confirmed.count),
            _ => None,
        });
        let (life, began) = (replica_life(records), began.unwrap_or(0));
        Ok((replica, Recovered { life, forgotten: snapshot, entries, began }))
    }

    /// Replays the records. Returns the number of entries.
    fn replay(
        &mut self,
        snapshot: &Snapshot,
        records: &[(u64, Record)],
        out: &mut Effects,
    ) -> Result<u64, Damaged> {
        let (mut confirmed, mut entries) = (snapshot.confirmed, 0);
        self.life = replica_life(records);
        for &(index, ref record) in records {
            match record {
                // A driver begins no life with a journal that is an old copy.
                Record::Life { .. } | Record::Began(_) | Record::Old(_) => {}
                Record::Clock(clock) => {
                    self.clock = self.clock.max(*clock);
                    self.superseded.extend(self.clock_index.replace(index));
                }
                Record::Confirmed(stored) => {
                    confirmed = if stored.entries >= confirmed.entries { *stored } else { confirmed };
                    self.superseded.extend(self.confirmed_index.replace(index));
                }
                Record::Snapshot(_) => self.superseded.extend(self.snapshot_index.replace(index)),
                Record::Vote(vote) => self.vote_again(vote, index),
                Record::Change(number, change) => {
                    if *number != self.membership.epoch() + 1 || !self.membership.allows_change(change) {
                        return Err(Damaged { index, reason: "no change of the epoch before" });
                    }
                    self.install(change.clone(), out);
                }
                Record::Entry(entry) => entries += self.replay_entry(entry, index, out)?,
            }
        }
        (0..self.slots()).for_each(|origin| self.matrix.store(origin, self.log.stored(origin)));
        self.flow = Flow::new(self.me, self.slots(), self.log.stored(self.me));
        self.hold_again();
        self.confirm_again(confirmed, out);
        if self.log.confirmed() != confirmed {
            let index = self.confirmed_index.or(self.snapshot_index).unwrap_or(0);
            return Err(Damaged { index, reason: "a confirmed prefix that the entries do not give" });
        }
        Ok(entries)
    }

    /// Replays an entry. Returns how many entries are shown again.
    fn replay_entry(&mut self, entry: &Entry, index: u64, out: &mut Effects) -> Result<u64, Damaged> {
        let EntryId { origin, number } = entry.id;
        let at = usize::from(origin.0);
        if at >= entry.causes.len() || !self.is_width(entry.causes.len()) {
            return Err(Damaged { index, reason: "an entry of another cluster" });
        }
        if number <= self.log.forgotten(at) {
            self.superseded.push(index);
            return Ok(0);
        }
        let is_next = number == self.log.received(at) + 1
            && entry.previous == self.log.last_digest(at)
            && entry.time > self.log.last_time(at);
        if !is_next {
            return Err(Damaged { index, reason: "an entry that does not follow the one before" });
        }
        self.log.append(entry.clone(), index);
        self.show(at, out);
        Ok(1)
    }

    /// Confirms the entries that were confirmed before.
    fn confirm_again(&mut self, known: Confirmed, out: &mut Effects) {
        let first = self.log.confirmed().count + 1;
        while let Some((stamp, number)) = self.log.first_tentative() {
            if stamp > known.upto {
                break;
            }
            self.confirm_first(stamp, number);
        }
        self.words.announce(self.log.confirmed());
        if self.log.confirmed().count >= first {
            out.push(Effect::Confirm { first, confirmed: self.log.confirmed() });
        }
    }

    /// Stores the first record of a life.
    fn begin(&mut self, out: &mut Effects) {
        let number = self.life;
        self.store(Record::Life { number }, Pending::Other, out);
    }
}

/// Returns the number of the life that begins with these records.
fn replica_life(records: &[(u64, Record)]) -> u32 {
    let life = |(_, record): &(u64, Record)| match record {
        Record::Life { number } => *number,
        _ => 0,
    };
    records.iter().map(life).max().unwrap_or(0) + 1
}

/// Returns the last snapshot of the journal; an empty one if there is none.
fn last_snapshot(slots: usize, records: &[(u64, Record)]) -> Snapshot {
    let snapshot = |(_, record): &(u64, Record)| match record {
        // One of an earlier epoch has fewer slots.
        Record::Snapshot(snapshot) if snapshot.origins.len().max(snapshot.sent.len()) <= slots => {
            Some(snapshot.clone())
        }
        _ => None,
    };
    let mut last = records.iter().rev().find_map(snapshot).unwrap_or_default();
    last.origins.resize(slots, Forgotten::default());
    last.sent.resize(slots, 0);
    last
}
