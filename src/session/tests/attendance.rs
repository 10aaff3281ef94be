//! The requests of one member.

use super::*;
use crate::session::attendance::{Attendance, News, STANDBY_EVERY};

fn attendance() -> Attendance {
    Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None)
}

/// Returns the members of a run, the member itself first.
fn members() -> [Seat; 3] {
    [seat(0, "c1"), seat(1, "c2"), seat(2, "sequencer")]
}

#[test]
fn attendance_repeats_a_request_without_an_answer_and_ignores_old_answers() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Join, Some(9 * SECOND));
    let first = attendance.request(Time::ZERO).unwrap();
    assert_eq!(attendance.request(Time::ZERO.after(SECOND)), None, "one under way");
    let second = attendance.request(attendance.next_deadline()).unwrap();
    assert!(second.seq > first.seq && second.ask == Ask::Join);
    let now = attendance.next_deadline();
    assert_eq!(attendance.answered(now, Reply::new(first.seq, Say::End)), News::Nothing, "an old answer");
    assert_eq!(attendance.answered(now, Reply::new(second.seq, Say::End)), News::End);
}

#[test]
fn attendance_takes_no_abort_for_a_success_whatever_its_code() {
    let mut attendance = attendance();
    let seq = attendance.request(Time::ZERO).unwrap().seq;
    let abort = Say::Abort { code: 0, reason: "it is over".to_owned() };
    let News::Failed(failure) = attendance.answered(Time::ZERO, Reply::new(seq, abort)) else { panic!() };
    assert_eq!(failure.exit, Exit::Unavailable);
}

#[test]
fn attendance_asks_now_and_then_where_it_is_unknown() {
    let mut attendance = attendance();
    let seq = attendance.request(Time::ZERO).unwrap().seq;
    attendance.answered(Time::ZERO, Reply::new(seq, Say::Unknown));
    assert_eq!(attendance.request(Time::ZERO), None);
    assert_eq!(attendance.next_deadline(), Time::ZERO.after(STANDBY_EVERY));
    attendance.turn_to(Ask::Join);
    assert_eq!(attendance.request(Time::ZERO).unwrap().ask, Ask::Join, "something else is asked at once");
}

#[test]
fn attendance_resumes_its_run_where_it_is_unknown() {
    let mut attendance = attendance();
    let members = members();
    attendance.started(8, &members[0], &members, true);
    let seq = attendance.request(Time::ZERO).unwrap().seq;
    assert_eq!(attendance.answered(Time::ZERO, Reply::new(seq, Say::Unknown)), News::Forgotten);
    let again = attendance.request(Time::ZERO).unwrap();
    assert_eq!(again.ask, resume(8, 0));
    assert_eq!(attendance.answered(Time::ZERO, Reply::new(again.seq, Say::CarryOn)), News::Nothing);
    assert_eq!(attendance.request(Time::ZERO).unwrap().ask, Ask::Alive);
}

#[test]
fn attendance_tells_a_forwarder_that_was_started_again_who_leaves() {
    let mut attendance = attendance();
    let leave = leave(Exit::Interrupted, "interrupted");
    let asks = |requests: Vec<Request>| requests.into_iter().map(|request| request.ask).collect::<Vec<_>>();
    assert_eq!(asks(attendance.last_words(Time::ZERO, leave.clone())), vec![leave.clone()]);
    let members = members();
    attendance.started(8, &members[0], &members, true);
    assert_eq!(asks(attendance.last_words(Time::ZERO, leave.clone())), [resume(8, 0), leave]);
}
