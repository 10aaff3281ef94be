//! The engines in the simulator: thousands of seeds, and engines broken on purpose.

use groupcast::check::Property;
use groupcast::exit::Exit;
use groupcast::order::{DEFAULT_METHOD, ORDERS, Order};
use groupcast::sim::swarm::{self, Report};
use groupcast::sim::{Churn, Setup, Share, Trace};
use groupcast::wire::Window;

const SEEDS: u64 = 2_000;

fn setup(order: &str, members: u16, messages: u64) -> Setup {
    let order = Order::find(order, DEFAULT_METHOD).expect("an order of the table");
    Setup::new(order, members, messages)
}

/// Nothing is violated, nothing is undecided, and everything that the engines are for was needed.
fn holds(setup: &Setup, seeds: u64) -> Report {
    let report = swarm::run(setup, 1, seeds);
    assert_eq!(report.exit(), Exit::Ok, "{}: {report:#?}", setup.order.title());
    let counters = &report.counters;
    let struck =
        [counters.lost, counters.duplicated, counters.slow, counters.clogged, counters.cut, counters.paused];
    let needed = [counters.nacks, counters.announced, counters.spared, counters.resends, counters.dropped];
    assert!(struck.iter().chain(&needed).all(|&count| count > 0), "{counters:?}");
    report
}

/// 2 to 8 members, as each seed has it.
fn holds_for_all_seeds(order: &str, method: &str) {
    let order = Order::find(order, method).expect("an order of the table");
    let report = holds(&Setup { members: None, ..Setup::new(order, 2, 20) }, SEEDS);
    assert_eq!(report.seeds, SEEDS);
    println!("{}: {SEEDS} seeds\n{}", order.title(), report.counters);
}

#[test]
fn unordered_keeps_its_promises() {
    holds_for_all_seeds("unordered", "");
}

#[test]
fn fifo_order_keeps_its_promises() {
    holds_for_all_seeds("fifo", "");
}

#[test]
fn causal_order_keeps_its_promises() {
    holds_for_all_seeds("causal", "");
}

#[test]
fn total_order_keeps_its_promises() {
    holds_for_all_seeds("total", "bb");
}

#[test]
fn total_order_ub_keeps_its_promises() {
    holds_for_all_seeds("total", "ub");
}

#[test]
fn total_order_uub_keeps_its_promises() {
    holds_for_all_seeds("total", "uub");
}

/// Every delivery is judged as if the sequencer crashed at that moment and its disk had lost what was not synced.
#[test]
fn total_order_log_keeps_its_promises() {
    holds_for_all_seeds("total", "log");
}

#[test]
fn log_has_what_is_delivered_when_members_come_and_go() {
    let churn = Churn { crash: 1, join: 1, restart: 1, ..Churn::NONE };
    let setup = Setup { members: None, churn, ..setup("total", 5, 20) };
    let order = Order::find("total", "log").expect("an order");
    let report = swarm::run(&Setup { order, ..setup }, 1, 50);
    assert_eq!(report.exit(), Exit::Ok, "{report:#?}");
}

#[cfg(feature = "known-bad")]
#[test]
fn log_spoken_of_before_its_sync_is_detected() {
    use groupcast::defect::{Defect, Defects};

    let order = Order::find("total", "log").expect("an order");
    let defects = Defects::only(Defect::SpeaksBeforeSync);
    let report = swarm::run(&Setup { order, defects, ..setup("total", 3, 10) }, 1, 5);
    assert_eq!(report.exit(), Exit::Violated, "{report:#?}");
}

#[test]
fn lamport_order_keeps_its_promises() {
    holds_for_all_seeds("lamport", "");
}

#[test]
fn agreed_order_keeps_its_promises() {
    holds_for_all_seeds("agreed", "");
}

#[test]
fn windows_fill_in_every_order() {
    for order in &ORDERS {
        let setup = Setup { loss: Some("10%".parse().expect("a share")), ..Setup::new(order, 4, 400) };
        let report = swarm::run(&setup, 1, 5);
        assert_eq!(report.exit(), Exit::Ok, "{}: {report:#?}", order.title());
        assert!(report.counters.waited > 0, "{}", order.title());
    }
}

/// Of each order and each window.
const SEEDS_WITH_NARROW_WINDOWS: u64 = 6;

/// The narrowest windows: one message; fewer messages than two batches have, so that one waits that was submitted; one packet
/// with messages.
const NARROW: [Window; 3] = [
    Window { messages: 1, ..Window::WHOLE },
    Window { messages: 3, ..Window::WHOLE },
    Window { bytes: 1, ..Window::WHOLE },
];

#[test]
fn windows_of_one_message_block_no_order() {
    let churn = Churn { crash: 1, split: 1, ..Churn::NONE };
    let mut waited = 0;
    for (order, window) in ORDERS.iter().flat_map(|order| NARROW.map(|window| (order, window))) {
        let setup = Setup { members: None, window, ..Setup::new(order, 2, 10) };
        for setup in [setup, Setup { safe: true, ..setup }, Setup { churn, ..setup }] {
            let report = swarm::run(&setup, 1, SEEDS_WITH_NARROW_WINDOWS);
            // With windows as narrow as these it may be that nothing comes out of order, which leaves that undecided.
            assert_eq!(report.failed, None, "{} {window}: {report:#?}", order.title());
            waited += report.counters.waited;
        }
    }
    assert!(waited > 0, "no submission waited for a window");
}

#[test]
fn worst_networks_only_delay() {
    let calm = Setup {
        loss: Some(Share::ZERO),
        duplicate: Some(Share::ZERO),
        slow: Some(Share::ZERO),
        clog: Some(Share::ZERO),
        partition: Some(Share::ZERO),
        pause: Some(Share::ZERO),
        ..setup("total", 4, 50)
    };
    let share = |text: &str| Some(text.parse().expect("a share"));
    let delay = |text: &str| Some(text.parse().expect("a delay"));
    for worst in [
        Setup { loss: share("70%"), duplicate: share("70%"), delay: delay("0-50ms"), ..calm },
        Setup { loss: share("100%"), delay: delay("5ms"), ..calm },
        Setup { loss: share("10%"), duplicate: share("10%"), delay: delay("0ms"), ..calm },
        Setup { loss: share("5%"), delay: delay("1-10s"), ..calm },
        Setup { slow: share("100%"), ..calm },
        Setup { clog: share("100%"), ..calm },
        Setup { partition: share("100%"), ..calm },
        Setup { pause: share("100%"), ..calm },
        Setup { clog: share("70%"), partition: share("70%"), pause: share("70%"), ..calm },
    ] {
        for order in &ORDERS {
            let setup = Setup { order, ..worst };
            assert_eq!(swarm::run(&setup, 1, 10).exit(), Exit::Ok, "{setup:?}");
        }
    }
}

#[test]
fn weaker_orders_violate_stronger_promises() {
    let broken = [
        ("unordered", "fifo"),
        ("unordered", "causal"),
        ("unordered", "total"),
        ("fifo", "causal"),
        ("fifo", "total"),
        ("causal", "total"),
        ("agreed", "fifo"),
        ("agreed", "causal"),
    ];
    for (order, property) in broken {
        let setup = Setup { expect: Property::find(property), ..setup(order, 4, 20) };
        let report = swarm::run(&setup, 1, 100);
        assert_eq!((report.exit(), report.expected), (Exit::Ok, Some(property)), "{order}: {report:#?}");
        let violated: Vec<_> = report.verdicts.iter().filter(|(_, verdict)| verdict.is_violated()).collect();
        assert!(matches!(violated[..], [(name, _)] if *name == property), "{order}: {violated:?}");
    }
}

#[test]
fn stronger_orders_keep_weaker_promises() {
    for (order, property) in [("fifo", "fifo"), ("causal", "fifo"), ("total", "causal"), ("lamport", "total")]
    {
        let setup = Setup { expect: Property::find(property), ..setup(order, 4, 20) };
        let report = swarm::run(&setup, 1, 100);
        assert_eq!((report.exit(), report.seeds), (Exit::Violated, 100), "{order} keeps {property}");
    }
}

#[test]
fn fault_that_never_acts_is_undecided() {
    let least = Some("0.0001%".parse().expect("a share"));
    let setup = setup("total", 2, 2);
    for setup in [
        Setup { loss: least, ..setup },
        Setup { duplicate: least, ..setup },
        Setup { slow: least, ..setup },
        Setup { clog: least, ..setup },
        Setup { partition: least, ..setup },
        Setup { pause: least, ..setup },
    ] {
        let report = swarm::run(&setup, 1, 1);
        assert_eq!(report.exit(), Exit::Undecided, "{report:#?}");
        assert!(report.verdicts.iter().any(|(name, _)| *name == "faults"), "{report:#?}");
    }
}

#[test]
fn same_seed_gives_same_trace() {
    let trace = |seed| {
        let mut trace = Trace::kept();
        let _ = setup("total", 4, 50).run(seed, &mut trace);
        trace
    };
    for seed in 1..20 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
        assert!(trace(seed) != trace(seed + 1), "seed {seed}");
    }
}

/// Of each order, with members that die, sleep and are cut off; `GROUPCAST_SEEDS` sets another number.
const SEEDS_WITH_LOSSES: u64 = 60;

#[test]
fn view_change_members_lost_others_continue() {
    let seeds = std::env::var("GROUPCAST_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds = seeds.unwrap_or(SEEDS_WITH_LOSSES);
    for order in &ORDERS {
        let churn = Churn { crash: 1, sleep: 1, split: 1, ..Churn::NONE };
        let setup = Setup { members: None, churn, ..Setup::new(order, 2, 20) };
        let report = swarm::run(&setup, 1, seeds);
        let counters = report.counters;
        println!(
            "{}: {} died, {} left behind, {} views",
            order.title(),
            counters.crashed,
            counters.left_behind,
            counters.views
        );
        assert_eq!(report.exit(), Exit::Ok, "{}: {report:#?}", order.title());
        assert!(
            counters.crashed > 0 && counters.left_behind > 0 && counters.views > 2 * seeds,
            "{counters:?}"
        );
    }
}

#[test]
fn join_newcomers_of_every_kind_deliver_from_their_view_on() {
    for order in &ORDERS {
        let churn = Churn { restart: 1, join: 2, standby: u16::from(order.sequencer), ..Churn::NONE };
        let report = swarm::run(&Setup { members: None, churn, ..Setup::new(order, 2, 20) }, 1, 20);
        assert_eq!(report.exit(), Exit::Ok, "{}: {report:#?}", order.title());
        assert!(report.counters.joined >= 40 && report.counters.crashed > 5, "{:?}", report.counters);
    }
}

/// Three groups in a ring of shared members, each with a sequencer; some clients are in all of them.
fn groups(method: &str) -> Setup {
    let order = Order::find("total", method).expect("an order of the table");
    Setup { groups: 3, members: None, ..Setup::new(order, 3, 6) }
}

#[test]
fn groups_with_shared_members_have_one_order() {
    holds(&groups("bb"), SEEDS);
    for method in ["ub", "uub"] {
        holds(&groups(method), 200);
    }
    for several in [2, 5] {
        holds(&Setup { groups: several, ..groups("bb") }, 100);
    }
    holds(&Setup { safe: true, ..groups("bb") }, 100);
}

#[test]
fn groups_with_shared_members_survive_a_crash() {
    for method in ["bb", "ub", "uub"] {
        let churn = Churn { crash: 1, ..Churn::NONE };
        let report = swarm::run(&Setup { churn, ..groups(method) }, 1, 100);
        assert_eq!(report.exit(), Exit::Ok, "{method}: {report:#?}");
        assert!(report.counters.crashed > 100 && report.counters.views > 0, "{:?}", report.counters);
    }
}

#[test]
fn empty_run_is_undecided() {
    assert_eq!(swarm::run(&setup("total", 4, 0), 1, 10).exit(), Exit::Undecided);
}

#[cfg(feature = "known-bad")]
#[test]
fn broken_engines_are_detected() {
    use groupcast::defect::{Defect, Defects};

    let caught = [
        ("total", Defect::NoHoldBack, "total"),
        ("fifo", Defect::NoHoldBack, "fifo"),
        ("total", Defect::NoNack, "liveness"),
        ("fifo", Defect::NoNack, "liveness"),
        ("total", Defect::NoTailAnnouncement, "liveness"),
        ("fifo", Defect::NoTailAnnouncement, "liveness"),
        // An order that numbers messages sees the repetition itself, and blames the sender for it.
        ("total", Defect::NoDuplicateFilter, "contract"),
        ("fifo", Defect::NoDuplicateFilter, "contract"),
        ("unordered", Defect::NoDuplicateFilter, "no-duplicate"),
    ];
    for (order, defect, property) in caught {
        let setup = Setup { defects: Defects::only(defect), ..setup(order, 4, 20) };
        // How many seeds it takes, from a hundred places.
        let needed: Vec<u64> = (0..100).map(|start| seeds_to_catch(&setup, start * 1000, property)).collect();
        let worst = needed.iter().max().expect("a hundred");
        let mean = needed.iter().sum::<u64>() as f64 / needed.len() as f64;
        println!("{defect:?} in {order} breaks {property}: {mean:.2} seeds on average, at most {worst}");
        assert!(*worst <= 20, "{defect:?} in {order}: {needed:?}");
    }
}

#[cfg(feature = "known-bad")]
#[test]
fn groups_unmerged_are_detected() {
    use groupcast::defect::{Defect, Defects};

    for method in ["bb", "ub", "uub"] {
        let bad = Setup { defects: Defects::only(Defect::GroupsUnmerged), ..groups(method) };
        let needed: Vec<u64> =
            (0..100).map(|start| seeds_to_catch(&bad, start * 1000, "across-groups")).collect();
        let worst = needed.iter().max().expect("a hundred");
        println!("GroupsUnmerged with {method}: at most {worst} seeds");
        assert!(*worst <= 20, "{method}: {needed:?}");
    }
}

#[cfg(feature = "known-bad")]
#[test]
fn undeliverable_messages_forgotten_by_sender_are_detected() {
    use groupcast::defect::{Defect, Defects};

    let churn = Churn { crash: 2, ..Churn::NONE };
    for order in ["fifo", "agreed"] {
        let good = Setup { churn, ..setup(order, 5, 20) };
        let report = swarm::run(&good, 1, 10);
        assert!(report.counters.undeliverable > 0 && report.failed.is_none(), "{report:?}");
        let bad = Setup { defects: Defects::only(Defect::ForgetsUndeliverable), ..good };
        let needed: Vec<u64> =
            (0..10).map(|start| seeds_to_catch(&bad, start * 1000, "point-to-point")).collect();
        println!("ForgetsUndeliverable in {order}: {needed:?} seeds");
        assert!(needed.iter().all(|&needed| needed <= 20), "{order}: {needed:?}");
    }
}

/// How many seeds from `first` on it takes until this property is seen violated; 1000 if it is not.
#[cfg(feature = "known-bad")]
fn seeds_to_catch(setup: &Setup, first: u64, property: &str) -> u64 {
    let caught = |seed| {
        let outcome = setup.run(seed, &mut Trace::off());
        outcome.verdicts.iter().any(|(name, verdict)| *name == property && verdict.is_violated())
    };
    (1..1000).find(|count| caught(first + count)).unwrap_or(1000)
}
