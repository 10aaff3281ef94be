//! Reports of the registry to processes that only watch.

use std::collections::BTreeSet;

use super::*;
use crate::session::MAX_SHOWN;
use crate::wire::control::{GroupState, Stage, Status};

/// Returns the report to a process that takes no part.
fn status(forwarder: &mut Forwarder, group: &str, skip: u32) -> Option<(Vec<GroupState>, bool)> {
    let (order, method) = (String::new(), String::new());
    let watcher = Identity { group: group.to_owned(), order, method, ..who("anybody", 99) };
    match forwarder.ask(&watcher, Ask::Members { skip }) {
        Some(Say::Members { groups, more }) => Some((groups, more)),
        _ => None,
    }
}

#[test]
fn status_shows_members_to_a_process_that_takes_no_place() {
    let mut forwarder = Forwarder::of(2);
    assert_eq!(status(&mut forwarder, "", 0), Some((Vec::new(), false)));
    assert!(forwarder.registry.is_untouched());
    let (c1, c2, sequencer) = three();
    forwarder.ask(&c1, Ask::Join);
    let (groups, _) = status(&mut forwarder, "main", 0).unwrap();
    assert_eq!((groups[0].stage, groups[0].members[0].stage), (Stage::Gathering, Stage::Joined));
    let missing = ["c1 (joined, not ready)", "1 more client", "a sequencer (order total (bb) needs one)"];
    assert_eq!(groups[0].missing, missing);
    forwarder.join(&[&c2, &sequencer]);
    forwarder.ready(&[&c1, &c2, &sequencer]);

    let progress = Some(Status { view: 3, leader: 2, delivered: 7, held: 1, at_door: true });
    forwarder.request(Request { status: progress, ..Request::new(0, c1.clone(), Ask::Alive) });
    forwarder.pass(SECOND / 2);
    let (groups, more) = status(&mut forwarder, "main", 0).unwrap();
    let [main] = &groups[..] else { panic!("{groups:?}") };
    let group = (main.stage, main.view, main.leader.as_deref(), more);
    assert_eq!(group, (Stage::Running, Some(3), Some("sequencer"), false));
    let rows: Vec<_> = main.members.iter().map(|member| (&*member.id, member.stage, member.status)).collect();
    let running = |id, progress| (id, Stage::Running, progress);
    assert_eq!(rows, [running("c1", progress), running("c2", None), running("sequencer", None)]);
    assert!(main.members.iter().all(|member| member.heard_ms >= 500));
    assert_eq!(status(&mut forwarder, "other", 0), Some((Vec::new(), false)));
}

#[test]
fn status_of_a_large_group_takes_several_answers_of_limited_length() {
    let count = 3 * MAX_SHOWN;
    let mut forwarder = Forwarder::of(count);
    for number in 0..count as u64 {
        forwarder.ask(&who(&format!("c{number}"), number), Ask::Join);
    }
    let (mut rows, mut seen, mut more) = (0, BTreeSet::new(), true);
    while more {
        let (groups, goes_on) = status(&mut forwarder, "", rows as u32).unwrap();
        rows += groups[0].members.len() + usize::from(rows == 0);
        seen.extend(groups[0].members.iter().map(|member| member.id.clone()));
        more = goes_on;
        assert!(rows.is_multiple_of(MAX_SHOWN) || !more);
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn status_requests_take_little_of_the_forwarders_time() {
    let mut forwarder = Forwarder::of(1);
    let answered =
        |forwarder: &mut Forwarder| (0..1000).filter(|_| status(forwarder, "", 0).is_some()).count();
    assert_eq!(answered(&mut forwarder), 16);
    forwarder.pass(Duration::from_millis(100));
    assert_eq!(answered(&mut forwarder), 16);
}
