//! A group on a simulated network: the real engines of every member, one queue of events, no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Client;
use super::contract;
use super::cost::{Cost, Meter};
use super::counters::{Counters, Seen, is_overheard};
use super::fates::{Fates, PATIENCE};
use super::network::Network;
use super::trace::{AppWords, Trace, Words};
use super::workload::{Task, Workload};
use crate::check::{History, Record, Verdict, Witness};
use crate::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View};
use crate::member::{App, Membership};
use crate::wire::Packet;

/// One member: its engines and, unless it is the sequencer, its client.
pub(super) struct Process {
    pub(super) line: Membership,
    pub(super) client: Option<Client>,
    /// True if the member has crashed or was left behind.
    pub(super) is_out: bool,
}

/// An event at its time. Deadlines are not in the queue: the engines are asked for them.
enum Happening {
    Arrival {
        at: MemberId,
        packet: Packet,
    },
    Task(Task),
    /// For the trace alone: the network applies its outages itself.
    Outage(String),
    Heal,
    Crash(MemberId),
}

/// The simulated group and its network.
pub(super) struct Cluster<'t> {
    processes: Vec<Process>,
    /// The next deadline of each process. A paused process wakes when its pause ends.
    deadlines: Vec<Option<Time>>,
    network: Network,
    /// The events by time, and then in the order in which they were scheduled.
    queue: BTreeMap<(Time, u64), Happening>,
    scheduled: u64,
    now: Time,
    heal_at: Time,
    breach: Option<Witness>,
    counters: Counters,
    seen: Seen,
    meter: Meter,
    trace: &'t mut Trace,
    /// The next time to look whether the members have settled, in a group that may lose members.
    settles: Option<Time>,
    /// Reused between calls, empty outside of them.
    effects: Effects<App, Packet>,
}

/// The interval at which a group that may lose members is checked for having settled.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Process {
    /// Returns true if the process waits for no member, or is out.
    fn has_everything(&self) -> bool {
        self.is_out || self.client.as_ref().is_none_or(|client| client.waits_for().is_empty())
    }
}

/// The result of a run.
pub(super) struct Remains {
    pub(super) history: History,
    pub(super) contract: Verdict,
    pub(super) liveness: Verdict,
    pub(super) counters: Counters,
    pub(super) cost: Cost,
}

impl<'t> Cluster<'t> {
    /// Creates the members of `view`; every client does its part of `workload`.
    pub(super) fn new(
        view: &View,
        members: Vec<Membership>,
        workload: Workload,
        network: Network,
        trace: &'t mut Trace,
    ) -> Self {
        let client = |me: MemberId| {
            let tasks = workload.tasks.iter().filter(|task| task.client == me).count();
            view.clients.contains(&me).then(|| Client::new(me, view, tasks))
        };
        let processes: Vec<Process> = view
            .members()
            .into_iter()
            .zip(members)
            .map(|(me, line)| Process { line, client: client(me), is_out: false })
            .collect();
        let mut cluster = Self {
            deadlines: vec![None; processes.len()],
            processes,
            network,
            queue: BTreeMap::new(),
            scheduled: 0,
            now: Time::ZERO,
            heal_at: workload.heal_at,
            breach: None,
            counters: Counters::default(),
            seen: Seen::default(),
            meter: Meter::new(view.clients.len()),
            trace,
            effects: Effects::default(),
            settles: None,
        };
        if let Some(diary) = &mut cluster.trace.diary {
            diary.begin(view.clients.len());
        }
        let outages = if cluster.trace.is_kept() { cluster.network.announcements() } else { Vec::new() };
        for (begin, outage) in outages {
            cluster.schedule(begin, Happening::Outage(outage));
        }
        cluster.schedule(workload.heal_at, Happening::Heal);
        for task in workload.tasks {
            cluster.schedule(task.at, Happening::Task(task));
        }
        cluster
    }

    /// Adds the losses of members.
    pub(super) fn with_losses(mut self, view: &View, fates: &Fates) -> Self {
        self.settles = Some(self.heal_at.after(2 * PATIENCE.detection()));
        for process in &mut self.processes {
            if let Some(client) = &mut process.client {
                client.note_view(view);
            }
        }
        for &(at, member) in &fates.crashes {
            self.schedule(at, Happening::Crash(member));
        }
        self
    }

    /// Runs until no event is left, until an engine breaks its contract, or until `patience` after the network healed.
    pub(super) fn run(mut self, patience: Duration) -> Remains {
        let limit = self.heal_at.after(patience);
        for at in 0..self.processes.len() {
            self.submit(MemberId(at as u16));
        }
        let mut at_rest = false;
        while self.breach.is_none() && !at_rest && self.now < limit {
            at_rest = !self.step() || self.has_settled();
        }
        self.remains(at_rest)
    }

    /// Returns true if all remaining members are in one view, without any other member, and have everything. Heartbeats
    /// never end, so such a group is never at rest.
    fn has_settled(&mut self) -> bool {
        let Some(look_at) = self.settles.filter(|&look_at| self.now >= look_at) else { return false };
        self.settles = Some(look_at.after(LOOK_EVERY));
        let is_out = |member: &MemberId| self.processes[usize::from(member.0)].is_out;
        let mut views =
            self.processes.iter().filter(|process| !process.is_out).map(|process| process.line.view());
        let Some(view) = views.next() else { return true };
        let is_one = views.all(|other| other == view) && !view.members().iter().any(is_out);
        is_one && self.processes.iter().all(Process::has_everything)
    }

    /// Performs the next event; returns false if there is none.
    fn step(&mut self) -> bool {
        let dues = self.deadlines.iter().zip(0_u16..).filter_map(|(due, at)| Some(((*due)?, at)));
        let due = dues.map(|(due, at)| (self.awake(MemberId(at), due), at)).min();
        let next = self.queue.first_key_value().map(|(&(time, _), _)| time);
        match (next, due) {
            // A queued event at the time of a deadline comes before it.
            (Some(time), due) if due.is_none_or(|(due, _)| time <= due) => {
                if let Some(((time, _), happening)) = self.queue.pop_first() {
                    self.now = time;
                    self.happen(happening);
                }
            }
            (_, Some((time, at))) => self.wake(MemberId(at), time),
            (_, None) => return false,
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { at, .. } | Happening::Task(Task { client: at, .. })
                if self.processes[usize::from(at.0)].is_out => {}
            Happening::Arrival { at, .. } | Happening::Task(Task { client: at, .. })
                if self.awake(at, self.now) > self.now =>
            {
                // Arrivals keep their order, as at a socket that is not read.
                self.counters.paused += 1;
                self.schedule(self.awake(at, self.now), happening);
            }
            Happening::Arrival { at, packet } => self.receive(at, packet),
            Happening::Task(task) => self.take(task),
            Happening::Crash(member) => {
                self.trace.line(self.now, &member, "die", &"", format_args!(""));
                self.counters.crashed += 1;
                self.leaves(member, "died");
            }
            Happening::Outage(what) => self.trace.line(self.now, &"", "outage", &"", format_args!("{what}")),
            Happening::Heal => {
                let what = format_args!("the network is at no fault from now on");
                self.trace.line(self.now, &"", "heal", &"", what);
                self.network.heal();
            }
        }
    }

    fn receive(&mut self, at: MemberId, packet: Packet) {
        let from = packet.header.sender;
        self.trace.line(self.now, &at, "receive", &from, format_args!("{}", Words(&packet)));
        self.seen.received(at, &packet);
        let is_overheard = is_overheard(at, &packet);
        let before = self.deadlines[usize::from(at.0)];
        self.handle(at, Input::Receive { from, message: packet });
        if is_overheard {
            self.counters.overheard(before, self.deadlines[usize::from(at.0)]);
        }
        self.submit(at);
    }

    /// Takes a member out of the group.
    fn leaves(&mut self, member: MemberId, why: &'static str) {
        let process = &mut self.processes[usize::from(member.0)];
        if process.is_out {
            return;
        }
        process.is_out = true;
        self.deadlines[usize::from(member.0)] = None;
        if let Some(client) = &mut process.client {
            client.stops();
        }
        if let Some(diary) = &mut self.trace.diary {
            diary.stopped(member, why);
        }
    }

    fn take(&mut self, task: Task) {
        let at = task.client;
        if let Some(client) = self.client(at) {
            client.take(task);
        }
        self.submit(at);
        let waits = self.client(at).is_some_and(|client| client.has_backlog());
        self.counters.waited += u64::from(waits);
    }

    /// Returns the time at which a member can act on an event at `time`: the end of its pause, if it is paused.
    fn awake(&self, at: MemberId, time: Time) -> Time {
        self.network.paused_until(at, time).unwrap_or(time)
    }

    fn wake(&mut self, at: MemberId, time: Time) {
        self.now = self.now.max(time);
        let Some(due) = self.deadlines[usize::from(at.0)] else { return };
        self.counters.paused += u64::from(due < time);
        self.trace.line(self.now, &at, "wake", &"", format_args!(""));
        self.handle(at, Input::Wake);
        self.report(contract::after_wake(at, due, self.deadlines[usize::from(at.0)]));
        self.submit(at);
    }

    /// Submits while the client has a submission whose window is open.
    fn submit(&mut self, at: MemberId) {
        loop {
            let Process { line, client: Some(client), .. } = &mut self.processes[usize::from(at.0)] else {
                return;
            };
            let Some((to, app)) = client.next_submission(|to| line.window(to)) else { return };
            self.trace.line(self.now, &at, "submit", &to, format_args!("{}", AppWords(&app, None)));
            if let Some(diary) = &mut self.trace.diary {
                diary.submitted(self.now, at, to, &app);
            }
            self.counters.submitted(&app);
            self.meter.submitted(self.now, at, &app);
            self.handle(at, Input::Submit { to, app });
        }
    }

    /// Hands one input to a member's engines, and performs the effects.
    fn handle(&mut self, at: MemberId, input: Input<App, Packet>) {
        let from = if let Input::Receive { from, .. } = &input { Some(*from) } else { None };
        let mut effects = std::mem::take(&mut self.effects);
        let line = &mut self.processes[usize::from(at.0)].line;
        line.handle(self.now, input, &mut effects);
        if let Some(diary) = &mut self.trace.diary {
            diary.stepped(self.now, at, line, &effects);
        }
        self.deadlines[usize::from(at.0)] = line.next_deadline();
        let held = line.held();
        if let Some(from) = from {
            self.counters.received(from, effects.as_slice());
        }
        let is_fenced = self.settles.is_some()
            && effects
                .as_slice()
                .iter()
                .any(|effect| matches!(effect, Effect::Deliver { app: App::Fenced(_), .. }));
        for effect in effects.drain() {
            self.perform(at, effect);
        }
        self.effects = effects;
        if is_fenced {
            self.counters.left_behind += 1;
            self.leaves(at, "left_behind");
        }
        if self.client(at).is_some() {
            self.meter.holds(self.now, at, held);
        }
    }

    fn perform(&mut self, at: MemberId, effect: Effect<App, Packet>) {
        match effect {
            Effect::Send { to, message } => self.send(at, to, &message),
            Effect::Deliver { from, number, app } => {
                let what = AppWords(&app, number);
                self.trace.line(self.now, &at, "deliver", &from, format_args!("{what}"));
                if let Some(diary) = &mut self.trace.diary {
                    diary.delivered(self.now, at, from, number, &app);
                }
                if let App::Undeliverable(batch, _) = &app {
                    self.counters.undeliverable += u64::from(batch.count());
                }
                self.counters.views += u64::from(matches!(app, App::View(..)));
                self.meter.delivered(self.now, at, from, &app);
                if let Some(client) = self.client(at) {
                    client.deliver(from, number, app);
                }
            }
            Effect::Drop { from, reason } => {
                self.trace.line(self.now, &at, "drop", &from, format_args!("{reason}"));
                self.counters.dropped += u64::from(reason == DropReason::Duplicate);
                // A removed member still sends until it learns of its removal. During a flush members ignore their send
                // windows, and the receiver handles packets outside its window when the view ends.
                let is_known = [DropReason::Stranger, DropReason::OutsideWindow].contains(&reason);
                if self.settles.is_none() || !is_known {
                    self.report(contract::after_drop(at, self.now, from, reason));
                }
            }
        }
    }

    fn send(&mut self, at: MemberId, to: To, packet: &Packet) {
        self.trace.line(self.now, &at, "send", &to, format_args!("{}", Words(packet)));
        // From its bytes alone, as it leaves a real member.
        let Ok(packet) = &Packet::parse(packet.frames.clone()) else {
            return self.report(Some(Witness::from("a member sent something that is no packet".to_owned())));
        };
        self.seen.sent(packet, &mut self.counters);
        match to {
            // A multicast also goes to its sender, as it does through a forwarder.
            To::Group => {
                self.meter.sent(&packet.frames, self.processes.len() - 1);
                for receiver in 0..self.processes.len() as u16 {
                    self.carry(MemberId(receiver), packet);
                }
            }
            To::Member(receiver) => {
                self.meter.sent(&packet.frames, 1);
                self.carry(receiver, packet);
            }
        }
    }

    fn carry(&mut self, at: MemberId, packet: &Packet) {
        let from = packet.header.sender;
        let passage = self.network.carry(self.now, from, at);
        self.counters.carried(passage);
        if passage.arrivals[0].is_none() {
            let verb = if passage.is_cut { "cut" } else { "lose" };
            self.trace.line(self.now, &from, verb, &at, format_args!("{}", Words(packet)));
        }
        for time in passage.arrivals.into_iter().flatten() {
            self.schedule(time, Happening::Arrival { at, packet: packet.clone() });
        }
    }

    fn schedule(&mut self, time: Time, happening: Happening) {
        self.queue.insert((time, self.scheduled), happening);
        self.scheduled += 1;
    }

    fn client(&mut self, at: MemberId) -> Option<&mut Client> {
        self.processes[usize::from(at.0)].client.as_mut()
    }

    /// Keeps the first breach of the contract.
    fn report(&mut self, breach: Option<Witness>) {
        self.breach = self.breach.take().or(breach);
    }

    fn remains(mut self, at_rest: bool) -> Remains {
        self.counters.simulated_us = self.now.as_micros();
        let liveness = self.liveness(at_rest);
        let clients = self.processes.into_iter().filter_map(|process| process.client);
        let records = clients.map(|mut client| {
            client.record.ended = client.waits_for().is_empty() && !client.record.stopped;
            client.record
        });
        let records: Vec<Record> = records.collect();
        if let Some(diary) = &mut self.trace.diary {
            diary.end(records.iter().map(|record| record.ended));
        }
        Remains {
            history: History { records, ..History::default() },
            contract: self.breach.map_or(Verdict::Valid, Verdict::Violated),
            liveness,
            counters: self.counters,
            cost: self.meter.cost,
        }
    }

    /// Judges liveness: every remaining client has all messages, and the group came to rest.
    fn liveness(&self, at_rest: bool) -> Verdict {
        if self.breach.is_some() {
            return Verdict::Undecided("the run ended early".to_owned());
        }
        if self.counters.multicasts == 0 {
            return Verdict::Undecided("nothing was multicast".to_owned());
        }
        let waits = self.processes.iter().zip(0..).find_map(|(process, at)| {
            let whom = process.client.as_ref().filter(|_| !process.is_out)?.waits_for();
            (!whom.is_empty()).then_some((MemberId(at), whom))
        });
        let long = format!("{:.1} s after the network healed", self.now.since(self.heal_at).as_secs_f64());
        match waits {
            Some((who, whom)) => {
                let whom: Vec<String> = whom.iter().map(ToString::to_string).collect();
                Verdict::Violated(Witness::from(format!("{who} still waits for {}, {long}", whom.join(", "))))
            }
            None if at_rest => Verdict::Valid,
            None if self.settles.is_some() => {
                let one = self.processes.iter().find(|process| !process.is_out);
                let view = one.map(|process| process.line.view().number).unwrap_or_default();
                Verdict::Violated(Witness::from(format!(
                    "the members are not in one view, {long}: view {view} here"
                )))
            }
            None => Verdict::Violated(Witness::from(format!("members still send to each other, {long}"))),
        }
    }
}
