//! A run that a new forwarder takes up from its members.

use super::*;
use crate::session::{END_KEPT, LOST_AFTER, RESUMABLE};
use crate::wire::control::LogHead;

#[test]
fn resumed_run_is_taken_up_in_the_middle() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    for (slot, member) in [&c1, &c2, &sequencer].into_iter().enumerate() {
        assert_eq!(forwarder.ask(member, Ask::Alive), Some(Say::Unknown), "{}", member.id);
        assert_eq!(forwarder.ask(member, resume(8, slot as u16)), Some(Say::CarryOn), "{}", member.id);
        // The answer may have been lost.
        assert_eq!(forwarder.ask(member, resume(8, slot as u16)), Some(Say::CarryOn), "{}", member.id);
    }
    assert_eq!(forwarder.ask(&c1, done(1, &[0, 1])), None, "c2 is not done");
    assert_eq!(forwarder.ask(&c2, done(1, &[0, 1])), Some(Say::End));
    assert_eq!(forwarder.heard(&c1), Some(Say::End));
}

#[test]
fn resumed_run_waits_for_all_but_not_for_ever() {
    let mut forwarder = Forwarder::of(2);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    forwarder.ask(&c1, resume(8, 0));
    forwarder.ask(&sequencer, resume(8, 2));
    forwarder.ask(&c1, done(1, &[0, 1]));
    assert_eq!(forwarder.pass_with(&[&sequencer], LOST_AFTER * 2), None, "it is its members' affair");
    assert_eq!(forwarder.ask(&c1, done(2, &[0])), Some(Say::End));
}

#[test]
fn resumed_run_without_all_names_waits_for_the_others() {
    let mut forwarder = Forwarder::of(2);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    for (slot, member) in [(0, &c1), (1, &sequencer)] {
        assert_eq!(forwarder.ask(member, resume_with(8, slot, &["c1", "sequencer"])), Some(Say::CarryOn));
    }
    let reason = forwarder.pass_with(&[&c1, &sequencer], LOST_AFTER * 2).expect("it ends");
    assert!(reason.contains("did not hear of 1 more client"), "{reason}");
}

#[test]
fn resumed_run_has_no_place_for_another() {
    let mut forwarder = Forwarder::of(3);
    forwarder.ask(&who("c1", 1), resume(8, 0));
    for (member, run, slot) in [("c1", 8, 0), ("c1", 8, 1), ("c2", 8, 0), ("c2", 9, 1), ("c9", 8, 3)] {
        let (code, _) = refusal(forwarder.ask(&who(member, 2), resume(run, slot)));
        assert_eq!(code, Exit::Unavailable.code(), "{member} {run} {slot}");
    }
    let (code, reason) = refusal(forwarder.ask(&who("c2", 2), resume_with(8, 1, &["c1", "c9"])));
    assert!(
        code == Exit::Unavailable.code() && reason.contains("c9 is told to have the place of c2"),
        "{reason}"
    );
    let (_, reason) = refusal(forwarder.ask(&who("c3", 3), Ask::Join));
    assert!(reason.contains("already started"), "{reason}");
}

#[test]
fn resumed_run_is_refused_by_an_old_forwarder_that_remembers_its_own() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    for member in [&sequencer, &c1, &c2] {
        forwarder.ask(member, if member.role == Role::Client { done(1, &[0, 1]) } else { Ask::Alive });
    }
    forwarder.lose(&[&sequencer, &c1, &c2]);
    forwarder.pass(END_KEPT);
    assert_eq!(forwarder.ask(&c1, done(1, &[0, 1])), Some(Say::Unknown), "its end was lost on the way");
    assert_eq!(forwarder.ask(&c1, resume(8, 0)), Some(Say::End));
    forwarder.pass(RESUMABLE);
    let (code, _) = refusal(forwarder.ask(&c1, resume(9, 0)));
    assert_eq!(code, Exit::Unavailable.code());
}

#[test]
fn resumed_run_starts_a_member_that_was_not_told() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, _) = three();
    assert_eq!(forwarder.ask(&c2, resume_with(8, 1, &[])), Some(Say::Unknown), "nobody has been told");
    assert!(!forwarder.registry.serves("main"));
    assert_eq!(forwarder.ask(&c1, resume(8, 0)), Some(Say::CarryOn));
    assert_eq!(forwarder.ask(&c2, resume_with(9, 1, &[])), Some(Say::Unknown), "another run");
    refusal(forwarder.ask(&c2, resume_with(8, 0, &[])));
    let Some(Say::Start { run, members, .. }) = forwarder.ask(&c2, resume_with(8, 1, &[])) else {
        panic!("no start")
    };
    assert_eq!((&*run, members.len()), ("0000000000000008", 3));
    refusal(forwarder.ask(&who("c2", 9), resume_with(8, 1, &[])));
    assert_eq!(forwarder.ask(&c2, Ask::Alive), None, "it is a member like any other");
}

#[test]
fn resumed_run_starts_nobody_before_all_names_are_known() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.ask(&c1, resume_with(8, 0, &["c1", "c2"]));
    assert_eq!(forwarder.ask(&c2, resume_with(8, 1, &[])), Some(Say::Unknown), "the sequencer is missing");
    forwarder.ask(&sequencer, resume(8, 2));
    assert!(matches!(forwarder.ask(&c2, resume_with(8, 1, &[])), Some(Say::Start { .. })));
}

#[test]
fn resumed_run_takes_the_place_of_a_group_that_gathers() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, _) = three();
    assert!(matches!(forwarder.ask(&c1, Ask::Join), Some(Say::Welcome { .. })));
    // This number is none that this forwarder gives.
    assert_eq!(forwarder.ask(&c2, resume(1000, 1)), Some(Say::CarryOn));
    assert_eq!(forwarder.ask(&c1, Ask::Ready), Some(Say::Unknown));
    assert!(matches!(forwarder.ask(&c1, resume_with(1000, 0, &[])), Some(Say::Start { .. })));
}

#[test]
fn resumed_run_with_more_clients_than_expected_is_refused() {
    let mut forwarder = Forwarder::of(1);
    let (code, reason) = refusal(forwarder.ask(&who("c1", 1), resume(8, 0)));
    assert!(
        code == Exit::Config.code() && reason.contains("2 clients") && reason.contains("of 1"),
        "{reason}"
    );
    assert!(!forwarder.registry.serves("main"), "nothing is left of it");
}

#[test]
fn resumed_run_ends_when_a_member_heard_of_the_end_elsewhere() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    for (slot, member) in [&c1, &c2, &sequencer].into_iter().enumerate() {
        forwarder.ask(member, resume(8, slot as u16));
    }
    forwarder.ask(&c2, done(1, &[0, 1]));
    assert_eq!(forwarder.ask(&c1, over(9)), Some(Say::Bye));
    assert_eq!(forwarder.heard(&c2), None, "that was another run");
    assert_eq!(forwarder.ask(&c1, over(8)), Some(Say::Bye));
    assert_eq!(forwarder.heard(&c2), Some(Say::End));
    assert_eq!(forwarder.ask(&sequencer, Ask::Alive), Some(Say::End));
}

#[test]
fn resumed_run_is_taken_up_at_any_age_of_a_forwarder_that_was_asked_about_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, _) = three();
    forwarder.pass(RESUMABLE);
    refusal(forwarder.ask(&c1, resume(8, 0)));
    forwarder.ask(&c2, resume_with(8, 1, &[]));
    assert_eq!(forwarder.ask(&c1, resume(8, 0)), Some(Say::CarryOn));
}

#[test]
fn resumed_run_with_a_log_gives_later_clients_a_life_that_is_not_in_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    let lives = [("c1", 1), ("c9", 3)].map(|(id, life)| (id.to_owned(), life));
    let log = LogHead { run: "8".to_owned(), place: 7, lives: lives.into() };
    let request = Request { log: Some(log), ..Request::new(0, sequencer, resume(8, 2)) };
    assert_eq!(forwarder.request(request), Some(Say::CarryOn));
    for (slot, client) in [(0, &c1), (1, &c2)] {
        assert_eq!(forwarder.ask(client, resume(8, slot)), Some(Say::CarryOn));
    }
    let said = forwarder.ask(&late("c9", 9), Ask::Join);
    assert!(matches!(said, Some(Say::Welcome { incarnation: 4, .. })), "{said:?}");
}
