//! The start barrier.

use super::*;

#[test]
fn start_comes_when_the_last_is_ready_and_not_before() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    for member in [&c1, &c2] {
        forwarder.ask(member, Ask::Join);
        assert_eq!(forwarder.ask(member, Ask::Ready), None, "held: the sequencer is missing");
    }
    assert_eq!(forwarder.missing_for(&c1), ["a sequencer (order total (bb) needs one)"]);
    forwarder.ask(&c1, Ask::Ready);
    forwarder.ask(&sequencer, Ask::Join);
    forwarder.ready(&[&c1, &c2, &sequencer]);
    assert_eq!(forwarder.started(&c1).len(), 3, "an answer that got lost is asked for again");
}

#[test]
fn start_does_not_come_without_a_member_that_was_ready_and_is_gone() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    for member in [&c1, &c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
        forwarder.ask(member, Ask::Ready);
    }
    // c2 does not answer the call.
    for member in [&c1, &sequencer] {
        forwarder.heard(member);
        assert_eq!(forwarder.ask(member, Ask::Ready), None);
    }
    forwarder.lose(&[&c2]);
    assert_eq!(forwarder.pass_with(&[&c1, &sequencer], 3 * SECOND), None);
    forwarder.ask(&c1, Ask::Ready);
    assert_eq!(forwarder.missing_for(&c1), ["1 more client (c2 is gone)"]);
}

#[test]
fn start_counts_a_process_that_replaces_a_dead_one_once() {
    let mut forwarder = Forwarder::of(2);
    let (dead, again, c2, sequencer) = (who("c1", 1), who("c1", 2), who("c2", 3), who("sequencer", 4));
    forwarder.ask(&dead, Ask::Join);
    forwarder.ask(&dead, Ask::Ready);
    assert_eq!(forwarder.ask(&again, Ask::Join), None);
    forwarder.lose(&[&dead]);
    forwarder.pass(SECOND / 10);
    let Some(Say::Welcome { incarnation, .. }) = forwarder.heard(&again) else { panic!("not let in") };
    assert_eq!(incarnation, 2);
    for member in [&c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
        assert_eq!(forwarder.ask(member, Ask::Ready), None, "c1 is not ready again");
    }
    forwarder.ready(&[&c2, &sequencer, &again]);
}

#[test]
fn start_that_does_not_come_about_is_given_up_naming_the_missing_processes() {
    let mut forwarder = Forwarder::of(3);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, Ask::Join);
    for _ in 0..120 {
        forwarder.ask(&c1, Ask::Ready);
        forwarder.pass(SECOND / 2);
    }
    let Some(Say::Abort { code, reason }) = forwarder.heard(&c1) else { panic!("still waiting") };
    assert_eq!(code, Exit::TimedOut.code());
    assert!(reason.contains("2 more clients and a sequencer"), "{reason}");
    let outcome = forwarder.registry.outcome(forwarder.now);
    assert_eq!(outcome.unwrap().unwrap_err().exit, Exit::TimedOut);
}

#[test]
fn start_elsewhere_frees_a_seat_unless_its_member_has_been_started() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.ask(&c1, Ask::Join);
    forwarder.ask(&c1, Ask::Ready);
    assert_eq!(forwarder.ask(&c1, Ask::Withdraw), Some(Say::Bye));
    assert_eq!(forwarder.ask(&c1, Ask::Withdraw), Some(Say::Bye), "the answer may have been lost");
    assert_eq!(forwarder.ask(&c1, Ask::Ready), Some(Say::Unknown));
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert!(matches!(forwarder.ask(&c1, Ask::Withdraw), Some(Say::Start { .. })));
}
