//! Standbys at the start, and when a member is lost.

use super::*;
use crate::session::{LOST_AFTER, MAX_STANDBYS, STANDBY_LIMIT, view_of};

#[test]
fn standby_that_is_ready_is_a_candidate_in_the_first_view() {
    for standby in [who("standby", 3), late("standby", 3)] {
        let mut forwarder = Forwarder::of(1);
        let (c1, sequencer) = (who("c1", 1), who("sequencer", 2));
        forwarder.start(&[&c1, &standby, &sequencer]);
        let view = view_of(&forwarder.started(&c1));
        assert_eq!((view.clients.len(), view.candidates.len(), view.members().len()), (1, 1, 3));
    }
}

#[test]
fn standby_that_has_come_delays_the_start_but_not_for_long() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    forwarder.join(&[&c1, &sequencer, &standby]);
    let asks = |forwarder: &mut Forwarder| {
        forwarder.ask(&standby, Ask::Alive);
        forwarder.ask(&sequencer, Ask::Ready);
        forwarder.ask(&c1, Ask::Ready)
    };
    assert_eq!(asks(&mut forwarder), None);
    assert_eq!(forwarder.missing_for(&c1), ["standby (joined, not ready)"]);
    forwarder.pass(STANDBY_LIMIT - SECOND);
    asks(&mut forwarder);
    let members = forwarder.started(&c1);
    assert_eq!(view_of(&members).members().len(), 2, "without the one that was never ready");
    assert!(forwarder.seat_of(&standby).late);
}

#[test]
fn standby_that_was_ready_and_fell_silent_is_not_waited_for() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    forwarder.join(&[&c1, &standby, &sequencer]);
    forwarder.ask(&standby, Ask::Ready);
    assert_eq!(forwarder.pass_with(&[&c1, &sequencer], STANDBY_LIMIT), None);
    forwarder.ready(&[&c1, &sequencer]);
}

#[test]
fn standby_that_comes_after_the_start_is_let_in_at_any_time() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 2));
    forwarder.start(&[&c1, &sequencer]);
    let (first, again) = (late("standby", 3), late("standby", 4));
    forwarder.join(&[&first]);
    let one = forwarder.seat_of(&first);
    assert!(one.late && one.can_sequence && one.incarnation == 1, "{one:?}");
    let (code, _) = refusal(forwarder.ask(&who("standby2", 5), Ask::Join));
    assert_eq!(code, Exit::Unavailable.code(), "it does not say that it may be late");
    // The first one dies, and so does the sequencer; another process of that name stands by.
    forwarder.lose(&[&first, &sequencer]);
    forwarder.join(&[&again]);
    let two = forwarder.seat_of(&again);
    assert!(two.late && two.can_sequence && two.incarnation == 2 && two.slot > one.slot, "{two:?}");
    assert_eq!(forwarder.pass_with(&[&c1, &again], LOST_AFTER), None);
}

#[test]
fn standby_keeps_a_run_alive_that_loses_its_sequencer() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    let attending = |who: &Identity| Identity { group: String::new(), nonce: who.nonce + 10, ..who.clone() };
    for attendant in [&sequencer, &standby] {
        forwarder.ask(&attending(attendant), Ask::Attend);
    }
    forwarder.start(&[&c1, &standby, &sequencer]);
    for gone in [&sequencer, &standby] {
        forwarder.ask(&attending(gone), leave(Exit::Interrupted, "interrupted"));
        assert_eq!(forwarder.pass_with(&[&c1], SECOND), None, "{} is gone: the members decide", gone.id);
    }
}

#[test]
fn standby_beyond_the_limit_is_refused() {
    let mut forwarder = Forwarder::of(1);
    forwarder.ask(&who("c1", 1), Ask::Join);
    for number in 0..MAX_STANDBYS as u64 {
        forwarder.join(&[&who(&format!("standby{number}"), 10 + number)]);
    }
    let (code, reason) = refusal(forwarder.ask(&who("standby", 9), Ask::Join));
    assert!(code == Exit::Unavailable.code() && reason.contains("stand by"), "{code} {reason}");
}
