//! The clients that the finish waits for, when members are in different views.

use super::{Ask, Forwarder, Say, done, who};
use crate::session::QUIET_AFTER;

#[test]
fn who_is_not_in_the_newest_view_is_not_waited_for() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert_eq!(forwarder.ask(&c2, done()), None);
    let alone = || Ask::Done { view: 2, clients: vec![1] };
    assert_eq!(forwarder.ask(&c2, alone()), None, "c1 is here, and has not said that it goes");
    assert_eq!(forwarder.pass_with(&[&sequencer], QUIET_AFTER), None);
    assert_eq!(forwarder.ask(&c2, alone()), Some(Say::End));
}

#[test]
fn who_was_done_before_is_not_done_in_a_newer_view() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    let newer = || Ask::Done { view: 2, clients: vec![0, 1] };
    assert_eq!(forwarder.ask(&c1, done()), None);
    assert_eq!(forwarder.ask(&c2, newer()), None, "c1 may lack what belongs to view 2");
    assert_eq!(forwarder.ask(&c1, newer()), Some(Say::End));
}

#[test]
fn who_went_another_way_is_not_ended_with_the_first_side_that_is_done() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    let alone = |slot| Ask::Done { view: 2, clients: vec![slot] };
    assert_eq!(forwarder.ask(&c1, alone(0)), None);
    assert_eq!(forwarder.ask(&c2, alone(1)), None, "one of them is about to hear that it is behind");
    let leaves = Ask::Leave { code: 69, reason: "the group went on without it".to_owned() };
    assert_eq!(forwarder.ask(&c1, leaves), Some(Say::Bye));
    assert_eq!(forwarder.ask(&c2, alone(1)), Some(Say::End));
}
