//! Simulated clusters: replicas of `--order tentative` on the simulated network, each with a disk that loses what is not
//! synced.
//!
//! A run draws crashes and restarts beside the faults of the network: a crash cuts a member off between two effects, and
//! keeps any part of what its disk had not synced. After the network has healed and all members are up again, every
//! member must confirm everything. The oracles of [`crate::check::cluster`] judge the run.

mod changes;
mod disk;
mod member;
mod words;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster_files::Files;
use super::cost::Cost;
use super::counters::Counters;
use super::faults::Fault;
use super::network::Network;
use super::outages::Outages;
use super::swarm::{self, Simulation};
use super::trace::Trace;
use super::workload::{Task, Workload};
use super::{Outcome, Setup};
use crate::check::{Verdict, cluster};
use crate::engine::{MemberId, Time, To};
use crate::prng::Prng;
use crate::replica::Config;
use crate::replica::epoch::Request;
use world::World;

/// The longest time for which a member is down, or a part of the cluster is cut off.
const LONGEST_AWAY: u64 = 2_000_000;
/// The number of datagrams that a member's socket buffer holds, as it says. The simulated one holds any number.
const ROOM: u64 = 92;
/// Most bytes of a log: more than any run needs.
const LIMIT: usize = 1 << 30;
/// The time from the healing of the network by which everything must be confirmed.
const PATIENCE: Duration = Duration::from_secs(60);
/// The lengths of the longest messages that are drawn, in bytes: with the shorter ones, most entries travel in pieces.
const LONGEST: (u64, u64) = (200, 1_165);
/// The share of removed members that are dead before, in parts per million.
const DEAD: u32 = 500_000;
/// The bytes of forgotten entries after which a snapshot is taken, as drawn: often, at the end only, or never.
const SNAPSHOT_EVERY: (u64, u64) = (100, 20_000);

/// The parameters of a simulated cluster.
#[derive(Clone, Copy, Debug)]
pub struct ClusterSetup {
    /// The parameters that it shares with groups; its order is ignored.
    pub group: Setup,
    /// The number of crashes. Every member that crashes is started again.
    pub crash: u16,
    /// The number of members that are cut off from the others for a while, together.
    pub split: u16,
    /// The number of members that are added.
    pub join: u16,
    /// The number of members that are removed, dead or alive.
    pub remove: u16,
    /// The property that is expected to be violated.
    pub expect: Option<&'static str>,
}

impl ClusterSetup {
    /// Draws the crashes, each with the time of the restart, and the splits. Returns also the time of their end.
    fn incidents(&self, prng: &mut Prng, members: &[MemberId], until: Time) -> (Vec<(Time, Incident)>, Time) {
        let (mut incidents, mut end) = (Vec::new(), until);
        let mut draw = |bound: u64| prng.below(bound);
        for _ in 0..self.crash {
            let at = Time::from_micros(draw(until.as_micros() + 1));
            let back = at.after(Duration::from_micros(draw(LONGEST_AWAY) + 1));
            let member = members[draw(members.len() as u64) as usize];
            incidents.extend([(at, Incident::Crash(member)), (back, Incident::Restart(member))]);
            end = end.max(back);
        }
        if self.split > 0 {
            let at = Time::from_micros(draw(until.as_micros() + 1));
            let back = at.after(Duration::from_micros(draw(LONGEST_AWAY) + 1));
            let mut left = members.to_vec();
            let count = usize::from(self.split).min(members.len() - 1);
            let part: BTreeSet<MemberId> =
                (0..count).map(|_| left.swap_remove(draw(left.len() as u64) as usize)).collect();
            incidents.push((at, Incident::Network(Fault::Partition(part))));
            incidents.push((back, Incident::Network(Fault::Reconnect)));
            end = end.max(back);
        }
        (incidents, end)
    }

    /// Draws the requests of operators, and the deaths of some of those that are removed.
    fn requests(
        &self,
        prng: &mut Prng,
        members: &[MemberId],
        until: Time,
        incidents: &mut Vec<(Time, Incident)>,
    ) {
        let mut times: Vec<Time> =
            (0..self.join).map(|_| Time::from_micros(prng.below(until.as_micros() + 1))).collect();
        times.sort_unstable();
        let slots = members.len() as u16..;
        incidents
            .extend(times.into_iter().zip(slots).map(|(at, slot)| (at, Incident::Ask(changes::add(slot)))));
        let (mut left, mut deaths) = (members.to_vec(), 0);
        for _ in 0..usize::from(self.remove).min(members.len().saturating_sub(2)) {
            let member = left.swap_remove(prng.below(left.len() as u64) as usize);
            let at = Time::from_micros(prng.below(until.as_micros() + 1));
            // A majority must be left to decide.
            if prng.chance(DEAD) && 2 * (deaths + 1) < members.len() {
                deaths += 1;
                let death = Time::from_micros(prng.below(at.as_micros() + 1));
                incidents.retain(|(_, incident)| *incident != Incident::Restart(member));
                incidents.push((death, Incident::Crash(member)));
            }
            incidents.push((at, Incident::Ask(Request::Remove(member))));
        }
    }

    /// Draws what the new members multicast.
    fn tasks_of_newcomers(&self, prng: &mut Prng, members: u16, until: Time) -> Vec<Task> {
        let newcomers = members..members + self.join;
        let mut draw = |client: u16| {
            let at = Time::from_micros(prng.below(until.as_micros() + 1));
            Task::single(at, MemberId(client), To::Group)
        };
        newcomers.flat_map(|client| [client; 5]).map(&mut draw).collect()
    }
}

/// Something that happens to a member or to the network.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Incident {
    Crash(MemberId),
    Restart(MemberId),
    Network(Fault),
    /// An operator asks for a change of the members.
    Ask(Request),
}

impl Simulation for ClusterSetup {
    fn run(&self, seed: u64, trace: &mut Trace) -> Outcome {
        let mut prng = Prng::new(seed);
        let [mut swarm, mut tasks, mut packets, mut outages, mut incidents, disks] =
            std::array::from_fn(|_| prng.fork());
        let (low, high) = Setup::DRAWN_MEMBERS;
        let drawn = swarm.between(u64::from(low), u64::from(high)) as u16;
        let members: Vec<MemberId> = (0..self.group.members.unwrap_or(drawn)).map(MemberId).collect();
        let longest = swarm.between(LONGEST.0, LONGEST.1) as usize;
        let faults = self.group.faults(&mut swarm);
        let snapshot_every = swarm.between(SNAPSHOT_EVERY.0, SNAPSHOT_EVERY.1) as usize;
        let draw = if self.group.steady { Workload::steady } else { Workload::draw };
        let Workload { tasks, heal_at } = draw(&mut tasks, &members, self.group.messages);
        let outages = Outages::draw(&mut outages, faults, &members, heal_at);
        trace.announce(|| outages.announcements());
        let (incidents, end) = self.incidents(&mut incidents, &members, heal_at);
        let mut incidents = incidents;
        // Without changes, a seed gives what it gave before there were any.
        let mut changes = if self.join + self.remove > 0 { packets.fork() } else { Prng::new(seed) };
        self.requests(&mut changes, &members, heal_at, &mut incidents);
        let founders = members.len();
        let mut tasks = tasks;
        tasks.extend(self.tasks_of_newcomers(&mut changes, founders as u16, heal_at));
        let members: Vec<MemberId> = (0..founders as u16 + self.join).map(MemberId).collect();
        let heal_at = heal_at.max(end);
        let network = Network::new(faults, packets.next_u64()).with_outages(outages);
        let config = Config {
            me: MemberId(0),
            members: founders,
            longest,
            room: ROOM,
            limit: LIMIT,
            snapshot_every,
            defects: self.group.defects,
        };
        let mut world = World::new((&members, config), network, (packets, disks), &tasks, trace);
        incidents.into_iter().for_each(|(at, incident)| world.schedule(at, incident));
        world.schedule(heal_at, Incident::Network(Fault::Calm));
        let story = world.run(heal_at, heal_at.after(PATIENCE));
        let mut verdicts = vec![("contract", story.contract)];
        verdicts.extend(cluster::judge(&story.history.clone().with_whole_lists()));
        verdicts.push(("liveness", story.liveness));
        if trace.histories.is_some() {
            trace.cluster = Some(Files { history: story.history, times: story.times });
        }
        Outcome { seed, verdicts, counters: story.counters, cost: Cost::default() }
    }

    fn expected(&self) -> Option<&'static str> {
        self.expect
    }

    fn idle(&self, counters: &Counters) -> Vec<(&'static str, Verdict)> {
        let idle_share = swarm::idle_share(&self.group, counters);
        let mut idle: Vec<_> =
            idle_share.map(|why| ("faults", Verdict::Undecided(why))).into_iter().collect();
        if self.crash > 0 && counters.crashed == 0 {
            idle.push(("faults", Verdict::Undecided("crashes were asked for and nobody crashed".to_owned())));
        }
        if self.split > 0 && counters.cut == 0 {
            let why = "a split was asked for and kept nothing away";
            idle.push(("faults", Verdict::Undecided(why.to_owned())));
        }
        if self.join + self.remove > 0 && counters.changed == 0 {
            idle.push(("changes", Verdict::Undecided("changes were asked for and none was made".to_owned())));
        }
        if counters.inserted_above == 0 {
            let why = "nothing was inserted above anything, so any order of arrival would have passed";
            idle.push(("insertion", Verdict::Undecided(why.to_owned())));
        }
        idle
    }
}
