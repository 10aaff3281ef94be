//! Runs drawn by chance: the contract of engines, which the kit checks at each input, and what a cluster promises.

use std::collections::BTreeSet;
use std::time::Duration;

use super::kit::Cluster;
use crate::prng::Prng;
use crate::replica::DropReason;

const SEEDS: u64 = 40;
const MEMBERS: usize = 3;

/// A run with lost datagrams, cuts, crashes and slow disks.
struct Run {
    cluster: Cluster,
    prng: Prng,
    said: u64,
    crashes: u64,
    /// The length of the longest text.
    longest: u64,
    /// The texts that a member has shown as its own: their storage was told to a client.
    stored: BTreeSet<String>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::with(MEMBERS, |config| config.longest = 200);
        cluster.loss = Some((Prng::new(seed + 1_000), 4));
        Self { cluster, prng: Prng::new(seed), said: 0, crashes: 0, longest: 600, stored: BTreeSet::new() }
    }

    fn step(&mut self) {
        let at = self.prng.below(MEMBERS as u64) as usize;
        match self.prng.below(9) {
            0 => {
                let unsynced = self.cluster.unsynced(at) as u64;
                let kept = self.prng.below(unsynced + 1) as usize;
                self.cluster.crash(at, kept);
                self.cluster.start(at);
                self.crashes += 1;
            }
            1 => self.cluster.part(at, (at + 1) % MEMBERS),
            2 => self.cluster.cut.clear(),
            3 => self.cluster.nodes[at].is_stuck ^= true,
            _ => {
                let long = self.prng.below(self.longest) as usize;
                let text = format!("{at} {} {}", self.said, ".".repeat(long));
                self.said += u64::from(self.cluster.submit(at, &text));
            }
        }
        self.cluster.run(Duration::from_millis(self.prng.below(100)));
        for (at, node) in self.cluster.nodes.iter().enumerate() {
            let own = node.shown.values().filter(|(id, _)| usize::from(id.origin.0) == at);
            self.stored.extend(own.map(|(_, text)| text.clone()));
        }
    }

    fn end(&mut self) {
        self.cluster.cut.clear();
        self.cluster.nodes.iter_mut().for_each(|node| node.is_stuck = false);
        self.cluster.settle();
    }
}

#[test]
fn contract_holds_in_runs_with_crashes_and_cuts() {
    let (mut crashes, mut stored, mut pieces) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut run = Run::new(seed);
        (0..80).for_each(|_| run.step());
        run.end();
        let list = run.cluster.nodes[0].list();
        for node in &run.cluster.nodes {
            assert_eq!((&node.list(), &node.final_list()), (&list, &list), "seed {seed}");
            assert!(node.forked.is_empty() && node.diverged.is_empty(), "seed {seed}");
            let mut drops = node.drops.iter();
            assert!(drops.all(|&reason| reason == DropReason::Duplicate), "seed {seed}: {:?}", node.drops);
        }
        let shown: BTreeSet<String> = list.iter().map(|&text| text.to_owned()).collect();
        assert!(run.stored.is_subset(&shown) && shown.len() == list.len(), "seed {seed}");
        crashes += run.crashes;
        stored += run.stored.len();
        pieces += list.iter().filter(|text| text.len() > 200).count();
    }
    assert!(crashes > 200 && stored > 1_000 && pieces > 500, "{crashes} {stored} {pieces}");
}

#[test]
fn contract_holds_in_runs_with_snapshots() {
    let (mut crashes, mut snapshots) = (0, 0);
    for seed in 0..12 {
        let mut run = Run::new(seed);
        run.longest = 150_000;
        run.cluster.is_checked = false;
        run.cluster.nodes.iter_mut().for_each(|node| node.config.longest = 1_165);
        for at in 0..MEMBERS {
            run.cluster.crash(at, 0);
            run.cluster.start(at);
        }
        run.cluster.loss = Some((Prng::new(seed), 50));
        (0..80).for_each(|_| run.step());
        run.end();
        let first = run.cluster.nodes[0].confirmed;
        for node in &run.cluster.nodes {
            assert_eq!(node.confirmed, first, "seed {seed}");
            assert!(node.forked.is_empty() && node.diverged.is_empty(), "seed {seed}");
            snapshots += u64::from(node.replica().snapshot_index.is_some());
        }
        crashes += run.crashes;
    }
    assert!(crashes > 60 && snapshots > 12, "{crashes} crashes, {snapshots} members with snapshots");
}
