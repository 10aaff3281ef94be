//! Station 8 of a cluster: the loop of a member. It connects its replica to the socket, the journal and the clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use super::faults::Watch;
use super::file::Cluster;
use super::join::Join;
use super::records;
use crate::defect::Defects;
use crate::driver::clock::{Clock, LONGEST_WAIT};
use crate::exit::Failure;
use crate::ids::{MemberId, Time, To};
use crate::journal::{self, Commit, Committer, Identity};
use crate::replica::entry::{Content, Entry, EntryId};
use crate::replica::epoch::{Change, Request};
use crate::replica::message::Message;
use crate::replica::record::{Confirmed, Old, Record};
use crate::replica::{Config, Effect, Effects, Input, Recovered, Replica};
use crate::talk::Talk;
use crate::transport::signals::{Signals, interruption};
use crate::transport::udp::{Counts, Udp};
use crate::transport::wakeup::{Waker, Wakeup, wait, wakeup};
use crate::wire::BatchBuilder;
use crate::wire::datagram::{Head, Packer, room_of};
use crate::wire::sealed::Key;

/// Most bytes of entries that wait for the journal. Beyond, submissions wait, too.
const MOST_UNSTORED: u64 = 8 << 20;
/// Bytes of forgotten entries after which a snapshot replaces them in the journal.
const SNAPSHOT_EVERY: usize = 1 << 20;
/// Most bytes of an entry with several texts. It fills a row of the journal and some thirty datagrams, whose pieces are
/// repaired one by one: long entries cost a member a third less time for a message than those of one datagram.
pub const FULL_ENTRY: usize = 32 << 10;
/// The silence of the whole cluster after which the socket joins its multicast group again.
const REJOIN_AFTER: Duration = Duration::from_secs(10);
/// The settings of a node.
pub struct Settings<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// This member.
    pub me: MemberId,
    /// The folder of the journal.
    pub data: &'a Path,
    /// Whether it uses no IP multicast.
    pub is_unicast: bool,
    /// The key of the cluster, if it has one.
    pub key: Option<Key>,
    /// Most bytes of entries that members which are away still lack.
    pub limit: usize,
    /// The time for which a new member waits for the others.
    pub patience: Duration,
    /// The defects that the replica has on purpose.
    pub defects: Defects,
    /// The file that says which datagrams it drops on purpose, for tests of partitions.
    pub faults: Option<&'a Path>,
}

/// An event at this member.
#[derive(Debug)]
pub enum Event {
    /// An entry is shown: it takes its place, by its stamp, among those that are not confirmed.
    Insert(Entry),
    /// Everything up to a place is confirmed; the first message has this number.
    Confirm(u64, Confirmed),
    /// The entry of a removed member is taken back.
    Withdraw(Entry),
    /// The epoch of this number begins with a change.
    Epoch(u16, Change),
}

/// A member of a cluster between its start and its end.
pub struct Node {
    replica: Replica,
    udp: Udp,
    faults: Option<Watch>,
    journal: Committer,
    /// The changes that the journal gets next.
    commit: Commit,
    wakeup: Wakeup,
    waker: Waker,
    signals: Signals,
    clock: Clock,
    talk: Talk,
    names: Vec<String>,
    me: MemberId,
    /// The last index that the journal has reported as durable.
    stored: u64,
    effects: Effects,
    events: Vec<Event>,
    packers: BTreeMap<To, Packer>,
    /// The head of datagrams, and their size before they are sealed.
    head: Head,
    size: usize,
    /// The time of the last datagram, and of the last time that the multicast group was joined.
    heard: Time,
    joined: Time,
    /// Members with another confirmed order, which were reported.
    diverged: Vec<MemberId>,
}

impl Node {
    /// Opens the journal and the socket, and recovers. The life starts with [`Self::begin`].
    ///
    /// # Errors
    /// As [`journal::open`] and [`Udp::open`].
    pub fn start(
        settings: &Settings<'_>,
        signals: Signals,
        talk: &Talk,
    ) -> Result<(Self, Recovered), Failure> {
        let Settings { cluster, me, data, .. } = *settings;
        let names: Vec<String> = cluster.known_to(me).map(|server| server.id.clone()).collect();
        let id = &names[usize::from(me.0)];
        let identity = Identity { cluster: cluster.number(), member: id.clone(), slot: me.0 };
        let mut faults = settings.faults.map(|path| Watch::new(path, id));
        let (mut journal, mut found) = journal::open(data, &identity)?;
        let udp_settings = cluster.udp(me, settings.is_unicast).with_key(settings.key.clone());
        let (head, size) = (udp_settings.head, udp_settings.packed());
        let mut udp = Udp::open(udp_settings)?;
        let mut clock = Clock::start();
        if usize::from(me.0) >= cluster.servers.len() && found.next == 1 {
            let join = Join { cluster, me, head, size, signals: &signals, talk, limit: settings.patience };
            found = join.run(&mut udp, faults.as_mut(), &mut clock, &mut journal)?;
        }
        let records = records::of_life(&found.records, data, cluster, me)?;
        let config = Config {
            me,
            members: cluster.servers.len(),
            longest: room_of(size),
            room: udp.room_for() as u64,
            limit: settings.limit,
            snapshot_every: SNAPSHOT_EVERY,
            defects: settings.defects,
        };
        let mut effects = Effects::new();
        let now = clock.now();
        let (replica, recovered) = Replica::recover(now, config, &records, found.next, &mut effects)
            .map_err(|it| records::damaged(data, it.index, it.reason))?;
        faults.iter_mut().for_each(|faults| faults.begin_life(recovered.life));
        let (wakeup, waker) = wakeup()?;
        let node = Self {
            replica,
            udp,
            faults,
            journal: Committer::start(journal, found.next, waker.clone())?,
            commit: Commit::default(),
            wakeup,
            waker,
            signals,
            clock,
            talk: talk.clone(),
            names,
            me,
            stored: found.next - 1,
            effects,
            events: Vec::new(),
            packers: BTreeMap::new(),
            head,
            size,
            heard: now,
            joined: now,
            diverged: Vec::new(),
        };
        Ok((node, recovered))
    }

    /// Stores the first record of this life. The first events are those of the entries in the journal.
    ///
    /// # Errors
    /// As [`Self::turn`].
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.perform()?;
        while self.journal.stored()? <= self.stored {
            self.wait(LONGEST_WAIT)?;
        }
        Ok(())
    }

    /// Returns the replica.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Returns what ends a wait of [`Self::turn`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Returns this member.
    #[must_use]
    pub const fn me(&self) -> MemberId {
        self.me
    }

    /// Returns the id of a member.
    #[must_use]
    pub fn name(&self, member: MemberId) -> &str {
        &self.names[usize::from(member.0)]
    }

    /// Returns the address of a member.
    #[must_use]
    pub fn address(&self, member: MemberId) -> Option<SocketAddr> {
        self.udp.servers().get(usize::from(member.0)).copied()
    }

    /// Returns the slot of the member at an address.
    #[must_use]
    pub fn slot_at(&self, address: SocketAddr) -> Option<MemberId> {
        let at = self.udp.servers().iter().position(|known| *known == address)?;
        Some(MemberId(at as u16))
    }

    /// Returns the ids of all members, by slot; those of removed ones, too.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the counts of datagrams.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.udp.counts()
    }

    /// Returns the bytes of the journal's records.
    #[must_use]
    pub fn journal_size(&self) -> u64 {
        self.journal.size()
    }

    /// Returns the time.
    pub fn now(&mut self) -> Time {
        self.clock.now()
    }

    /// Returns the microseconds since this member began, for histories.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        self.clock.elapsed_micros()
    }

    /// Returns an empty batch for one entry; its first message will have the number `first`. A text that is longer than
    /// [`FULL_ENTRY`] is alone in its batch.
    #[must_use]
    pub fn batch(&self, first: u64) -> BatchBuilder {
        BatchBuilder::new(first).within(FULL_ENTRY.saturating_sub(1 + self.replica.longest_fields()))
    }

    /// Returns the time of the last datagram of any member; the start if there was none.
    #[must_use]
    pub const fn heard_any(&self) -> Time {
        self.heard
    }

    /// Returns how many submissions are welcome now.
    #[must_use]
    pub fn window(&self) -> u64 {
        let is_busy = self.would_forget() || self.journal.waiting() > MOST_UNSTORED;
        if is_busy { 0 } else { self.replica.window() }
    }

    /// Submits an entry. Its effects are among the next events.
    ///
    /// # Errors
    /// As [`Node::turn`].
    pub fn submit(&mut self, content: Content) -> Result<(), Failure> {
        let now = self.clock.now();
        self.replica.handle(now, Input::Submit(content), &mut self.effects);
        self.perform()
    }

    /// Asks the members for a change of the members. Its effects are among the next events.
    ///
    /// # Errors
    /// As [`Node::turn`].
    pub fn propose(&mut self, request: Option<Request>) -> Result<(), Failure> {
        let now = self.clock.now();
        self.replica.handle(now, Input::Propose(request), &mut self.effects);
        self.perform()
    }

    /// Takes the events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Runs one round: sends what is due, waits until there is input or `until` has come, and processes it.
    ///
    /// # Errors
    /// The interruption, if one came; the failure of the journal; exit 65 if the journal turns out to be a copy of another.
    pub fn turn(&mut self, until: Option<Time>) -> Result<(), Failure> {
        self.flush();
        let now = self.clock.now();
        let due = self.replica.next_deadline().into_iter().chain(until).min();
        self.wait(due.map_or(LONGEST_WAIT, |due| due.since(now)).min(LONGEST_WAIT))?;
        let now = self.clock.now();
        if let Some(faults) = &mut self.faults {
            faults.look(now, &self.names, &mut self.udp, &self.talk);
        }
        self.receive(now)?;
        let stored = self.journal.stored()?;
        if stored > self.stored {
            self.stored = stored;
            self.replica.handle(now, Input::Stored(stored), &mut self.effects);
            self.perform()?;
        }
        if self.replica.next_deadline().is_some_and(|due| due <= now) {
            self.replica.handle(now, Input::Wake, &mut self.effects);
            self.perform()?;
        }
        if now.since(self.heard.max(self.joined)) >= REJOIN_AFTER {
            self.joined = now;
            self.udp.rejoin();
        }
        self.udp.troubles().iter().for_each(|trouble| self.talk.warn(trouble));
        Ok(())
    }

    fn wait(&self, limit: Duration) -> Result<(), Failure> {
        let fds = self.udp.fds().chain(self.signals.fds()).chain([self.wakeup.fd()]);
        let fds: Vec<BorrowedFd<'_>> = fds.collect();
        wait(fds, limit);
        self.wakeup.clear();
        self.interrupted()
    }

    /// Does nothing for a while: the application is busy with something else before it takes part.
    ///
    /// # Errors
    /// The interruption, if one came.
    pub fn pause(&self, limit: Duration) -> Result<(), Failure> {
        wait(self.signals.fds(), limit);
        self.interrupted()
    }

    /// Returns the interruption as an error, if one came.
    fn interrupted(&self) -> Result<(), Failure> {
        self.signals.received().map_or(Ok(()), |exit| Err(interruption(exit)))
    }

    /// Processes the datagrams that have come.
    fn receive(&mut self, now: Time) -> Result<(), Failure> {
        let Self { udp, replica, effects, talk, names, heard, .. } = self;
        udp.receive(|from, epoch, message| {
            *heard = now;
            match Message::parse(message) {
                Ok(message) => replica.handle(now, Input::Receive(from, epoch, message), effects),
                Err(_) => {
                    talk.detail(format!("dropped a malformed message of {}", names[usize::from(from.0)]));
                }
            }
        });
        self.perform()
    }

    /// Performs the effects of the replica.
    fn perform(&mut self) -> Result<(), Failure> {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Store(record) => self.commit.append.push(record.bytes()),
                Effect::Remove(indices) => self.commit.remove.extend(indices),
                Effect::Send(to, message) => self.pack(to, &message),
                Effect::Insert(entry) => self.events.push(Event::Insert(entry)),
                Effect::Confirm { first, confirmed } => self.events.push(Event::Confirm(first, confirmed)),
                Effect::Withdraw(entry) => self.events.push(Event::Withdraw(entry)),
                Effect::Epoch(number, change) => self.begin_epoch(number, change),
                Effect::Forked(id) if id.origin == self.me => return Err(self.give_up(Old::Forked(id))),
                Effect::Forked(EntryId { origin, number }) => {
                    let name = self.name(origin);
                    self.talk.warn(format!("{name} has sent two different entries with the number {number}"));
                }
                Effect::Outdated(id) => return Err(self.give_up(Old::Lacks(id))),
                Effect::Diverged(member) => self.report_diverged(member),
                Effect::Drop(from, reason) => {
                    self.talk.detail(format!("dropped a message of {}: {reason:?}", self.name(from)));
                }
            }
        }
        if !self.would_forget() {
            self.forget();
        }
        Ok(())
    }

    /// Returns whether the journal is to forget entries. It keeps them until [`Self::forget`]: the application has to make
    /// durable what follows from them, because no later life is told of them again.
    #[must_use]
    pub const fn would_forget(&self) -> bool {
        !self.commit.remove.is_empty()
    }

    /// Lets the journal forget what it is to forget. All that the application was told of is durable.
    pub fn forget(&mut self) {
        let commit = std::mem::take(&mut self.commit);
        if !commit.is_empty() {
            self.journal.change(commit);
        }
    }

    /// Begins an epoch: what was packed before is of the one before.
    fn begin_epoch(&mut self, number: u16, change: Change) {
        self.flush();
        self.packers.clear();
        self.head.epoch = number;
        if let Some((slot, name, udp)) = change.added() {
            // The cluster file of a member that was added may be wrong about those that were added before.
            match self.names.get_mut(usize::from(slot.0)) {
                Some(known) => name.clone_into(known),
                None => self.names.push(name.to_owned()),
            }
            self.udp.set(slot, udp);
        }
        if let Request::Remove(member) = change.request {
            self.udp.remove(member);
        }
        self.events.push(Event::Epoch(number, change));
    }

    fn pack(&mut self, to: To, message: &Message) {
        let packer = self.packers.entry(to).or_insert_with(|| Packer::new(self.head, self.size));
        let is_packed = packer.push(&message.bytes());
        debug_assert!(is_packed, "a replica makes no message that is longer than a datagram");
    }

    /// Sends what is packed.
    fn flush(&mut self) {
        for (&to, packer) in &mut self.packers {
            if !packer.is_empty() {
                self.udp.send(to, &packer.take());
            }
        }
    }

    /// Records that the journal is an old copy, so that no later life goes on with it. Returns the failure that ends this
    /// life.
    fn give_up(&mut self, old: Old) -> Failure {
        // Alone: what the journal is to forget waits for the results.
        self.journal.change(Commit { append: vec![Record::Old(old).bytes()], remove: Vec::new() });
        records::is_old(old, &self.names, self.me)
    }

    fn report_diverged(&mut self, member: MemberId) {
        if !self.diverged.contains(&member) {
            self.diverged.push(member);
            let name = self.name(member);
            self.talk.warn(format!("{name} has confirmed another order: `groupcast check` shows where"));
        }
    }

    /// Sends what is left, and closes the journal.
    ///
    /// # Errors
    /// The failure of the journal.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.flush();
        self.journal.finish().map(drop)
    }
}
