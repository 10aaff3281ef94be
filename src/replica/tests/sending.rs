//! Words, flow control and repair between a few replicas.

use std::collections::BTreeSet;
use std::time::Duration;

use super::kit::Cluster;
use crate::ids::{MemberId, Time, To};
use crate::replica::entry::{Content, EntryId};
use crate::replica::message::{Line, Message, Piece, Word};
use crate::replica::record::{Forgotten, Record, Snapshot};
use crate::replica::{Effect, Effects, Input, Replica};

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A cluster whose members have heard one another.
fn started(members: usize) -> Cluster {
    let mut cluster = Cluster::new(members);
    cluster.run(ms(50));
    cluster
}

#[test]
fn flow_silent_receiver_is_left_out_after_a_second() {
    let mut cluster = started(3);
    cluster.part(0, 2);
    cluster.part(1, 2);
    for number in 0..200 {
        assert!(cluster.submit(0, &format!("{number}")));
    }
    cluster.run(ms(500));
    let held_up = cluster.nodes[1].list().len();
    assert!((8..100).contains(&held_up), "{held_up} texts went out to a silent member");
    cluster.run(SECOND);
    assert_eq!(cluster.nodes[1].list().len(), 200, "the others are not held up any more");
    cluster.cut.clear();
    cluster.settle();
    assert_eq!(cluster.nodes[2].final_list().len(), 200);
}

#[test]
fn flow_window_follows_the_smallest_room() {
    for (room, most) in [(1, 8), (30, 10), (92, 30), (3_000, 256)] {
        let mut cluster =
            Cluster::with(3, |config| config.room = if config.me.0 == 2 { room } else { 3_000 });
        cluster.run(ms(50));
        cluster.cut.extend([(1, 0), (2, 0)]);
        cluster.nodes[0].sent.clear();
        (0..256).for_each(|number| cluster.say(0, &format!("{number}")));
        let is_entry = |(_, message): &&(To, Message)| matches!(message, Message::Entry(_));
        let sent = cluster.nodes[0].sent.iter().filter(is_entry).count();
        assert_eq!(sent, most, "to a socket buffer for {room} datagrams");
    }
}

#[test]
fn flow_member_that_comes_back_far_behind_stops_nobody() {
    let mut cluster = started(3);
    cluster.is_checked = false;
    cluster.part(0, 2);
    cluster.part(1, 2);
    for number in 0..5_000 {
        while !cluster.submit(0, &format!("{number}")) {
            cluster.run(ms(20));
        }
    }
    cluster.run(2 * SECOND);
    assert_eq!(cluster.nodes[1].list().len(), 5_000);
    // It comes back, and makes progress all the time, but has far to go.
    for received in (0..3_900).step_by(100) {
        let mut word = cluster.nodes[2].replica().word(0, std::iter::empty());
        word.received[0] = received + 1;
        cluster.inject(2, 0, Message::Word(word));
        (0..10).for_each(|_| cluster.say(0, &format!("beside {received}")));
        assert_eq!(cluster.nodes[0].replica().unsent(), 0, "the sender waits for it at {received}");
        cluster.run(ms(20));
    }
    cluster.cut.clear();
    cluster.settle();
    assert_eq!(cluster.nodes[2].final_list().len(), 5_390);
}

#[test]
fn flow_full_log_takes_no_submission_until_it_forgets() {
    let mut cluster = Cluster::with(2, |config| config.limit = 3_000);
    cluster.run(ms(50));
    cluster.part(0, 1);
    let text = "x".repeat(500);
    let taken = (0..20).filter(|_| cluster.submit(0, &text)).count();
    assert!((5..=6).contains(&taken) && cluster.nodes[0].replica().is_full(), "{taken}");
    cluster.cut.clear();
    cluster.settle();
    assert!(!cluster.nodes[0].replica().is_full() && cluster.submit(0, &text));
}

#[test]
fn repair_any_holder_replies_when_the_sender_is_gone() {
    let mut cluster = started(4);
    cluster.part(0, 3);
    (0..20).for_each(|number| cluster.say(0, &format!("{number}")));
    // The member 3 gets from the members 1 and 2 the entries that they have when the sender dies.
    cluster.part(1, 3);
    cluster.part(2, 3);
    cluster.run(ms(20));
    cluster.crash(0, 0);
    cluster.cut.clear();
    cluster.run(2 * SECOND);
    let list = cluster.nodes[1].list().len();
    assert_eq!((list, cluster.nodes[3].list().len()), (20, 20));
    assert_eq!(cluster.nodes[3].final_list().len(), 20, "all others are heard, and nothing comes above them");
}

#[test]
fn repair_next_request_follows_a_full_reply_at_once() {
    let mut cluster = started(2);
    cluster.is_checked = false;
    cluster.part(0, 1);
    for _ in 0..3_000 {
        while !cluster.submit(0, &"x".repeat(600)) {
            cluster.run(ms(100));
        }
    }
    cluster.run(2 * SECOND);
    cluster.nodes[0].sent.clear();
    cluster.cut.clear();
    cluster.run(ms(100));
    assert_eq!(cluster.nodes[1].list().len(), 3_000);
    let entries = cluster.nodes[0].sent.iter().filter(|(_, message)| matches!(message, Message::Entry(_)));
    let entries = entries.count();
    assert!((3_000..3_200).contains(&entries), "{entries} were sent again");
}

#[test]
fn repair_asks_for_the_missing_pieces_alone() {
    let mut cluster = started(2);
    cluster.part(0, 1);
    cluster.nodes[0].sent.clear();
    cluster.say(0, &"0123456789".repeat(1_000));
    let pieces: Vec<Message> = cluster.nodes[0].sent.drain(..).map(|(_, message)| message).collect();
    let pieces: Vec<Message> =
        pieces.into_iter().filter(|message| matches!(message, Message::Piece(_))).collect();
    assert_eq!(pieces.len(), 9);
    for (_, piece) in pieces.iter().enumerate().filter(|(index, _)| ![3, 4, 8].contains(index)) {
        cluster.inject(0, 1, piece.clone());
    }
    cluster.nodes[1].sent.clear();
    cluster.run(ms(10));
    let wants = cluster.nodes[1].wants();
    let ranges: Vec<(u32, u32)> = wants[0].1.pieces.iter().map(|range| (range.first, range.last)).collect();
    let Message::Piece(Piece { start, whole, .. }) = pieces[8] else { unreachable!() };
    let expected = vec![(start / 8 * 3, start / 8 * 5 - 1), (start, whole - 1)];
    assert_eq!((ranges, &*wants[0].1.entries), (expected, &[][..]));
    cluster.cut.clear();
    cluster.settle();
    let is_piece = |(_, message): &&(To, Message)| matches!(message, Message::Piece(_));
    assert_eq!(cluster.nodes[0].sent.iter().filter(is_piece).count(), 3, "it sends nothing else again");
}

#[test]
fn repair_joins_pieces_of_holders_with_other_lengths() {
    // The cluster files of two members may have different MTUs.
    let lengths = [600, 1_165, 900];
    let mut cluster = Cluster::with(3, |config| config.longest = lengths[usize::from(config.me.0)]);
    cluster.run(ms(50));
    cluster.loss = Some((crate::prng::Prng::new(7), 3));
    for number in 0..30 {
        cluster.say(number % 3, &"0123456789".repeat(500 + number));
        cluster.run(ms(1));
    }
    cluster.settle();
    assert_eq!(cluster.nodes[2].final_list().len(), 30);
    assert!(cluster.nodes.iter().all(|node| node.forked.is_empty()));
}

#[test]
fn repair_of_a_long_text_by_holders_with_other_lengths_ends() {
    let lengths = [600, 1_165, 900];
    let mut cluster = Cluster::with(3, |config| config.longest = lengths[usize::from(config.me.0)]);
    cluster.run(ms(50));
    cluster.part(0, 2);
    cluster.part(1, 2);
    cluster.say(0, &"0123456789".repeat(50_000));
    cluster.run(2 * SECOND);
    assert_eq!(cluster.nodes[1].list().len(), 1);
    // Half of the pieces of the one who comes back are lost on the way.
    cluster.cut.clear();
    cluster.loss = Some((crate::prng::Prng::new(3), 2));
    cluster.run(10 * SECOND);
    assert_eq!(cluster.nodes[2].list().len(), 1);
}

#[test]
fn repair_goes_on_with_other_pieces_when_the_holder_of_the_first_is_gone() {
    let lengths = [600, 1_165, 900];
    let mut cluster = Cluster::with(3, |config| config.longest = lengths[usize::from(config.me.0)]);
    cluster.run(ms(50));
    cluster.part(0, 2);
    cluster.part(1, 2);
    cluster.nodes[0].sent.clear();
    cluster.say(0, &"0123456789".repeat(1_000));
    cluster.run(SECOND);
    let pieces: Vec<Message> = cluster.nodes[0].sent.drain(..).map(|(_, message)| message).collect();
    let pieces = pieces.into_iter().filter(|message| matches!(message, Message::Piece(_)));
    // The first half of the short pieces is all that ever comes of them.
    for piece in pieces.take(10) {
        cluster.inject(0, 2, piece);
    }
    cluster.crash(0, 0);
    cluster.cut.clear();
    cluster.run(3 * SECOND);
    assert_eq!((cluster.nodes[1].list().len(), cluster.nodes[2].list().len()), (1, 1));
}

#[test]
fn repair_request_with_many_gaps_fits_in_a_datagram() {
    let mut cluster = Cluster::with(2, |config| config.longest = 90);
    cluster.run(ms(50));
    cluster.part(0, 1);
    for number in 1..=60 {
        cluster.say(0, &"x".repeat(if number <= 20 { 200 } else { 1 }));
        cluster.run(SECOND);
    }
    // One piece of each long entry has come, and every second of the short ones.
    let sent: Vec<Message> = cluster.nodes[0].sent.drain(..).map(|(_, message)| message).collect();
    for message in sent {
        let is_lost = match &message {
            Message::Entry(entry) => entry.id.number % 2 == 0,
            Message::Piece(piece) => piece.start != 69,
            _ => true,
        };
        if !is_lost {
            cluster.inject(0, 1, message);
        }
    }
    cluster.nodes[1].sent.clear();
    cluster.run(ms(10));
    let wants = cluster.nodes[1].wants();
    let (entries, pieces) = (wants[0].1.entries.len(), wants[0].1.pieces.len());
    assert!(entries > 0 && pieces > 1 && entries + pieces < 30, "{entries} and {pieces} ranges");
    cluster.cut.clear();
    cluster.settle();
    assert_eq!(cluster.nodes[1].final_list().len(), 60);
}

#[test]
fn repair_asks_for_whole_entries_when_false_pieces_are_in_the_way() {
    let mut cluster = started(2);
    cluster.part(0, 1);
    cluster.say(0, &"0123456789".repeat(1_000));
    let id = EntryId { origin: MemberId(0), number: 1 };
    let bytes = bytes::Bytes::from(vec![7; 11_000]);
    cluster.inject(0, 1, Message::Piece(Piece { id, start: 0, whole: 12_000, bytes }));
    cluster.cut.clear();
    cluster.run(3 * SECOND);
    assert_eq!(cluster.nodes[1].list().len(), 1);
}

#[test]
fn repair_of_forgotten_entries_is_not_looped_over() {
    let mut cluster = started(2);
    (0..50).for_each(|number| cluster.say(0, &format!("{number}")));
    cluster.settle();
    assert_eq!(cluster.nodes[0].replica().log.forgotten(0), 50);
    let entries = vec![crate::replica::message::EntryRange { origin: MemberId(0), first: 1, last: u64::MAX }];
    let want = crate::replica::message::Want { room: 1 << 20, entries, pieces: Vec::new() };
    cluster.nodes[0].sent.clear();
    assert_eq!(cluster.inject(1, 0, Message::Want(want)), 1);
    let reply = Message::Forgotten(EntryId { origin: MemberId(0), number: 50 });
    assert_eq!(cluster.nodes[0].sent, [(To::Member(MemberId(1)), reply)]);
}

#[test]
fn words_reach_members_that_do_not_hear_each_other() {
    let mut cluster = started(3);
    cluster.part(0, 2);
    cluster.say(0, "from one end");
    cluster.run(ms(20));
    cluster.say(2, "from the other end");
    cluster.settle();
    for node in &cluster.nodes {
        assert_eq!(node.final_list(), ["from one end", "from the other end"]);
    }
}

#[test]
fn words_end_the_run_of_members_that_do_not_hear_each_other() {
    let mut cluster = started(3);
    cluster.part(0, 2);
    (0..3).for_each(|at| cluster.submit_content(at, Content::Finished));
    cluster.settle();
    cluster.run(ms(2_000));
    assert!(cluster.nodes.iter().all(|node| node.replica().is_settled()), "the one between them tells both");
    let unsettled: Vec<MemberId> = cluster.nodes[0].replica().unsettled().collect();
    assert_eq!(unsettled, [MemberId(2)], "its own word is never heard");
}

#[test]
fn words_with_room_for_few_lines_pass_on_all_in_turn() {
    for members in 3..8_usize {
        // A word of a member has its own line, and room for some of the others.
        for others in 1..members - 1 {
            let line = 5 + members;
            let longest = 39 + members + line * (1 + others);
            let mut cluster = Cluster::with(members, |config| config.longest = longest);
            cluster.run(2 * Duration::from_secs(members as u64));
            let words = cluster.nodes[0].sent.iter().filter_map(|(_, message)| match message {
                Message::Word(word) => Some(word),
                _ => None,
            });
            let about = |word: &Word| word.lines.iter().map(|line| line.member.0).collect::<Vec<_>>();
            let words: Vec<Vec<u16>> = words.map(about).collect();
            assert!(words.iter().all(|lines| lines.len() == 1 + others), "{words:?}");
            let passed_on: BTreeSet<u16> = words.into_iter().flatten().collect();
            assert_eq!(passed_on.len(), members, "{members} members, {others} lines: {passed_on:?}");
        }
    }
}

#[test]
fn words_of_many_members_with_high_numbers_fit_and_tell_all_in_turn() {
    for (members, longest) in [(64, 529), (64, 1_165), (64, 120), (40, 529), (3, 110)] {
        let mut cluster = Cluster::with(members, |config| config.longest = longest);
        cluster.is_checked = false;
        let config = cluster.nodes[0].config;
        let high = 1 << 62;
        let origins = vec![Forgotten { number: high, time: high, ..Forgotten::default() }; members];
        let snapshot = Snapshot { origins, sent: vec![0; members], ..Snapshot::default() };
        let records = [(1, Record::Snapshot(snapshot))];
        let (mut replica, _) =
            Replica::recover(cluster.now, config, &records, 2, &mut Effects::new()).unwrap();
        let stored = vec![high; members];
        for member in 1..members {
            let line =
                Line { member: MemberId(member as u16), sent: high, clock: high, stored: stored.clone() };
            replica.matrix.learn(&line, 0, false);
        }
        // By member: the numbers that the words had for it, in its own line, and in each line of another.
        let mut told = BTreeSet::new();
        for second in 0..500 {
            let mut effects = Effects::new();
            replica.handle(Time::from_micros(second * 1_000_000), Input::Wake, &mut effects);
            let words = effects.into_iter().filter_map(|effect| match effect {
                Effect::Send(_, Message::Word(word)) => Some(word),
                _ => None,
            });
            for word in words {
                let length = Message::Word(word.clone()).bytes().len();
                assert!(length <= longest, "{members} members: {length} octets, room for {longest}");
                assert!(word.lines.len() > 1, "{members} members, {longest}: nothing is passed on");
                let of = (0..members).filter(|&of| word.number(&word.received, of).is_some());
                let lines = || word.lines.iter().map(|line| line.member.0);
                told.extend(of.flat_map(|of| lines().map(move |line| (line, of))));
            }
        }
        if longest >= 529 {
            assert_eq!(told.len(), members * members, "{members} members, {longest} octets");
        }
    }
}

#[test]
fn words_with_room_for_few_members_confirm_everything() {
    // Room for the numbers of three members of eight in each word.
    let mut cluster = Cluster::with(8, |config| config.longest = 58);
    cluster.is_checked = false;
    cluster.run(SECOND);
    for at in 0..8 {
        cluster.say(at, "short");
    }
    cluster.settle();
    assert!(cluster.nodes.iter().all(|node| node.final_list().len() == 8));
}
