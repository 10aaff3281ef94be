//! Tests of journals: against a model, on damaged files, on disks that lose power or fail, and killed.

mod committer;
mod damage;
mod disk;
mod kill;
mod power;
mod rules;
mod speed;

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::head;
use super::lock::Lock;
use super::redb::open_each_on;
use super::storage::Disk;
use super::{Commit, FILE, Identity, InMemory, Journal, Recovered, RedbJournal, open, read};
use crate::exit::{Exit, Failure};
use crate::prng::Prng;

/// The owner of the journals of these tests.
fn owner() -> Identity {
    Identity { cluster: 0x0123_4567_89ab, member: "s1".into(), slot: 0 }
}

/// The value of a variable that makes a test longer.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// A random change: appends records of many lengths, and removes records of all ages, also some that are not there.
fn random_commit(dice: &mut Prng, next: u64) -> Commit {
    let indices = next..next + [0, 1, 2, 20][dice.below(4) as usize];
    let lengths = [0, 1, 30, 200, 200, 200, 1_200, 5_000, 70_000];
    let mut record = |index: u64| {
        let longest = if dice.below(8) == 0 { lengths.len() } else { 6 };
        let length = lengths[dice.below(longest as u64) as usize];
        let mut bytes = index.to_le_bytes().repeat(length / 8 + 1);
        bytes.truncate(length);
        Bytes::from(bytes)
    };
    let append: Vec<Bytes> = indices.map(&mut record).collect();
    let removals = [0, 0, 1, 3, 12][dice.below(5) as usize];
    let end = next + append.len() as u64 + 1;
    let remove = (0..removals).map(|_| if dice.below(6) == 0 { end - 2 } else { dice.below(end) }).collect();
    Commit { append, remove }
}

/// A journal on a disk, opened.
fn open_on(
    disk: Box<dyn Disk>,
    path: &Path,
    owner: &Identity,
    lock: Option<Lock>,
) -> Result<(RedbJournal, Recovered), Failure> {
    let mut records = Vec::new();
    let each = &mut |index, record| records.push((index, record));
    let (journal, next) = open_each_on(disk, path, owner, lock, each)?;
    Ok((journal, Recovered { records, next }))
}

/// A journal, opened.
fn opened(dir: &Path) -> (impl Journal + use<>, Recovered) {
    open(dir, &owner()).unwrap()
}

/// The failure to open a journal.
fn refused(dir: &Path, identity: &Identity) -> Failure {
    open(dir, identity).expect_err("it is refused")
}

fn append(records: &[&'static str]) -> Commit {
    let append = records.iter().map(|record| Bytes::from_static(record.as_bytes())).collect();
    Commit { append, remove: Vec::new() }
}

#[test]
fn journal_random_commits_are_those_of_a_model() {
    for seed in 0..setting("GROUPCAST_SEEDS", 8) {
        let dir = tempfile::tempdir().unwrap();
        let (mut dice, mut model) = (Prng::new(seed), InMemory::default());
        for _ in 0..6 {
            let (mut journal, recovered) = opened(dir.path());
            assert_eq!(recovered, model.recovered(), "seed {seed}");
            for _ in 0..dice.below(12) {
                let commit = random_commit(&mut dice, model.recovered().next);
                journal.commit(commit.clone()).unwrap();
                model.commit(commit).unwrap();
                assert_eq!(journal.size(), model.size());
            }
        }
        let (_, recovered) = read(dir.path()).unwrap();
        assert_eq!(recovered, model.recovered(), "seed {seed}");
        assert!(recovered.next > 20, "seed {seed} did something");
    }
}

#[test]
fn journal_index_of_removed_record_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, recovered) = opened(dir.path());
    assert_eq!(recovered, Recovered { records: vec![], next: 1 });
    journal.commit(append(&["a", "b"])).unwrap();
    journal.commit(Commit { append: append(&["c"]).append, remove: vec![2, 3, 1] }).unwrap();
    assert_eq!(journal.size(), 0);
    drop(journal);
    let (mut journal, recovered) = opened(dir.path());
    assert_eq!(recovered, Recovered { records: vec![], next: 4 });
    journal.commit(append(&["d"])).unwrap();
    drop(journal);
    let (_, recovered) = opened(dir.path());
    assert_eq!(recovered, Recovered { records: vec![(4, Bytes::from_static(b"d"))], next: 5 });
}

#[test]
fn journal_of_another_owner_is_refused_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    drop(opened(dir.path()));
    let others = [
        Identity { member: "s2".into(), ..owner() },
        Identity { slot: 3, ..owner() },
        Identity { cluster: 7, ..owner() },
    ];
    for other in others {
        let failure = refused(dir.path(), &other);
        assert_eq!(failure.exit, Exit::Config);
        let both = [
            "is of s1 (slot 0) of cluster 0123456789ab".to_owned(),
            format!("not of {} (slot {}) of cluster {:012x}", other.member, other.slot, other.cluster),
        ];
        assert!(both.iter().all(|words| failure.message.contains(words)), "{failure}");
    }
    let long = Identity { member: "x".repeat(256), ..owner() };
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(refused(empty.path(), &long).exit, Exit::Usage);
}

#[test]
fn journal_in_use_is_refused_to_writers_and_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = opened(dir.path());
    let failures = [refused(dir.path(), &owner()), read(dir.path()).unwrap_err()];
    for failure in failures {
        assert_eq!(failure.exit, Exit::Unavailable);
        let holder = format!("in use by process {}", std::process::id());
        assert!(failure.message.ends_with(&holder), "{failure}");
    }
    drop(journal);
    read(dir.path()).unwrap();
    drop(opened(dir.path()));
}

#[test]
fn journal_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let failure = refused(&file.join("below"), &owner());
    assert_eq!(failure.exit, Exit::CannotCreate);
    assert!(failure.message.contains("file/below"), "{failure}");
    let failure = read(dir.path()).unwrap_err();
    assert_eq!(failure.exit, Exit::NoInput);
    assert!(failure.message.contains(FILE), "{failure}");
    drop(opened(&dir.path().join("new/er")));
}

#[test]
fn journal_that_was_not_completed_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("journal.new"), "half of a journal").unwrap();
    let (mut journal, recovered) = opened(dir.path());
    assert_eq!(recovered.next, 1);
    journal.commit(append(&["a"])).unwrap();
    drop(journal);
    // A file under the final name is complete: an empty one has lost everything.
    fs::write(dir.path().join(FILE), "").unwrap();
    assert_eq!(refused(dir.path(), &owner()).exit, Exit::BadData);
}

#[test]
fn journal_reading_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = opened(dir.path());
    journal.commit(append(&["a", "b"])).unwrap();
    // As after a kill: redb has something to repair.
    let open_file = fs::read(dir.path().join(FILE)).unwrap();
    drop(journal);
    for bytes in [open_file, fs::read(dir.path().join(FILE)).unwrap()] {
        fs::write(dir.path().join(FILE), &bytes).unwrap();
        let (found, recovered) = read(dir.path()).unwrap();
        assert_eq!((found, recovered.next), (owner(), 3));
        assert!(fs::read(dir.path().join(FILE)).unwrap() == bytes, "the file is as it was");
    }
}

#[test]
fn mark_tells_a_lost_commit_from_one_that_was_not_marked_yet() {
    let before = head::Mark { next: 10, records: 5, length: 9_000 };
    for (next, records) in [(10, 5), (11, 9), (10, 4), (12, 0)] {
        assert!(before.may_become(next, records), "{next}, {records}");
    }
    for (next, records) in [(9, 5), (9, 1), (10, 6)] {
        assert!(!before.may_become(next, records), "{next}, {records}");
    }
    assert_eq!(head::Mark::parse(&before.to_bytes()), Some(before));
    assert_eq!(head::Mark::parse(&[0; 28]), None);
}
