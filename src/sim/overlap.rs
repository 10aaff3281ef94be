//! Several simulated groups with members in common, each with a sequencer and a network of its own.
//!
//! Every group is a world of its own; all go on in one time. A client is one process: it merges what it delivers in its
//! groups with the code of a real client, and what ends it in one group ends it in all.

use std::collections::BTreeMap;
use std::time::Duration;

use super::monitor::Monitor;
use super::outages::Outages;
use super::run::{Remains, Run};
use super::workload::Workload;
use super::world::World;
use super::{Cost, Counters, Network, Outcome, Setup, Trace};
use crate::check::across::{self, Delivery};
use crate::check::{self, Event, History, Verdict, Witness};
use crate::engine::{MemberId, Time};
use crate::member::Membership;
use crate::participant::merge::Merge;
use crate::prng::Prng;

/// The share of clients that are in more groups than two, in parts per million.
const IN_MORE: u32 = 300_000;

/// A client: one process in several groups.
struct Client {
    /// Its slot in each group that it is in.
    slots: BTreeMap<usize, MemberId>,
    /// A merge of all groups, of which those that the client is not in are over.
    merge: Merge<u64>,
    /// Its deliveries: the group and the count of messages.
    delivered: Vec<(usize, u64)>,
}

/// The groups and their clients.
struct Overlap<'t> {
    groups: Vec<Run<'t>>,
    clients: Vec<Client>,
    /// The process of each slot of each group; none for a sequencer.
    processes: Vec<Vec<usize>>,
    at_rest: Vec<bool>,
    now: Time,
}

/// Runs one seed.
pub(super) fn run(setup: &Setup, seed: u64, trace: &mut Trace) -> Outcome {
    let mut prng = Prng::new(seed);
    let mut draw = prng.fork();
    let clients = clients(setup, &mut draw);
    let count = usize::from(setup.groups);
    let processes: Vec<Vec<usize>> = (0..count)
        .map(|group| (0..clients.len()).filter(|&at| clients[at].slots.contains_key(&group)).collect())
        .collect();
    let mut traces: Vec<Trace> = (0..count).map(|_| trace.alike()).collect();
    // The members of one group are lost, for example its sequencer.
    let lossy = draw.below(count as u64) as usize;
    let (mut runs, mut patience) = (Vec::new(), Duration::ZERO);
    let mut heal_last = Time::ZERO;
    for (group, trace) in traces.iter_mut().enumerate() {
        let has_losses = group == lossy;
        let (run, heal_at, long) =
            begin(setup, prng.fork(), processes[group].len() as u16, has_losses, trace);
        runs.push(run);
        patience = patience.max(long);
        heal_last = heal_last.max(heal_at);
    }
    let at_rest = vec![false; count];
    let mut overlap = Overlap { groups: runs, clients, processes, at_rest, now: Time::ZERO };
    overlap.run(heal_last.after(patience));
    let outcome = overlap.outcome(setup, seed);
    for (group, of_group) in traces.into_iter().enumerate() {
        trace.append(&format!("group {}", name(group)), of_group);
    }
    outcome
}

/// Returns the name of a group: `a`, `b` …
fn name(group: usize) -> String {
    char::from(b'a' + group as u8).to_string()
}

/// Draws the clients: in a ring, each is in one group and the next, and some are in more.
fn clients(setup: &Setup, prng: &mut Prng) -> Vec<Client> {
    let groups = usize::from(setup.groups);
    let (low, high) = Setup::DRAWN_MEMBERS;
    let drawn = prng.between(u64::from(low), u64::from(high)) as usize;
    // No group is empty, and none has one member alone.
    let count = setup.members.map_or(drawn, usize::from).max(groups);
    let mut next = vec![0_u16; groups];
    (0..count)
        .map(|client| {
            let is_in = |group: usize, prng: &mut Prng| {
                group == client % groups || group == (client + 1) % groups || prng.chance(IN_MORE)
            };
            let mut merge = Merge::new(groups, setup.defects);
            let mut slots = BTreeMap::new();
            for (group, next) in next.iter_mut().enumerate() {
                if is_in(group, prng) {
                    slots.insert(group, MemberId(*next));
                    *next += 1;
                } else {
                    merge.over(group);
                }
            }
            Client { slots, merge, delivered: Vec::new() }
        })
        .collect()
}

/// Begins a group of so many clients. Returns it with the time at which its network heals, and for how long it may then
/// go on.
fn begin<'t>(
    setup: &Setup,
    mut prng: Prng,
    clients: u16,
    has_losses: bool,
    trace: &'t mut Trace,
) -> (Run<'t>, Time, Duration) {
    let [mut swarm, mut tasks, mut packets, mut outages, mut churn] = std::array::from_fn(|_| prng.fork());
    let view = setup.view_of(clients);
    let faults = setup.faults(&mut swarm);
    let draw = if setup.steady { Workload::steady } else { Workload::draw };
    let Workload { tasks, heal_at } = draw(&mut tasks, &view.clients, setup.messages);
    let outages = Outages::draw(&mut outages, faults, &view.members(), heal_at);
    trace.announce(|| outages.announcements());
    let (losses, end) = setup.churn.draw(&mut churn, &view, heal_at);
    let losses = if has_losses { losses } else { Vec::new() };
    let heal_at = heal_at.max(end);
    let network = Network::new(faults, packets.next_u64()).with_outages(outages);
    let has_churn = setup.churn.is_asked_for();
    let mut monitor = Monitor::new(view.clients.len(), has_churn, trace);
    monitor.batches = Some(Vec::new());
    let patience = setup.patience(faults, view.clients.len());
    let mut world = World::new(setup.group(view), network, packets, monitor);
    world.add_fault(heal_at, super::Fault::Calm);
    world.add_tasks(tasks);
    losses.into_iter().for_each(|(at, fault)| world.add_fault(at, fault));
    (Run::new(world, heal_at, has_churn), heal_at, patience)
}

impl Overlap<'_> {
    /// Runs all groups until each is at rest, or until `limit`.
    fn run(&mut self, limit: Time) {
        self.groups.iter_mut().for_each(Run::begin);
        (0..self.groups.len()).for_each(|group| self.take(group));
        while !self.groups.iter().any(Run::is_broken) && self.now < limit {
            // All groups have settled, though their heartbeats go on, and nothing waits at a client.
            if self.at_rest.iter().all(|&at_rest| at_rest) && !self.is_waiting() {
                return;
            }
            let times = self
                .groups
                .iter()
                .enumerate()
                .filter_map(|(group, run)| Some((run.world.next_time()?, group)));
            let Some((time, group)) = times.min() else {
                self.at_rest.fill(true);
                return;
            };
            self.now = self.now.max(time);
            self.groups[group].world.step();
            self.at_rest[group] |= self.groups[group].has_settled();
            self.take(group);
            if self.groups[group].world.next_time().is_none() {
                self.at_rest[group] = true;
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.clients.iter().any(|client| self.is_running(client) && client.merge.waiting() > 0)
    }

    fn is_running(&self, client: &Client) -> bool {
        client
            .slots
            .iter()
            .all(|(&group, slot)| self.groups[group].world.processes[usize::from(slot.0)].ended.is_none())
    }

    /// Takes what the members of a group have delivered in its last step, and does what follows.
    fn take(&mut self, group: usize) {
        let world = &mut self.groups[group].world;
        let batches = world.observer.batches.replace(Vec::new()).unwrap_or_default();
        let ended: Vec<usize> = self.processes[group]
            .iter()
            .enumerate()
            .filter(|&(slot, _)| world.processes[slot].ended.is_some())
            .map(|(_, &process)| process)
            .collect();
        for process in ended {
            for (&other, &slot) in &self.clients[process].slots {
                self.groups[other].world.crash(self.now, slot);
            }
        }
        for (slot, number, count) in batches {
            if let Some(&process) = self.processes[group].get(usize::from(slot.0)) {
                self.clients[process].merge.push(group, Some(number), 0, count);
            }
        }
        for process in self.processes[group].clone() {
            self.merge(process);
        }
    }

    /// Lets a client deliver what it can, and ask groups for later numbers.
    fn merge(&mut self, process: usize) {
        let is_running = self.is_running(&self.clients[process]);
        let client = &mut self.clients[process];
        for (&group, slot) in &client.slots {
            let member = self.groups[group].world.processes[usize::from(slot.0)].membership();
            if let Some(next) = member.and_then(Membership::next_number) {
                client.merge.reached(group, next);
            }
        }
        while let Some(delivered) = client.merge.pop() {
            client.delivered.push(delivered);
        }
        if !is_running {
            return;
        }
        for (&group, &slot) in &client.slots {
            let world = &mut self.groups[group].world;
            let member = world.processes[usize::from(slot.0)].membership();
            let Some(member) = member.filter(|member| !member.is_changing()) else { continue };
            if let Some(number) = client.merge.ask(group, member.view().number) {
                world.advance(self.now, slot, number);
                self.at_rest[group] = false;
            }
        }
    }

    fn outcome(self, setup: &Setup, seed: u64) -> Outcome {
        let waits =
            self.clients.iter().position(|client| self.is_running(client) && client.merge.waiting() > 0);
        let Self { groups, clients, processes, at_rest, now } = self;
        let remains: Vec<Remains> =
            groups.into_iter().zip(&at_rest).map(|(run, &at_rest)| run.remains(at_rest)).collect();
        let (mut counters, mut cost) = (Counters::default(), Cost::default());
        let mut verdicts: Vec<(&'static str, Verdict)> = Vec::new();
        let names: Vec<String> = (0..remains.len()).map(name).collect();
        let verdict = {
            let groups: Vec<(&str, &History)> =
                names.iter().zip(&remains).map(|(name, remains)| (name.as_str(), &remains.history)).collect();
            let members = clients.iter().enumerate();
            let members = members.map(|(process, client)| deliveries(client, process, &processes, &groups));
            across::judge_groups(&groups, &members.collect::<Vec<_>>())
        };
        for mut remains in remains {
            counters += remains.counters;
            cost += remains.cost;
            remains.history.across = Some(verdict.clone());
            add(&mut verdicts, "contract", remains.contract);
            for (name, verdict) in check::judge(&remains.history, setup.judged()) {
                add(&mut verdicts, name, verdict);
            }
            add(&mut verdicts, "liveness", remains.liveness);
        }
        if let Some(process) = waits {
            let story = format!("client {process} still waits for another group at {now}");
            add(&mut verdicts, "liveness", Verdict::Violated(Witness::from(story)));
        }
        counters.simulated_us = now.as_micros();
        Outcome { seed, verdicts, counters, cost }
    }
}

/// Adds the verdict of one group to those of all: violated before undecided before valid.
fn add(verdicts: &mut Vec<(&'static str, Verdict)>, name: &'static str, verdict: Verdict) {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::Valid => 0,
        Verdict::Undecided(_) => 1,
        Verdict::Violated(_) => 2,
    };
    match verdicts.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) if weight(&verdict) > weight(known) => *known = verdict,
        Some(_) => {}
        None => verdicts.push((name, verdict)),
    }
}

/// Returns the deliveries of a client in its order, as events of the groups' histories.
fn deliveries(
    client: &Client,
    process: usize,
    processes: &[Vec<usize>],
    groups: &[(&str, &History)],
) -> Vec<Delivery> {
    let mut left: BTreeMap<usize, (usize, std::vec::IntoIter<usize>)> = client
        .slots
        .keys()
        .map(|&group| {
            let record = processes[group].iter().position(|&it| it == process).unwrap_or_default();
            let events = groups[group].1.records[record].events.iter().enumerate();
            let delivered = events.filter(|(_, event)| matches!(event, Event::Deliver { .. }));
            let delivered: Vec<usize> = delivered.map(|(event, _)| event).collect();
            (group, (record, delivered.into_iter()))
        })
        .collect();
    let mut all = Vec::new();
    for &(group, count) in &client.delivered {
        let Some((record, events)) = left.get_mut(&group) else { continue };
        let events = events.by_ref().take(count as usize);
        all.extend(events.map(|event| Delivery { group, record: *record, event }));
    }
    all
}
