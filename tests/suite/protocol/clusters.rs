//! Simulated clusters of `--order tentative`: seeds with crashes and splits, and replicas broken on purpose.

use groupcast::exit::Exit;
use groupcast::order::ORDERS;
use groupcast::sim::cluster::ClusterSetup;
use groupcast::sim::swarm::{self, Report, Simulation};
use groupcast::sim::{Setup, Share, Trace};

/// Of each kind; `GROUPCAST_SEEDS` sets another number.
const SEEDS: u64 = 300;

/// A cluster with so many crashes, and so many members that are cut off together.
fn cluster(messages: u64, crash: u16, split: u16) -> ClusterSetup {
    // The order of the group is not used.
    let group = Setup { members: None, ..Setup::new(&ORDERS[0], 2, messages) };
    ClusterSetup { group, crash, split, join: 0, remove: 0, expect: None }
}

/// Nothing is violated, nothing is undecided, and everything that replicas are for was needed.
fn holds(setup: &ClusterSetup) -> Report {
    let seeds = std::env::var("GROUPCAST_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds = seeds.unwrap_or(SEEDS);
    let report = swarm::run(setup, 1, seeds);
    assert_eq!((report.exit(), report.seeds), (Exit::Ok, seeds), "{report:#?}");
    let counters = &report.counters;
    let struck =
        [counters.lost, counters.duplicated, counters.slow, counters.clogged, counters.cut, counters.paused];
    let needed = [counters.nacks, counters.dropped, counters.inserted_above, counters.waited];
    assert!(struck.iter().chain(&needed).all(|&count| count > 0), "{counters:?}");
    println!("{seeds} seeds\n{counters}");
    report
}

#[test]
fn clusters_keep_their_promises() {
    holds(&cluster(20, 0, 0));
}

#[test]
fn clusters_with_crashes_and_splits_keep_their_promises() {
    let report = holds(&cluster(20, 3, 2));
    assert!(report.counters.crashed > report.seeds, "{:?}", report.counters);
}

#[test]
fn clusters_whose_members_change_keep_their_promises() {
    for (join, remove, crash, split) in [(1, 0, 0, 0), (0, 1, 0, 0), (2, 2, 3, 2)] {
        let setup = ClusterSetup { join, remove, ..cluster(20, crash, split) };
        let report = swarm::run(&setup, 1, 200);
        assert_eq!((report.exit(), report.seeds), (Exit::Ok, 200), "{report:#?}");
        let counters = &report.counters;
        assert!(counters.changed > 200 && (remove == 0 || counters.withdrawn > 0), "{counters:?}");
    }
}

#[test]
fn clusters_long_messages_travel_in_pieces_and_are_repaired_by_piece() {
    let (mut pieces, mut wants) = (0, 0);
    for seed in 1..=20 {
        let mut trace = Trace::kept();
        let outcome = cluster(20, 3, 2).run(seed, &mut trace);
        assert!(!outcome.is_violated(), "{outcome:?}");
        let lines = || trace.text().lines().filter(|line| line.contains(" send "));
        pieces += lines().filter(|line| line.contains(" piece ")).count();
        wants += lines().filter(|line| line.contains("want ") && line.contains(" octets ")).count();
    }
    assert!(pieces > 100 && wants > 20, "{pieces} pieces, {wants} requests for pieces");
}

#[test]
fn clusters_of_many_members_pass_on_what_their_words_have_room_for() {
    let mut setup = cluster(1, 1, 20);
    setup.group.members = Some(40);
    let report = swarm::run(&setup, 1, 3);
    assert_eq!(report.failed, None, "{report:#?}");
}

#[test]
fn clusters_worst_networks_only_delay() {
    let calm = Setup {
        members: Some(4),
        loss: Some(Share::ZERO),
        duplicate: Some(Share::ZERO),
        slow: Some(Share::ZERO),
        clog: Some(Share::ZERO),
        partition: Some(Share::ZERO),
        pause: Some(Share::ZERO),
        ..cluster(20, 0, 0).group
    };
    let share = |text: &str| Some(text.parse().expect("a share"));
    let delay = |text: &str| Some(text.parse().expect("a delay"));
    for group in [
        Setup { loss: share("70%"), duplicate: share("70%"), delay: delay("0-50ms"), ..calm },
        Setup { loss: share("100%"), delay: delay("5ms"), ..calm },
        Setup { loss: share("5%"), delay: delay("1-5s"), ..calm },
        Setup { slow: share("100%"), ..calm },
        Setup { clog: share("100%"), ..calm },
        Setup { partition: share("100%"), ..calm },
        Setup { pause: share("100%"), ..calm },
        Setup { clog: share("70%"), partition: share("70%"), pause: share("70%"), ..calm },
    ] {
        for (crash, split) in [(0, 0), (3, 2)] {
            let setup = ClusterSetup { group, crash, split, join: 0, remove: 0, expect: None };
            let report = swarm::run(&setup, 1, 5);
            assert_eq!(report.failed, None, "{setup:?}: {report:#?}");
        }
    }
}

#[test]
fn clusters_same_seed_gives_same_trace() {
    let trace = |seed| {
        let mut trace = Trace::kept();
        let _ = cluster(20, 3, 2).run(seed, &mut trace);
        trace
    };
    for seed in 1..10 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
        assert!(trace(seed) != trace(seed + 1), "seed {seed}");
    }
}

#[test]
fn clusters_in_which_nothing_happens_are_undecided() {
    assert_eq!(swarm::run(&cluster(0, 0, 0), 1, 5).exit(), Exit::Undecided);
}

#[cfg(feature = "known-bad")]
mod known_bad {
    use groupcast::defect::{Defect, Defects};

    use super::*;

    /// The number of places from which seeds are counted.
    const PLACES: u64 = 20;

    /// A defect, the property that shows it, and the most seeds that this may take.
    type Row = (Defect, &'static str, u64);

    #[rustfmt::skip]
    const CAUGHT: &[Row] = &[
        (Defect::SendEarly,        "once",      100),
        (Defect::AcknowledgeEarly, "contract",  100),
        (Defect::ConfirmEarly,     "confirmed", 100),
        (Defect::WordAlone,        "contract",  100),
        (Defect::WordAlone,        "confirmed", 100),
        (Defect::ReachableOnly,    "contract",  100),
        (Defect::ReachableOnly,    "confirmed", 100),
        (Defect::NoMajority,       "contract",  100),
        (Defect::NoCauses,         "closure",   100),
        (Defect::MixedPairs,       "contract",  100),
        (Defect::MixedPairs,       "confirmed", 100),
        (Defect::EpochAlone,       "contract",  100),
        (Defect::EpochAlone,       "membership", 300),
        (Defect::NoFloor,          "confirmed", 300),
        (Defect::NoCut,            "confirmed", 300),
    ];

    /// Of two members on a fast network, own entries are often stored after later ones of the other are confirmed.
    fn setup(defect: Defect) -> ClusterSetup {
        let mut setup = cluster(20, 3, 2);
        setup.group.defects = Defects::only(defect);
        match defect {
            Defect::EpochAlone => (setup.join, setup.remove) = (1, 1),
            Defect::NoFloor => (setup.join, setup.crash, setup.split) = (1, 2, 1),
            Defect::NoCut => (setup.remove, setup.crash, setup.split) = (1, 0, 1),
            _ => {}
        }
        if matches!(defect, Defect::NoFloor | Defect::NoCut) {
            setup.group.members = Some(3);
            setup.group.delay = Some("0-300ms".parse().expect("delays"));
        }
        if defect == Defect::ConfirmEarly {
            setup.group.members = Some(2);
            setup.group.delay = Some("0-1ms".parse().expect("a delay"));
        }
        setup
    }

    /// The number of seeds from `first` on until this property is violated; 1000 if it is not.
    fn seeds_to_catch(setup: &ClusterSetup, first: u64, property: &str) -> u64 {
        let is_caught = |seed| {
            let outcome = swarm::run_one(setup, seed, &mut Trace::off());
            outcome.verdicts.iter().any(|(name, verdict)| *name == property && verdict.is_violated())
        };
        (1..1000).find(|count| is_caught(first + count)).unwrap_or(1000)
    }

    #[test]
    fn clusters_broken_replicas_are_detected() {
        for &(defect, property, most) in CAUGHT {
            let setup = setup(defect);
            let needed: Vec<u64> =
                (0..PLACES).map(|place| seeds_to_catch(&setup, place * 1_000, property)).collect();
            let worst = needed.iter().max().expect("some places");
            let mean = needed.iter().sum::<u64>() as f64 / needed.len() as f64;
            println!("{defect:?} breaks {property}: {mean:.2} seeds on average, at most {worst}");
            assert!(*worst <= most, "{defect:?}: {needed:?}");
        }
    }
}
