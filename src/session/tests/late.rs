//! Members that may come late: clients with `--join` and sequencers, before the start, after it and after the loss of others.

use super::*;
use crate::session::view_of;

fn late(id: &str, nonce: u64) -> Identity {
    Identity { late: true, ..who(id, nonce) }
}

fn seats(forwarder: &mut Forwarder, member: &Identity) -> Vec<Seat> {
    match forwarder.ask(member, Ask::Ready) {
        Some(Say::Start { members, .. }) => members,
        other => panic!("expected a start, got {other:?}"),
    }
}

fn joins(forwarder: &mut Forwarder, member: &Identity) {
    let said = forwarder.ask(member, Ask::Join);
    assert!(matches!(said, Some(Say::Welcome { .. })), "{}: {said:?}", member.id);
}

fn loses(forwarder: &mut Forwarder, members: &[&Identity]) {
    for member in members {
        forwarder.register.unreachable(forwarder.now, &address(member));
    }
}

#[test]
fn a_client_that_joins_before_the_start_takes_part_in_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (late("c1", 1), late("c2", 2), late("sequencer", 3));
    forwarder.start(&[&c1, &sequencer, &c2]);
    let seats = seats(&mut forwarder, &c1);
    assert!(seats.iter().all(|seat| !seat.late), "{seats:?}");
    assert_eq!(view_of(&seats).members().len(), 3);
}

#[test]
fn a_client_that_can_wait_gives_its_place_to_one_that_cannot() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, guest, sequencer) = (who("c1", 1), who("c2", 2), late("guest", 3), who("sequencer", 4));
    for member in [&guest, &c1, &c2, &sequencer] {
        joins(&mut forwarder, member);
    }
    forwarder.ready(&[&c1, &c2, &sequencer]);
    let is_late = |seat: &Seat| seat.late == (seat.id == "guest");
    assert!(seats(&mut forwarder, &guest).iter().all(is_late));
    // One more is late at once.
    let other = late("other", 5);
    joins(&mut forwarder, &other);
    assert!(seats(&mut forwarder, &other).iter().any(|seat| seat.id == "other" && seat.late));
}

#[test]
fn a_client_that_was_alone_and_comes_again_ends_the_run_that_nobody_is_in() {
    let mut forwarder = Forwarder::of(1);
    let (before, again, sequencer) = (late("c1", 1), late("c1", 2), who("sequencer", 3));
    forwarder.start(&[&before, &sequencer]);
    loses(&mut forwarder, &[&before]);
    forwarder.ask(&again, Ask::Join);
    let said = forwarder.ask(&sequencer, Ask::Alive);
    assert!(matches!(said, Some(Say::Abort { code: 69, .. })), "{said:?}");
}

#[test]
fn newcomers_that_nobody_is_left_to_take_in_are_told_so() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    loses(&mut forwarder, &[&c1, &c2]);
    let again = late("c1", 4);
    joins(&mut forwarder, &again);
    let reason = forwarder.pass_with(&[&again, &sequencer], LOST_AFTER * 2).expect("it ends");
    assert!(reason.contains("c2 is lost"), "{reason}");
}

#[test]
fn a_newcomer_that_has_been_taken_in_goes_on_alone() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, guest) = (who("c1", 1), who("sequencer", 2), late("guest", 3));
    forwarder.start(&[&c1, &sequencer]);
    joins(&mut forwarder, &guest);
    let status = Status { view: 2, leader: 1, delivered: 0, held: 0 };
    forwarder.seq += 1;
    let request = Request { status: Some(status), ..Request::new(forwarder.seq, guest.clone(), Ask::Alive) };
    forwarder.register.asked(forwarder.now, address(&guest), Ok(request), &mut forwarder.actions);
    loses(&mut forwarder, &[&c1]);
    assert_eq!(forwarder.pass_with(&[&guest, &sequencer], LOST_AFTER * 2), None);
}

#[test]
fn a_sequencer_that_comes_to_a_group_that_runs_stands_by() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer, standby) = (who("c1", 1), late("sequencer", 2), late("standby", 3));
    forwarder.start(&[&c1, &standby, &sequencer]);
    loses(&mut forwarder, &[&sequencer]);
    let again = late("sequencer", 4);
    joins(&mut forwarder, &again);
    let seats = seats(&mut forwarder, &again);
    let seat = seats.iter().find(|seat| seat.id == "sequencer").expect("it is in the list");
    assert!(
        seat.role == Role::Standby && seat.can_sequence && seat.late && seat.incarnation == 2,
        "{seat:?}"
    );
    assert_eq!(forwarder.pass_with(&[&c1, &standby, &again], LOST_AFTER), None);
}

#[test]
fn a_sequencer_that_comes_where_the_numbers_are_lost_ends_the_run() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer) = (who("c1", 1), late("sequencer", 2));
    forwarder.start(&[&c1, &sequencer]);
    loses(&mut forwarder, &[&sequencer]);
    forwarder.ask(&late("sequencer", 3), Ask::Join);
    let reason = forwarder.pass_with(&[&c1], Duration::from_secs(1)).expect("it ends");
    assert!(reason.contains("does not know which numbers it gave"), "{reason}");
}
