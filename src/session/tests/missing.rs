//! Missing processes are named to all members that wait for them, and to people.

use std::collections::BTreeMap;

use super::*;
use crate::session::EMPTY_KEPT;
use crate::session::group::without;

/// Returns the missing processes that the ready `member` is told of.
fn waits_for(forwarder: &mut Forwarder, member: &Identity) -> Vec<String> {
    forwarder.ask(member, Ask::Ready);
    forwarder.missing_for(member)
}

fn naming(who: &Identity, ask: Ask, forwarders: &[&str]) -> Request {
    let connect = forwarders.iter().map(|&name| name.to_owned()).collect();
    Request { connect, ..Request::new(0, who.clone(), ask) }
}

#[test]
fn missing_router_is_named_with_the_members_that_need_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.join(&[&c1, &c2, &sequencer]);
    let awaiting = || Request { awaits_router: true, ..Request::new(0, c1.clone(), Ask::Alive) };
    forwarder.request(awaiting());
    assert_eq!(waits_for(&mut forwarder, &c2), ["sequencer (joined, not ready)", "a router, needed by c1"]);
    assert!(forwarder.registry.waiting(forwarder.now)[0].contains("a router, needed by c1"));
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
    let outcome = forwarder.registry.outcome(forwarder.now).unwrap().unwrap_err();
    assert!(outcome.message.ends_with("waiting for a router, needed by c1"), "{outcome}");
}

#[test]
fn missing_client_that_gave_up_is_named_with_its_reason() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2) = (who("c1", 1), who("c2", 2));
    forwarder.ask(&c1, Ask::Join);
    forwarder.ask(&c2, Ask::Join);
    forwarder.ask(&c1, leave(Exit::Unavailable, "gave up waiting for a router"));
    let missing = waits_for(&mut forwarder, &c2);
    assert_eq!(missing[0], "1 more client (c1 left: gave up waiting for a router)");
    forwarder.ask(&who("c1", 4), Ask::Join);
    let missing = waits_for(&mut forwarder, &c2);
    assert_eq!(missing[0], "c1 (joined, not ready)", "it came again");
}

#[test]
fn missing_clients_are_named_with_their_reasons_at_the_end() {
    let mut forwarder = Forwarder::of(1);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, Ask::Join);
    forwarder.ask(&c1, leave(Exit::Unavailable, "gave up waiting for a router"));
    forwarder.pass(EMPTY_KEPT);
    assert_eq!(forwarder.registry.overdue(forwarder.now), None);
    forwarder.pass(Duration::from_secs(60));
    let failure = forwarder.registry.overdue(forwarder.now).unwrap();
    assert_eq!(failure.exit, Exit::TimedOut);
    let expected = "all clients of group main have left (c1 left: gave up waiting for a router); nobody came \
                    within 60 s: waited for 1 client";
    assert_eq!(failure.message, expected);
}

#[test]
fn missing_client_with_another_order_is_told_to_members_and_people() {
    let mut forwarder = Forwarder::of(2);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, Ask::Join);
    let fifo = Identity { order: "fifo".to_owned(), method: String::new(), ..who("c2", 2) };
    let (code, reason) = refusal(forwarder.ask(&fifo, Ask::Join));
    let expected = "c2 wants order fifo, but group main has order total (bb), set by c1; \
                    give all its clients the same --order and --method";
    assert_eq!((code, &*reason), (Exit::Config.code(), expected));
    assert!(forwarder.actions.notices.contains(&format!("main: refused c2: {expected}")));
    let missing = waits_for(&mut forwarder, &c1);
    assert_eq!(missing[0], "1 more client (c2 was refused: it wants order fifo)");
}

#[test]
fn missing_client_with_another_reliability_is_told_both() {
    let mut forwarder = Forwarder::of(3);
    let over = |id, nonce, reliability: &str| Identity {
        order: "fifo".to_owned(),
        method: String::new(),
        reliability: reliability.to_owned(),
        ..who(id, nonce)
    };
    forwarder.ask(&over("c1", 1, "flood"), Ask::Join);
    for (reliability, wanted) in [("", "nack"), ("basic", "basic"), ("lossy", "lossy")] {
        let (code, reason) = refusal(forwarder.ask(&over("c2", 2, reliability), Ask::Join));
        let expected = format!(
            "c2 wants --reliability {wanted}, but group main has --reliability flood, set by c1; give all its clients \
             the same"
        );
        assert_eq!((code, reason), (Exit::Config.code(), expected));
    }
    assert!(matches!(forwarder.ask(&over("c3", 3, "flood"), Ask::Join), Some(Say::Welcome { .. })));
}

#[test]
fn missing_client_with_other_forwarders_is_told_with_both_lists() {
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
fn missing_clients_are_not_explained_by_two_names_of_one_forwarder() {
    let mut forwarder = Forwarder::of(2);
    forwarder.request(naming(&who("c1", 1), Ask::Join, &["127.0.0.1"]));
    forwarder.request(naming(&who("c2", 2), Ask::Join, &["forwarder.example"]));
    assert!(!forwarder.actions.notices.iter().any(|notice| notice.contains("warning")));
}

#[test]
fn missing_processes_are_told_to_a_member_without_itself() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    for member in [&c1, &c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
        forwarder.ask(member, Ask::Ready);
    }
    // All are called once more, and only c2 answers.
    forwarder.ask(&c2, Ask::Ready);
    forwarder.heard(&c1);
    let missing = forwarder.missing_for(&c2);
    assert_eq!(missing, ["c1 (ready, but silent now)", "sequencer (ready, but silent now)"]);
    let all = missing.into_iter().chain(["c2 (joined, not ready)".to_owned(), "c22".to_owned()]);
    let all: Vec<String> = all.collect();
    assert_eq!(without("c2", &all), [&*all[0], &all[1], "c22"]);
}
