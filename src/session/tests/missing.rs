//! Missing processes are named to all members that wait for them, and to people.

use std::collections::BTreeMap;

use super::*;
use crate::session::register::EMPTY_KEPT;

const SECOND: Duration = Duration::from_secs(1);

/// Returns the missing processes that the ready `member` is told of.
fn waits_for(forwarder: &mut Forwarder, member: &Identity) -> Vec<String> {
    forwarder.ask(member, Ask::Ready);
    forwarder.pass(SECOND);
    match forwarder.heard(member) {
        Some(Say::Wait { missing, .. }) => missing,
        other => panic!("expected to wait, got {other:?}"),
    }
}

fn naming(who: &Identity, ask: Ask, forwarders: &[&str]) -> Request {
    let connect = forwarders.iter().map(|&name| name.to_owned()).collect();
    Request { connect, ..Request::new(0, who.clone(), ask) }
}

#[test]
fn a_missing_router_is_named_with_the_members_that_need_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    for member in [&c1, &c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
    }
    let awaiting = || Request { awaits_router: true, ..Request::new(0, c1.clone(), Ask::Alive) };
    forwarder.request(awaiting());
    assert_eq!(waits_for(&mut forwarder, &c2), ["sequencer (joined, not ready)", "a router, needed by c1"]);
    assert!(forwarder.register.waiting(forwarder.now)[0].contains("a router, needed by c1"));
    let mut told = BTreeMap::new();
    while told.len() < 3 {
        assert!(forwarder.now < Time::ZERO.after(70 * SECOND), "only {told:?}");
        for member in [&c1, &c2, &sequencer] {
            let ready = Request::new(0, member.clone(), Ask::Ready);
            let request = if *member == c1 { awaiting() } else { ready };
            if let Some(Say::Abort { reason, .. }) =
                forwarder.heard(member).or_else(|| forwarder.request(request))
            {
                told.insert(&member.id, reason);
            }
        }
        forwarder.pass(SECOND / 2);
    }
    for (id, reason) in told {
        assert!(reason.ends_with("waiting for a router, needed by c1"), "{id}: {reason}");
    }
    let outcome = forwarder.register.outcome(forwarder.now).unwrap().unwrap_err();
    assert!(outcome.message.ends_with("waiting for a router, needed by c1"), "{outcome}");
}

#[test]
fn a_client_that_gave_up_is_named_with_its_reason_to_those_that_wait() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2) = (who("c1", 1), who("c2", 2));
    forwarder.ask(&c1, Ask::Join);
    forwarder.ask(&c2, Ask::Join);
    let reason = "gave up waiting for a router".to_owned();
    forwarder.ask(&c1, Ask::Leave { code: 69, reason });
    let missing = waits_for(&mut forwarder, &c2);
    assert_eq!(missing[0], "1 more client (c1 left: gave up waiting for a router)");
    forwarder.ask(&who("c1", 4), Ask::Join);
    let missing = waits_for(&mut forwarder, &c2);
    assert_eq!(missing[0], "c1 (joined, not ready)", "it came again");
}

#[test]
fn a_forwarder_that_all_clients_have_left_names_their_reasons_at_its_end() {
    let mut forwarder = Forwarder::of(1);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, Ask::Join);
    let reason = "gave up waiting for a router".to_owned();
    forwarder.ask(&c1, Ask::Leave { code: 69, reason });
    forwarder.pass(EMPTY_KEPT);
    assert_eq!(forwarder.register.overdue(forwarder.now), None);
    forwarder.pass(Duration::from_secs(60));
    let failure = forwarder.register.overdue(forwarder.now).unwrap();
    assert_eq!(failure.exit, Exit::TimedOut);
    let expected = "all clients of group main have left (c1 left: gave up waiting for a router); nobody came \
                    within 60 s: waited for 1 client";
    assert_eq!(failure.message, expected);
}

#[test]
fn a_refused_order_is_told_to_the_member_that_waits_and_to_people() {
    let mut forwarder = Forwarder::of(2);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, Ask::Join);
    let fifo = Identity { order: "fifo".to_owned(), method: String::new(), ..who("c2", 2) };
    let (_, reason) = refusal(forwarder.ask(&fifo, Ask::Join));
    let expected = "c2 wants order fifo, but group main has order total (bb), set by c1; \
                    give all its clients the same --order and --method";
    assert_eq!(reason, expected);
    assert!(forwarder.actions.notices.contains(&format!("main: refused c2: {expected}")));
    let missing = waits_for(&mut forwarder, &c1);
    assert_eq!(missing[0], "1 more client (c2 was refused: it wants order fifo)");
}

#[test]
fn members_that_name_different_forwarders_are_told_with_both_lists() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2) = (who("c1", 1), who("c2", 2));
    forwarder.request(naming(&c2, Ask::Join, &["f2"]));
    // c1 gathers at the first of its forwarders, and asks here whether the run has started.
    let aside = Ask::Resume { run: "9".to_owned(), slot: 0, members: Vec::new() };
    assert_eq!(forwarder.request(naming(&c1, aside, &["f1", "f2"])), Some(Say::Unknown));
    let lists = "c1 has --connect f1,f2, c2 has --connect f2";
    let missing = waits_for(&mut forwarder, &c2);
    assert_eq!(missing[0], format!("1 more client (c1 joins at another forwarder: {lists})"));
    let warning = format!("main: warning: {lists}; all members of a group must name the same forwarders");
    let warned = forwarder.actions.notices.iter().filter(|notice| notice.starts_with(&warning)).count();
    assert_eq!(warned, 1, "{:?}", forwarder.actions.notices);
}

#[test]
fn one_forwarder_may_have_several_names() {
    let mut forwarder = Forwarder::of(2);
    forwarder.request(naming(&who("c1", 1), Ask::Join, &["127.0.0.1"]));
    forwarder.request(naming(&who("c2", 2), Ask::Join, &["forwarder.example"]));
    assert!(!forwarder.actions.notices.iter().any(|notice| notice.contains("warning")));
}

#[test]
fn a_member_never_waits_for_itself() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    for member in [&c1, &c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
        forwarder.ask(member, Ask::Ready);
    }
    // All are called once more, and only c2 answers.
    forwarder.ask(&c2, Ask::Ready);
    forwarder.heard(&c1);
    forwarder.pass(SECOND);
    let Some(Say::Wait { missing, .. }) = forwarder.heard(&c2) else { panic!("c2 waits") };
    assert_eq!(missing, ["c1 (ready, but silent now)", "sequencer (ready, but silent now)"]);
    let all = missing.into_iter().chain(["c2 (joined, not ready)".to_owned(), "c22".to_owned()]);
    let all: Vec<String> = all.collect();
    assert_eq!(super::super::missing::without("c2", &all), [&*all[0], &all[1], "c22"]);
}
