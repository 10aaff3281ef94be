//! Members of a run receive the seats of newcomers.

use super::*;
use crate::wire::control::MAX_TOLD;

fn late(id: &str, nonce: u64) -> Identity {
    Identity { late: true, ..who(id, nonce) }
}

/// Asks `alive` after receiving so many seats; returns the answer.
fn asks(forwarder: &mut Forwarder, who: &Identity, told: u32) -> Option<Say> {
    forwarder.seq += 1;
    let request = Request { told: Some(told), ..Request::new(forwarder.seq, who.clone(), Ask::Alive) };
    forwarder.register.asked(forwarder.now, address(who), Ok(request), &mut forwarder.actions);
    forwarder.register.tick(forwarder.now, &mut forwarder.actions);
    forwarder.heard(who)
}

fn names(say: Option<Say>) -> Vec<String> {
    let Some(Say::Seated { members }) = say else { return Vec::new() };
    members.into_iter().map(|seat| seat.id).collect()
}

#[test]
fn a_member_is_told_at_once_of_whoever_gets_a_seat_in_the_run() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert_eq!(asks(&mut forwarder, &c1, 0), None, "nobody has come");
    assert_eq!(forwarder.ask(&c2, Ask::Alive), None);
    assert!(matches!(forwarder.ask(&late("c3", 4), Ask::Join), Some(Say::Welcome { slot: 3, .. })));
    assert_eq!(names(forwarder.heard(&c1)), ["c3"], "before it asks anything else");
    assert_eq!(forwarder.heard(&c2), None, "it does not want to be told");
    assert_eq!(asks(&mut forwarder, &c1, 1), None);
    assert_eq!(names(asks(&mut forwarder, &sequencer, 0)), ["c3"]);
}

#[test]
fn many_seats_are_told_one_part_after_the_other() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    forwarder.start(&[&c1, &sequencer]);
    for number in 0..MAX_TOLD as u64 + 5 {
        forwarder.ask(&late(&format!("x{number}"), 100 + number), Ask::Join);
    }
    let first = names(asks(&mut forwarder, &c1, 0)).len();
    assert_eq!(first, MAX_TOLD);
    assert_eq!(names(asks(&mut forwarder, &c1, first as u32)).len(), 5);
    assert_eq!(asks(&mut forwarder, &c1, u32::MAX), None, "nonsense is no news");
}

#[test]
fn a_forwarder_that_takes_the_run_up_tells_of_newcomers_that_resume_there() {
    let mut forwarder = Forwarder::of(2);
    forwarder.ask(&who("c1", 1), resume(8, 0));
    let seat = |slot: u16, id: &str| Seat {
        slot,
        id: id.to_owned(),
        incarnation: 1,
        role: Role::Client,
        can_sequence: false,
        late: id == "c4",
    };
    let run = format!("{:016x}", 8);
    let members = vec![seat(7, "c4"), seat(0, "c1"), seat(1, "c2")];
    assert_eq!(asks(&mut forwarder, &who("c1", 1), 0), None);
    forwarder.ask(&late("c4", 9), Ask::Resume { run, slot: 7, members });
    assert_eq!(names(forwarder.heard(&who("c1", 1))), ["c4"]);
}

#[test]
fn a_member_counts_what_it_is_told_and_begins_anew_with_another_forwarder() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None);
    assert_eq!(attendance.request(Time::ZERO).unwrap().told, None, "it is in no run");
    let seat = |slot: u16| Seat {
        slot,
        id: format!("c{slot}"),
        incarnation: 1,
        role: Role::Client,
        can_sequence: false,
        late: slot > 1,
    };
    attendance.started(8, &seat(0), &[seat(0), seat(1)], true);
    let request = attendance.request(Time::ZERO).unwrap();
    assert_eq!(request.told, Some(0));
    let say = Say::Seated { members: vec![seat(2), seat(3)] };
    assert_eq!(
        attendance.answered(Time::ZERO, Reply::new(request.seq, say)),
        News::Seated(vec![seat(2), seat(3)])
    );
    let request = attendance.request(Time::ZERO).unwrap();
    assert_eq!(request.told, Some(2));
    attendance.answered(Time::ZERO, Reply::new(request.seq, Say::Unknown));
    assert_eq!(attendance.request(Time::ZERO).unwrap().told, Some(0));
}
