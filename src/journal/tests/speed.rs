//! The speed of a journal on this machine:
//! `GROUPCAST_MILLIS=2000 cargo test --release --lib journal_speed -- --nocapture`. Without the variable, it runs once
//! through; no speed is required.

use std::fs;
use std::time::Duration;

use bytes::Bytes;

use super::{opened, setting};
use crate::driver::Clock;
use crate::journal::{Commit, FILE, Journal};

fn records(count: u64) -> Commit {
    Commit { append: vec![Bytes::from(vec![7; 200]); count as usize], remove: Vec::new() }
}

/// Commits so many records of 200 bytes at a time for a while.
fn commit_for(count: u64, length: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = opened(dir.path());
    let mut clock = Clock::start();
    let mut waits = Vec::new();
    while clock.now().since(crate::engine::Time::ZERO) < length || waits.is_empty() {
        let began = clock.now();
        journal.commit(records(count)).unwrap();
        waits.push(clock.now().since(began));
    }
    let rate = waits.len() as f64 / waits.iter().sum::<Duration>().as_secs_f64();
    waits.sort();
    let median = waits[waits.len() / 2];
    println!(
        "{count} x 200 bytes: {rate:.0} commits/s, {:.0} records/s, median {median:?}",
        rate * count as f64
    );
}

/// Opens a journal of so many records as an orderly end and a kill leave it.
fn open_with(count: u64) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let path = dirs[0].path().join(FILE);
    let (mut journal, _) = opened(dirs[0].path());
    for _ in 0..count.div_ceil(500) {
        journal.commit(records(500)).unwrap();
    }
    fs::copy(&path, dirs[1].path().join(FILE)).unwrap();
    drop(journal);
    for (dir, end) in dirs.iter().zip(["ended", "killed"]) {
        let bytes = fs::metadata(dir.path().join(FILE)).unwrap().len();
        let mut clock = Clock::start();
        let (_, recovered) = opened(dir.path());
        println!("{count} x 200 bytes, {end}: {bytes} bytes, opened in {:?}", clock.now());
        assert!(recovered.next > count);
    }
}

#[test]
fn journal_speed_is_told() {
    let millis = setting("GROUPCAST_MILLIS", 0);
    for count in [1, 20, 320] {
        commit_for(count, Duration::from_millis(millis));
    }
    open_with(if millis == 0 { 1_000 } else { 100_000 });
    if millis > 1_000 {
        open_with(1_000_000);
    }
}
