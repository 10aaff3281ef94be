//! Standbys at the start, and when a member is lost.

use super::*;
use crate::session::{MAX_STANDBYS, STANDBY_LIMIT, view_of};

const SECOND: Duration = Duration::from_secs(1);

/// Returns the members in the start that `member` receives.
fn started(forwarder: &mut Forwarder, member: &Identity) -> Vec<Seat> {
    match forwarder.ask(member, Ask::Ready) {
        Some(Say::Start { members, .. }) => members,
        other => panic!("expected a start, got {other:?}"),
    }
}

/// Returns a standby as the program starts it: for a group that may be running.
fn late(nonce: u64) -> Identity {
    Identity { late: true, ..who("standby", nonce) }
}

#[test]
fn who_stands_by_and_is_ready_is_a_candidate() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    forwarder.start(&[&c1, &standby, &sequencer]);
    let view = view_of(&started(&mut forwarder, &c1));
    assert_eq!((view.clients.len(), view.candidates.len()), (1, 1));
    assert_eq!(view.members().len(), 3);
}

#[test]
fn the_start_waits_for_a_standby_that_has_come_but_not_for_long() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    for member in [&c1, &sequencer, &standby] {
        forwarder.ask(member, Ask::Join);
    }
    let asks = |forwarder: &mut Forwarder| {
        forwarder.ask(&standby, Ask::Alive);
        forwarder.ask(&sequencer, Ask::Ready);
        forwarder.ask(&c1, Ask::Ready)
    };
    assert_eq!(asks(&mut forwarder), None);
    forwarder.pass(SECOND);
    assert!(
        matches!(forwarder.heard(&c1), Some(Say::Wait { missing, .. }) if missing == ["standby (joined, not ready)"])
    );
    forwarder.pass(STANDBY_LIMIT - SECOND);
    asks(&mut forwarder);
    let members = started(&mut forwarder, &c1);
    assert_eq!(view_of(&members).members().len(), 2, "without the one that was never ready");
    assert!(started(&mut forwarder, &standby).iter().any(|seat| seat.id == "standby" && seat.late));
}

#[test]
fn who_comes_to_stand_by_after_the_start_is_let_in_at_any_time() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 2));
    forwarder.start(&[&c1, &sequencer]);
    let seat = |forwarder: &mut Forwarder, standby: &Identity| {
        assert!(matches!(forwarder.ask(standby, Ask::Join), Some(Say::Welcome { .. })));
        let members = started(forwarder, standby);
        members.into_iter().find(|seat| seat.id == standby.id).expect("it is in the list")
    };
    let (first, again) = (late(3), late(4));
    let (one, asks) = (seat(&mut forwarder, &first), who("standby2", 5));
    assert!(one.late && one.can_sequence && one.incarnation == 1, "{one:?}");
    assert_eq!(
        refusal(forwarder.ask(&asks, Ask::Join)).0,
        Exit::Unavailable.code(),
        "it does not say that it may be late"
    );
    // The first one dies, and so does the sequencer; another process of that name stands by.
    for gone in [&first, &sequencer] {
        forwarder.register.unreachable(forwarder.now, &address(gone));
    }
    let two = seat(&mut forwarder, &again);
    assert!(two.late && two.can_sequence && two.incarnation == 2 && two.slot > one.slot, "{two:?}");
    assert_eq!(forwarder.pass_with(&[&c1, &again], LOST_AFTER), None);
}

#[test]
fn who_may_come_late_to_stand_by_and_does_not_is_in_the_first_view() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), late(3));
    forwarder.start(&[&c1, &standby, &sequencer]);
    assert_eq!(view_of(&started(&mut forwarder, &c1)).candidates.len(), 1);
}

#[test]
fn a_standby_that_was_ready_and_fell_silent_is_not_waited_for() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    for member in [&c1, &standby, &sequencer] {
        forwarder.ask(member, Ask::Join);
    }
    forwarder.ask(&standby, Ask::Ready);
    assert_eq!(forwarder.pass_with(&[&c1, &sequencer], STANDBY_LIMIT), None);
    forwarder.ready(&[&c1, &sequencer]);
}

#[test]
fn the_loss_of_those_in_the_middle_ends_nothing_while_somebody_stands_by() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), who("sequencer", 2), who("standby", 3));
    let attending = |who: &Identity| Identity { group: String::new(), nonce: who.nonce + 10, ..who.clone() };
    for attendant in [&sequencer, &standby] {
        forwarder.ask(&attending(attendant), Ask::Attend);
    }
    forwarder.start(&[&c1, &standby, &sequencer]);
    for gone in [&sequencer, &standby] {
        let leave = Ask::Leave { code: 130, reason: "interrupted".to_owned() };
        forwarder.ask(&attending(gone), leave);
        assert_eq!(forwarder.pass_with(&[&c1], SECOND), None, "{} is gone: the members decide", gone.id);
    }
}

#[test]
fn there_is_a_limit_to_standing_by() {
    let mut forwarder = Forwarder::of(1);
    forwarder.ask(&who("c1", 1), Ask::Join);
    for number in 0..MAX_STANDBYS as u64 {
        let joined = forwarder.ask(&who(&format!("standby{number}"), 10 + number), Ask::Join);
        assert!(matches!(joined, Some(Say::Welcome { .. })), "{joined:?}");
    }
    let (code, reason) = refusal(forwarder.ask(&who("standby", 9), Ask::Join));
    assert!(code == Exit::Unavailable.code() && reason.contains("stand by"), "{code} {reason}");
}
