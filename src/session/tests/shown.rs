//! Reports of the register to processes that only watch.

use super::*;
use crate::session::shown::MAX_SHOWN;
use crate::wire::control::{GroupState, Stage, Status};

/// Returns the identity of a process that takes no part.
fn watcher(group: &str) -> Identity {
    Identity { group: group.to_owned(), order: String::new(), method: String::new(), ..who("anybody", 99) }
}

fn shown(forwarder: &mut Forwarder, group: &str, skip: u32) -> Option<(Vec<GroupState>, bool)> {
    match forwarder.ask(&watcher(group), Ask::Members { skip }) {
        Some(Say::Members { groups, more }) => Some((groups, more)),
        _ => None,
    }
}

#[test]
fn anybody_may_ask_who_is_there_and_takes_no_place() {
    let mut forwarder = Forwarder::of(2);
    assert_eq!(shown(&mut forwarder, "", 0), Some((Vec::new(), false)));
    assert!(forwarder.register.is_untouched());
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.ask(&c1, Ask::Join);
    let (groups, _) = shown(&mut forwarder, "main", 0).unwrap();
    assert_eq!((groups[0].stage, groups[0].members[0].stage), (Stage::Gathering, Stage::Joined));
    let missing = ["c1 (joined, not ready)", "1 more client", "a sequencer (order total (bb) needs one)"];
    assert_eq!(groups[0].missing, missing);
    forwarder.ask(&c2, Ask::Join);
    forwarder.ask(&sequencer, Ask::Join);
    forwarder.ready(&[&c1, &c2, &sequencer]);

    let status = Status { view: 3, leader: 2, delivered: 7, held: 1 };
    forwarder.seq += 1;
    let request = Request { status: Some(status), ..Request::new(forwarder.seq, c1.clone(), Ask::Alive) };
    forwarder.register.asked(forwarder.now, address(&c1), Ok(request), &mut forwarder.actions);
    forwarder.pass(Duration::from_millis(500));
    let (groups, more) = shown(&mut forwarder, "main", 0).unwrap();
    let [main] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!(
        (main.stage, main.view, main.leader.as_deref(), more),
        (Stage::Running, Some(3), Some("sequencer"), false)
    );
    let rows: Vec<_> = main.members.iter().map(|member| (&*member.id, member.stage, member.status)).collect();
    let running = |id| (id, Stage::Running, None);
    assert_eq!(rows, [("c1", Stage::Running, Some(status)), running("c2"), running("sequencer")]);
    assert!(main.members.iter().all(|member| member.heard_ms >= 500));
    assert_eq!(shown(&mut forwarder, "other", 0), Some((Vec::new(), false)));
}

#[test]
fn a_large_group_takes_several_answers_of_limited_length() {
    let count = 3 * MAX_SHOWN;
    let mut forwarder = Forwarder::of(count);
    for number in 0..count as u64 {
        forwarder.ask(&who(&format!("c{number}"), number), Ask::Join);
    }
    let (mut rows, mut seen, mut more) = (0, std::collections::BTreeSet::new(), true);
    while more {
        let (groups, goes_on) = shown(&mut forwarder, "", rows as u32).unwrap();
        rows += groups[0].members.len() + usize::from(rows == 0);
        seen.extend(groups[0].members.iter().map(|member| member.id.clone()));
        more = goes_on;
        assert!(rows.is_multiple_of(MAX_SHOWN) || !more);
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn many_questions_take_little_of_the_forwarders_time() {
    let mut forwarder = Forwarder::of(1);
    let answered =
        |forwarder: &mut Forwarder| (0..1000).filter(|_| shown(forwarder, "", 0).is_some()).count();
    assert_eq!(answered(&mut forwarder), 16);
    forwarder.pass(Duration::from_millis(100));
    assert_eq!(answered(&mut forwarder), 16);
}
