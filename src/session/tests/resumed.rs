//! A run that a new forwarder takes up from its members.

use super::*;

#[test]
fn a_new_forwarder_takes_up_a_run_in_the_middle() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    for (slot, member) in [&c1, &c2, &sequencer].into_iter().enumerate() {
        assert_eq!(forwarder.ask(member, Ask::Alive), Some(Say::Unknown), "{}", member.id);
        assert_eq!(forwarder.ask(member, resume(8, slot as u16)), Some(Say::CarryOn), "{}", member.id);
        // The answer may have been lost.
        assert_eq!(forwarder.ask(member, resume(8, slot as u16)), Some(Say::CarryOn), "{}", member.id);
    }
    assert_eq!(forwarder.ask(&c1, done()), None, "c2 is not done");
    assert_eq!(forwarder.ask(&c2, done()), Some(Say::End));
    assert_eq!(forwarder.heard(&c1), Some(Say::End));
}

#[test]
fn a_run_that_is_taken_up_waits_for_all_but_not_for_ever() {
    let mut forwarder = Forwarder::of(2);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    forwarder.ask(&c1, resume(8, 0));
    forwarder.ask(&sequencer, resume(8, 2));
    forwarder.ask(&c1, done());
    assert_eq!(forwarder.pass_with(&[&sequencer], LOST_AFTER * 2), None, "it is its members' affair");
    assert_eq!(forwarder.ask(&c1, Ask::Done { view: 2, clients: vec![0] }), Some(Say::End));
}

#[test]
fn a_run_that_is_taken_up_without_all_names_waits_for_the_others() {
    let mut forwarder = Forwarder::of(2);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    for (slot, member) in [(0, &c1), (1, &sequencer)] {
        assert_eq!(forwarder.ask(member, resume_with(8, slot, &["c1", "sequencer"])), Some(Say::CarryOn));
    }
    let reason = forwarder.pass_with(&[&c1, &sequencer], LOST_AFTER * 2).expect("it ends");
    assert!(reason.contains("did not hear of 1 more client"), "{reason}");
}

#[test]
fn nobody_takes_another_place_in_a_run_that_is_taken_up() {
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
fn an_old_forwarder_takes_up_nothing_but_remembers_what_it_ended() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    for member in [&sequencer, &c1, &c2] {
        forwarder.ask(member, if member.role == Role::Client { done() } else { Ask::Alive });
    }
    for member in [&sequencer, &c1, &c2] {
        forwarder.register.unreachable(forwarder.now, &address(member));
    }
    forwarder.pass(END_KEPT);
    assert_eq!(forwarder.ask(&c1, done()), Some(Say::Unknown), "its end was lost on the way");
    assert_eq!(forwarder.ask(&c1, resume(8, 0)), Some(Say::End));
    forwarder.pass(RESUMABLE);
    let (code, _) = refusal(forwarder.ask(&c1, resume(9, 0)));
    assert_eq!(code, Exit::Unavailable.code());
}
