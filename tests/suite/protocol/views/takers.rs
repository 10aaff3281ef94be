//! Members that take no newcomers in, or do not welcome them: others do, after a while, and say so.

use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Engine, Input, MemberId, Time, View};
use groupcast::member::StackConfig;
use groupcast::member::newcomer::TAKE_OVER;
use groupcast::member::view_message::{Admission, Ballot, Proposal, ViewMessage};
use groupcast::member::{App, Membership, MembershipConfig, Notice};
use groupcast::order::ORDERS;
use groupcast::wire::Packet;
use groupcast::wire::Window;
use groupcast::wire::control::{Role, Seat};

const RUN: u64 = 7;
const NEWCOMER: u16 = 3;

fn seat(slot: u16) -> Seat {
    let (id, role) = (format!("c{slot}"), Role::Client);
    Seat { slot, id, incarnation: 1, role, can_sequence: false, late: slot == NEWCOMER }
}

fn view(number: u64, clients: u16) -> View {
    let clients = (0..clients).map(MemberId).collect();
    View { number, clients, sequencer: None, candidates: Vec::new() }
}

/// A member of a group of three in its second view.
fn member(me: u16) -> Membership {
    let order = ORDERS.iter().find(|order| !order.sequencer).unwrap();
    let view = view(2, 3);
    let ballot = Ballot { attempt: 1, leader: 2 };
    let seats = (0..3).map(seat).collect();
    let admission = Admission { ballot, view: view.clone(), before: Vec::new(), numbers: 0, seats };
    let (window, defects) = (Window::default(), Defects::NONE);
    let place = StackConfig { me: MemberId(me), view: &view, run: RUN, seed: 1, window, defects };
    Membership::admitted(order, place, MembershipConfig::default(), &admission)
}

/// The effects of a view message at a member: view messages, and notices about members.
fn hear(
    member: &mut Membership,
    now: Time,
    from: u16,
    said_in: u16,
    word: &ViewMessage,
) -> (Vec<ViewMessage>, Vec<(MemberId, Notice)>) {
    let (from, message) = (MemberId(from), word.encode((RUN, said_in), MemberId(from)));
    outcome(member, now, Input::Receive { from, message })
}

fn outcome(
    member: &mut Membership,
    now: Time,
    input: Input<App, Packet>,
) -> (Vec<ViewMessage>, Vec<(MemberId, Notice)>) {
    let mut effects = Effects::default();
    member.handle(now, input, &mut effects);
    let (mut words, mut notices) = (Vec::new(), Vec::new());
    for effect in effects.drain() {
        match effect {
            Effect::Send { message, .. } => words.extend(ViewMessage::decode(message).ok()),
            Effect::Deliver { from, app: App::Notice(what), .. } => notices.push((from, what)),
            _ => {}
        }
    }
    (words, notices)
}

#[test]
fn join_second_client_welcomes_newcomer_and_reports_it() {
    let mut next = member(1);
    next.seated(&[seat(NEWCOMER)]);
    let begin = Time::from_micros(1_000);
    let proposal = Proposal { view: view(3, 4), cut: Vec::new(), arrivals: vec![seat(NEWCOMER)] };
    let install = ViewMessage::Install(Ballot { attempt: 1, leader: 2 }, proposal);
    // It has all that it needs of the view before: it installs the next one at once when it has accepted it.
    hear(&mut next, begin, 2, 3, &install);
    hear(&mut next, begin, 2, 2, &install);
    assert_eq!(next.view().number, 3, "it is in the view with the newcomer");
    let admit = ViewMessage::Admit(seat(NEWCOMER));
    let is_welcome =
        |word: &ViewMessage| matches!(word, ViewMessage::Welcome(to, _) if *to == MemberId(NEWCOMER));
    let (words, notices) = hear(&mut next, begin.after(TAKE_OVER / 2), NEWCOMER, 0, &admit);
    assert!(!words.iter().any(is_welcome) && notices.is_empty(), "it is the first client's turn: {words:?}");
    let (words, notices) = hear(&mut next, begin.after(2 * TAKE_OVER), NEWCOMER, 0, &admit);
    assert!(words.iter().any(is_welcome), "{words:?}");
    assert!(
        matches!(&notices[..], [(MemberId(0), Notice::DidNotWelcome(MemberId(NEWCOMER)))]),
        "{notices:?}"
    );
}

#[test]
fn join_second_client_admits_newcomers_if_the_first_does_not() {
    let mut lower = member(1);
    lower.seated(&[seat(NEWCOMER)]);
    let (begin, admit) = (Time::from_micros(1_000), ViewMessage::Admit(seat(NEWCOMER)));
    let (words, notices) = hear(&mut lower, begin, NEWCOMER, 0, &admit);
    assert!(words.is_empty() && notices.is_empty(), "the one above takes it in: {words:?}");
    let later = begin.after(TAKE_OVER / 2);
    hear(&mut lower, later, NEWCOMER, 0, &admit);
    let late = later.after(TAKE_OVER);
    let (words, notices) = hear(&mut lower, late, NEWCOMER, 0, &admit);
    assert!(words.contains(&ViewMessage::Election), "{words:?}");
    assert!(matches!(&notices[..], [(MemberId(2), Notice::TookNobodyIn)]), "{notices:?}");
    let due = lower.next_deadline().unwrap();
    let (words, _) = outcome(&mut lower, due, Input::Wake);
    assert!(
        words.iter().any(|word| matches!(word, ViewMessage::Prepare(..))),
        "nobody has answered: {words:?}"
    );
}

#[test]
fn join_newcomer_without_seat_waits_for_the_forwarder() {
    let mut top = member(2);
    let (begin, admit) = (Time::from_micros(1_000), ViewMessage::Admit(seat(NEWCOMER)));
    let (words, _) = hear(&mut top, begin, NEWCOMER, 0, &admit);
    assert!(words.is_empty() && !top.is_changing());
    top.seated(&[Seat { incarnation: 2, ..seat(NEWCOMER) }]);
    let (words, _) = hear(&mut top, begin, NEWCOMER, 0, &admit);
    assert!(words.is_empty() && !top.is_changing(), "another process has that seat");
    top.seated(&[seat(NEWCOMER)]);
    hear(&mut top, begin, NEWCOMER, 0, &admit);
    assert!(top.is_changing());
}
