//! One run of a simulated group: until it is at rest, or until the time after which it should have been.

use std::time::Duration;

use super::churn::DETECTOR;
use super::cost::Cost;
use super::counters::Counters;
use super::histories::Histories;
use super::monitor::Monitor;
use super::process::{Event, Process};
use super::world::World;
use crate::check::{self, History, Installed, MessageId, Record, Verdict, Witness};
use crate::engine::{MemberId, Time};
use crate::results::undelivered;
use crate::wire::control::Role;

/// The interval at which a group that may lose members is checked for having settled.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A run.
pub(super) struct Run<'t> {
    pub(super) world: World<Monitor<'t>>,
    heal_at: Time,
    /// The next time to look whether the members have settled, in a group that may lose members.
    settles: Option<Time>,
}

/// The result of a run.
pub(super) struct Remains {
    pub(super) history: History,
    pub(super) contract: Verdict,
    pub(super) liveness: Verdict,
    pub(super) counters: Counters,
    pub(super) cost: Cost,
}

impl<'t> Run<'t> {
    pub(super) fn new(world: World<Monitor<'t>>, heal_at: Time, has_churn: bool) -> Self {
        let settles = has_churn.then(|| heal_at.after(2 * DETECTOR.detection()));
        Self { world, heal_at, settles }
    }

    /// Runs until no event is left, until an engine breaks its contract, or until `patience` after the network healed.
    pub(super) fn run(mut self, patience: Duration) -> Remains {
        let limit = self.heal_at.after(patience);
        self.begin();
        let mut at_rest = false;
        while !self.is_broken() && !at_rest && self.world.now < limit {
            at_rest = !self.world.step() || self.has_settled();
        }
        self.remains(at_rest)
    }

    /// Lets every member submit what is due at the beginning.
    pub(super) fn begin(&mut self) {
        for at in 0..self.world.processes.len() {
            self.world.submit(MemberId(at as u16));
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.world.breach.is_some() || self.world.observer.breach.is_some()
    }

    /// Returns true if all remaining members are in one view, without any other member, and have everything. Heartbeats
    /// never end, so such a group is never at rest.
    pub(super) fn has_settled(&mut self) -> bool {
        let Some(look_at) = self.settles.filter(|&look_at| self.world.now >= look_at) else { return false };
        self.settles = Some(look_at.after(LOOK_EVERY));
        let processes = &self.world.processes;
        let has_ended = |member: &MemberId| processes[usize::from(member.0)].ended.is_some();
        let mut views = self.running().map(Process::view);
        let Some(first) = views.next() else { return true };
        let Some(view) = first else { return false };
        views.all(|other| other == Some(view))
            && !view.members().iter().any(has_ended)
            && self.running().all(|process| process.waits_for().is_empty())
    }

    fn running(&self) -> impl Iterator<Item = &Process> {
        self.world.processes.iter().filter(|process| process.ended.is_none())
    }

    pub(super) fn remains(self, at_rest: bool) -> Remains {
        let liveness = self.liveness(at_rest);
        let Self { mut world, .. } = self;
        world.observer.counters.simulated_us = world.now.as_micros();
        let is_client = |process: &Process| world.seats[usize::from(process.me.0)].role == Role::Client;
        let clients: Vec<&Process> = world.processes.iter().filter(|process| is_client(process)).collect();
        let members: Vec<MemberId> = clients.iter().map(|process| process.me).collect();
        let records = clients.into_iter().map(|process| record(process, &members)).collect();
        let Monitor { trace, counters, meter, breach, .. } = world.observer;
        if trace.histories.is_some() {
            trace.histories = Some(Histories::of(world.processes, &world.seats));
        }
        let breach = breach.or(world.breach.map(Witness::from));
        Remains {
            history: History { records, ..History::default() },
            contract: breach.map_or(Verdict::Valid, Verdict::Violated),
            liveness,
            counters,
            cost: meter.cost,
        }
    }

    /// Judges liveness: every remaining client has all messages, and the group came to rest.
    fn liveness(&self, at_rest: bool) -> Verdict {
        if self.is_broken() {
            return Verdict::Undecided("the run ended early".to_owned());
        }
        if self.world.observer.counters.multicasts == 0 {
            return Verdict::Undecided("nothing was multicast".to_owned());
        }
        let waits = self.running().map(|process| (process.me, process.waits_for()));
        let waits = waits.into_iter().find(|(_, whom)| !whom.is_empty());
        let long = self.world.now.since(self.heal_at).as_secs_f64();
        let story = match waits {
            Some((member, whom)) => {
                let whom: Vec<String> = whom.iter().map(ToString::to_string).collect();
                format!("{member} still waits for {}", whom.join(", "))
            }
            None if at_rest => return Verdict::Valid,
            None if self.settles.is_some() => {
                let view = self.running().find_map(Process::view).map(|view| view.number).unwrap_or_default();
                return Verdict::Violated(Witness::from(format!(
                    "the members are not in one view, {long:.1} s after the network healed: view {view} here"
                )));
            }
            None => "members still send to each other".to_owned(),
        };
        Verdict::Violated(Witness::from(format!("{story}, {long:.1} s after the network healed")))
    }
}

/// Returns the record of a client, among these, for the oracles.
fn record(process: &Process, clients: &[MemberId]) -> Record {
    let index = |member: MemberId| {
        let found = clients.iter().position(|&client| client == member);
        found.unwrap_or(clients.len() + usize::from(member.0)) as u16
    };
    let mut record = Record {
        name: process.me.to_string(),
        stopped: process.ended.is_some(),
        ended: process.is_done(),
        ..Record::default()
    };
    let id = |member: MemberId, number| MessageId { member: index(member), incarnation: 1, number };
    for (_, event) in &process.history {
        record.events.push(match event {
            Event::Multicast(number, text) => {
                check::Event::Multicast { id: id(process.me, *number), text: text.clone() }
            }
            Event::Deliver(from, own, number, text) => {
                check::Event::Deliver { id: id(*from, *own), number: *number, epoch: 1, text: text.clone() }
            }
            Event::Send(to, number, text) => {
                check::Event::Send { id: id(process.me, *number), to: index(*to), text: text.clone() }
            }
            Event::Receive(from, number, text) => {
                check::Event::Receive { id: id(*from, *number), text: text.clone() }
            }
            Event::Undeliverable(to, number, reason) => check::Event::Undeliverable {
                id: id(process.me, *number),
                to: index(*to),
                reason: undelivered(*reason).to_owned(),
            },
            Event::View(view) => {
                let mut members: Vec<String> = view.clients.iter().map(ToString::to_string).collect();
                members.sort_unstable();
                let at = record.events.len();
                record.views.push(Installed { at, number: view.number, members, line: None });
                continue;
            }
            Event::Fenced | Event::Notice(..) | Event::Note(_) => continue,
        });
    }
    record
}
