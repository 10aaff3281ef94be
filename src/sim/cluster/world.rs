//! The world of a simulated cluster: its events, in the order of their times.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::counters::Counters;
use super::super::network::Network;
use super::super::trace::Trace;
use super::super::workload::Task;
use super::Incident;
use super::member::Member;
use crate::check::cluster::ClusterHistory;
use crate::check::{Verdict, Witness};
use crate::engine::{MemberId, Time, To};
use crate::prng::Prng;
use crate::replica::entry::{Content, EntryId};
use crate::replica::message::{Line, Message, Piece};
use crate::replica::{Config, DropReason, Effect, Effects, Input, Replica};

/// The longest time that a sync takes, usually and in one case of ten, in microseconds.
const SYNC: (u64, u64) = (3_000, 100_000);
/// The share of crashes that come between two effects of one input, in parts per million.
const BETWEEN_EFFECTS: u32 = 500_000;
/// An event.
#[derive(Debug)]
enum Event {
    Arrive(MemberId, MemberId, Message),
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
    now: Time,
    events: BTreeMap<(Time, u64), Event>,
    /// The number of events so far, which orders those of one time.
    count: u64,
    members: Vec<Member>,
    /// For each member, the scheduled wake.
    wakes: Vec<Option<Time>>,
    /// Members that crash at the next input, after so many of its effects.
    dooms: BTreeMap<MemberId, u64>,
    network: Network,
    packets: Prng,
    disks: Prng,
    counters: Counters,
    breach: Option<String>,
    trace: &'t mut Trace,
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
            members: members.iter().map(|&me| Member::new(config(me), tasks_of(me))).collect(),
            wakes: vec![None; members.len()],
            dooms: BTreeMap::new(),
            network,
            packets,
            disks,
            counters: Counters::default(),
            breach: None,
            trace,
        }
    }

    /// Schedules an incident.
    pub(super) fn schedule(&mut self, at: Time, incident: Incident) {
        self.push(at, Event::Incident(incident));
    }

    fn push(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Runs until all members know that everything is confirmed, or until `limit`.
    pub(super) fn run(mut self, heal_at: Time, limit: Time) -> Story {
        for at in 0..self.members.len() {
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
            self.members.iter_mut().for_each(|member| member.end("settled"));
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
        self.members.iter().all(|member| member.replica.as_ref().is_some_and(Replica::all_have_settled))
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
            Event::Incident(Incident::Restart(member)) => {
                if self.member(member).replica.is_none() {
                    self.start(member);
                } else if self.dooms.remove(&member).is_some() {
                    self.crash(member);
                    self.start(member);
                }
            }
            Event::Arrive(from, to, message) => {
                self.trace.line(self.now, &to, "receive", &from, format_args!("{}", words(&message)));
                self.input(to, Input::Receive(from, message));
            }
            Event::Synced(member, life) => self.synced(member, life),
            Event::Wake(member, life) => {
                if self.member(member).life == life {
                    self.wakes[usize::from(member.0)] = None;
                    self.input(member, Input::Wake);
                    self.submit(member);
                }
            }
        }
    }

    /// Returns the end of the pause of the member that an event is for.
    fn pause(&mut self, event: &Event) -> Option<Time> {
        let (Event::Arrive(_, member, _) | Event::Wake(member, _) | Event::Synced(member, _)) = event else {
            return None;
        };
        let end = self.network.paused_until(*member, self.now)?;
        self.counters.paused += 1;
        Some(end)
    }

    fn member(&mut self, member: MemberId) -> &mut Member {
        let member = &mut self.members[usize::from(member.0)];
        member.now = self.now;
        member
    }

    fn start(&mut self, at: MemberId) {
        let now = self.now;
        match self.member(at).start(now) {
            Ok(effects) => {
                let life = self.member(at).life;
                self.trace.line(now, &at, "start", &"", format_args!("life {life}"));
                self.perform(at, effects);
                self.submit(at);
            }
            Err(why) => self.breach = Some(format!("{at}: {why}")),
        }
    }

    /// Gives a member one input, and performs the effects.
    fn input(&mut self, at: MemberId, input: Input) {
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
            Effect::Drop(_, DropReason::OutsideWindow) => {}
            Effect::Drop(from, reason) => {
                self.breach = Some(format!("{at} dropped a message of {from}: {reason:?}"));
            }
        }
    }

    /// Checks that the disks of a majority hold an entry that a member confirms: the loss of the others loses nothing that
    /// anybody was told is final.
    fn check_majority(&mut self, at: MemberId, id: EntryId) {
        let holders = self.members.iter().filter(|member| member.disk.holds(id)).count();
        if holders <= self.members.len() / 2 {
            let EntryId { origin, number } = id;
            let all = self.members.len();
            self.breach = Some(format!(
                "{at} confirmed entry {number} of {origin}, which {holders} of {all} disks hold"
            ));
        }
    }

    fn send(&mut self, from: MemberId, to: To, message: &Message) {
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
        let receivers: Vec<MemberId> = match to {
            To::Group => (0..self.members.len() as u16).map(MemberId).filter(|&to| to != from).collect(),
            To::Member(member) => vec![member],
        };
        for to in receivers {
            let passage = self.network.carry(self.now, from, to, &mut self.packets);
            self.counters.carried(passage);
            for arrival in passage.arrivals.into_iter().flatten() {
                self.push(arrival, Event::Arrive(from, to, message.clone()));
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

/// Words a message for the trace.
fn words(message: &Message) -> String {
    match message {
        Message::Entry(entry) => {
            format!("entry {} of {} at {}", entry.id.number, entry.id.origin, entry.time)
        }
        Message::Piece(piece) => {
            let Piece { id, start, whole, bytes } = piece;
            let octets = bytes.len();
            format!("piece of {octets} octets at {start} of {whole} of entry {} of {}", id.number, id.origin)
        }
        Message::Word(word) => {
            let line = |line: &Line| {
                format!("{} sent {} clock {} has {:?}", line.member, line.sent, line.clock, line.stored)
            };
            let lines: Vec<String> = word.lines.iter().map(line).collect();
            format!(
                "word: confirmed {}{}; {}",
                word.confirmed,
                if word.settled { ", settled" } else { "" },
                lines.join("; ")
            )
        }
        Message::Forgotten(id) => format!("forgotten: entry {} of {}", id.number, id.origin),
        Message::Want(want) => {
            let entries =
                want.entries.iter().map(|range| format!("{} {}..{}", range.origin, range.first, range.last));
            let pieces = want.pieces.iter().map(|range| {
                format!("{} {} octets {}..{}", range.id.origin, range.id.number, range.first, range.last)
            });
            format!("want {}", entries.chain(pieces).collect::<Vec<_>>().join(", "))
        }
    }
}
