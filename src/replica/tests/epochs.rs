//! Changes of the members: a majority decides, a minority does not, and nothing that is confirmed is lost.

use std::time::Duration;

use super::kit::Cluster;
use crate::defect::Defects;
use crate::ids::MemberId;
use crate::replica::DropReason;
use crate::replica::entry::MOST_MEMBERS;
use crate::replica::epoch::{Ballot, Change, Request};
use crate::replica::message::{Message, Promise};
use crate::wire::datagram::room_of;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn remove(slot: u16) -> Request {
    Request::Remove(MemberId(slot))
}

/// The epochs of the members that are up.
fn epochs(cluster: &Cluster) -> Vec<u16> {
    cluster.nodes.iter().filter_map(|node| Some(node.replica.as_ref()?.epoch())).collect()
}

#[test]
fn epochs_removal_of_a_dead_member_lets_the_others_confirm() {
    let mut cluster = Cluster::new(3);
    cluster.run(ms(50));
    cluster.say(2, "last words");
    cluster.run(ms(100));
    cluster.crash(2, 0);
    cluster.say(0, "without it");
    cluster.run(ms(1000));
    assert_eq!(cluster.nodes[0].final_list(), ["last words"]);
    cluster.ask(0, remove(2));
    cluster.run(ms(1000));
    assert_eq!(epochs(&cluster), [2, 2]);
    for at in 0..2 {
        assert_eq!(cluster.nodes[at].final_list(), ["last words", "without it"], "{at}");
    }
}

#[test]
fn epochs_minority_changes_nothing_and_stays_free() {
    let mut cluster = Cluster::new(5);
    cluster.run(ms(50));
    for (a, b) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
        cluster.part(a, b);
    }
    cluster.run(ms(1500));
    cluster.ask(0, remove(4));
    cluster.run(ms(5000));
    assert_eq!(epochs(&cluster), [1; 5]);
    cluster.say(0, "still free");
    cluster.run(ms(500));
    assert_eq!(cluster.nodes[1].list(), ["still free"]);
    cluster.cut.clear();
    cluster.run(ms(3000));
    assert_eq!(epochs(&cluster), [2; 5], "the request is not forgotten");
}

#[test]
fn epochs_request_that_is_taken_back_in_a_minority_is_not_done() {
    let mut cluster = Cluster::new(3);
    cluster.run(ms(50));
    cluster.part(0, 1);
    cluster.part(0, 2);
    cluster.run(ms(1500));
    cluster.ask(0, remove(2));
    cluster.run(ms(1000));
    cluster.take_back(0);
    cluster.cut.clear();
    cluster.run(ms(3000));
    assert_eq!(epochs(&cluster), [1; 3]);
}

#[test]
fn epochs_numbers_that_no_member_can_have_are_dropped() {
    let mut cluster = Cluster::new(3);
    cluster.run(ms(50));
    let change = |clock, stored| Change { request: remove(2), clock, stored: vec![0, 0, stored] };
    let ballot = |round| Ballot { round, proposer: MemberId(1) };
    for message in [
        Message::Accept(ballot(1), change(1, u64::MAX)),
        Message::Accept(ballot(1), change(u64::MAX, 0)),
        Message::Decided(2, change(1, u64::MAX)),
        Message::Prepare(ballot(u32::MAX), remove(2)),
    ] {
        cluster.inject(1, 0, message);
        cluster.sync(0);
        assert_eq!(cluster.nodes[0].drops.pop(), Some(DropReason::BreaksContract));
    }
    cluster.ask(1, remove(2));
    cluster.run(ms(1000));
    assert_eq!(epochs(&cluster)[..2], [2, 2], "it is not held by what it dropped");
}

#[test]
fn epochs_journal_lost_after_a_removal_is_noticed() {
    let mut cluster = Cluster::new(4);
    cluster.run(ms(50));
    cluster.crash(3, 0);
    cluster.ask(0, remove(3));
    cluster.run(ms(1500));
    assert_eq!(epochs(&cluster), [2; 3]);
    let copy = cluster.nodes[2].journal.clone();
    (0..3).for_each(|number| cluster.say(1, &format!("text {number}")));
    cluster.run(ms(3000));
    assert_eq!(cluster.nodes[0].replica().log.forgotten(1), 3);
    cluster.restore(2, copy);
    cluster.run(ms(2000));
    assert!(!cluster.nodes[2].outdated.is_empty(), "the removed member counts as one that may have it");
}

#[test]
fn epochs_entries_that_no_majority_had_are_withdrawn_at_the_removed_member() {
    let mut cluster = Cluster::new(3);
    cluster.run(ms(50));
    cluster.part(2, 0);
    cluster.part(2, 1);
    cluster.say(2, "nobody hears");
    cluster.run(ms(1500));
    cluster.ask(1, remove(2));
    cluster.run(ms(1000));
    assert_eq!(epochs(&cluster), [2, 2, 1]);
    cluster.cut.clear();
    cluster.run(ms(1000));
    let removed = &cluster.nodes[2];
    assert!(removed.replica().is_removed() && removed.replica().next_deadline().is_none());
    assert_eq!(removed.withdrawn, ["nobody hears"]);
    // It knows also after a restart.
    cluster.crash(2, 0);
    cluster.start(2);
    assert!(cluster.nodes[2].replica().is_removed());
}

#[test]
fn epochs_change_survives_the_death_of_its_proposer_and_of_all() {
    let mut cluster = Cluster::new(5);
    cluster.run(ms(50));
    cluster.crash(4, 0);
    cluster.run(ms(20));
    cluster.ask(0, remove(4));
    // The proposer dies at some moment of the change; one that has voted goes on.
    for step in 0..40 {
        cluster.run(ms(1));
        if (1..4).any(|at| cluster.nodes[at].replica().votes.is_held(Defects::NONE)) {
            assert!(step < 39);
            break;
        }
    }
    cluster.crash(0, 0);
    for at in 1..4 {
        let unsynced = cluster.unsynced(at);
        cluster.crash(at, unsynced);
        cluster.start(at);
    }
    cluster.run(ms(6000));
    assert_eq!(epochs(&cluster), [2; 3]);
    cluster.start(0);
    cluster.run(ms(1000));
    assert_eq!(epochs(&cluster), [2; 4]);
}

#[test]
fn epochs_entry_that_one_voter_has_is_kept() {
    let mut cluster = Cluster::new(4);
    cluster.run(ms(50));
    // Only p3 hears the question of p2; the answer of p3 is heard by all later.
    for (a, b) in [(2, 0), (2, 1)] {
        cluster.part(a, b);
    }
    for (a, b) in [(3, 0), (3, 1)] {
        cluster.part(a, b);
    }
    cluster.say(2, "question");
    cluster.run(ms(200));
    cluster.say(3, "answer");
    cluster.run(ms(200));
    cluster.crash(2, 0);
    cluster.cut.clear();
    cluster.run(ms(2000));
    cluster.ask(0, remove(2));
    cluster.run(ms(2000));
    for at in [0, 1, 3] {
        assert_eq!(cluster.nodes[at].final_list(), ["question", "answer"], "{at}");
    }
}

/// The longest messages about a change fit in the shortest datagram, of an MTU of 576 bytes with the headers of IPv6 and
/// UDP, as long as nobody has sent 2^35 entries.
#[test]
fn epochs_messages_of_many_members_fit_in_a_datagram() {
    let numbers = vec![(1 << 35) - 1; MOST_MEMBERS];
    let udp = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
    let request = Request::Add { name: "x".repeat(64), udp };
    let change = Change { request: request.clone(), clock: u64::MAX, stored: numbers.clone() };
    let ballot = Ballot { round: u32::MAX, proposer: MemberId(63) };
    let promise = |stored, accepted| Promise { ballot, clock: u64::MAX, stored, accepted };
    for message in [
        Message::Prepare(ballot, request),
        Message::Promise(promise(numbers, None)),
        Message::Promise(promise(Vec::new(), Some((ballot, change.clone())))),
        Message::Accept(ballot, change.clone()),
        Message::Decided(u16::MAX, change),
    ] {
        let bytes = message.bytes();
        assert!(bytes.len() <= room_of(576 - 48), "{} bytes: {message:?}", bytes.len());
        assert_eq!(Message::parse(bytes).as_ref(), Ok(&message));
    }
}
