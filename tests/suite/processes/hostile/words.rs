//! Words of the membership from strangers, at groups that run: they end nobody, bring nobody in, and newcomers are taken
//! in as ever. `GROUPCAST_STRANGER_SECONDS=60` makes it longer.

use std::time::Duration;

use groupcast::engine::{MemberId, View};
use groupcast::member::view_message::{Admission, Ballot, Proposal, ViewMessage};
use groupcast::wire::control::{Role, Seat};
use groupcast::wire::topic::{self, Audience};
use serde_json::Value;

use super::{IN, OUT, Stranger};
use crate::harness::{Program, Stage, all_end, pause, until};

/// Slots that nobody has.
const NOBODY: [u16; 2] = [777, 40];
/// Names that nobody has.
const GHOSTS: u16 = 26;

#[test]
fn hostile_view_messages_from_unseated_slots_end_no_member() {
    survives(&[]);
}

#[test]
fn hostile_view_messages_from_unseated_slots_do_not_block_a_majority() {
    survives(&["--quorum", "majority"]);
}

fn survives(options: &[&str]) {
    let seconds = std::env::var("GROUPCAST_STRANGER_SECONDS").map_or(3, |text| text.parse().unwrap());
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let ear = Stranger::new(&stage, OUT);
    ear.socket.set_subscribe(b"main/").unwrap();
    for id in ["c1", "c2"] {
        let lines = (0..10 * seconds + 20).map(|number| format!("Multicast,{id},{number}\nsleep,0.1\n"));
        programs.push(stage.client(id, lines.collect::<String>()).args(options).start());
    }
    let run = until("the run's number is heard", || ear.run_of_a_packet());
    let join =
        |id: &str| stage.client(id, format!("Multicast,{id},x\n")).args(["--join"]).args(options).start();
    programs.push(join("late"));
    let path = stage.out().join("test_result_late_tom.txt.part");
    until("the newcomer delivers", || (std::fs::metadata(&path).ok()?.len() > 0).then_some(()));
    let stranger = Stranger::new(&stage, IN);
    pause(Duration::from_millis(200));
    for round in 0..10 * seconds {
        if round == 10 {
            programs.push(join("later"));
        }
        publish(&stranger, run);
        pause(Duration::from_millis(100));
    }
    all_end(&mut programs);
    let delivered = stage.lines("c1", "tom");
    assert_eq!(delivered, stage.lines("c2", "tom"));
    assert_eq!(delivered.len() as u64, 2 * (10 * seconds + 20) + 2);
    let history = stage.history("c1");
    let views: Vec<&Value> = history.iter().filter(|event| event["event"] == "view").collect();
    assert_eq!(views.len(), 3, "one for the start and one for each newcomer: {views:?}");
    assert!(!views.iter().any(|view| view.to_string().contains("ghost")), "{views:?}");
}

/// Every word, from every slot that nobody has, in every view that might be.
fn publish(stranger: &Stranger, run: u64) {
    for from in NOBODY {
        for said_in in [0, 1, 2, 3, 4, 9, u16::MAX] {
            for word in words(from, said_in) {
                let frames = word.encode((run, said_in), MemberId(from)).frames;
                let voice = topic::of_member("main", Audience::All, MemberId(from));
                stranger.send(&[voice, frames.header.to_vec(), frames.body.to_vec()]);
            }
        }
    }
    for ghost in 0..GHOSTS {
        let from = MemberId(1000 + ghost);
        let frames = ViewMessage::Admit(seat(from.0)).encode((run, 0), from).frames;
        let voice = topic::of_member("main", Audience::All, from);
        stranger.send(&[voice, frames.header.to_vec(), frames.body.to_vec()]);
    }
}

fn seat(slot: u16) -> Seat {
    let (id, role) = (format!("ghost{slot}"), Role::Client);
    Seat { slot, id, incarnation: 1, role, can_sequence: false, late: true }
}

fn words(from: u16, said_in: u16) -> Vec<ViewMessage> {
    let mut words =
        vec![ViewMessage::Heartbeat, ViewMessage::Election, ViewMessage::Coordinator, ViewMessage::Leave];
    words.push(ViewMessage::Admit(seat(from)));
    let ballot = Ballot { attempt: 99, leader: from };
    let number = u64::from(said_in).max(2);
    let members = vec![MemberId(from)];
    let view =
        View { number, clients: members.clone(), sequencer: Some(MemberId(from)), candidates: Vec::new() };
    let proposal = Proposal { view: view.clone(), cut: Vec::new(), arrivals: vec![seat(from)] };
    for member in (0..6).map(MemberId) {
        words.extend([ViewMessage::Verify(member), ViewMessage::Vouch(member), ViewMessage::Answer(member)]);
        words.push(ViewMessage::Behind(member, number, ballot));
        words.push(ViewMessage::Exclude(member, MemberId(from), 60_000));
        words.push(ViewMessage::Fetch(member, member, vec![(1, 9)]));
        let seats = vec![seat(from), Seat { late: false, ..seat(member.0) }];
        let admission = Admission { ballot, view: view.clone(), before: Vec::new(), numbers: 0, seats };
        words.push(ViewMessage::Welcome(member, Box::new(admission)));
    }
    words.extend([
        ViewMessage::Prepare(ballot, members),
        ViewMessage::Ready(ballot),
        ViewMessage::Here(ballot, view),
    ]);
    words.push(ViewMessage::State(ballot, Vec::new(), Some((ballot, proposal.clone()))));
    words.push(ViewMessage::Relay(ViewMessage::Leave.encode((1, 1), MemberId(0)).frames));
    words.extend([ViewMessage::Propose(ballot, proposal.clone()), ViewMessage::Install(ballot, proposal)]);
    words
}
