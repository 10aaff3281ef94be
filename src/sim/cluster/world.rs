//! The world of a simulated cluster: its events, in the order of their times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::counters::Counters;
use super::super::network::Network;
use super::super::trace::Trace;
use super::super::workload::Task;
use super::Incident;
use super::member::Member;
use super::words::words;
use crate::check::cluster::ClusterHistory;
use crate::check::{Verdict, Witness};
use crate::engine::{MemberId, Time, To};
use crate::prng::Prng;
use crate::replica::entry::{Content, EntryId};
use crate::replica::epoch::{Change, Request};
use crate::replica::message::Message;
use crate::replica::{Config, DropReason, Effect, Effects, Input, Replica};

/// The longest time that a sync takes, usually and in one case of ten, in microseconds.
const SYNC: (u64, u64) = (3_000, 100_000);
/// The share of crashes that come between two effects of one input, in parts per million.
const BETWEEN_EFFECTS: u32 = 500_000;
/// An event.
#[derive(Debug)]
pub(super) enum Event {
    /// From a member, to another one: a message of the epoch of this number.
    Arrive(MemberId, MemberId, u16, Message),
    Synced(MemberId, u32),
    /// A member's deadline, or the time of its next task.
    Wake(MemberId, u32),
    Incident(Incident),
}

/// The outcome of a run.
pub(super) struct Story {
    pub(super) history: ClusterHistory,
    /// For each member and each life, the time of every event.
    pub(super) times: Vec<Vec<Vec<Time>>>,
    pub(super) contract: Verdict,
    pub(super) liveness: Verdict,
    pub(super) counters: Counters,
}

pub(super) struct World<'t> {
    pub(super) now: Time,
    events: BTreeMap<(Time, u64), Event>,
    /// The number of events so far, which orders those of one time.
    count: u64,
    pub(super) members: Vec<Member>,
    /// For each member, the scheduled wake.
    pub(super) wakes: Vec<Option<Time>>,
    /// Members that crash at the next input, after so many of its effects.
    dooms: BTreeMap<MemberId, u64>,
    network: Network,
    packets: Prng,
    pub(super) disks: Prng,
    pub(super) counters: Counters,
    /// The members that somebody knows to be removed.
    pub(super) removed: BTreeSet<MemberId>,
    /// The changes with which the epochs begin.
    pub(super) changes: BTreeMap<u16, Change>,
    pub(super) breach: Option<String>,
    pub(super) trace: &'t mut Trace,
}

impl<'t> World<'t> {
    pub(super) fn new(
        (members, config): (&[MemberId], Config),
        network: Network,
        (packets, disks): (Prng, Prng),
        tasks: &[Task],
        trace: &'t mut Trace,
    ) -> Self {
        let config = |me| Config { me, ..config };
        let tasks_of = |me| {
            let mut own: Vec<Task> = tasks.iter().filter(|task| task.client == me).cloned().collect();
            own.sort_by_key(|task| task.at);
            own
        };
        Self {
            now: Time::ZERO,
            events: BTreeMap::new(),
            count: 0,
            members: members.iter().map(|&me| Member::new(config(me), members.len(), tasks_of(me))).collect(),
            wakes: vec![None; members.len()],
            dooms: BTreeMap::new(),
            network,
            packets,
            disks,
            counters: Counters::default(),
            removed: BTreeSet::new(),
            changes: BTreeMap::new(),
            breach: None,
            trace,
        }
    }

    /// Schedules an incident.
    pub(super) fn schedule(&mut self, at: Time, incident: Incident) {
        self.push(at, Event::Incident(incident));
    }

    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Runs until all members know that everything is confirmed, or until `limit`.
    pub(super) fn run(mut self, heal_at: Time, limit: Time) -> Story {
        for at in 0..self.members[0].config.members {
            self.start(MemberId(at as u16));
        }
        let mut has_settled = false;
        while !has_settled && self.breach.is_none() {
            let Some(((at, _), event)) = self.events.pop_first() else { break };
            if at > limit {
                break;
            }
            self.now = at;
            match self.pause(&event) {
                Some(end) => self.push(end, event),
                None => self.step(event),
            }
            has_settled = self.now >= heal_at && self.has_settled();
        }
        self.counters.simulated_us = self.now.as_micros();
        let liveness = self.liveness(heal_at, has_settled);
        self.counters.inserted_above = self.members.iter().map(|member| member.inserted_above).sum();
        if has_settled {
            let settled = self.members.iter_mut().filter(|member| !self.removed.contains(&member.config.me));
            settled.for_each(|member| member.end("settled"));
        }
        let times = self.members.iter_mut().map(|member| std::mem::take(&mut member.times)).collect();
        Story {
            times,
            history: ClusterHistory {
                members: self.members.into_iter().map(|member| member.story).collect(),
                strangers: Vec::new(),
            },
            contract: self.breach.map_or(Verdict::Valid, |why| Verdict::Violated(Witness::from(why))),
            liveness,
            counters: self.counters,
        }
    }

    fn has_settled(&self) -> bool {
        let has_settled = |member: &Member| {
            let is_removed = self.removed.contains(&member.config.me);
            is_removed || member.replica.as_ref().is_some_and(Replica::all_have_settled)
        };
        self.members.iter().all(has_settled)
    }

    fn liveness(&self, heal_at: Time, has_settled: bool) -> Verdict {
        if self.breach.is_some() {
            return Verdict::Undecided("the run ended early".to_owned());
        }
        if self.counters.multicasts == 0 {
            return Verdict::Undecided("nothing was multicast".to_owned());
        }
        if has_settled {
            return Verdict::Valid;
        }
        let story = |member: &Member| match &member.replica {
            None => format!("{} is down", member.config.me),
            Some(replica) => format!(
                "{}: {} submissions of {}, {} confirmed, {} tentative, waits for {:?}, behind it {:?}",
                member.config.me,
                member.submitted,
                member.tasks.len() + 1,
                replica.confirmed().count,
                replica.tentative(),
                replica.waits_for(),
                replica.behind().collect::<Vec<_>>(),
            ),
        };
        let long = self.now.since(heal_at).as_secs_f64();
        let stories: Vec<String> = self.members.iter().map(story).collect();
        let text = format!("not settled {long:.1} s after the network healed: {}", stories.join("; "));
        Verdict::Violated(Witness::from(text))
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Incident(Incident::Network(fault)) => {
                self.trace.line(self.now, &"", "fault", &"", format_args!("{fault}"));
                self.network.apply(fault);
            }
            Event::Incident(Incident::Crash(member)) => self.crash_soon(member),
            Event::Incident(Incident::Ask(request)) => self.ask(request),
            Event::Incident(Incident::Restart(member)) => {
                let state = self.member(member);
                if state.is_removed || state.newcomer.is_some() {
                    return;
                }
                if state.replica.is_none() {
                    self.start(member);
                } else if self.dooms.remove(&member).is_some() {
                    self.crash(member);
                    self.start(member);
                }
            }
            Event::Arrive(from, to, epoch, message) => {
                self.trace.line(self.now, &to, "receive", &from, format_args!("{}", words(&message)));
                let now = self.now;
                if let Some(newcomer) = &mut self.member(to).newcomer {
                    newcomer.receive(now, from, message);
                    return self.step_newcomer(to);
                }
                self.input(to, Input::Receive(from, epoch, message));
            }
            Event::Synced(member, life) => self.synced(member, life),
            Event::Wake(member, life) => {
                if self.member(member).life == life {
                    self.wakes[usize::from(member.0)] = None;
                    self.step_newcomer(member);
                    self.input(member, Input::Wake);
                    self.submit(member);
                }
            }
        }
    }

    /// Returns the end of the pause of the member that an event is for.
    fn pause(&mut self, event: &Event) -> Option<Time> {
        let (Event::Arrive(_, member, ..) | Event::Wake(member, _) | Event::Synced(member, _)) = event else {
            return None;
        };
        let end = self.network.paused_until(*member, self.now)?;
        self.counters.paused += 1;
        Some(end)
    }

    pub(super) fn member(&mut self, member: MemberId) -> &mut Member {
        let member = &mut self.members[usize::from(member.0)];
        member.now = self.now;
        member
    }

    pub(super) fn start(&mut self, at: MemberId) {
        let now = self.now;
        let founders = self.member(at).config.members;
        if usize::from(at.0) >= founders && self.member(at).disk.recovered().1 == 1 {
            return self.start_newcomer(at);
        }
        match self.member(at).start(now) {
            Ok(effects) => {
                let life = self.member(at).life;
                self.member(at).epoch = 1;
                self.trace.line(now, &at, "start", &"", format_args!("life {life}"));
                self.perform(at, effects);
                self.submit(at);
            }
            Err(why) => self.breach = Some(format!("{at}: {why}")),
        }
    }

    /// Gives a member one input, and performs the effects.
    pub(super) fn input(&mut self, at: MemberId, input: Input) {
        let now = self.now;
        let is_wake = matches!(input, Input::Wake);
        let Some(replica) = &mut self.member(at).replica else { return };
        let due = replica.next_deadline();
        let mut effects = Effects::new();
        replica.handle(now, input, &mut effects);
        let next = replica.next_deadline();
        if is_wake && due.is_some_and(|due| due <= now) && next.is_some_and(|next| next <= now) {
            self.breach = Some(format!("{at} has the deadline {next:?} after it was woken at {now}"));
        }
        self.perform(at, effects);
        self.submit(at);
    }

    /// Submits what is due at a member, as far as its window allows, and schedules its next wake.
    fn submit(&mut self, at: MemberId) {
        let now = self.now;
        while let Some(replica) = &self.member(at).replica {
            if replica.window() == 0 {
                self.counters.waited += u64::from(self.member(at).is_due(now));
                break;
            }
            let Some(content) = self.member(at).next_submission(now) else { break };
            self.count_submission(&content);
            let mut effects = Effects::new();
            if let Some(replica) = &mut self.member(at).replica {
                replica.handle(now, Input::Submit(content), &mut effects);
            }
            self.perform(at, effects);
        }
        let member = self.member(at);
        let deadline = member.replica.as_ref().and_then(Replica::next_deadline);
        let task = member.next_task().filter(|&task| task > now);
        let (life, next) = (member.life, deadline.into_iter().chain(task).min());
        let scheduled = self.wakes[usize::from(at.0)];
        if let Some(next) =
            next.map(|next| next.max(now)).filter(|next| scheduled.is_none_or(|at| *next < at))
        {
            self.wakes[usize::from(at.0)] = Some(next);
            self.push(next, Event::Wake(at, life));
        }
    }

    fn count_submission(&mut self, content: &Content) {
        match content {
            Content::Multicast(batch) => self.counters.multicasts += u64::from(batch.count()),
            Content::Direct(_, batch) => self.counters.directs += u64::from(batch.count()),
            Content::Finished => {}
        }
    }

    /// Performs effects, up to the crash of the member if it is due.
    fn perform(&mut self, at: MemberId, effects: Effects) {
        let most = self.dooms.get(&at).map_or(u64::MAX, |&most| most);
        for (number, effect) in (0..).zip(effects) {
            if number >= most {
                self.dooms.remove(&at);
                return self.crash(at);
            }
            self.perform_one(at, effect);
        }
        let member = self.member(at);
        if member.is_removed {
            member.replica = None;
        }
    }

    fn perform_one(&mut self, at: MemberId, effect: Effect) {
        match effect {
            Effect::Store(record) => {
                if self.member(at).disk.append(record) {
                    self.begin_sync(at);
                }
            }
            Effect::Remove(indices) => self.member(at).disk.remove(indices),
            Effect::Send(to, message) => self.send(at, to, &message),
            Effect::Insert(entry) => {
                let EntryId { origin, number } = entry.id;
                self.trace.line(self.now, &at, "insert", &origin, format_args!("{number} at {}", entry.time));
                self.member(at).insert(&entry);
            }
            Effect::Confirm { first, confirmed } => {
                let (count, upto) = (confirmed.count, confirmed.upto);
                let place = format_args!("{first}..{count}, up to {} {}", upto.time, upto.origin);
                self.trace.line(self.now, &at, "confirm", &"", place);
                let entries = self.member(at).confirm(first, confirmed);
                entries.into_iter().for_each(|id| self.check_majority(at, id));
            }
            Effect::Withdraw(entry) => {
                let EntryId { origin, number } = entry.id;
                self.trace.line(self.now, &at, "withdraw", &origin, format_args!("{number}"));
                self.counters.withdrawn += 1;
                self.member(at).withdraw(&entry);
            }
            Effect::Epoch(number, change) => self.begin_epoch(at, number, &change),
            Effect::Forked(id) => {
                self.breach = Some(format!("{at} has two entries {} of {}", id.number, id.origin));
            }
            Effect::Outdated(id) => {
                self.breach =
                    Some(format!("{at} lacks entry {} of {}, which all forgot", id.number, id.origin));
            }
            Effect::Diverged(from) => {
                self.breach = Some(format!("{at} and {from} have confirmed different things"));
            }
            Effect::Drop(_, DropReason::Duplicate) => self.counters.dropped += 1,
            Effect::Drop(
                _,
                DropReason::OutsideWindow
                | DropReason::OtherEpoch
                | DropReason::Removed
                | DropReason::Stranger,
            ) => {}
            Effect::Drop(from, reason) => {
                self.breach = Some(format!("{at} dropped a message of {from}: {reason:?}"));
            }
        }
    }

    /// Checks that the disks of a majority hold an entry that a member confirms: the loss of the others loses nothing that
    /// anybody was told is final.
    fn check_majority(&mut self, at: MemberId, id: EntryId) {
        let epoch = self.member(at).epoch;
        // Entries that the change to an epoch names were checked when it began, and may have been confirmed before.
        let named = |change: &Change| change.stored.get(usize::from(id.origin.0)).copied().unwrap_or(0);
        if self.changes.range(..=epoch).any(|(_, change)| named(change) >= id.number) {
            return;
        }
        let holders = |members: &BTreeSet<usize>| {
            members.iter().filter(|slot| self.members[**slot].disk.holds(id)).count()
        };
        // The member may have decided on the confirmation before the last change, and have stored it after that.
        let (now, before) = (self.members_in(epoch), self.members_in(epoch - 1));
        if [&now, &before].iter().all(|members| holders(members) <= members.len() / 2) {
            let (EntryId { origin, number }, holders, all) = (id, holders(&now), now.len());
            self.breach = Some(format!(
                "{at} confirmed entry {number} of {origin}, which {holders} of {all} disks hold"
            ));
        }
    }

    /// Returns the slots of the members in an epoch.
    fn members_in(&self, epoch: u16) -> BTreeSet<usize> {
        let mut slots: BTreeSet<usize> = (0..self.members[0].config.members).collect();
        for change in self.changes.range(..=epoch).map(|(_, change)| change) {
            match change.request {
                Request::Add { .. } => slots.insert(change.stored.len()),
                Request::Remove(slot) => slots.remove(&usize::from(slot.0)),
            };
        }
        slots
    }

    pub(super) fn send(&mut self, from: MemberId, to: To, message: &Message) {
        let bytes = message.bytes();
        let longest = self.member(from).config.longest;
        if bytes.len() > longest {
            self.breach = Some(format!("{from} sends {} bytes, more than {longest}", bytes.len()));
        }
        // Receivers read the bytes that were written.
        let read = Message::parse(bytes);
        self.trace.line(self.now, &from, "send", &to, format_args!("{}", words(message)));
        self.counters.nacks += u64::from(matches!(message, Message::Want(_)));
        let Ok(message) = read.map_err(|_| self.breach = Some(format!("{from} sends what cannot be read")))
        else {
            return;
        };
        let epoch = self.member(from).epoch;
        let receivers: Vec<MemberId> = match to {
            To::Group => (0..self.members.len() as u16).map(MemberId).filter(|&to| to != from).collect(),
            To::Member(member) => vec![member],
        };
        for to in receivers {
            let passage = self.network.carry(self.now, from, to, &mut self.packets);
            self.counters.carried(passage);
            for arrival in passage.arrivals.into_iter().flatten() {
                self.push(arrival, Event::Arrive(from, to, epoch, message.clone()));
            }
        }
    }

    fn begin_sync(&mut self, at: MemberId) {
        let most = if self.disks.chance(100_000) { SYNC.1 } else { SYNC.0 };
        let end = self.now.after(Duration::from_micros(self.disks.between(50, most)));
        let life = self.member(at).life.max(1);
        self.push(end, Event::Synced(at, life));
    }

    fn synced(&mut self, at: MemberId, life: u32) {
        // A start writes before its life has a number here.
        let member = self.member(at);
        if member.replica.is_none() || member.life.max(1) != life {
            return;
        }
        let (upto, begins) = member.disk.end_sync();
        if begins {
            self.begin_sync(at);
        }
        self.input(at, Input::Stored(upto));
    }

    /// Crashes a member now, or between two effects of its next input.
    fn crash_soon(&mut self, at: MemberId) {
        if self.member(at).replica.is_none() {
            return;
        }
        if self.disks.chance(BETWEEN_EFFECTS) {
            self.dooms.insert(at, self.disks.below(6));
        } else {
            self.crash(at);
        }
    }

    fn crash(&mut self, at: MemberId) {
        let unsynced = self.member(at).disk.unsynced();
        let kept = self.disks.below(unsynced as u64 + 1) as usize;
        self.trace.line(self.now, &at, "crash", &"", format_args!("{kept} of {unsynced} writes are kept"));
        self.counters.crashed += 1;
        self.wakes[usize::from(at.0)] = None;
        self.member(at).crash(kept);
    }
}
