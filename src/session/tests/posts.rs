//! Texts of authors, who are no members, at the forwarder.

use super::*;
use crate::session::{HAND_AGAIN, MAX_UNDER_WAY};
use crate::wire::control::{Post, Receipt};

/// An author: its name and its key.
fn author(nonce: u64) -> Identity {
    who("M.Walker", nonce)
}

fn post(number: u64) -> Ask {
    Ask::Post { number, text: "Re: Mach".to_owned(), again: false }
}

/// Asks for news as a client that multicasts texts, and tells what has become of some; returns those that it is handed.
fn serve(forwarder: &mut Forwarder, client: &Identity, receipts: Vec<Receipt>) -> Vec<Post> {
    let ask = Request::new(0, client.clone(), Ask::Alive);
    handed(forwarder.request(Request { posts: Some(true), receipts, ..ask }))
}

fn handed(say: Option<Say>) -> Vec<Post> {
    match say {
        Some(Say::Posts { posts }) => posts,
        Some(Say::CarryOn) | None => Vec::new(),
        other => panic!("expected texts, got {other:?}"),
    }
}

fn receipt(key: u64, id: Option<&str>) -> Vec<Receipt> {
    vec![Receipt { key, number: 1, id: id.map(str::to_owned) }]
}

/// Two clients and a sequencer that run, and both clients wait for texts.
fn running() -> (Forwarder, Identity, Identity) {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = three();
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert!(serve(&mut forwarder, &c1, vec![]).is_empty() && serve(&mut forwarder, &c2, vec![]).is_empty());
    (forwarder, c1, c2)
}

#[test]
fn text_is_handed_to_one_client_and_answered_when_it_is_delivered() {
    let (mut forwarder, c1, c2) = running();
    assert_eq!(forwarder.ask(&author(9), post(1)), None);
    let posts = handed(forwarder.heard(&c1));
    assert_eq!((posts.len(), &*posts[0].author, posts[0].key, posts[0].again), (1, "M.Walker", 9, false));
    assert_eq!(forwarder.heard(&c2), None);
    forwarder.pass(SECOND);
    assert!(
        matches!(forwarder.heard(&author(9)), Some(Say::Wait { missing, .. }) if missing == ["c1 to deliver it"])
    );
    assert_eq!(forwarder.ask(&author(9), post(1)), None);
    serve(&mut forwarder, &c1, receipt(9, Some("c1/1/1")));
    let posted = Some(Say::Posted { id: "c1/1/1".to_owned() });
    assert_eq!(forwarder.heard(&author(9)), posted);
    assert_eq!(forwarder.ask(&author(9), post(1)), posted, "it did not hear of it");
}

#[test]
fn text_without_a_receipt_is_handed_again_to_the_same_client() {
    let (mut forwarder, c1, c2) = running();
    forwarder.ask(&author(9), post(1));
    assert_eq!(handed(forwarder.heard(&c1)).len(), 1);
    forwarder.now = forwarder.now.after(HAND_AGAIN);
    forwarder.ask(&author(9), post(1));
    assert!(serve(&mut forwarder, &c2, vec![]).is_empty(), "the other one does not have it");
    assert_eq!(serve(&mut forwarder, &c1, vec![]).len(), 1);
}

#[test]
fn text_of_a_lost_client_goes_to_another_one_with_its_slot() {
    let (mut forwarder, c1, c2) = running();
    forwarder.ask(&author(9), post(1));
    forwarder.lose(&[&c1]);
    forwarder.now = forwarder.now.after(2 * SECOND);
    let posts = serve(&mut forwarder, &c2, vec![]);
    assert_eq!((&posts[0].lost[..], posts[0].again), (&[0][..], true), "c1 joined first");
    forwarder.heard(&author(9));
    assert_eq!(forwarder.ask(&author(9), post(1)), None);
    serve(&mut forwarder, &c2, receipt(9, Some("c2/1/1")));
    assert_eq!(forwarder.heard(&author(9)), Some(Say::Posted { id: "c2/1/1".to_owned() }));
}

#[test]
fn text_that_every_client_declines_is_refused_after_a_while() {
    let (mut forwarder, c1, c2) = running();
    forwarder.ask(&author(9), post(1));
    serve(&mut forwarder, &c1, receipt(9, None));
    assert_eq!(handed(forwarder.heard(&c2)).len(), 1);
    serve(&mut forwarder, &c2, receipt(9, None));
    let refused = (0..20).find_map(|_| {
        forwarder.ask(&author(9), post(1));
        forwarder.pass(SECOND / 2);
        forwarder.heard(&author(9)).filter(|say| matches!(say, Say::Refused { .. }))
    });
    let (code, reason) = refusal(refused);
    assert!(code == 69 && reason.contains("no client of group main multicasts it"), "{reason}");
}

#[test]
fn text_is_refused_of_a_member_and_where_a_client_knows_no_authors() {
    let (mut forwarder, c1, _) = running();
    let (code, reason) = refusal(forwarder.ask(&who("c2", 9), post(1)));
    assert!(code == 64 && reason.contains("c2 is the id of a member"), "{reason}");
    let (code, _) = refusal(forwarder.ask(&Identity { id: "a/b".to_owned(), ..author(9) }, post(1)));
    assert_eq!(code, 64);
    forwarder.ask(&c1, Ask::Alive);
    let (code, reason) = refusal(forwarder.ask(&author(9), post(1)));
    assert!(code == 69 && reason.contains("c1 of group main does not deliver"), "{reason}");
    let elsewhere = Identity { group: "other".to_owned(), ..author(9) };
    assert_eq!(forwarder.ask(&elsewhere, post(1)), Some(Say::Unknown));
}

#[test]
fn texts_under_way_are_bounded() {
    let (mut forwarder, ..) = running();
    for nonce in 0..MAX_UNDER_WAY as u64 {
        assert_eq!(forwarder.ask(&author(100 + nonce), post(1)), None);
    }
    assert_eq!(refusal(forwarder.ask(&author(99), post(1))).0, 69);
    assert_eq!(refusal(forwarder.ask(&author(100), post(2))).0, 69, "one for each author");
    assert_eq!(forwarder.ask(&author(100), post(1)), None);
}
