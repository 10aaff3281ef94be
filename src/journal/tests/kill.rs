//! A process that commits is killed at random moments. Everything that it reported as durable is there afterwards.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;

use super::{opened, owner, setting};
use crate::driver::Clock;
use crate::journal::{self, Commit, Committer, Journal, Recovered};
use crate::prng::Prng;
use crate::transport::wakeup::wakeup;

/// The folder of the child's journal, and its life.
const DIR: &str = "GROUPCAST_TEST_JOURNAL";
const LIFE: &str = "GROUPCAST_TEST_LIFE";
/// Records that the child keeps; it removes those before.
const KEPT: u64 = 300;

/// The record with this index of a life.
fn record(life: u64, index: u64) -> Bytes {
    Bytes::from(format!("{life} {index} ").repeat(1 + index as usize % 30))
}

/// The child: commits as fast as it can, and reports each index that is durable. Without the variables, it does nothing.
#[test]
fn journal_child_of_the_kill_test() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let life = setting(LIFE, 0);
    let (mut journal, recovered) = opened(Path::new(&dir));
    let said = |stored: u64| writeln!(std::io::stdout(), "\nstored {stored}").unwrap();
    let mut next = recovered.next;
    let mut commit = |dice: &mut Prng| {
        let count = 1 + dice.below(20);
        let append: Vec<Bytes> = (next..next + count).map(|index| record(life, index)).collect();
        let remove = (next..next + count).filter_map(|index| index.checked_sub(KEPT)).collect();
        next += count;
        (Commit { append, remove }, next - 1)
    };
    let mut dice = Prng::new(life);
    if life.is_multiple_of(2) {
        loop {
            let (commit, last) = commit(&mut dice);
            journal.commit(commit).unwrap();
            said(last);
        }
    }
    let (_wakeup, waker) = wakeup().unwrap();
    let mut committer = Committer::start(journal, recovered.next, waker).unwrap();
    loop {
        if committer.waiting() < 10_000 {
            committer.change(commit(&mut dice).0);
        }
        said(committer.stored().unwrap());
    }
}

fn start(dir: &Path, life: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "journal::tests::kill::journal_child_of_the_kill_test", "--nocapture"]);
    command.env(DIR, dir).env(LIFE, life.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Lets a child run and kills it. Returns the last index that it reported.
fn live(dir: &Path, life: u64, dice: &mut Prng) -> u64 {
    let mut child = start(dir, life);
    let out = BufReader::new(child.stdout.take().unwrap());
    let (told, heard) = channel();
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        let stored = lines.filter_map(|line| line.strip_prefix("stored ").and_then(|it| it.parse().ok()));
        stored.for_each(|stored: u64| told.send(stored).unwrap_or_default());
    });
    let mut last = heard.recv_timeout(Duration::from_secs(60)).expect("the child commits");
    // A moment within some commit, or within the opening of the file if it is short.
    let moment = Duration::from_micros(dice.below(60_000));
    let mut clock = Clock::start();
    let end = clock.now().after(moment);
    while let Ok(stored) = heard.recv_timeout(end.since(clock.now())) {
        last = stored;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    // Also lines that were on the way when it was killed.
    heard.try_iter().last().unwrap_or(last)
}

#[test]
fn journal_killed_at_any_moment_keeps_what_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Prng::new(std::process::id().into());
    let mut known: BTreeMap<u64, Bytes> = BTreeMap::new();
    let mut next = 1;
    for life in 0..setting("GROUPCAST_LIVES", 16) {
        let first = next;
        let stored = live(dir.path(), life, &mut dice);
        let Recovered { records, next: found } = if life % 3 == 0 {
            journal::read(dir.path()).unwrap().1
        } else {
            journal::open(dir.path(), &owner()).unwrap().1
        };
        assert!(found > stored && stored + 1 >= first, "life {life}: {stored} was stored, next is {found}");
        next = found;
        // One life has all indices from its first one on: none is of two lives.
        known.extend((first..next).map(|index| (index, record(life, index))));
        let kept = (next.saturating_sub(KEPT).max(1)..next).map(|index| (index, known[&index].clone()));
        assert!(records == kept.collect::<Vec<_>>(), "life {life}");
    }
    println!("{} records in {} lives", next - 1, setting("GROUPCAST_LIVES", 16));
    assert!(next > 1_000, "{next}");
}
