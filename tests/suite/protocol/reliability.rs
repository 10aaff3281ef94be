//! `--reliability` in the simulator: what holds, with deaths and without, and what breaks.

use groupcast::check::Property;
use groupcast::exit::Exit;
use groupcast::order::{Order, Reliability};
use groupcast::sim::swarm::{self, Report};
use groupcast::sim::{Churn, Setup};

const ORDERS: [&str; 3] = ["unordered", "fifo", "causal"];
/// Of each order, with a death.
const SEEDS: u64 = 700;
/// The most seeds that it takes to see members differ after a death.
const FEW: u64 = 20;

fn setup(order: &str, reliability: Reliability) -> Setup {
    let order =
        Order::find(order, "").and_then(|order| order.over(reliability)).expect("an order of the table");
    Setup { members: None, ..Setup::new(order, 2, 20) }
}

fn with_a_death(order: &str, reliability: Reliability) -> Setup {
    Setup { churn: Churn { crash: 1, ..Churn::NONE }, ..setup(order, reliability) }
}

/// Looks for members that differ in what they have delivered.
fn disagreement(setup: &Setup, seeds: u64) -> Report {
    swarm::run(&Setup { expect: Property::find("agreement"), ..*setup }, 1, seeds)
}

fn agrees_after_deaths(reliability: Reliability) {
    for order in ORDERS {
        let report = swarm::run(&with_a_death(order, reliability), 1, SEEDS);
        assert_eq!((report.exit(), report.seeds), (Exit::Ok, SEEDS), "{order}: {report:#?}");
        assert!(report.counters.crashed > SEEDS / 2, "{:?}", report.counters);
    }
}

#[test]
fn reliability_flood_agrees_when_members_die() {
    agrees_after_deaths(Reliability::Flood);
}

/// The holders of a dead sender's packets repair what others lack.
#[test]
fn reliability_nack_agrees_when_members_die() {
    agrees_after_deaths(Reliability::Nack);
}

#[test]
fn reliability_basic_disagrees_when_a_sender_dies() {
    for order in ORDERS {
        let report = disagreement(&with_a_death(order, Reliability::Basic), FEW);
        assert_eq!(report.exit(), Exit::Ok, "{order}: {report:#?}");
        println!("{order}: {} seeds", report.seeds);
        let stays = disagreement(&with_a_death(order, Reliability::Flood), FEW);
        assert_eq!((stays.exit(), stays.failed), (Exit::Violated, None), "{order}: {stays:#?}");
    }
}

/// Members that go on agree on the messages of one another, and on all else.
#[test]
fn reliability_basic_breaks_nothing_but_agreement() {
    let churn = Churn { crash: 2, restart: 1, join: 1, ..Churn::NONE };
    for order in ORDERS {
        let setup = Setup { churn, ..setup(order, Reliability::Basic) };
        let mut differ = 0;
        for seed in 1..=60 {
            let outcome = setup.run(seed, &mut groupcast::sim::Trace::off());
            for (property, verdict) in outcome.verdicts.iter().filter(|(_, verdict)| verdict.is_violated()) {
                assert_eq!(*property, "agreement", "{order}, seed {seed}: {verdict:?}");
                differ += 1;
            }
        }
        assert!(differ > 10, "{order}: {differ} of 60");
    }
}

#[test]
fn reliability_holds_everything_while_nobody_dies() {
    for reliability in [Reliability::Basic, Reliability::Flood] {
        for order in ORDERS {
            let setup = setup(order, reliability);
            // A view change amid the multicasts, from which everybody goes on.
            let joined = Setup { churn: Churn { join: 2, ..Churn::NONE }, ..setup };
            for setup in [setup, joined] {
                let report = swarm::run(&setup, 1, 100);
                assert_eq!(report.exit(), Exit::Ok, "{order} over {}: {report:#?}", reliability.name());
                assert!(report.counters.resends > 0 && report.counters.cut > 0, "{:?}", report.counters);
            }
        }
    }
}

#[test]
fn reliability_flood_survives_members_of_every_fate() {
    for churn in [
        Churn { crash: 1, sleep: 1, split: 1, ..Churn::NONE },
        Churn { crash: 2, restart: 1, join: 2, ..Churn::NONE },
    ] {
        for order in ORDERS {
            let setup = Setup { members: Some(7), churn, ..setup(order, Reliability::Flood) };
            let report = swarm::run(&setup, 1, 60);
            assert_eq!(report.exit(), Exit::Ok, "{order}, {churn:?}: {report:#?}");
        }
    }
}

#[cfg(feature = "known-bad")]
#[test]
fn reliability_flood_without_sending_on_is_detected() {
    use groupcast::defect::{Defect, Defects};

    for order in ORDERS {
        let good = with_a_death(order, Reliability::Flood);
        let bad = Setup { defects: Defects::only(Defect::NoSendingOn), ..good };
        let report = swarm::run(&bad, 1, FEW);
        let is_seen = |(name, verdict): &(&str, groupcast::check::Verdict)| {
            *name == "agreement" && verdict.is_violated()
        };
        assert!(report.verdicts.iter().any(is_seen), "{order}: {report:#?}");
        println!("{order}: {} seeds", report.seeds);
    }
}
