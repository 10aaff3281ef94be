//! Members of a run receive the seats of newcomers.

use super::*;
use crate::session::attendance::{Attendance, News};
use crate::wire::control::MAX_TOLD;

/// Asks `alive` after receiving so many seats; returns the ids in the answer.
fn ask_after(forwarder: &mut Forwarder, who: &Identity, told: u32) -> Vec<String> {
    ids(forwarder.request(Request { told: Some(told), ..Request::new(0, who.clone(), Ask::Alive) }))
}

fn ids(say: Option<Say>) -> Vec<String> {
    match say {
        None => Vec::new(),
        Some(Say::Seated { members }) => members.into_iter().map(|seat| seat.id).collect(),
        other => panic!("expected seats, got {other:?}"),
    }
}

#[test]
fn seat_in_a_run_is_told_at_once_to_the_members_that_want_to_know() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert!(ask_after(&mut forwarder, &c1, 0).is_empty(), "nobody has come");
    assert_eq!(forwarder.ask(&c2, Ask::Alive), None);
    assert!(matches!(forwarder.ask(&late("c3", 4), Ask::Join), Some(Say::Welcome { slot: 3, .. })));
    assert_eq!(ids(forwarder.heard(&c1)), ["c3"], "before it asks anything else");
    assert_eq!(forwarder.heard(&c2), None, "it does not want to be told");
    assert!(ask_after(&mut forwarder, &c1, 1).is_empty());
    assert_eq!(ask_after(&mut forwarder, &sequencer, 0), ["c3"]);
}

#[test]
fn seats_beyond_the_limit_are_told_one_part_after_the_other() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    forwarder.start(&[&c1, &sequencer]);
    for number in 0..MAX_TOLD as u64 + 5 {
        forwarder.ask(&late(&format!("x{number}"), 100 + number), Ask::Join);
    }
    assert_eq!(ask_after(&mut forwarder, &c1, 0).len(), MAX_TOLD);
    assert_eq!(ask_after(&mut forwarder, &c1, MAX_TOLD as u32).len(), 5);
    assert!(ask_after(&mut forwarder, &c1, u32::MAX).is_empty(), "nonsense is no news");
}

#[test]
fn seat_of_a_newcomer_that_resumes_elsewhere_is_told_there() {
    let mut forwarder = Forwarder::of(2);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, resume(8, 0));
    assert!(ask_after(&mut forwarder, &c1, 0).is_empty());
    let members = vec![Seat { late: true, ..seat(7, "c4") }, seat(0, "c1"), seat(1, "c2")];
    forwarder.ask(&late("c4", 9), Ask::Resume { run: format!("{:016x}", 8), slot: 7, members });
    assert_eq!(ids(forwarder.heard(&c1)), ["c4"]);
}

#[test]
fn seats_are_counted_by_a_member_anew_for_another_forwarder() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None);
    assert_eq!(attendance.request(Time::ZERO).unwrap().told, None, "it is in no run");
    let first = [seat(0, "c0"), seat(1, "c1")];
    attendance.started(8, &first[0], &first, true);
    let request = attendance.request(Time::ZERO).unwrap();
    assert_eq!(request.told, Some(0));
    let members = vec![seat(2, "c2"), seat(3, "c3")];
    let reply = Reply::new(request.seq, Say::Seated { members: members.clone() });
    assert_eq!(attendance.answered(Time::ZERO, reply), News::Seated(members));
    let request = attendance.request(Time::ZERO).unwrap();
    assert_eq!(request.told, Some(2));
    attendance.answered(Time::ZERO, Reply::new(request.seq, Say::Unknown));
    assert_eq!(attendance.request(Time::ZERO).unwrap().told, Some(0));
}
