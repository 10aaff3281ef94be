//! All view messages, from senders that may not send them: slots without a seat, the receiver's own slot, another run, an
//! earlier incarnation, a seat that is in no view, views in which the sender cannot be; and view messages of permitted
//! senders about members that no forwarder seated.
//!
//! The receiver has a twin that receives none of them. Both must behave alike afterwards.

use std::time::Duration;

use groupcast::defect::Defects;
use groupcast::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, View};
use groupcast::member::StackConfig;
use groupcast::member::view_message::{Admission, Ballot, Proposal, ViewMessage};
use groupcast::member::{App, DetectorConfig, Membership, MembershipConfig};
use groupcast::order::{ORDERS, Order};
use groupcast::wire::control::{Role, Seat};
use groupcast::wire::{Packet, Window};

const RUN: u64 = 7;
/// The view of the receiver.
const VIEW: u64 = 5;
/// `c1`, as it was before it died and came back.
const EARLIER: u16 = 0;
const CLIENT: u16 = 1;
const ME: u16 = 2;
const OTHER: u16 = 3;
const SEQUENCER: u16 = 4;
const STANDBY: u16 = 5;
/// The forwarder gave it a seat, and it is in no view yet.
const SEATED: u16 = 6;
const NOBODY: u16 = 777;

fn seat(slot: u16, id: &str, incarnation: u32, role: Role) -> Seat {
    let can_sequence = role == Role::Standby;
    Seat { slot, id: id.to_owned(), incarnation, role, can_sequence, late: slot == CLIENT || slot == SEATED }
}

fn seats() -> Vec<Seat> {
    vec![
        seat(EARLIER, "c1", 1, Role::Client),
        seat(CLIENT, "c1", 2, Role::Client),
        seat(ME, "c2", 1, Role::Client),
        seat(OTHER, "c3", 1, Role::Client),
        seat(SEQUENCER, "sequencer", 1, Role::Sequencer),
        seat(STANDBY, "standby", 1, Role::Standby),
    ]
}

/// A seat that no forwarder gave.
fn invented(slot: u16) -> Seat {
    Seat { late: true, ..seat(slot, &format!("ghost{slot}"), 1, Role::Client) }
}

fn ids(slots: &[u16]) -> Vec<MemberId> {
    slots.iter().copied().map(MemberId).collect()
}

fn view(number: u64, clients: &[u16]) -> View {
    let (sequencer, candidates) = (Some(MemberId(SEQUENCER)), ids(&[STANDBY]));
    View { number, clients: ids(clients), sequencer, candidates }
}

fn member(order: &'static Order, majority: bool) -> Membership {
    let view = view(VIEW, &[CLIENT, ME, OTHER]);
    let ballot = Ballot { attempt: 3, leader: SEQUENCER };
    let admission = Admission { ballot, view: view.clone(), before: Vec::new(), numbers: 0, seats: seats() };
    let (window, defects) = (Window::default(), Defects::NONE);
    let place = StackConfig { me: MemberId(ME), view: &view, run: RUN, seed: 1, window, defects };
    let membership_config = MembershipConfig { detector: Some(DetectorConfig::FAST), majority, safe: false };
    let mut member = Membership::admitted(order, place, membership_config, &admission);
    member.seated(&[seat(SEATED, "late", 1, Role::Client)]);
    member
}

/// Every word, as harmful as `from` can make it, by views and ballots that beat those of the receiver.
fn harmful(from: u16, said_in: u64) -> Vec<ViewMessage> {
    let mut words =
        vec![ViewMessage::Heartbeat, ViewMessage::Election, ViewMessage::Coordinator, ViewMessage::Leave];
    for about in [CLIENT, ME, OTHER, SEQUENCER, STANDBY, SEATED, NOBODY] {
        let member = MemberId(about);
        words.extend([ViewMessage::Verify(member), ViewMessage::Vouch(member), ViewMessage::Answer(member)]);
        words.extend([from, OTHER].map(|by| ViewMessage::Exclude(member, MemberId(by), 60_000)));
    }
    words.push(ViewMessage::Relay(ViewMessage::Leave.encode((RUN, VIEW as u16), MemberId(OTHER)).frames));
    words.push(ViewMessage::Fetch(MemberId(ME), MemberId(ME), vec![(1, 1 << 40)]));
    words.extend([from, NOBODY].map(|slot| ViewMessage::Admit(invented(slot))));
    words.push(ViewMessage::Admit(Seat { incarnation: 9, ..seat(from, "c3", 1, Role::Client) }));
    for ballot in [from, SEQUENCER, NOBODY].map(|leader| Ballot { attempt: 99, leader }) {
        words.push(ViewMessage::Prepare(ballot, ids(&[CLIENT, OTHER, SEQUENCER])));
        words.push(ViewMessage::Ready(ballot));
        for number in [VIEW, VIEW + 1, VIEW + 9, said_in.max(2)] {
            words.push(ViewMessage::Behind(MemberId(ME), number, ballot));
            for clients in [&[CLIENT, OTHER][..], &[CLIENT, ME, OTHER]] {
                words.push(ViewMessage::Here(ballot, view(number, clients)));
                let proposal =
                    Proposal { view: view(number, clients), cut: Vec::new(), arrivals: Vec::new() };
                words.extend(of_proposal(ballot, proposal));
            }
        }
    }
    words
}

/// Words that speak of members that no forwarder seated.
fn with_invented(from: u16) -> Vec<ViewMessage> {
    let arrivals: Vec<Seat> = (777..803).map(invented).collect();
    let mut clients = vec![CLIENT, ME, OTHER];
    clients.extend(777..803);
    let mut words = vec![ViewMessage::Verify(MemberId(NOBODY)), ViewMessage::Vouch(MemberId(NOBODY))];
    words.push(ViewMessage::Answer(MemberId(NOBODY)));
    words.push(ViewMessage::Fetch(MemberId(NOBODY), MemberId(OTHER), vec![(1, 3)]));
    words.push(ViewMessage::Exclude(MemberId(NOBODY), MemberId(from), 60_000));
    words.push(ViewMessage::Exclude(MemberId(OTHER), MemberId(NOBODY), 60_000));
    words.push(ViewMessage::Admit(invented(from)));
    for ballot in [from, SEQUENCER].map(|leader| Ballot { attempt: 99, leader }) {
        words.push(ViewMessage::Prepare(ballot, ids(&[from, NOBODY])));
        words.push(ViewMessage::State(ballot, vec![(MemberId(NOBODY), vec![(1, 9)])], None));
        for arrivals in [arrivals.clone(), Vec::new()] {
            let view = view(VIEW + 1, &clients);
            words.push(ViewMessage::Here(ballot, View { number: VIEW, ..view.clone() }));
            words.extend(of_proposal(ballot, Proposal { view, cut: Vec::new(), arrivals }));
        }
        let cut = vec![(MemberId(OTHER), (1, 3), MemberId(NOBODY))];
        let view = view(VIEW + 1, &[CLIENT, ME, OTHER]);
        words.extend(of_proposal(ballot, Proposal { view, cut, arrivals: Vec::new() }));
    }
    words.extend(
        [VIEW, VIEW + 1]
            .map(|number| ViewMessage::Behind(MemberId(ME), number, Ballot { attempt: 99, leader: NOBODY })),
    );
    words
}

fn of_proposal(ballot: Ballot, proposal: Proposal) -> Vec<ViewMessage> {
    let mut all = seats();
    all.extend((777..803).map(invented));
    let view = proposal.view.clone();
    let admission = Admission { ballot, view, before: Vec::new(), numbers: 0, seats: all };
    vec![
        ViewMessage::State(ballot, Vec::new(), Some((ballot, proposal.clone()))),
        ViewMessage::Propose(ballot, proposal.clone()),
        ViewMessage::Install(ballot, proposal),
        ViewMessage::Welcome(MemberId(ME), Box::new(admission)),
    ]
}

/// A member that hears words, and its twin that does not.
struct Pair {
    member: Membership,
    twin: Membership,
    now: Time,
    what: String,
}

impl Pair {
    fn new(order: &'static Order, majority: bool) -> Self {
        let (member, twin) = (member(order, majority), member(order, majority));
        Self { member, twin, now: Time::from_micros(1_000), what: String::new() }
    }

    /// Hears a word, and says what follows.
    fn hear(&mut self, run: u64, from: u16, said_in: u64, word: &ViewMessage) -> Vec<Effect<App, Packet>> {
        self.what = format!("slot {from} in view {said_in} of run {run}: {word:?}");
        let message = word.encode((run, said_in as u16), MemberId(from));
        let mut effects = Effects::default();
        let from = message.header.sender;
        self.member.handle(self.now, Input::Receive { from, message }, &mut effects);
        self.is_alike();
        effects.drain().collect()
    }

    /// Nothing follows from a word but that it is dropped.
    fn drops(&mut self, run: u64, from: u16, said_in: u64, word: &ViewMessage) {
        let effects = self.hear(run, from, said_in, word);
        let is_drop = |effect: &Effect<App, Packet>| matches!(effect, Effect::Drop { .. });
        assert!(effects.iter().all(is_drop), "{}: {effects:?}", self.what);
    }

    /// Nothing follows from a word but that its sender is told that it was left behind.
    fn tells(&mut self, run: u64, from: u16, said_in: u64, word: &ViewMessage) {
        for effect in self.hear(run, from, said_in, word) {
            let is_behind = match &effect {
                Effect::Send { message, .. } => {
                    matches!(ViewMessage::decode(message.clone()), Ok(ViewMessage::Behind(to, VIEW, _)) if to == MemberId(from))
                }
                Effect::Drop { .. } => true,
                Effect::Deliver { .. } => false,
            };
            assert!(is_behind, "{}: {effect:?}", self.what);
        }
    }

    fn is_alike(&self) {
        let state = |member: &Membership| {
            let view = member.view().clone();
            (view, member.is_out(), member.is_changing(), member.next_deadline(), member.waits_for())
        };
        assert_eq!(state(&self.member), state(&self.twin), "{}", self.what);
    }

    /// The two behave alike under every later deadline and every later message.
    fn goes_on(mut self) {
        for round in 0..200_u64 {
            let Some(due) = self.twin.next_deadline() else { break };
            self.now = self.now.max(due);
            let mut inputs = vec![Input::Wake];
            for from in ids(&[CLIENT, OTHER, SEQUENCER, STANDBY]) {
                let message = ViewMessage::Heartbeat.encode((RUN, VIEW as u16), from);
                if round % 10 == 0 && round < 100 {
                    inputs.push(Input::Receive { from, message });
                }
            }
            for input in inputs {
                let (mut effects, mut again) = (Effects::default(), Effects::default());
                self.member.handle(self.now, input.clone(), &mut effects);
                self.twin.handle(self.now, input, &mut again);
                assert_eq!(effects, again, "{}", self.what);
            }
            self.is_alike();
            self.now = self.now.after(Duration::from_micros(1));
        }
    }
}

/// A group whose order needs a sequencer, with a majority rule and without.
fn pairs() -> impl Iterator<Item = Pair> {
    let order = ORDERS.iter().find(|order| order.sequencer).unwrap();
    [false, true].into_iter().map(move |majority| Pair::new(order, majority))
}

/// Views of which a word may say to be: none, earlier ones, the receiver's, later ones, and those across the wrap.
const SAID_IN: [u64; 7] = [0, 1, VIEW - 1, VIEW, VIEW + 1, VIEW + 9, 65_535];

#[test]
fn liars_view_message_from_unseated_slot_is_dropped() {
    for mut pair in pairs() {
        for from in [NOBODY, u16::MAX - 1] {
            for said_in in SAID_IN {
                let words = harmful(from, said_in).into_iter().chain(with_invented(from));
                words.for_each(|word| pair.drops(RUN, from, said_in, &word));
            }
        }
        pair.goes_on();
    }
}

#[test]
fn liars_view_message_under_own_slot_or_of_another_run_is_dropped() {
    for mut pair in pairs() {
        for (run, from) in [(RUN, ME), (RUN + 1, SEQUENCER), (RUN + 1, CLIENT), (RUN + 1, ME)] {
            for said_in in SAID_IN {
                harmful(from, said_in).iter().for_each(|word| pair.drops(run, from, said_in, word));
            }
        }
        pair.goes_on();
    }
}

#[test]
fn liars_view_message_of_earlier_incarnation_is_dropped() {
    for mut pair in pairs() {
        for said_in in SAID_IN {
            let words = harmful(EARLIER, said_in).into_iter().chain(with_invented(EARLIER));
            words.for_each(|word| pair.tells(RUN, EARLIER, said_in, &word));
        }
        pair.goes_on();
    }
}

#[test]
fn liars_view_message_from_seat_in_no_view_is_dropped() {
    for mut pair in pairs() {
        for said_in in [0, 1, VIEW - 1, VIEW] {
            let words = harmful(SEATED, said_in).into_iter().chain(with_invented(SEATED));
            // It may have been taken in by a part of the group that went on.
            let words = words.filter(|word| !matches!(word, ViewMessage::Behind(..)));
            words.for_each(|word| pair.tells(RUN, SEATED, said_in, &word));
        }
        pair.goes_on();
    }
}

#[test]
fn liars_view_message_about_unassigned_seats_is_dropped() {
    for from in [CLIENT, OTHER, SEQUENCER, STANDBY] {
        for mut pair in pairs() {
            for word in with_invented(from) {
                pair.drops(RUN, from, VIEW, &word);
            }
        }
    }
}

#[test]
fn liars_view_message_naming_another_view_is_dropped() {
    for from in [CLIENT, OTHER, SEQUENCER, STANDBY] {
        let ballot = Ballot { attempt: 99, leader: from };
        for mut pair in pairs() {
            for (said_in, named) in
                [(VIEW, VIEW + 1), (VIEW, VIEW + 9), (VIEW + 1, VIEW + 2), (VIEW + 9, VIEW + 1)]
            {
                let other = view(named, &[CLIENT, OTHER]);
                let proposal = Proposal { view: other.clone(), cut: Vec::new(), arrivals: Vec::new() };
                let mut words =
                    vec![ViewMessage::Behind(MemberId(ME), named, ballot), ViewMessage::Here(ballot, other)];
                let is_next = (said_in, named) == (VIEW, VIEW + 1) && [SEQUENCER, STANDBY].contains(&from);
                if !is_next {
                    words.push(ViewMessage::Install(ballot, proposal));
                }
                words.iter().for_each(|word| pair.drops(RUN, from, said_in, word));
            }
        }
    }
}

/// The leader of a change sends the next view from the view that it leaves, or from the next one. A member that has missed
/// the former, too, cannot tell whether it may.
#[test]
fn liars_install_of_a_view_after_a_missed_one_blames_nobody() {
    for from in [SEATED, CLIENT, OTHER] {
        let ballot = Ballot { attempt: 99, leader: from };
        let named = |number| view(number, &[CLIENT, OTHER, SEATED]);
        let install = |number| {
            let proposal = Proposal { view: named(number), cut: Vec::new(), arrivals: Vec::new() };
            ViewMessage::Install(ballot, proposal)
        };
        let dropped = |reason| [Effect::Drop { from: MemberId(from), reason }];
        for mut pair in pairs() {
            for sent_in in [VIEW + 1, VIEW + 2] {
                let beyond = pair.hear(RUN, from, sent_in, &install(VIEW + 2));
                assert_eq!(beyond, dropped(DropReason::Stranger), "{}", pair.what);
            }
            let nonsense = pair.hear(RUN, from, VIEW + 1, &install(VIEW + 3));
            assert_eq!(nonsense, dropped(DropReason::BreaksContract), "{}", pair.what);
        }
    }
}

#[test]
fn liars_only_a_possible_leader_can_stop_the_group() {
    for from in [CLIENT, OTHER, SEQUENCER, STANDBY] {
        for mut pair in pairs() {
            let can_lead = [SEQUENCER, STANDBY].contains(&from);
            let proposal = Proposal {
                view: view(VIEW + 1, &[CLIENT, ME, OTHER]),
                cut: Vec::new(),
                arrivals: Vec::new(),
            };
            for leader in
                [CLIENT, SEQUENCER, STANDBY, NOBODY].into_iter().filter(|leader| !can_lead || *leader != from)
            {
                let ballot = Ballot { attempt: 99, leader };
                let members = view(VIEW, &[CLIENT, ME, OTHER]).members();
                pair.drops(RUN, from, VIEW, &ViewMessage::Prepare(ballot, members));
                pair.drops(RUN, from, VIEW, &ViewMessage::Propose(ballot, proposal.clone()));
                pair.drops(RUN, from, VIEW, &ViewMessage::Install(ballot, proposal.clone()));
            }
        }
    }
}
