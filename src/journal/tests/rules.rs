//! The rules among records, and the words for them.

use bytes::Bytes;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ids::MemberId;
use crate::journal::audit::{Summary, audit};
use crate::journal::words;
use crate::replica::entry::{Content, Entry, EntryId, Fields, Stamp};
use crate::replica::record::{Confirmed, Forgotten, Old, Record, Snapshot};
use crate::wire::{Batch, BatchBuilder};

fn batch(first: u64, texts: &[&[u8]]) -> Batch {
    let mut builder = BatchBuilder::new(first);
    texts.iter().for_each(|text| assert!(builder.push(text) > 0));
    builder.finish().unwrap()
}

fn entry(slot: u16, number: u64, time: u64, previous: u64, causes: [u64; 2], content: Content) -> Entry {
    let id = EntryId { origin: MemberId(slot), number };
    Entry::new(&Fields { id, time, life: 1, previous, causes: causes.to_vec(), content })
}

fn multicast(slot: u16, number: u64, time: u64, previous: u64, causes: [u64; 2]) -> Entry {
    entry(slot, number, time, previous, causes, Content::Multicast(batch(number, &[b"hello"])))
}

fn place(time: u64, slot: u16) -> Stamp {
    Stamp { time, origin: MemberId(slot) }
}

/// The entries of a sound journal: two multicasts, a direct message, an end.
fn entries() -> [Entry; 4] {
    let first = multicast(0, 1, 1, 0, [0, 0]);
    let other = multicast(1, 1, 2, 0, [1, 0]);
    let direct = Content::Direct(MemberId(1), batch(1, &[b"psst", b"\xff"]));
    let second = entry(0, 2, 3, first.digest(), [1, 1], direct);
    let end = entry(1, 2, 9, other.digest(), [2, 1], Content::Finished);
    [first, other, second, end]
}

/// The prefix of both multicasts.
fn two() -> Confirmed {
    let [first, other, ..] = entries();
    let chained = |digest, entry: &Entry| xxh3_64_with_seed(&entry.digest().to_le_bytes(), digest);
    Confirmed { upto: place(2, 1), entries: 2, count: 2, digest: chained(chained(0, &first), &other) }
}

/// The same with the direct message.
fn three() -> Confirmed {
    Confirmed { upto: place(3, 0), entries: 3, ..two() }
}

/// The records of a sound journal, with the indices 1 to 8.
fn sound() -> Vec<Record> {
    let [first, other, second, end] = entries().map(Record::Entry);
    vec![
        Record::Life { number: 1 },
        first,
        other,
        Record::Confirmed(two()),
        second,
        Record::Life { number: 2 },
        end,
        Record::Confirmed(three()),
    ]
}

fn numbered(records: &[Record]) -> Vec<(u64, Bytes)> {
    (1..).zip(records.iter().map(Record::bytes)).collect()
}

/// The flaw of a journal of the first records and one more.
fn flaw_with(first: usize, record: Record) -> String {
    let mut records = sound();
    records.truncate(first);
    records.push(record);
    let flaws = audit(&numbered(&records)).unwrap_err();
    assert_eq!((flaws.len(), flaws[0].index), (1, first as u64 + 1), "{flaws:?}");
    flaws[0].says.clone()
}

#[test]
fn check_sound_records_are_summed_up() {
    assert_eq!(audit(&numbered(&sound())), Ok(Summary { life: 2, entries: 4, confirmed: three() }));
    assert_eq!(audit(&[]), Ok(Summary::default()));
}

#[test]
fn check_entry_that_breaks_a_rule_is_named() {
    let digest = entries()[0].digest();
    let entry = |number, time, previous, causes| Record::Entry(multicast(0, number, time, previous, causes));
    assert_eq!(flaw_with(3, entry(3, 5, digest, [1, 1])), "is entry 0/3, after number 1 of this member");
    assert_eq!(flaw_with(3, entry(1, 5, 0, [0, 0])), "is entry 0/1, after number 1 of this member");
    let wrong = flaw_with(3, entry(2, 5, 7, [1, 1]));
    assert!(wrong.starts_with("is entry 0/2, which follows digest 0000000000000007, but"), "{wrong}");
    assert_eq!(flaw_with(3, entry(2, 1, digest, [1, 0])), "is entry 0/2 at 1, after time 1");
    let early = flaw_with(3, entry(2, 2, digest, [1, 1]));
    assert_eq!(early, "is entry 0/2 at 2, and its cause entry 1/1 is at 2");
    let lacks = flaw_with(3, entry(2, 5, digest, [1, 2]));
    assert_eq!(lacks, "is entry 0/2, and its cause entry 1/2 is not before it");
    assert_eq!(flaw_with(4, entry(2, 2, digest, [1, 0])), "is entry 0/2 at 2/0, below what is confirmed");
    let after = Record::Entry(multicast(1, 3, 10, entries()[3].digest(), [2, 2]));
    assert_eq!(flaw_with(8, after), "is entry 1/3, after the member had finished");
}

#[test]
fn check_other_record_that_breaks_a_rule_is_named() {
    assert_eq!(flaw_with(4, Record::Life { number: 1 }), "is life 1, after life 1");
    let digest = format!("{:016x}", two().digest);
    let wrong = [
        Confirmed { upto: place(2, 0), ..two() },
        Confirmed { entries: 3, ..two() },
        Confirmed { count: 1, ..two() },
        Confirmed { digest: 7, ..two() },
    ];
    for confirmed in wrong {
        let told = flaw_with(3, Record::Confirmed(confirmed));
        let here = told.contains("but here are 2 entries up to 2/1, 2 messages")
            || told.contains("but here are 1 entries up to 1/0");
        assert!(told.starts_with("confirms ") && here, "{told}");
    }
    let [first, ..] = entries();
    let chained = xxh3_64_with_seed(&first.digest().to_le_bytes(), 0);
    let back = Confirmed { upto: place(1, 0), entries: 1, count: 1, digest: chained };
    let told = flaw_with(4, Record::Confirmed(back));
    assert_eq!(
        told,
        format!(
            "confirms 1 entries up to 1/0, 1 messages, digest {chained:016x}, \
             after 2 entries up to 2/1, 2 messages, digest {digest}"
        )
    );
    let mut records = numbered(&sound());
    records[1].1 = Bytes::from_static(b"\x09");
    let flaws = audit(&records).unwrap_err();
    assert_eq!((flaws[0].index, &*flaws[0].says), (2, "is no record"));
    assert!(flaws.len() > 1, "what followed it lacks it: {flaws:?}");
}

#[test]
fn check_begins_at_the_snapshot() {
    let mut records = sound();
    let [first, other, ..] = entries();
    let forgotten = |entry: &Entry| Forgotten {
        number: 1,
        time: entry.time,
        digest: entry.digest(),
        multicasts: 1,
        finished: false,
    };
    let origins = vec![forgotten(&first), forgotten(&other)];
    records.push(Record::Snapshot(Snapshot { confirmed: two(), origins, ..Snapshot::default() }));
    let left = |from: usize| numbered(&records).split_off(from);
    assert_eq!(audit(&left(4)), Ok(Summary { life: 2, entries: 2, confirmed: three() }));
    assert_eq!(audit(&left(2)), audit(&left(4)), "what is forgotten may be there still");
    let lost = audit(&left(5)).unwrap_err();
    assert_eq!(lost[0].says, "is entry 1/2, and its cause entry 0/2 is not before it");
}

#[test]
fn show_has_words_for_every_record() {
    let mut records = sound();
    let origins = vec![Forgotten { number: 7, time: 3, digest: 5, multicasts: 6, finished: true }];
    let confirmed = Confirmed { digest: 2, ..three() };
    records.push(Record::Snapshot(Snapshot { confirmed, origins, received: 1, sent: vec![2] }));
    let id = EntryId { origin: MemberId(1), number: 9 };
    records.extend([Old::Forked(id), Old::Lacks(id)].map(Record::Old));
    let lines: Vec<String> = records.iter().map(|record| words::line(&record.bytes())).collect();
    let digest = format!("{:016x}", two().digest);
    assert_eq!(
        lines,
        [
            "life 1",
            "entry 0/1 at 1/0, life 1, causes [0, 0]: multicast 1 \"hello\"",
            "entry 1/1 at 2/1, life 1, causes [1, 0]: multicast 1 \"hello\"",
            &format!("confirmed: 2 entries up to 2/1, 2 messages, digest {digest}"),
            "entry 0/2 at 3/0, life 1, causes [1, 1]: to slot 1 1 \"psst\", 2 \"\\xff\"",
            "life 2",
            "entry 1/2 at 9/1, life 1, causes [2, 1]: finished",
            &format!("confirmed: 3 entries up to 3/0, 2 messages, digest {digest}"),
            "snapshot: entries up to [7] are forgotten: \
             3 entries up to 3/0, 2 messages, digest 0000000000000002",
            "an old copy: others have another entry 1/9",
            "an old copy: others have forgotten entry 1/9",
        ]
    );
    assert_eq!(words::line(&Bytes::from_static(b"??")), "no record: 2 bytes");
}

#[test]
fn show_has_an_object_for_every_record() {
    let records = sound();
    let object = |place: usize| words::json(place as u64 + 1, &records[place].bytes());
    assert_eq!(object(0), json!({ "v": 1, "index": 1, "kind": "life", "number": 1 }));
    let direct = object(4);
    assert_eq!(
        direct["direct"],
        json!([{ "number": 1, "text": "psst" }, { "number": 2, "text_b64": "/w==" }])
    );
    assert_eq!((&direct["to"], &direct["origin"], &direct["time"]), (&json!(1), &json!(0), &json!(3)));
    assert_eq!(direct["previous"], object(1)["digest"]);
    assert_eq!((&object(7)["upto"], &object(7)["entries"]), (&json!([3, 0]), &json!(3)));
    assert_eq!(object(6)["finished"], json!(true));
    let snapshot = Snapshot { received: 4, sent: vec![2, 3], ..Snapshot::default() };
    let snapshot = words::json(5, &Record::Snapshot(snapshot).bytes());
    assert_eq!((&snapshot["received"], &snapshot["sent"]), (&json!(4), &json!([2, 3])));
    let lacks = Old::Lacks(EntryId { origin: MemberId(1), number: 9 });
    let old = words::json(6, &Record::Old(lacks).bytes());
    assert_eq!(old, json!({ "v": 1, "index": 6, "kind": "old", "why": "lacks", "origin": 1, "number": 9 }));
    let unknown = words::json(9, &Bytes::from_static(b"??"));
    assert_eq!(unknown, json!({ "v": 1, "index": 9, "kind": "unknown", "bytes": 2 }));
}
