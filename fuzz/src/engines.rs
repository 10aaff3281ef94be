//! Every order's whole protocol stack, under a membership, in a group of two to four members that an input drives: the
//! submissions, the time and number of arrivals of each packet, and the packets of liars and strangers. The contract of
//! `src/engine.rs` must hold:
//!
//! * no packet of a peer causes a panic (rule 5); that numbers bound nothing (rule 6) shows in time and memory;
//! * same inputs, same effects (rules 1 and 3): each member is there twice, and the two agree;
//! * a stranger changes nothing: only one of the two hears of strangers;
//! * after a wake at its deadline, a member's next deadline is later (rule 4);
//! * no member answers one packet with a flood, or holds more than it was given;
//! * and while all members are honest, none is accused, under any behaviour of the network; once it loses nothing more,
//!   all members get everything, and the order's promises hold.

mod group;
mod hostile;
mod record;

use groupcast::defect::Defects;

use super::feed::Feed;
use group::Group;

/// Longer inputs show nothing that shorter ones do not.
const STEPS: usize = 400;

/// The input is the group, and then what happens to it, step by step.
pub fn run(input: &[u8]) {
    run_with(input, Defects::NONE);
}

/// The same with engines that are broken on purpose, to see that it would be noticed.
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
