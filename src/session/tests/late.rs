//! Members that may come late: clients with `--join` and sequencers, before the start, after it and after the loss of others.

use super::*;
use crate::session::{LOST_AFTER, view_of};
use crate::wire::control::Status;

#[test]
fn late_members_that_join_before_the_start_take_part_in_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (late("c1", 1), late("c2", 2), late("sequencer", 3));
    forwarder.start(&[&c1, &sequencer, &c2]);
    let seats = forwarder.started(&c1);
    assert!(seats.iter().all(|seat| !seat.late), "{seats:?}");
    assert_eq!(view_of(&seats).members().len(), 3);
}

#[test]
fn late_client_gives_its_place_to_one_that_cannot_wait() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, guest, sequencer) = (who("c1", 1), who("c2", 2), late("guest", 3), who("sequencer", 4));
    forwarder.join(&[&guest, &c1, &c2, &sequencer]);
    forwarder.ready(&[&c1, &c2, &sequencer]);
    let is_late = |seat: &Seat| seat.late == (seat.id == "guest");
    assert!(forwarder.started(&guest).iter().all(is_late));
    // One more is late at once.
    let other = late("other", 5);
    forwarder.join(&[&other]);
    assert!(forwarder.seat_of(&other).late);
}

#[test]
fn late_client_that_was_alone_and_comes_again_ends_the_run_that_nobody_is_in() {
    let mut forwarder = Forwarder::of(1);
    let (before, again, sequencer) = (late("c1", 1), late("c1", 2), who("sequencer", 3));
    forwarder.start(&[&before, &sequencer]);
    forwarder.lose(&[&before]);
    forwarder.ask(&again, Ask::Join);
    let said = forwarder.ask(&sequencer, Ask::Alive);
    assert!(matches!(said, Some(Say::Abort { code: 69, .. })), "{said:?}");
}

#[test]
fn late_client_that_nobody_is_left_to_take_in_is_told_so() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.lose(&[&c1, &c2]);
    let again = late("c1", 4);
    forwarder.join(&[&again]);
    let reason = forwarder.pass_with(&[&again, &sequencer], LOST_AFTER * 2).expect("it ends");
    assert!(reason.contains("c2 is lost"), "{reason}");
}

#[test]
fn late_client_that_has_been_taken_in_goes_on_alone() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, guest) = (who("c1", 1), who("sequencer", 2), late("guest", 3));
    forwarder.start(&[&c1, &sequencer]);
    forwarder.join(&[&guest]);
    let status = Some(Status { view: 2, leader: 1, delivered: 0, held: 0, at_door: false });
    forwarder.request(Request { status, ..Request::new(0, guest.clone(), Ask::Alive) });
    forwarder.lose(&[&c1]);
    assert_eq!(forwarder.pass_with(&[&guest, &sequencer], LOST_AFTER * 2), None);
}

#[test]
fn late_sequencer_in_a_running_group_stands_by() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), late("sequencer", 2), late("standby", 3));
    forwarder.start(&[&c1, &standby, &sequencer]);
    forwarder.lose(&[&sequencer]);
    let again = late("sequencer", 4);
    forwarder.join(&[&again]);
    let seat = forwarder.seat_of(&again);
    let stands_by = seat.role == Role::Standby && seat.can_sequence && seat.late;
    assert!(stands_by && seat.incarnation == 2, "{seat:?}");
    assert_eq!(forwarder.pass_with(&[&c1, &standby, &again], LOST_AFTER), None);
}

#[test]
fn restarted_sequencer_where_the_numbers_are_lost_ends_the_run() {
    for again in [who("sequencer", 3), late("sequencer", 3)] {
        let mut forwarder = Forwarder::of(1);
        let (c1, sequencer) = (who("c1", 1), Identity { nonce: 2, ..again.clone() });
        forwarder.start(&[&c1, &sequencer]);
        forwarder.ask(&c1, Ask::Alive);
        forwarder.lose(&[&sequencer]);
        let (_, reason) = refusal(forwarder.ask(&again, Ask::Join));
        assert!(reason.contains("already started"), "{reason}");
        let Some(Say::Abort { reason, .. }) = forwarder.heard(&c1) else { panic!("c1 is not told") };
        assert!(reason.contains("does not know which numbers it gave"), "{reason}");
    }
}
