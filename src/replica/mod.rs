//! Station 5 of a cluster: the replicated log of `--order tentative`, which goes on under partition.
//!
//! Every member keeps all entries of all members, sorted by `(Lamport time, sender)`. An entry is *shown* as soon as its
//! causes are, at its place, which may be above entries shown earlier. It is *confirmed*, that is its place is final,
//! when no member can send anything above it any more, and a majority has stored it. So both sides of a partition go on,
//! and neither confirms before they meet again. The two halves of the log are those of Bayou (Terry et al. 1995), without
//! its primary; the rest is in the files:
//!
//! [`entry`], [`message`], [`record`] are what members write, in datagrams and journals. A [`Replica`] takes entries
//! (`receive`), in the order of causes (`early`), into its log (`log`), and stores each in its journal before it shows
//! it, sends it, or promises anything that rests on it. `matrix` is its knowledge of others, `words` how members learn it
//! from each other, `confirm` what follows from it. `repair` asks for what is missing and gives it
//! to others, `flow` limits what is under way, `recover` goes on after a restart. [`epoch`] has the lists of members,
//! `vote` and `ballot` how a majority decides on the next one, `install` what it changes, [`newcomer`] how a new member
//! begins.

mod ballot;
mod confirm;
mod early;
pub mod entry;
pub mod epoch;
mod flow;
mod install;
mod log;
mod matrix;
pub mod message;
pub mod newcomer;
mod receive;
pub mod record;
mod recover;
mod repair;
#[cfg(test)]
mod tests;
mod vote;
mod words;

use std::collections::VecDeque;

use crate::defect::{Defect, Defects};
use crate::ids::{MemberId, Time, To};
use early::Early;
use entry::{Content, Entry, EntryId, Fields};
use epoch::{Change, Membership, Request};
use flow::Flow;
use log::Log;
use matrix::Matrix;
use message::Message;
use record::{Confirmed, Record};
use repair::Repair;
use vote::Votes;
use words::Words;

pub use recover::Recovered;

/// Most entries of this member that are submitted and not sent. Further ones wait with the application.
const MOST_UNSENT: u64 = 1024;

/// The settings of a replica.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Config {
    /// The member.
    pub me: MemberId,
    /// The number of members of the first epoch, 1 to [`entry::MOST_MEMBERS`].
    pub members: usize,
    /// Longest message in a datagram, in bytes.
    pub longest: usize,
    /// The number of datagrams that the socket buffer of this member holds.
    pub room: u64,
    /// Most bytes of entries that the log keeps. Beyond, submissions wait.
    pub limit: usize,
    /// Bytes of forgotten entries after which a snapshot replaces them in the journal.
    pub snapshot_every: usize,
    /// The defects that it has on purpose.
    pub defects: Defects,
}

/// An input of a replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// The application sends something.
    Submit(Content),
    /// A message of another member arrived, which was in the epoch of this number.
    Receive(MemberId, u16, Message),
    /// An operator asks for a change of the members.
    Propose(Option<Request>),
    /// All records up to this index are stored.
    Stored(u64),
    /// The clock has reached [`Replica::next_deadline`].
    Wake,
}

/// A request of a replica to its driver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Append the record to the journal. Records have the indices 1, 2, 3, …
    Store(Record),
    /// Remove records from the journal, with or after the record appended last.
    Remove(Vec<u64>),
    /// Send a message.
    Send(To, Message),
    /// The entry is shown: it takes its place, by its stamp, among the entries that are not confirmed.
    Insert(Entry),
    /// All entries shown up to `confirmed.upto` are confirmed, and the journal has it. Their first message has the number
    /// `first`, from 1.
    Confirm {
        /// The number of the first message that is confirmed now.
        first: u64,
        /// The prefix of the order that is confirmed.
        confirmed: Confirmed,
    },
    /// The entry is withdrawn: its sender was removed, and no majority had it.
    Withdraw(Entry),
    /// The epoch of this number begins, with this change. All messages from now on are of it. This member may have been
    /// removed: [`Replica::is_removed`].
    Epoch(u16, Change),
    /// Two different entries of this member have the same number: its journal is not the one that it had.
    Forked(EntryId),
    /// All other members have forgotten this entry, as this one had stored it: its journal is not the one that it had. It
    /// can never go on.
    Outdated(EntryId),
    /// Another member confirmed something else: one of the two has a defect.
    Diverged(MemberId),
    /// The message was ignored.
    Drop(MemberId, DropReason),
}

/// The reason why a message was ignored. A peer's mistake is data, never an error of ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DropReason {
    /// Received before.
    Duplicate,
    /// Of no member of the cluster.
    Stranger,
    /// Further ahead than any honest member is, or than there is room for.
    OutsideWindow,
    /// Not what a correct member sends.
    BreaksContract,
    /// Of an epoch that is over, or has not begun here.
    OtherEpoch,
    /// An entry of a member that is removed, or may be.
    Removed,
}

/// The effects of an input, in their order.
pub type Effects = Vec<Effect>;

/// The phase of a replica, by which it sends own entries or not.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Phase {
    /// It has just started, and listens until this time, or until all others have said what they have of it: its journal
    /// may be an old copy.
    Listening(Time),
    /// Its journal is an old copy: others have entries of it up to this number, which it fetches back.
    FetchingOwn(u64),
    /// It sends entries.
    Sending,
}

/// A record that is appended and not stored.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Pending {
    /// The next entry of this sender.
    Entry(MemberId),
    Confirmed(Confirmed),
    /// A vote: its reply is the next one of [`Votes`].
    Vote,
    /// The change to the next epoch.
    Change,
    Other,
}

/// One member's copy of the replicated log: a pure state machine with the six rules of [`crate::engine`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Replica {
    config: Config,
    me: usize,
    life: u32,
    phase: Phase,
    /// The time of the last input.
    now: Time,
    /// The Lamport clock: the highest time of an entry that this member has submitted or shown. It needs no record of its
    /// own: nothing is promised above the times of the entries in the journal.
    clock: u64,
    log: Log,
    early: Vec<Early>,
    matrix: Matrix,
    flow: Flow,
    repair: Repair,
    words: Words,
    /// The index of the next record.
    next_index: u64,
    /// The records that are appended and not stored, with their indices.
    pending: VecDeque<(u64, Pending)>,
    /// The indices of the records that the next ones of their kind replace, and of entries that all have.
    superseded: Vec<u64>,
    /// The indices of the records with the last confirmed prefix and the last snapshot.
    confirmed_index: Option<u64>,
    /// A record of the confirmed prefix is appended and not stored.
    is_announcing: bool,
    snapshot_index: Option<u64>,
    /// The index of the record with the clock when entries were withdrawn.
    clock_index: Option<u64>,
    /// Bytes of the entries that were forgotten since the last snapshot.
    forgotten_bytes: usize,
    /// Members whose [`Content::Finished`] is confirmed.
    finished: Vec<bool>,
    membership: Membership,
    votes: Votes,
}

impl Replica {
    /// Reacts to one input; appends every consequence to `out`.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Effects) {
        self.now = now;
        match input {
            Input::Submit(content) => self.submit(content, out),
            Input::Receive(from, epoch, message) => self.receive(from, epoch, message, out),
            Input::Propose(request) => self.propose(request),
            Input::Stored(upto) => self.stored(upto, out),
            Input::Wake => {}
        }
        if self.is_removed() {
            return;
        }
        self.drive(out);
        self.begin_to_send();
        self.send_entries(out);
        self.confirm(out);
        self.send_words(out);
        self.send_wants(out);
    }

    /// Returns the time of the next [`Input::Wake`]. A pure function of state.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let listening = match self.phase {
            Phase::Listening(until) => Some(until),
            _ => None,
        };
        let unsent = self.flow.sent() < self.log.stored(self.me);
        let left_out = if unsent { self.flow.next_left_out(self.now, &self.membership) } else { None };
        let due = [Some(self.words.due()), self.repair.due(), listening, left_out, self.votes_due()];
        if self.is_removed() { None } else { due.into_iter().flatten().min() }
    }

    /// Returns how many submissions are welcome now. A pure function of state.
    #[must_use]
    pub fn window(&self) -> u64 {
        let unsent = self.log.received(self.me) - self.flow.sent();
        match self.phase {
            Phase::Sending
                if self.log.bytes() < self.config.limit && !self.votes.is_held(self.config.defects) =>
            {
                MOST_UNSENT.saturating_sub(unsent)
            }
            _ => 0,
        }
    }

    /// Returns the most bytes that the next entry of this member has beside its texts. A pure function of state.
    #[must_use]
    pub fn longest_fields(&self) -> usize {
        entry::longest_fields((0..self.slots()).map(|origin| self.log.received(origin)))
    }

    /// Returns whether the log is as long as its limit, so that submissions wait for the members that lack entries.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.log.bytes() >= self.config.limit
    }

    /// Returns the number of this member's last entry, if others have it and the journal lacks it: it is an old copy.
    #[must_use]
    pub const fn fetches_own(&self) -> Option<u64> {
        match self.phase {
            Phase::FetchingOwn(most) => Some(most),
            _ => None,
        }
    }

    /// Returns the confirmed prefix that the journal has.
    #[must_use]
    pub const fn confirmed(&self) -> Confirmed {
        self.words.announced()
    }

    /// Returns the number of entries of `origin` that this member has, stored or not.
    #[must_use]
    pub fn entries_of(&self, origin: MemberId) -> u64 {
        self.log.received(usize::from(origin.0))
    }

    /// Returns the number of entries that are shown, and whose confirmation the journal does not have.
    #[must_use]
    pub fn tentative(&self) -> usize {
        let unannounced = self.log.confirmed().entries - self.words.announced().entries;
        self.log.tentative() + unannounced as usize
    }

    /// Returns the time of the last datagram of a member.
    #[must_use]
    pub fn heard(&self, member: MemberId) -> Option<Time> {
        self.repair.heard(usize::from(member.0))
    }

    /// Returns the number of entries of `origin` that `member` is known to have stored.
    #[must_use]
    pub fn has_stored(&self, member: MemberId, origin: MemberId) -> u64 {
        self.matrix.stored(usize::from(member.0), usize::from(origin.0))
    }

    /// Returns the number of slots, those of removed members included.
    pub(super) fn slots(&self) -> usize {
        self.early.len()
    }

    fn submit(&mut self, content: Content, out: &mut Effects) {
        let mut causes: Vec<u64> = (0..self.slots()).map(|origin| self.log.stored(origin)).collect();
        causes[self.me] = self.log.received(self.me);
        self.clock += 1;
        let entry = Entry::new(&Fields {
            id: EntryId { origin: self.config.me, number: self.log.received(self.me) + 1 },
            time: self.clock,
            life: self.life,
            previous: self.log.last_digest(self.me),
            causes,
            content,
        });
        if self.config.defects.has(Defect::SendEarly) {
            let messages = receive::messages(&entry, self.config.longest).into_iter();
            out.extend(messages.map(|message| Effect::Send(To::Group, message)));
        }
        self.append(entry, out);
    }

    /// Appends an entry to the log and the journal.
    fn append(&mut self, entry: Entry, out: &mut Effects) {
        let pending = Pending::Entry(entry.id.origin);
        self.log.append(entry.clone(), self.next_index);
        self.store(Record::Entry(entry), pending, out);
    }

    /// Appends a record to the journal. Returns its index.
    fn store(&mut self, record: Record, pending: Pending, out: &mut Effects) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        self.pending.push_back((index, pending));
        out.push(Effect::Store(record));
        index
    }

    /// Handles the records up to `upto`, which are stored: everything happens in the order of the journal.
    fn stored(&mut self, upto: u64, out: &mut Effects) {
        while let Some(&(_, pending)) = self.pending.front().filter(|(index, _)| *index <= upto) {
            self.pending.pop_front();
            match pending {
                Pending::Entry(origin) => self.show(usize::from(origin.0), out),
                Pending::Confirmed(confirmed) => self.announce(confirmed, out),
                Pending::Vote => self.answer(out),
                Pending::Change => self.install_next(out),
                Pending::Other => {}
            }
            self.words.have_news(self.now);
        }
    }

    /// Shows the next entry of `origin`, which is stored.
    fn show(&mut self, origin: usize, out: &mut Effects) {
        let entry = self.log.show(origin);
        self.clock = self.clock.max(entry.time);
        self.matrix.store(origin, entry.id.number);
        out.push(Effect::Insert(entry));
    }

    /// Sends the entries of this member that are stored, as far as the receivers have room.
    fn send_entries(&mut self, out: &mut Effects) {
        while self.flow.sent() < self.log.stored(self.me) {
            let number = self.flow.sent() + 1;
            let Some(entry) = self.log.entry(self.me, number) else {
                self.flow.send(self.now, number, 0);
                continue;
            };
            let messages = receive::messages(entry, self.config.longest);
            if self.flow.window(self.now, &self.membership) == 0 {
                return;
            }
            self.flow.send(self.now, number, messages.len() as u64);
            out.extend(messages.into_iter().map(|message| Effect::Send(To::Group, message)));
            self.words.have_news(self.now);
        }
    }

    /// Begins to send when all others have said what they have of this member, or the time for listening is over, and no own entry is missing.
    fn begin_to_send(&mut self) {
        let is_over = match self.phase {
            Phase::Listening(until) => {
                self.now >= until || self.words.all_are_heard(self.me, &self.membership)
            }
            Phase::FetchingOwn(most) => most <= self.log.stored(self.me),
            Phase::Sending => false,
        };
        if is_over {
            self.phase = Phase::Sending;
        }
    }

    /// Returns the time above which all later entries of this member are, also after a crash.
    fn own_promise(&self) -> u64 {
        // Its entries that are not stored yet are below the clock, and a crash may lose them.
        let open = self.log.stored(self.me) + 1;
        let clock = self.clock.min(self.votes.cap(self.config.defects));
        self.log.entry(self.me, open).map_or(clock, |entry| clock.min(entry.time - 1))
    }
}
