//! Requests to a forwarder that does not know the process.

use super::*;
use crate::session::attendance::STANDBY_EVERY;

#[test]
fn who_is_not_known_asks_now_and_then() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None);
    let seq = attendance.request(Time::ZERO).unwrap().seq;
    attendance.answered(Time::ZERO, Reply::new(seq, Say::Unknown));
    assert_eq!(attendance.request(Time::ZERO), None);
    assert_eq!(attendance.next_deadline(), Time::ZERO.after(STANDBY_EVERY));
    attendance.turn_to(Ask::Join);
    assert_eq!(attendance.request(Time::ZERO).unwrap().ask, Ask::Join, "something else is asked at once");
}

#[test]
fn who_goes_tells_a_forwarder_that_was_started_again_what_it_was() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None);
    let leave = Ask::Leave { code: 130, reason: "interrupted".to_owned() };
    let asks = |requests: Vec<Request>| requests.into_iter().map(|request| request.ask).collect::<Vec<_>>();
    assert_eq!(asks(attendance.last_words(Time::ZERO, leave.clone())), vec![leave.clone()]);
    let members = [seat(0, "c1"), seat(1, "c2"), seat(2, "sequencer")];
    attendance.started(8, &members[0], &members, true);
    assert_eq!(asks(attendance.last_words(Time::ZERO, leave.clone())), [resume(8, 0), leave]);
}
