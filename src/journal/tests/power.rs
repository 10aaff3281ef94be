//! Losses of power and failing disks, at every step.

use std::path::Path;

use super::disk::Platter;
use super::{append, open_on, owner, random_commit, setting};
use crate::exit::{Exit, Failure};
use crate::journal::head;
use crate::journal::redb::create_on;
use crate::journal::{InMemory, Journal, Recovered, RedbJournal};
use crate::prng::Prng;

fn created() -> Platter {
    let disk = Platter::default();
    create_on(Box::new(disk.clone()), &head::owner_to_bytes(&owner()).unwrap()).unwrap();
    disk
}

fn opened_on(disk: &Platter) -> Result<(RedbJournal, Recovered), Failure> {
    open_on(Box::new(disk.clone()), Path::new("journal"), &owner(), None)
}

/// Commits until the disk dies. Returns the states of the journal that are right after that.
fn commit_until_death(disk: &Platter, model: &mut InMemory, dice: &mut Prng) -> Vec<Recovered> {
    let Ok((mut journal, recovered)) = opened_on(disk) else {
        assert!(disk.is_dead(), "a file that a loss of power left is opened");
        return vec![model.recovered()];
    };
    assert_eq!(recovered, model.recovered());
    loop {
        let commit = random_commit(dice, model.recovered().next);
        let mut next = model.clone();
        next.commit(commit.clone()).unwrap();
        match journal.commit(commit) {
            Ok(()) => *model = next,
            Err(failure) => {
                assert_eq!(failure.exit, Exit::Io);
                return vec![model.recovered(), next.recovered()];
            }
        }
    }
}

#[test]
fn journal_loss_of_power_at_any_step_loses_no_durable_commit() {
    let (mut lives, mut undone, mut done) = (0, 0, 0);
    for seed in 0..setting("GROUPCAST_SEEDS", 40) {
        let mut dice = Prng::new(seed);
        let (mut disk, mut model) = (created(), InMemory::default());
        for _ in 0..12 {
            disk.dies_after(dice.below(150));
            let right = commit_until_death(&disk, &mut model, &mut dice);
            disk = Platter::new(disk.after_power_loss(&mut dice));
            let (_, found) = opened_on(&disk).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
            assert!(right.contains(&found), "seed {seed}: {found:?}\nis none of\n{right:?}");
            lives += 1;
            undone += usize::from(right.len() == 2 && found == right[0] && right[0] != right[1]);
            if right.len() == 2 && found == right[1] {
                done += 1;
                model = as_model(&found);
            }
        }
    }
    println!("{lives} lives: the last commit was undone in {undone}, done in {done}");
    assert!(undone > 10 && done > 10, "both happen: {undone}, {done}");
}

fn as_model(found: &Recovered) -> InMemory {
    let mut model = InMemory::default();
    let kept: Vec<u64> = found.records.iter().map(|(index, _)| *index).collect();
    let record = |index| {
        let found = found.records.iter().find(|(other, _)| *other == index);
        found.map(|(_, record)| record.clone()).unwrap_or_default()
    };
    let append = (1..found.next).map(record).collect();
    let remove = (1..found.next).filter(|index| !kept.contains(index)).collect();
    model.commit(crate::journal::Commit { append, remove }).unwrap();
    model
}

#[test]
fn journal_failed_write_or_sync_ends_all_commits() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    let mut failures = 0;
    for step in 0..60 {
        for error in [EIO, ENOSPC] {
            let disk = created();
            let (mut journal, _) = opened_on(&disk).unwrap();
            journal.commit(append(&["a"])).unwrap();
            disk.fails_after(step, error);
            let results = (0..3).map(|_| journal.commit(append(&["b", "c"])));
            let Some(first) = results.filter_map(Result::err).next() else { continue };
            failures += 1;
            assert_eq!(first.exit, Exit::Io);
            assert!(first.message.starts_with("cannot write journal: "), "{first}");
            assert_eq!(first.help.is_some(), error == ENOSPC, "{first}");
            let changes = disk.changes();
            for _ in 0..3 {
                assert_eq!(journal.commit(append(&["d"])).unwrap_err(), first);
            }
            drop(journal);
            assert_eq!(disk.changes(), changes, "step {step}: nothing is written after a failure");
            let (_, found) = opened_on(&Platter::new(disk.content())).unwrap();
            let records: Vec<&[u8]> = found.records.iter().map(|(_, record)| &record[..]).collect();
            assert!(records.starts_with(&[b"a"]) && !records.contains(&&b"d"[..]), "{records:?}");
        }
    }
    assert!(failures > 20, "{failures}");
}
