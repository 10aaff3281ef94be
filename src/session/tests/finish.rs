//! The end of a run: complete, or with the loss of members.

use super::*;
use crate::session::{FIRST_LATECOMERS, LATECOMERS, LOST_AFTER, QUIET_AFTER, SILENT_AFTER};

#[test]
fn finish_comes_when_all_clients_are_done_and_know_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.ask(&sequencer, Ask::Alive);
    assert_eq!(forwarder.ask(&c1, done(1, &[0, 1])), None);
    assert_eq!(forwarder.registry.outcome(forwarder.now), None);
    assert_eq!(forwarder.ask(&c2, done(1, &[0, 1])), Some(Say::End));
    assert_eq!((forwarder.heard(&c1), forwarder.heard(&sequencer)), (Some(Say::End), Some(Say::End)));
    forwarder.pass(LATECOMERS);
    assert_eq!(forwarder.registry.outcome(forwarder.now), None, "what was said may not have been heard");
    for member in [&c1, &c2, &sequencer] {
        assert_eq!(forwarder.ask(member, over(8)), Some(Say::Bye));
    }
    assert_eq!(forwarder.registry.outcome(forwarder.now), Some(Ok(())));
}

#[test]
fn finish_waits_for_a_sequencer_only_if_one_may_come() {
    for sequencer_may_come in [true, false] {
        let rules =
            Rules { clients: 1, start_timeout: 60 * SECOND, stay: false, sequencer_may_come, port_base: 0 };
        let mut forwarder = Forwarder::with(rules);
        let router = Identity { group: String::new(), role: Role::Router, ..who("router", 4) };
        let c1 = Identity { order: "fifo".to_owned(), ..who("c1", 1) };
        forwarder.ask(&router, Ask::Attend);
        forwarder.start(&[&c1]);
        assert_eq!(forwarder.ask(&c1, done(1, &[0])), Some(Say::End));
        assert_eq!(forwarder.ask(&c1, over(8)), Some(Say::Bye));
        assert_eq!(forwarder.ask(&router, over(0)), Some(Say::Bye));
        let is_over = forwarder.registry.outcome(forwarder.now) == Some(Ok(()));
        assert_eq!(is_over, !sequencer_may_come);
        forwarder.pass(LATECOMERS);
        assert_eq!(forwarder.registry.outcome(forwarder.now), Some(Ok(())));
    }
}

#[test]
fn finish_waits_for_latecomers_for_longer_where_the_others_came_slowly() {
    let ms = Duration::from_millis;
    for (came, ends) in [(0, FIRST_LATECOMERS), (49, FIRST_LATECOMERS), (300, ms(900)), (900, LATECOMERS)] {
        let mut forwarder = Forwarder::of(1);
        forwarder.pass(ms(came));
        run_of_one(&mut forwarder, Ask::Join);
        assert_eq!(forwarder.registry.next_deadline(), Some(Time::ZERO.after(ends)), "{came} ms");
        assert_eq!(outcome_after(&mut forwarder, ends, ms(1)), [None, Some(Ok(()))], "{came} ms");
    }
}

#[test]
fn finish_waits_for_the_router_of_a_run_that_was_taken_up() {
    let mut forwarder = Forwarder::of(1);
    run_of_one(&mut forwarder, resume_with(8, 0, &["c1"]));
    assert_eq!(outcome_after(&mut forwarder, LATECOMERS, Duration::from_millis(1)), [None, Some(Ok(()))]);
}

/// Lets a client join by `ask`, and do nothing.
fn run_of_one(forwarder: &mut Forwarder, ask: Ask) {
    let c1 = Identity { order: "fifo".to_owned(), ..who("c1", 1) };
    let is_joining = ask == Ask::Join;
    forwarder.ask(&c1, ask);
    if is_joining {
        forwarder.ready(&[&c1]);
    }
    assert_eq!(forwarder.ask(&c1, done(1, &[0])), Some(Say::End));
    assert_eq!(forwarder.ask(&c1, over(8)), Some(Say::Bye));
}

/// Returns the outcome `before` a forwarder is that old, and at that age.
fn outcome_after(
    forwarder: &mut Forwarder,
    age: Duration,
    before: Duration,
) -> [Option<Result<(), Failure>>; 2] {
    let left = age.saturating_sub(forwarder.now.since(Time::ZERO));
    [left.saturating_sub(before), before].map(|time| {
        forwarder.pass(time);
        forwarder.registry.outcome(forwarder.now)
    })
}

#[test]
fn finish_of_the_last_run_is_told_although_the_next_one_has_begun() {
    let mut forwarder = Forwarder::with(Rules {
        clients: 1,
        start_timeout: 60 * SECOND,
        stay: true,
        sequencer_may_come: true,
        port_base: 0,
    });
    let (late, next, sequencer) = (who("c1", 1), who("c1", 2), who("sequencer", 3));
    forwarder.start(&[&late, &sequencer]);
    forwarder.ask(&sequencer, Ask::Alive);
    assert_eq!(forwarder.ask(&late, done(1, &[0])), Some(Say::End));
    assert_eq!(forwarder.ask(&sequencer, over(8)), Some(Say::Bye));
    forwarder.lose(&[&late]);
    forwarder.pass(SECOND);
    forwarder.join(&[&next]);
    assert_eq!(forwarder.ask(&late, done(1, &[0])), Some(Say::Unknown), "its end was lost on the way");
    assert_eq!(forwarder.ask(&late, resume(8, 0)), Some(Say::End));
}

#[test]
fn finish_does_not_wait_for_a_member_that_is_not_in_the_newest_view() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert_eq!(forwarder.ask(&c2, done(1, &[0, 1])), None);
    assert_eq!(forwarder.ask(&c2, done(2, &[1])), None, "c1 is here, and has not said that it goes");
    assert_eq!(forwarder.pass_with(&[&sequencer], QUIET_AFTER), None);
    assert_eq!(forwarder.ask(&c2, done(2, &[1])), Some(Say::End));
}

#[test]
fn finish_waits_for_a_client_that_was_done_in_an_earlier_view() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert_eq!(forwarder.ask(&c1, done(1, &[0, 1])), None);
    assert_eq!(forwarder.ask(&c2, done(2, &[0, 1])), None, "c1 may lack what belongs to view 2");
    assert_eq!(forwarder.ask(&c1, done(2, &[0, 1])), Some(Say::End));
}

#[test]
fn finish_does_not_come_with_the_first_side_of_a_split_that_is_done() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert_eq!(forwarder.ask(&c1, done(2, &[0])), None);
    assert_eq!(forwarder.ask(&c2, done(2, &[1])), None, "one of them is about to hear that it is behind");
    let leaves = leave(Exit::Unavailable, "the group went on without it");
    assert_eq!(forwarder.ask(&c1, leaves), Some(Say::Bye));
    assert_eq!(forwarder.ask(&c2, done(2, &[1])), Some(Say::End));
}

#[test]
fn run_that_a_member_leaves_is_left_to_the_others() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.ask(&c2, Ask::Alive);
    assert_eq!(forwarder.ask(&c1, leave(Exit::Interrupted, "interrupted (Ctrl-C)")), Some(Say::Bye));
    assert_eq!(forwarder.heard(&c2), None, "that is the members' affair");
    assert_eq!(forwarder.ask(&c2, leave(Exit::Unavailable, "nobody is left")), Some(Say::Bye));
    let Some(Say::Abort { code, reason }) = forwarder.ask(&sequencer, Ask::Alive) else { panic!("not told") };
    assert!(code == Exit::Unavailable.code() && reason.contains("c1 left the run: interrupted"), "{reason}");
}

#[test]
fn run_does_not_wait_for_a_member_that_is_gone_or_silent_for_too_long() {
    for (limit, is_gone) in [(LOST_AFTER, true), (SILENT_AFTER, false)] {
        let mut forwarder = Forwarder::of(2);
        let (c1, c2, sequencer) = three();
        forwarder.start(&[&c1, &c2, &sequencer]);
        if is_gone {
            forwarder.lose(&[&c1]);
        }
        let early = forwarder.pass_with(&[&c2, &sequencer], limit.checked_sub(SECOND).unwrap());
        assert_eq!(early, None, "not before its time");
        assert_eq!(forwarder.ask(&c2, done(1, &[0, 1])), None, "c1 may still be there");
        assert_eq!(forwarder.pass_with(&[&c2, &sequencer], 2 * SECOND), None);
        assert_eq!(forwarder.ask(&c2, done(1, &[0, 1])), None, "it is still in the newest view");
        assert_eq!(forwarder.ask(&c2, done(2, &[1])), Some(Say::End));
    }
}

#[test]
fn run_goes_on_with_a_member_that_comes_back_in_time() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.lose(&[&c1]);
    assert_eq!(forwarder.pass_with(&[&c2, &sequencer], 5 * SECOND), None);
    assert_eq!(forwarder.pass_with(&[&c1, &c2, &sequencer], LOST_AFTER), None);
}

#[test]
fn run_ends_with_the_last_router() {
    let mut forwarder = Forwarder::of(1);
    let router = |id: &str, nonce| Identity { group: String::new(), role: Role::Router, ..who(id, nonce) };
    let (c1, sequencer, first, second) =
        (who("c1", 1), who("sequencer", 3), router("r1", 4), router("r2", 5));
    forwarder.ask(&first, Ask::Attend);
    forwarder.ask(&second, Ask::Attend);
    forwarder.start(&[&c1, &sequencer]);
    forwarder.ask(&c1, Ask::Alive);
    forwarder.ask(&first, leave(Exit::Interrupted, "interrupted"));
    assert_eq!(forwarder.heard(&c1), None);
    forwarder.ask(&second, leave(Exit::Interrupted, "interrupted"));
    assert!(matches!(forwarder.heard(&c1), Some(Say::Abort { .. })));
}
