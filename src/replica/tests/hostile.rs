//! Messages that no correct member sends. None makes a replica panic, loop, allocate much or ask for ever more.

use std::time::Duration;

use bytes::Bytes;

use super::kit::{Cluster, multicast};
use crate::ids::{MemberId, To};
use crate::prng::Prng;
use crate::replica::DropReason;
use crate::replica::entry::{Content, Entry, EntryId, Fields};
use crate::replica::message::{EntryRange, LONGEST_ENTRY, Line, Message, Piece, PieceRange, Want, Word};
use crate::wire::BatchBuilder;

/// The member that the lies are told, and the one that tells them.
const VICTIM: usize = 0;
const LIAR: usize = 1;
/// Numbers that are wrong, or too high, in most places.
const NUMBERS: [u64; 8] = [0, 1, 4, 1 << 16, (1 << 20) + 3, (1 << 33) + 1, 1 << 63, u64::MAX];
/// More effects than any message may have.
const MOST_EFFECTS: usize = 5_000;

/// A cluster in the middle of a run. The victim has entries of everybody, and lacks some of the third member.
fn stage() -> Cluster {
    let mut cluster = Cluster::with(3, |config| config.longest = 600);
    cluster.run(Duration::from_millis(50));
    for at in [1, 2, 0, 2, 1] {
        cluster.say(at, &format!("an early text of {at}"));
        cluster.run(Duration::from_millis(50));
    }
    cluster.part(0, 2);
    cluster.say(2, "what the victim does not hear at once");
    cluster.say(2, &"long ".repeat(1_000));
    cluster.cut.insert((1, 0));
    cluster.run(Duration::from_millis(5));
    cluster
}

/// Goes on without lies: everything must be confirmed everywhere.
fn goes_well(mut cluster: Cluster, lie: &str) {
    cluster.cut.clear();
    cluster.say(0, "an answer");
    cluster.say(1, "another answer");
    cluster.settle();
    let lists: Vec<_> = cluster.nodes.iter().map(|node| node.final_list()).collect();
    assert!(lists[0].len() == 9 && lists.iter().all(|list| *list == lists[0]), "{lie}: {lists:?}");
}

fn word_of(cluster: &Cluster) -> Word {
    cluster.nodes[LIAR].replica().word(0, [0, 2].into_iter())
}

/// Words whose form is wrong, or whose numbers are beyond those of any member.
fn bad_words(word: &Word) -> Vec<Word> {
    let mut words = vec![
        Word { lines: Vec::new(), ..word.clone() },
        Word { lines: word.lines[1..].to_vec(), ..word.clone() },
        Word { received: Vec::new(), ..word.clone() },
        Word { received: vec![1; 64], ..word.clone() },
        Word { first: MemberId(1), ..word.clone() },
        Word { first: MemberId(u16::MAX), ..word.clone() },
    ];
    let far = [(1 << 33) + 1, 1 << 63, u64::MAX];
    for at in 0..word.lines.len() {
        let mut with = |change: &dyn Fn(&mut Line)| {
            let mut word = word.clone();
            change(&mut word.lines[at]);
            words.push(word);
        };
        with(&|line| line.member = MemberId(777));
        with(&|line| line.stored = Vec::new());
        with(&|line| line.stored = vec![0; 64]);
        for number in far {
            with(&|line| line.sent = number);
            with(&|line| line.clock = number);
            (0..3).for_each(|origin| with(&|line| line.stored[origin] = number));
        }
    }
    let line = Line { member: MemberId(777), sent: 1, clock: 1, stored: vec![1; 3] };
    let lines = word.lines.iter().cloned().chain(std::iter::repeat_n(line, 60)).collect();
    words.push(Word { lines, ..word.clone() });
    words
}

#[test]
fn hostile_words_change_nothing() {
    let count = bad_words(&word_of(&stage())).len();
    for at in 0..count {
        let mut cluster = stage();
        let lie = bad_words(&word_of(&cluster)).swap_remove(at);
        let title = format!("{lie:?}");
        let before = cluster.nodes[VICTIM].replica().clone();
        cluster.inject(LIAR, VICTIM, Message::Word(lie));
        let reason = cluster.nodes[VICTIM].drops.last();
        let is_refused =
            [Some(&DropReason::BreaksContract), Some(&DropReason::OutsideWindow)].contains(&reason);
        assert!(is_refused, "{title}: {reason:?}");
        let after = cluster.nodes[VICTIM].replica();
        assert!(after.matrix == before.matrix && after.phase == before.phase, "{title}");
        assert!(after.window() == before.window() && after.clock == before.clock, "{title}");
        goes_well(cluster, &title);
    }
}

#[test]
fn hostile_words_about_flow_and_end_change_little() {
    let word = word_of(&stage());
    for number in NUMBERS {
        let lies = [
            Word { received: vec![number; 3], ..word.clone() },
            Word { room: number, ..word.clone() },
            Word { life: u32::MAX, confirmed: number, settled: true, ..word.clone() },
        ];
        for lie in lies {
            let mut cluster = stage();
            let title = format!("{lie:?}");
            cluster.inject(LIAR, VICTIM, Message::Word(lie));
            goes_well(cluster, &title);
        }
    }
}

/// Entries that no correct member sends, with all combinations of these fields, as far as they can be written.
fn bad_entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let causes = |origin: u16, number: u64| {
        let mut causes = vec![0; 3];
        if let Some(own) = causes.get_mut(usize::from(origin)) {
            *own = number.wrapping_sub(1);
        }
        causes
    };
    for (origin, number) in [0, 1, 2, 777].into_iter().flat_map(|at| NUMBERS.map(|number| (at, number))) {
        let usual = causes(origin, number);
        let mut far = usual.clone();
        far.iter_mut().for_each(|cause| *cause = (*cause).max(u64::MAX - 1));
        for causes in [usual, far, Vec::new(), vec![7; 64], vec![number; 3]] {
            for time in [0, 1, 9, 1 << 40, u64::MAX] {
                let id = EntryId { origin: MemberId(origin), number };
                let fields =
                    Fields { id, time, life: 1, previous: 99, causes: causes.clone(), content: odd() };
                entries.push(Entry::new(&fields));
            }
        }
    }
    entries
}

/// Messages to nobody, with the highest numbers that there are.
fn odd() -> Content {
    let mut batch = BatchBuilder::new(1);
    batch.push(b"odd");
    Content::Direct(MemberId(777), batch.finish().unwrap().numbered_from(u64::MAX - 1))
}

#[test]
fn hostile_entries_are_refused_and_do_no_harm() {
    let entries = bad_entries();
    for chunk in entries.chunks(50) {
        let mut cluster = stage();
        for entry in chunk {
            let before = cluster.nodes[VICTIM].replica().log.clone();
            let effects = cluster.inject(LIAR, VICTIM, Message::Entry(entry.clone()));
            assert!(effects < 10, "{effects} effects of {entry:?}");
            assert!(cluster.nodes[VICTIM].replica().log == before, "{entry:?}");
        }
        goes_well(cluster, "entries");
    }
}

#[test]
fn hostile_entry_without_a_time_is_no_fork() {
    let mut cluster = Cluster::new(2);
    cluster.run(Duration::from_millis(50));
    let id = EntryId { origin: MemberId(1), number: 1 };
    let fields =
        Fields { id, time: 0, life: 1, previous: 0, causes: vec![0, 0], content: multicast(1, "timeless") };
    cluster.inject(1, 0, Message::Entry(Entry::new(&fields)));
    assert_eq!(
        (&*cluster.nodes[0].drops, &*cluster.nodes[0].forked),
        (&[DropReason::BreaksContract][..], &[][..])
    );
}

#[test]
fn hostile_causes_beyond_the_window_blame_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.run(Duration::from_millis(50));
    // A member that was away for days hears of a million entries: the sender is honest, the entry comes again later.
    let id = EntryId { origin: MemberId(1), number: 1 };
    let causes = vec![0, 0, 2_000_000];
    let fields = Fields { id, time: 3_000_000, life: 1, previous: 0, causes, content: multicast(1, "late") };
    cluster.inject(1, 0, Message::Entry(Entry::new(&fields)));
    assert_eq!(cluster.nodes[0].drops, [DropReason::OutsideWindow]);
}

#[test]
fn hostile_wants_are_answered_within_their_bounds() {
    let range = |origin, first, last| EntryRange { origin: MemberId(origin), first, last };
    let pieces = |origin, number, first, last| PieceRange {
        id: EntryId { origin: MemberId(origin), number },
        first,
        last,
    };
    for (room, origin, number) in NUMBERS
        .into_iter()
        .flat_map(|room| [0, 1, 2, 777].map(|origin| (room, origin)))
        .flat_map(|(room, origin)| NUMBERS.map(|number| (room, origin, number)))
    {
        let entries = vec![range(origin, number.max(1), u64::MAX); 64];
        let pieces = vec![pieces(origin, number.max(1), 1, LONGEST_ENTRY - 1); 64];
        let want = Want { room, entries, pieces };
        let mut cluster = stage();
        // The liar has the most entries.
        cluster.nodes[LIAR].sent.clear();
        let effects = cluster.inject(VICTIM, LIAR, Message::Want(want));
        assert!(effects <= MOST_EFFECTS, "{effects} effects");
        let is_reply = |(to, message): &&(To, Message)| {
            *to == To::Member(MemberId(0)) && matches!(message, Message::Entry(_) | Message::Piece(_))
        };
        let sent: usize =
            cluster.nodes[LIAR].sent.iter().filter(is_reply).map(|(_, message)| message.bytes().len()).sum();
        let most = room.min(256 << 10);
        assert!(sent as u64 <= most + most / 20 + 1_200, "{sent} bytes for {room}");
    }
}

#[test]
fn hostile_pieces_of_any_shape_do_no_harm() {
    for (number, whole) in NUMBERS
        .into_iter()
        .flat_map(|number| [101, 200, 5_050, LONGEST_ENTRY].map(|whole| (number.max(1), whole)))
    {
        let mut cluster = stage();
        for origin in [0, 1, 2, 777] {
            for start in [0, 1, whole - 100] {
                let id = EntryId { origin: MemberId(origin), number };
                let bytes = Bytes::from(vec![7; 100]);
                let effects = cluster.inject(LIAR, VICTIM, Message::Piece(Piece { id, start, whole, bytes }));
                assert!(effects < 10);
            }
        }
        goes_well(cluster, &format!("pieces of {number}, {whole}"));
    }
}

#[test]
fn hostile_numbers_of_entries_that_never_come_cause_few_requests() {
    let mut cluster = stage();
    let mut word = word_of(&cluster);
    word.lines[0].sent = 1 << 31;
    word.lines[0].stored = vec![2, 1 << 31, 1 << 31];
    cluster.inject(LIAR, VICTIM, Message::Word(word));
    cluster.cut.clear();
    cluster.run(Duration::from_secs(1));
    cluster.nodes[VICTIM].wants();
    cluster.run(Duration::from_secs(10));
    let wants = cluster.nodes[VICTIM].wants();
    assert!((10..80).contains(&wants.len()), "{} requests in ten seconds", wants.len());
}

#[test]
fn hostile_claims_about_own_entries_stop_nobody() {
    let claims = [4, 1_000, 1 << 31];
    for (claim, at) in claims.into_iter().flat_map(|claim| (0..6).map(move |at| (claim, at))) {
        let mut cluster = stage();
        // The word has the lines of the liar, of the victim and of the third.
        let mut word = cluster.nodes[LIAR].replica().word(0, [0, 2].into_iter());
        match at {
            0..3 => word.lines[at].stored[VICTIM] = claim,
            3 => word.lines[1].sent = claim,
            4 => (word.lines[1].sent, word.lines[0].stored[VICTIM]) = (claim, claim),
            _ => word.lines.iter_mut().for_each(|line| line.stored[VICTIM] = claim),
        }
        cluster.inject(LIAR, VICTIM, Message::Word(word));
        let victim = &cluster.nodes[VICTIM];
        assert_eq!(victim.drops.last(), Some(&DropReason::BreaksContract), "{claim}, {at}");
        assert!(victim.replica().window() > 0, "{claim}, {at}: it sends nothing more");
        cluster.cut.clear();
        cluster.nodes[VICTIM].wants();
        cluster.run(Duration::from_secs(3));
        let own = |want: &Want| want.entries.iter().any(|range| usize::from(range.origin.0) == VICTIM);
        assert!(!cluster.nodes[VICTIM].wants().iter().any(|(_, want)| own(want)), "{claim}, {at}");
        goes_well(cluster, &format!("{claim}, {at}"));
    }
}

#[test]
fn hostile_altered_messages_never_panic() {
    let (mut read, mut drops) = (0, 0);
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let mut cluster = stage();
        for _ in 0..300 {
            let from = prng.below(3) as usize;
            let to = (from + 1 + prng.below(2) as usize) % 3;
            let sent = &cluster.nodes[from].sent;
            let Some((_, message)) = sent.get(prng.below(sent.len().max(1) as u64) as usize) else {
                continue;
            };
            let mut bytes = message.bytes().to_vec();
            for _ in 0..prng.between(1, 3) {
                let at = prng.below(bytes.len().min(60) as u64) as usize;
                bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff, prng.below(256) as u8][prng.below(7) as usize];
            }
            if let Ok(message) = Message::parse(bytes.into()) {
                read += 1;
                let effects = cluster.inject(from, to, message);
                assert!(effects <= MOST_EFFECTS, "seed {seed}: {effects} effects");
            }
            if prng.below(10) == 0 {
                cluster.run(Duration::from_millis(prng.below(50)));
            }
        }
        drops += cluster.nodes.iter().map(|node| node.drops.len()).sum::<usize>();
    }
    assert!(read > 5_000 && drops > 1_000, "{read} {drops}");
}
