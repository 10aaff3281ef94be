//! Model checking: the real engines in small groups, through every order of events that there is.
//!
//! Where the simulator draws long runs by chance, this goes through all short ones. How many states a group has is
//! asserted, so that a change of behaviour shows as a changed number.

mod carriers;
mod check;
mod failover;
mod group;
#[cfg(feature = "known-bad")]
mod known_bad;
mod lossy;
mod orders;
mod packet;
mod promises;
mod replicas;
mod seat;

use groupcast::defect::Defects;
use groupcast::engine::{MemberId, To};
use groupcast::order::Promise::{self, Causal, Fifo, Total};
use groupcast::reliable::WINDOW_BYTES;

use failover::FailOver;
use group::Script;
use lossy::{Bounds, Lossy};
use orders::{model, narrow, order};

/// Orders, scripts and numbers of states. A script has a list for each client: how many messages are in each batch
/// that it multicasts.
#[rustfmt::skip]
const ORDERS: &[(&str, Script, usize)] = &[
    ("unordered",   &[&[1, 2], &[1]],      52),
    ("unordered",   &[&[1], &[1], &[1]],   1_008),
    ("fifo",        &[&[1, 2], &[1]],      41),
    ("fifo",        &[&[1, 2], &[1], &[]], 329),
    ("causal",      &[&[1, 2], &[1]],      41),
    ("causal",      &[&[1, 2], &[1], &[]], 289),
    ("causal",      &[&[1], &[1], &[1]],   690),
    ("total (bb)",  &[&[1, 2], &[1]],      6_757),
    ("total (bb)",  &[&[1], &[1], &[]],    3_585),
    ("total (bb)",  &[&[1, 2], &[1], &[]], 291_681),
    ("total (ub)",  &[&[1, 2], &[1]],      751),
    ("total (ub)",  &[&[1, 2], &[1], &[]], 4_862),
    ("total (ub)",  &[&[1], &[1], &[1]],   9_806),
    ("total (uub)", &[&[1, 2], &[1]],      1_390),
    ("total (uub)", &[&[1, 2], &[1], &[]], 7_726),
    ("total (uub)", &[&[1], &[1], &[1]],   12_572),
    ("total (log)", &[&[1, 2], &[1]],      751),
    ("lamport",     &[&[1, 2], &[1]],      178),
    ("lamport",     &[&[1, 2], &[1], &[]], 78_723),
    ("lamport",     &[&[1], &[1], &[1]],   106_061),
    ("agreed",      &[&[1, 2], &[1]],      884),
    ("agreed",      &[&[1], &[1], &[]],    480),
    ("agreed",      &[&[1, 2], &[1], &[]], 55_926),
];

/// The same with send windows that hold one packet with messages.
#[rustfmt::skip]
const NARROW: &[(&str, Script, usize)] = &[
    ("unordered",   &[&[1, 1], &[1, 1]],   272),
    ("fifo",        &[&[1, 1], &[1, 1]],   272),
    ("causal",      &[&[1, 1], &[1, 1]],   272),
    ("causal",      &[&[1, 1], &[1], &[]], 224),
    ("total (bb)",  &[&[1, 1], &[1]],      2_677),
    ("total (ub)",  &[&[1, 1], &[1, 1]],   4_251),
    ("total (uub)", &[&[1, 1], &[1, 1]],   16_808),
    ("total (log)", &[&[1, 1], &[1, 1]],   4_251),
    ("lamport",     &[&[1, 1], &[1, 1]],   1_494),
    ("agreed",      &[&[1, 1], &[1, 1]],   3_973),
];

/// Promises that an order does not make, and the fewest steps that show it.
#[rustfmt::skip]
const BROKEN: &[(&str, Script, Promise, usize)] = &[
    ("unordered", &[&[1, 1], &[]],    Fifo,   3),
    ("fifo",      &[&[1], &[1], &[]], Causal, 4),
    ("causal",    &[&[1], &[1]],      Total,  2),
    ("agreed",    &[&[1, 1], &[]],    Fifo,   4),
];

/// Runs of the reliable layer: whom each member sends something to, the bounds, and the numbers of states with
/// messages that take no room in the send window, and with messages that each fill it.
#[rustfmt::skip]
const LOSSY: &[(lossy::Script, Bounds, usize, usize)] = &[
    (&[&[ALL], &[]],      Bounds { losses: 2, repeats: 1, wakes: 6 }, 54_187, 44_778),
    (&[&[ALL, ALL], &[]], Bounds { losses: 1, repeats: 1, wakes: 4 }, 125_409, 10_316),
    (&[&[ALL, ALL], &[]], Bounds { losses: 2, repeats: 0, wakes: 5 }, 196_773, 11_696),
    (&[&[ONE, ALL], &[]], Bounds { losses: 1, repeats: 0, wakes: 4 }, 79_061, 44_695),
    (&[&[ALL], &[ALL]],   Bounds { losses: 1, repeats: 1, wakes: 3 }, 47_673, 31_859),
    (&[&[ALL], &[], &[]], Bounds { losses: 1, repeats: 0, wakes: 3 }, 38_556, 18_074),
];
const ALL: To = To::Group;
const ONE: To = To::Member(MemberId(1));
/// Too light to ever fill a window.
const LIGHT: usize = 1;
/// So heavy that a window holds one.
const HEAVY: usize = WINDOW_BYTES;

type Loss = (&'static str, &'static [u8], &'static [u16], failover::Bounds, usize);

/// Three members of which some are lost: the order, how many messages each client multicasts, who may be lost, the bounds,
/// and the number of states.
#[rustfmt::skip]
const FAIL_OVER: &[Loss] = &[
    ("fifo",       &[0, 0, 1], &[2],    failover::Bounds { deaths: 1, mistakes: 0, wakes: 0 }, 2_402),
    ("fifo",       &[0, 0, 0], &[0, 2], failover::Bounds { deaths: 2, mistakes: 0, wakes: 0 }, 1_059),
    ("fifo",       &[0, 0, 0], &[0],    failover::Bounds { deaths: 0, mistakes: 1, wakes: 0 }, 11_821),
    ("causal",     &[1, 0, 0], &[0],    failover::Bounds { deaths: 1, mistakes: 0, wakes: 1 }, 56_827),
    ("total (bb)", &[1, 0],    &[2],    failover::Bounds { deaths: 1, mistakes: 0, wakes: 1 }, 12_264),
    ("total (bb)", &[0, 0],    &[2],    failover::Bounds { deaths: 0, mistakes: 1, wakes: 0 }, 22_271),
    ("total (ub)", &[1, 0],    &[2],    failover::Bounds { deaths: 1, mistakes: 0, wakes: 0 }, 3_817),
    ("agreed",     &[1, 0, 0], &[0],    failover::Bounds { deaths: 1, mistakes: 0, wakes: 0 }, 10_970),
];

/// Clusters: how many entries each member sends, the bounds, and the number of states.
#[rustfmt::skip]
const CLUSTERS: &[(&[u8], replicas::Bounds, usize)] = &[
    (&[1, 0],    replicas::Bounds { crashes: &[0, 0],    seconds: &[1, 1],    losses: 1 }, 464),
    (&[1, 0],    replicas::Bounds { crashes: &[1, 1],    seconds: &[1, 1],    losses: 0 }, 41_692),
    (&[1, 0],    replicas::Bounds { crashes: &[1, 0],    seconds: &[2, 1],    losses: 0 }, 13_587),
    (&[2, 0],    replicas::Bounds { crashes: &[0, 0],    seconds: &[1, 1],    losses: 0 }, 4_312),
    (&[1, 1],    replicas::Bounds { crashes: &[0, 0],    seconds: &[1, 1],    losses: 1 }, 13_892),
    (&[1, 1],    replicas::Bounds { crashes: &[1, 0],    seconds: &[1, 1],    losses: 0 }, 115_691),
    (&[1, 0, 0], replicas::Bounds { crashes: &[0, 0, 0], seconds: &[0, 1, 1], losses: 0 }, 1_944),
];

/// A group of this order with no more expected of it than it promises.
fn honest(title: &str, script: Script) -> usize {
    let order = order(title);
    model(order, script, order.promises, Defects::NONE).states(&format!("{title} {script:?}"))
}

fn keeps_its_promises(title: &str) {
    let rows = || ORDERS.iter().filter(|row| row.0 == title);
    let expected: Vec<usize> = rows().map(|row| row.2).collect();
    let counted: Vec<usize> = rows().map(|&(_, script, _)| honest(title, script)).collect();
    assert_eq!(counted, expected, "states of {title}");
}

#[test]
fn unordered() {
    keeps_its_promises("unordered");
}

#[test]
fn fifo() {
    keeps_its_promises("fifo");
}

#[test]
fn causal() {
    keeps_its_promises("causal");
}

#[test]
fn total_bb() {
    keeps_its_promises("total (bb)");
}

#[test]
fn total_ub() {
    keeps_its_promises("total (ub)");
}

#[test]
fn total_uub() {
    keeps_its_promises("total (uub)");
}

#[test]
fn total_log() {
    keeps_its_promises("total (log)");
}

#[test]
fn lamport() {
    keeps_its_promises("lamport");
}

#[test]
fn agreed() {
    keeps_its_promises("agreed");
}

/// Agreed order breaks causal order only where it breaks a sender's own: what a member multicasts after a delivery,
/// it proposes a greater number for.
#[test]
fn agreed_order_never_contradicts_a_delivery() {
    let model = model(order("agreed"), &[&[1], &[1], &[1]], &[Causal, Total], Defects::NONE);
    assert_eq!(model.states("agreed, one batch each"), 56_191);
}

#[test]
fn windows_of_one_packet_block_no_order() {
    let count = |&(title, script, _): &(&str, Script, usize)| {
        narrow(order(title), script).states(&format!("{title} {script:?}, windows of one packet"))
    };
    let expected: Vec<usize> = NARROW.iter().map(|row| row.2).collect();
    assert_eq!(NARROW.iter().map(count).collect::<Vec<_>>(), expected);
}

#[test]
fn every_order_is_checked() {
    for order in &groupcast::order::ORDERS {
        assert!(
            NARROW.iter().any(|row| row.0 == order.title()),
            "no model of {} with narrow windows",
            order.title()
        );
        assert!(ORDERS.iter().any(|row| row.0 == order.title()), "no model of {}", order.title());
    }
}

fn fail_over(
    title: &str,
    script: &'static [u8],
    victims: &'static [u16],
    bounds: failover::Bounds,
    defects: Defects,
) -> FailOver {
    FailOver { order: order(title), script, victims, bounds, defects }
}

/// Goes through every state of a row.
fn goes_on(row: usize) {
    let (title, script, victims, bounds, expected) = FAIL_OVER[row];
    let model = fail_over(title, script, victims, bounds, Defects::NONE);
    let title = format!("{title} {script:?} {victims:?} {bounds:?}");
    assert_eq!(check::states(&title, &model), expected, "states of {title}");
}

macro_rules! fail_over {
    ($($name:ident $row:literal;)*) => {
        $(
            #[test]
            fn $name() {
                goes_on($row);
            }
        )*

        #[test]
        fn failover_every_row_is_checked() {
            assert_eq!([$($row),*].len(), FAIL_OVER.len());
        }
    };
}

fail_over! {
    failover_sender_dies 0;
    failover_two_members_die 1;
    failover_member_sleeps 2;
    failover_sender_dies_and_deadlines_pass 3;
    failover_sequencer_dies_bb 4;
    failover_sequencer_sleeps_bb 5;
    failover_sequencer_dies_ub 6;
    failover_sender_dies_agreed 7;
}

#[test]
fn orders_break_every_promise_they_do_not_make() {
    for &(title, script, promise, steps) in BROKEN {
        assert!(!order(title).promises.contains(&promise));
        let model = model(order(title), script, &[Fifo, Causal, Total], Defects::NONE);
        let found = model.steps_to_break(title, promises::name(promise));
        assert_eq!(found, steps, "how soon {title} breaks {promise:?}");
    }
}

#[test]
fn cluster_short_runs_keep_every_promise() {
    let count = |&(script, bounds, _): &(&'static [u8], replicas::Bounds, usize)| {
        let model = replicas::Cluster { script, bounds, defects: Defects::NONE };
        check::states(&format!("tentative {script:?} {bounds:?}"), &model)
    };
    let expected: Vec<usize> = CLUSTERS.iter().map(|row| row.2).collect();
    assert_eq!(CLUSTERS.iter().map(count).collect::<Vec<_>>(), expected);
}

#[test]
fn nack_and_resend_repair_a_lossy_network() {
    let count = |&(script, bounds, ..): &(lossy::Script, Bounds, usize, usize)| {
        let title = format!("{script:?} {bounds:?}");
        let light = check::states(&title, &Lossy::<LIGHT>::new(script, bounds, Defects::NONE));
        (light, check::states(&title, &Lossy::<HEAVY>::new(script, bounds, Defects::NONE)))
    };
    let expected: Vec<(usize, usize)> = LOSSY.iter().map(|&(.., light, heavy)| (light, heavy)).collect();
    assert_eq!(LOSSY.iter().map(count).collect::<Vec<_>>(), expected);
}
