//! Damaged files: flipped and overwritten bytes, and files cut short. A journal is whole, or it is refused.

use std::fs;
use std::path::Path;

use ::redb::{Builder, ReadableTable};

use super::disk::Platter;
use super::{append, open_on, opened, owner, random_commit, refused, setting};
use crate::exit::Exit;
use crate::journal::head::{LENGTH, MARK, OWNER, PAGE};
use crate::journal::redb::RECORDS;
use crate::journal::storage::Storage;
use crate::journal::{FILE, InMemory, Journal, Recovered};
use crate::prng::Prng;

/// A file of a journal, as a kill leaves it and as an orderly end does, with the right content.
fn files() -> [(Vec<u8>, Recovered); 2] {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = opened(dir.path());
    let (mut dice, mut model) = (Prng::new(setting("GROUPCAST_SEED", 1)), InMemory::default());
    for _ in 0..setting("GROUPCAST_COMMITS", 12) {
        let commit = random_commit(&mut dice, model.recovered().next);
        journal.commit(commit.clone()).unwrap();
        model.commit(commit).unwrap();
    }
    // The last commit is one whose loss shows.
    journal.commit(append(&["the last record"])).unwrap();
    model.commit(append(&["the last record"])).unwrap();
    let recovered = model.recovered();
    assert!(recovered.records.len() > 5, "{}", recovered.records.len());
    let killed = fs::read(dir.path().join(FILE)).unwrap();
    drop(journal);
    [(killed, recovered.clone()), (fs::read(dir.path().join(FILE)).unwrap(), recovered)]
}

/// Opens a damaged file: returns whether it is whole all the same.
fn is_whole(damaged: &[u8], right: &Recovered, what: &str) -> bool {
    let disk = Platter::new(damaged.to_vec());
    match open_on(Box::new(disk.clone()), Path::new("journal"), &owner(), None) {
        Ok((_, found)) => {
            assert!(found == *right, "{what}: wrong records: {found:?}");
            true
        }
        Err(failure) => {
            assert_eq!(failure.exit, Exit::BadData, "{what}: {failure}");
            assert!(failure.message.starts_with("the journal journal is damaged: "), "{failure}");
            assert!(disk.content() == damaged, "{what}: a refused file is left as it is");
            false
        }
    }
}

/// The places of all pages that are not empty.
fn used(file: &[u8]) -> Vec<usize> {
    let pages = (0..file.len()).step_by(PAGE as usize);
    pages.filter(|&at| file[at..at + PAGE as usize].iter().any(|&byte| byte != 0)).collect()
}

/// The places to damage: the heads byte for byte, of other pages a sample, or all with `GROUPCAST_PLACES=0`.
fn places(file: &[u8], dice: &mut Prng) -> Vec<usize> {
    let (redb, used) = (LENGTH as usize, used(file));
    let mut places: Vec<usize> = (OWNER.start..OWNER.end).chain(MARK).chain(redb..redb + 330).collect();
    match setting("GROUPCAST_PLACES", 1_500) {
        0 => places = used.iter().flat_map(|&page| page..page + PAGE as usize).collect(),
        count => places.extend((0..count).map(|_| draw(&used, dice) + dice.below(PAGE) as usize)),
    }
    places
}

fn draw(pages: &[usize], dice: &mut Prng) -> usize {
    pages[dice.below(pages.len() as u64) as usize]
}

#[test]
fn journal_with_a_damaged_byte_is_whole_or_refused() {
    for (file, right) in files() {
        let mut dice = Prng::new(2);
        assert!(is_whole(&file, &right, "undamaged"));
        let (mut whole, mut refused) = (0, 0);
        for place in places(&file, &mut dice) {
            let flip = [1 << dice.below(8), 0xff, file[place], dice.below(256) as u8];
            let flip = flip[dice.below(4) as usize];
            let mut damaged = file.clone();
            damaged[place] ^= flip;
            let what = format!("byte {place} of {}, flip {flip:#04x}", file.len());
            *(if is_whole(&damaged, &right, &what) { &mut whole } else { &mut refused }) += 1;
        }
        println!("{} bytes, {} pages: {whole} whole, {refused} refused", file.len(), used(&file).len());
        assert!(whole > 100 && refused > 100, "{whole} whole, {refused} refused");
    }
}

#[test]
fn journal_with_damaged_stretches_is_whole_or_refused() {
    for (file, right) in files() {
        let mut dice = Prng::new(3);
        let (mut refused, pages) = (0, used(&file));
        for round in 0..setting("GROUPCAST_PLACES", 400) {
            let length = [16, 512, PAGE as usize, 3 * PAGE as usize][dice.below(4) as usize];
            let place = draw(&pages, &mut dice) + dice.below(8) as usize * 512;
            let place = place.min(file.len() - length);
            let mut damaged = file.clone();
            match dice.below(3) {
                0 => damaged[place..place + length].fill(0),
                1 => damaged[place..place + length].fill_with(|| dice.below(256) as u8),
                // A page in the place of another one.
                _ => {
                    let from = draw(&pages, &mut dice).min(file.len() - length);
                    damaged.copy_within(from..from + length, place);
                }
            }
            refused +=
                usize::from(!is_whole(&damaged, &right, &format!("round {round}: {length} at {place}")));
        }
        assert!(refused > 20, "{refused}");
    }
}

#[test]
fn journal_cut_short_is_whole_or_refused() {
    for (file, right) in files() {
        let mut dice = Prng::new(4);
        let heads = (0..=LENGTH as usize + 2 * PAGE as usize).step_by(97);
        let sample = (0..200).map(|_| dice.below(file.len() as u64) as usize);
        let mut refused = 0;
        for length in heads.chain(sample).chain([0, file.len() - 1]) {
            refused += usize::from(!is_whole(&file[..length], &right, &format!("cut to {length}")));
        }
        assert!(refused > 100, "{refused}");
        // A loss of power may have made it longer.
        for longer in [1, 4095, 4096, 100_000] {
            let mut longer_file = file.clone();
            longer_file.resize(file.len() + longer, 0);
            assert!(is_whole(&longer_file, &right, &format!("longer by {longer}")));
        }
    }
}

#[test]
fn journal_record_with_a_wrong_checksum_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = opened(dir.path());
    journal.commit(append(&["a", "b"])).unwrap();
    drop(journal);
    // A row of another index, which redb takes for whole.
    let disk = Platter::new(fs::read(dir.path().join(FILE)).unwrap());
    let (storage, _) = Storage::open(Box::new(disk.clone())).unwrap().unwrap();
    storage.accept().unwrap();
    let db = Builder::new().create_with_backend(storage).unwrap();
    let transaction = db.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(RECORDS).unwrap();
        let row = rows.get(1).unwrap().unwrap().value().to_vec();
        rows.insert(3, &*row).unwrap();
    }
    transaction.commit().unwrap();
    drop(db);
    let opened = open_on(Box::new(disk), Path::new("journal"), &owner(), None);
    let failure = opened.err().unwrap();
    assert_eq!(failure.exit, Exit::BadData);
    assert!(failure.message.ends_with("damaged: the records from 3 on have a wrong checksum"), "{failure}");
}

#[test]
fn journal_that_lost_its_last_commit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let (mut journal, _) = opened(dir.path());
    journal.commit(append(&["a"])).unwrap();
    let earlier = fs::read(&path).unwrap();
    journal.commit(append(&["b"])).unwrap();
    let now = fs::read(&path).unwrap();
    drop(journal);
    // The pages of the earlier commit under the mark of the later one: as if redb had gone back.
    let mut file = earlier.clone();
    file[MARK].copy_from_slice(&now[MARK]);
    fs::write(&path, &file).unwrap();
    let failure = refused(dir.path(), &owner());
    assert_eq!(failure.exit, Exit::BadData);
    assert!(failure.message.contains("its last commit is gone: it had 2 records"), "{failure}");
    assert!(failure.message.contains(&*path.display().to_string()), "{failure}");
    assert_eq!(refused(dir.path(), &owner()), failure, "also the next time");
    // The other way round, a commit that was not marked yet.
    let mut file = now;
    file[MARK].copy_from_slice(&earlier[MARK]);
    fs::write(&path, file).unwrap();
    assert_eq!(opened(dir.path()).1.next, 3);
}
