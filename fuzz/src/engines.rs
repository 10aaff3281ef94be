//! The engines of every order, under a membership, in a group of two to four members that an input drives: the
//! submissions, the arrival of each packet, and the packets of liars and strangers. The contract of `src/engine.rs`
//! must hold:
//!
//! * no packet of a peer causes a panic (rule 5); unbounded numbers (rule 6) would show in time and memory;
//! * same inputs, same effects (rules 1 and 3): each member runs twice, and the two agree;
//! * a stranger changes nothing: only one of the two receives strangers' packets;
//! * after a wake at its deadline, a member's next deadline is later (rule 4);
//! * no packet is answered with a flood, and no member holds more than it received;
//! * while all members are honest, none is blamed, whatever the network does; once there is no more loss, all members
//!   deliver everything, and the order's promises hold.

mod group;
mod hostile;
mod record;

use groupcast::defect::Defects;

use super::feed::Feed;
use group::Group;

/// The most steps: longer inputs show no more.
const STEPS: usize = 400;

/// Runs the target: the input describes the group, and then the steps.
pub fn run(input: &[u8]) {
    run_with(input, Defects::NONE);
}

/// Runs the target with engines that are broken on purpose, to see that it notices.
pub fn run_with(input: &[u8], defects: Defects) {
    let mut feed = Feed(input);
    let mut group = Group::new(&mut feed, defects);
    for _ in 0..STEPS {
        if feed.is_empty() {
            break;
        }
        step(&mut group, &mut feed);
    }
    group.judge();
}

fn step(group: &mut Group, feed: &mut Feed<'_>) {
    match feed.below(16) {
        0..=2 => group.submit(feed),
        3..=6 => group.arrive(feed),
        7 => group.arrive_twice(feed),
        8 => group.lose(feed),
        9 | 10 => group.wait(feed),
        11 => group.wake_early(feed),
        12 => group.lie_with_a_change(feed),
        13 => group.lie(feed),
        14 => group.stranger(feed),
        _ => group.arrive_all(feed),
    }
}
