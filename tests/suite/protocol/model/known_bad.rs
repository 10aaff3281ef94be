//! Engines broken on purpose: for each there is a shortest run that shows it.

use groupcast::defect::{Defect, Defects};

use super::failover::Bounds as Losses;
use super::group::Script;
use super::lossy::{Bounds, Lossy};
use super::replicas::{self, Cluster};
use super::{ALL, LIGHT, check, fail_over, lossy, orders};

/// Orders, defects, the property that breaks and the number of steps of the shortest run that breaks it.
#[rustfmt::skip]
const ORDERS: &[(&str, Script, Defect, &str, usize)] = &[
    ("fifo",       &[&[1, 1], &[]],    Defect::NoHoldBack,         "FIFO",      3),
    ("causal",     &[&[1, 1], &[]],    Defect::NoHoldBack,         "FIFO",      3),
    ("causal",     &[&[1], &[1], &[]], Defect::NoHoldBack,         "causal",    4),
    ("causal",     &[&[1], &[1], &[]], Defect::FifoForCausal,      "causal",    4),
    ("total (bb)", &[&[1, 1], &[]],    Defect::NoHoldBack,         "FIFO",      3),
    ("total (bb)", &[&[1], &[1]],      Defect::NoHoldBack,         "total",     2),
    ("total (bb)", &[&[1, 1], &[]],    Defect::NumberedOnArrival,  "agreement", 9),
    ("total (ub)", &[&[1, 1], &[]],    Defect::NumberedOnArrival,  "FIFO",      4),
    ("lamport",    &[&[1], &[1]],      Defect::NotAllAcknowledged, "total",     2),
    ("agreed",     &[&[1], &[1]],      Defect::ProposalAsAgreed,   "total",     4),
];

/// The same for the reliable layer.
#[rustfmt::skip]
const LOSSY: &[(lossy::Script, Bounds, Defect, &str, usize)] = &[
    (&[&[ALL], &[]],      Bounds { losses: 0, repeats: 1, wakes: 0 }, Defect::NoDuplicateFilter,  "no duplicate", 3),
    (&[&[ALL, ALL], &[]], Bounds { losses: 1, repeats: 0, wakes: 0 }, Defect::NoNack,             "agreement",    4),
    (&[&[ALL], &[]],      Bounds { losses: 1, repeats: 0, wakes: 0 }, Defect::NoTailAnnouncement, "agreement",    2),
];

/// A group that loses members: order, messages of each client, who may be lost, bounds, what is wrong, what breaks, after
/// how many steps.
type Loss = (&'static str, &'static [u8], &'static [u16], Losses, Defect, &'static str, usize);

/// The same for groups that lose members.
#[rustfmt::skip]
const FAIL_OVER: &[Loss] = &[
    ("fifo",       &[0, 0, 0], &[0],    Losses { deaths: 0, mistakes: 1, wakes: 0 }, Defect::NoFencing,       "it ends well",   20),
    ("fifo",       &[0, 0, 0], &[0, 2], Losses { deaths: 2, mistakes: 0, wakes: 0 }, Defect::NoAdoption,      "view synchrony", 10),
    ("fifo",       &[0, 0, 1], &[2],    Losses { deaths: 1, mistakes: 0, wakes: 0 }, Defect::ForgetsUnstable, "view synchrony", 11),
    // A deadline has to pass before numbers are told, and another before what is missing is fetched: that one passes as it ends.
    ("total (bb)", &[1, 0],    &[2],    Losses { deaths: 1, mistakes: 0, wakes: 1 }, Defect::ForgetsUnstable, "it ends well",   12),
    ("total (ub)", &[1, 0],    &[2],    Losses { deaths: 1, mistakes: 0, wakes: 0 }, Defect::ForgetsUnstable, "view synchrony", 12),
    ("total (bb)", &[1, 0],    &[2],    Losses { deaths: 1, mistakes: 0, wakes: 0 }, Defect::ForgetsOpen,     "it ends well",   8),
];

/// A cluster: the entries of each member, the bounds, what is wrong, what breaks, after how many steps.
type Replicas = (&'static [u8], replicas::Bounds, Defect, &'static str, usize);

/// The same for clusters.
#[rustfmt::skip]
const CLUSTERS: &[Replicas] = &[
    (&[1, 0],    replicas::Bounds { crashes: &[1, 0],    seconds: &[1, 0],    losses: 0 }, Defect::SendEarly,        "an id has one text",                         7),
    (&[1, 1],    replicas::Bounds { crashes: &[0, 0],    seconds: &[1, 0],    losses: 0 }, Defect::WordAlone,        "nothing is inserted below what is confirmed", 9),
    (&[1, 1],    replicas::Bounds { crashes: &[0, 0],    seconds: &[1, 0],    losses: 0 }, Defect::MixedPairs,       "nothing is inserted below what is confirmed", 9),
    (&[1, 1],    replicas::Bounds { crashes: &[0, 0],    seconds: &[0, 0],    losses: 0 }, Defect::NoMajority,       "a majority has what is confirmed",           6),
    (&[1, 1, 0], replicas::Bounds { crashes: &[0, 0, 0], seconds: &[0, 0, 0], losses: 0 }, Defect::NoCauses,         "causes are shown before",                    8),
    (&[1, 1],    replicas::Bounds { crashes: &[0, 0],    seconds: &[0, 1],    losses: 0 }, Defect::AcknowledgeEarly, "a majority has what is confirmed",           9),
    (&[1, 1],    replicas::Bounds { crashes: &[1, 0],    seconds: &[0, 1],    losses: 0 }, Defect::ConfirmEarly,     "nobody is blamed",                           8),
];

#[test]
fn cluster_broken_replicas_are_detected_in_short_runs() {
    let count = |&(script, bounds, defect, property, _): &Replicas| {
        let model = Cluster { script, bounds, defects: Defects::only(defect) };
        let found = check::shortest(&format!("{defect:?}"), &model, property).into_actions().len();
        println!("{defect:?}: {found} steps break {property}");
        found
    };
    let expected: Vec<usize> = CLUSTERS.iter().map(|row| row.4).collect();
    assert_eq!(CLUSTERS.iter().map(count).collect::<Vec<_>>(), expected);
}

#[test]
fn broken_orders_are_detected() {
    for &(title, script, defect, property, steps) in ORDERS {
        let order = orders::order(title);
        let model = orders::model(order, script, order.promises, Defects::only(defect));
        let title = format!("{title} with {defect:?}");
        assert_eq!(model.steps_to_break(&title, property), steps, "how soon {title} breaks {property}");
    }
}

#[test]
fn broken_reliable_layer_is_detected() {
    for &(script, bounds, defect, property, steps) in LOSSY {
        let model = Lossy::<LIGHT>::new(script, bounds, Defects::only(defect));
        let title = format!("reliable with {defect:?}");
        let found = check::shortest(&title, &model, property).into_actions().len();
        assert_eq!(found, steps, "how soon {title} breaks {property}");
    }
}

#[test]
fn failover_broken_view_change_is_detected() {
    let count = |&(title, script, victims, bounds, defect, property, _): &(
        &str,
        &'static [u8],
        &'static [u16],
        Losses,
        Defect,
        &'static str,
        usize,
    )| {
        let model = fail_over(title, script, victims, bounds, Defects::only(defect));
        let title = format!("{title} with {defect:?}");
        let found = check::shortest(&title, &model, property).into_actions().len();
        println!("{title}: {found} steps break {property}");
        found
    };
    let expected: Vec<usize> = FAIL_OVER.iter().map(|row| row.6).collect();
    assert_eq!(FAIL_OVER.iter().map(count).collect::<Vec<_>>(), expected);
}
