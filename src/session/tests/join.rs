//! Processes that may not join.

use super::*;

#[test]
fn join_with_an_id_in_use_is_refused_once_its_process_has_shown_that_it_is_there() {
    let mut forwarder = Forwarder::of(2);
    let (first, second) = (who("c1", 1), who("c1", 2));
    forwarder.ask(&first, Ask::Join);
    forwarder.ask(&first, Ask::Ready);
    assert_eq!(forwarder.ask(&second, Ask::Join), None, "the other one may be gone");
    for _ in 0..4 {
        forwarder.pass(SECOND / 2);
        forwarder.heard(&first);
        forwarder.ask(&first, Ask::Ready);
    }
    let (code, reason) = refusal(forwarder.heard(&second));
    assert!(code == Exit::Unavailable.code() && reason.contains("c1 is taken"), "{code} {reason}");
}

#[test]
fn join_of_one_more_client_than_expected_is_refused() {
    let mut forwarder = Forwarder::of(1);
    let (c1, c2, _) = three();
    forwarder.ask(&c1, Ask::Join);
    assert_eq!(forwarder.ask(&c2, Ask::Join), None, "c1 may be gone");
    for _ in 0..3 {
        forwarder.ask(&c1, Ask::Alive);
        forwarder.pass(Duration::from_millis(600));
    }
    let (code, reason) = refusal(forwarder.heard(&c2));
    assert!(code == Exit::Unavailable.code() && reason.contains("c1"), "{reason}");
}

#[test]
fn join_of_a_client_with_the_id_of_another_program_is_refused_at_once() {
    let mut forwarder = Forwarder::of(2);
    for id in ["forwarder", "router", "sequencer", "standby"] {
        let client = Identity { role: Role::Client, ..who(id, 1) };
        let (code, reason) = refusal(forwarder.ask(&client, Ask::Join));
        assert!(code == Exit::Usage.code() && reason.contains(id), "{code}: {reason}");
    }
    // The sequencer has that name by right.
    forwarder.join(&[&who("c1", 1), &who("sequencer", 2)]);
}

#[test]
fn request_of_another_version_is_refused_with_both_versions() {
    let mut forwarder = Forwarder::of(1);
    let c1 = who("c1", 1);
    forwarder.registry.asked(forwarder.now, address(&c1), Err(Some(9)), &mut forwarder.actions);
    let (code, reason) = refusal(forwarder.heard(&c1));
    assert!(code == Exit::Config.code() && reason.contains("version 2") && reason.contains('9'), "{reason}");
}
