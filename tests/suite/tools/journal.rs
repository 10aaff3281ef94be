//! `groupcast journal`: what it shows of a journal, and how it refuses one.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use groupcast::ids::MemberId;
use groupcast::journal::{self, Commit, Identity, Journal};
use groupcast::replica::entry::{Content, Entry, EntryId, Fields, Stamp};
use groupcast::replica::record::{Confirmed, Record};
use groupcast::wire::BatchBuilder;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::harness::{Launch, Stage};

fn owner() -> Identity {
    Identity { cluster: 0xc0_ffee, member: "s1".into(), slot: 0 }
}

/// Makes the journal of a member that has multicast one text, which is confirmed.
pub(super) fn make(dir: &Path) -> impl Journal + use<> {
    let mut batch = BatchBuilder::new(1);
    batch.push(b"hello");
    let entry = Entry::new(&Fields {
        id: EntryId { origin: MemberId(0), number: 1 },
        time: 1,
        life: 1,
        previous: 0,
        causes: vec![0, 0],
        content: Content::Multicast(batch.finish().unwrap()),
    });
    let confirmed = Confirmed {
        upto: Stamp { time: 1, origin: MemberId(0) },
        entries: 1,
        count: 1,
        digest: xxh3_64_with_seed(&entry.digest().to_le_bytes(), 0),
    };
    let nothing = Record::Confirmed(Confirmed::default());
    let records = [Record::Life { number: 1 }, nothing, Record::Entry(entry), Record::Confirmed(confirmed)];
    let append: Vec<Bytes> = records.iter().map(Record::bytes).collect();
    let (mut journal, _) = journal::open(dir, &owner()).unwrap();
    journal.commit(Commit { append, remove: vec![2] }).unwrap();
    journal
}

fn tool<'a>(stage: &'a Stage, action: &str) -> Launch<'a> {
    stage.bare("groupcast").args(["journal", action, "data/s1"])
}

#[test]
fn journal_show_has_a_line_for_each_record() {
    let stage = Stage::new();
    drop(make(&stage.dir().join("data/s1")));
    let (text, said) = tool(&stage, "show").ends(0);
    assert_eq!(said, "");
    let lines = [
        "s1 (slot 0) of cluster 000000c0ffee: 3 records, ",
        "1  life 1",
        "3  entry 0/1 at 1/0, life 1, causes [0, 0]: multicast 1 \"hello\"",
        "4  confirmed: 1 entries up to 1/0, 1 messages, digest ",
    ];
    let is_shown = |(shown, line): (&str, &str)| shown.starts_with(line);
    assert!(text.lines().count() == 4 && text.lines().zip(lines).all(is_shown), "{text}");
    let (objects, _) = tool(&stage, "show").arg("--json").ends(0);
    let objects: Vec<Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds = objects.iter().map(|object| (object["v"].as_u64(), object["kind"].as_str()));
    assert!(kinds.eq(["life", "entry", "confirmed"].map(|kind| (Some(1), Some(kind)))), "{objects:?}");
    assert_eq!(objects[1]["multicast"][0]["text"], "hello");
}

#[test]
fn journal_check_sums_up_a_sound_one() {
    let stage = Stage::new();
    drop(make(&stage.dir().join("data/s1")));
    let (text, _) = tool(&stage, "check").ends(0);
    assert!(text.starts_with("ok  s1 (slot 0) of cluster 000000c0ffee: 3 records, "), "{text}");
    assert!(text.ends_with("; next 5; life 1, 1 entries, 1 messages confirmed\n"), "{text}");
    let (object, _) = tool(&stage, "check").arg("--json").ends(0);
    let object: Value = serde_json::from_str(&object).unwrap();
    let numbers = ["v", "slot", "records", "next", "life", "entries", "confirmed"];
    assert_eq!(numbers.map(|field| object[field].as_u64()), [1, 0, 3, 5, 1, 1, 1].map(Some), "{object}");
    assert_eq!((&object["verdict"], &object["member"]), (&"ok".into(), &"s1".into()));
}

#[test]
fn journal_that_is_damaged_or_disagrees_is_refused_with_65() {
    let stage = Stage::new();
    let dir = stage.dir().join("data/s1");
    let mut journal = make(&dir);
    let life = |number| Commit { append: vec![Record::Life { number }.bytes()], remove: vec![] };
    journal.commit(life(9)).unwrap();
    journal.commit(life(3)).unwrap();
    drop(journal);
    let (_, said) = tool(&stage, "check").ends(65);
    let words = "the journal data/s1/journal.redb is damaged: record 6 is life 3, after life 9";
    assert!(said.contains(words) && said.contains("help: "), "{said}");
    tool(&stage, "show").ends(0);

    let path = dir.join("journal.redb");
    let file = fs::read(&path).unwrap();
    fs::write(&path, &file[..file.len() / 2]).unwrap();
    for action in ["show", "check"] {
        let (text, said) = tool(&stage, action).ends(65);
        assert!(
            text.is_empty() && said.contains("data/s1/journal.redb is damaged: it is cut short"),
            "{said}"
        );
    }
}

#[test]
fn journal_that_is_missing_or_in_use_is_told() {
    let stage = Stage::new();
    let (_, said) = tool(&stage, "show").ends(66);
    assert!(said.contains("cannot open data/s1/journal.redb: "), "{said}");
    let _journal = make(&stage.dir().join("data/s1"));
    let (_, said) = tool(&stage, "check").ends(69);
    let holder = format!("the journal in data/s1 is in use by process {}", std::process::id());
    assert!(said.contains(&holder), "{said}");
    stage.bare("groupcast").args(["journal", "mend", "data/s1"]).ends(64);
}
