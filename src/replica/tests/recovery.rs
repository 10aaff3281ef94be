//! Recovery from journals: with snapshots, after crashes between any two writes, and from damaged ones.

use std::time::Duration;

use super::kit::{Cluster, multicast};
use crate::ids::MemberId;
use crate::replica::Replica;
use crate::replica::entry::Content;
use crate::replica::record::Record;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The kinds of the records in a journal: lives, entries, confirmed prefixes, snapshots.
fn kinds(cluster: &Cluster, at: usize) -> [usize; 4] {
    let mut kinds = [0; 4];
    for record in cluster.nodes[at].journal.records.values() {
        kinds[match Record::parse(record.clone()).unwrap() {
            Record::Life { .. } => 0,
            Record::Entry(_) => 1,
            Record::Confirmed(_) => 2,
            Record::Snapshot(_) => 3,
            _ => continue,
        }] += 1;
    }
    kinds
}

/// A cluster of two that has forgotten more than a mebibyte, and goes on.
fn aged() -> Cluster {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    for number in 0..12 {
        cluster.say(number % 2, &format!("{number} {}", "x".repeat(100_000)));
        cluster.run(ms(100));
    }
    cluster.settle();
    cluster
}

#[test]
fn recovery_from_a_snapshot_gives_the_same_log() {
    let mut cluster = aged();
    let [lives, entries, confirmed, snapshots] = kinds(&cluster, 0);
    assert!(lives == 1 && entries < 4 && snapshots == 1, "{entries} entries, {snapshots} snapshots");
    assert!((1..=4).contains(&confirmed), "{confirmed}");
    cluster.say(0, "tentative");
    let before = cluster.nodes[0].replica().clone();
    assert!(before.tentative() > 0 && before.confirmed().entries == 12);
    cluster.crash(0, 0);
    cluster.start(0);
    let after = cluster.nodes[0].replica();
    assert_eq!(after.confirmed(), before.confirmed());
    assert_eq!((after.tentative(), after.clock), (before.tentative(), before.clock));
    for origin in 0..2 {
        let facts = |replica: &Replica| {
            let log = &replica.log;
            (log.received(origin), log.stored(origin), log.last_time(origin), log.last_digest(origin))
        };
        assert_eq!(facts(after), facts(&before));
    }
    cluster.settle();
    cluster.say(0, "the end");
    cluster.settle();
    assert_eq!(cluster.nodes[0].confirmed, cluster.nodes[1].confirmed);
    assert_eq!(cluster.nodes[0].confirmed.count, 14);
}

#[test]
fn recovery_counts_direct_messages_and_ends_that_are_forgotten() {
    let mut cluster = aged();
    let direct = |to, first| match multicast(first, "psst") {
        Content::Multicast(batch) => Content::Direct(MemberId(to), batch),
        content => content,
    };
    for (at, content) in [(0, direct(1, 1)), (0, direct(1, 2)), (1, direct(0, 1)), (1, Content::Finished)] {
        cluster.submit_content(at, content);
        cluster.run(ms(100));
    }
    (0..12).for_each(|number| {
        cluster.say(0, &format!("{number} {}", "x".repeat(100_000)));
        cluster.run(ms(100));
    });
    cluster.settle();
    let last = cluster.nodes[0].journal.records.values().rev();
    let snapshot = last.filter_map(|record| match Record::parse(record.clone()).unwrap() {
        Record::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    });
    let snapshot = snapshot.into_iter().next().unwrap();
    assert_eq!((snapshot.received, &*snapshot.sent), (1, &[0, 2][..]));
    assert_eq!(snapshot.origins.iter().map(|origin| origin.finished).collect::<Vec<_>>(), [false, true]);
    assert_eq!(snapshot.origins[1].multicasts, 6);
    cluster.crash(0, 0);
    cluster.start(0);
    assert_eq!(cluster.nodes[0].replica().unfinished().collect::<Vec<_>>(), [MemberId(0)]);
}

/// A cluster of two in which the first has begun to replace a mebibyte of entries by a snapshot, and has synced nothing of
/// that.
fn with_unsynced_snapshot() -> Cluster {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    cluster.cut.insert((1, 0));
    for number in 0..11 {
        assert!(cluster.submit(0, &format!("{number} {}", "x".repeat(100_000))));
    }
    // The other stores everything, and the first hears nothing of it yet.
    cluster.run(ms(3_000));
    assert_eq!(cluster.nodes[1].list().len(), 11);
    cluster.nodes[0].is_stuck = true;
    cluster.cut.clear();
    cluster.run(ms(300));
    assert_eq!(cluster.nodes[0].confirmed.count, 0, "nothing is confirmed before the journal has it");
    cluster.sync(0);
    assert_eq!((cluster.nodes[0].confirmed.count, kinds(&cluster, 0)[3]), (11, 0));
    cluster
}

#[test]
fn recovery_after_a_crash_between_any_two_writes_of_a_snapshot() {
    let unsynced = with_unsynced_snapshot().unsynced(0);
    assert!(unsynced >= 2, "a snapshot, and what it replaces: {unsynced} writes");
    let mut left = Vec::new();
    for kept in 0..=unsynced {
        let mut cluster = with_unsynced_snapshot();
        cluster.crash(0, kept);
        cluster.nodes[0].is_stuck = false;
        left.push(kinds(&cluster, 0)[1]);
        cluster.start(0);
        cluster.run(ms(1_500));
        for number in 0..12 {
            cluster.settle();
            cluster.say(number % 2, &format!("{number} {}", "y".repeat(100_000)));
        }
        cluster.settle();
        assert_eq!(
            cluster.nodes[0].confirmed, cluster.nodes[1].confirmed,
            "{kept} of {unsynced} writes kept"
        );
        assert_eq!(cluster.nodes[0].confirmed.count, 23);
        let [_, entries, _, snapshots] = kinds(&cluster, 0);
        assert!(entries < 12 && snapshots == 1, "{kept} kept: {entries} entries, {snapshots} snapshots");
    }
    // A snapshot that is there before what it replaces is gone was among them.
    assert_eq!((left[0], left[unsynced - 1], left[unsynced]), (11, 11, 0));
}

#[test]
fn recovery_of_damaged_journals_is_refused() {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    (0..6).for_each(|number| {
        cluster.say(number % 2, &format!("{number}"));
        cluster.run(ms(100));
    });
    cluster.settle();
    cluster.crash(0, 0);
    let whole = cluster.nodes[0].journal.clone();
    let parsed = |bytes: &bytes::Bytes| Record::parse(bytes.clone()).unwrap();
    let entries: Vec<u64> = whole
        .records
        .iter()
        .filter(|(_, bytes)| matches!(parsed(bytes), Record::Entry(_)))
        .map(|(&index, _)| index)
        .collect();
    assert_eq!(entries.len(), 6);
    for (at, index) in entries.iter().enumerate() {
        // Without an entry, the one after it does not follow, or the confirmed prefix is another.
        cluster.nodes[0].journal = whole.clone();
        cluster.nodes[0].journal.records.remove(index);
        assert!(cluster.try_start(0).is_err(), "without entry {at}");
        // With an entry twice.
        cluster.nodes[0].journal = whole.clone();
        let again = whole.records[index].clone();
        cluster.nodes[0].journal.records.insert(1_000, again);
        assert_eq!(cluster.try_start(0).unwrap_err().index, 1_000);
    }
    cluster.nodes[0].journal = whole;
    cluster.start(0);
    cluster.settle();
}

#[test]
fn recovery_in_a_cluster_of_another_size_is_refused() {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    cluster.say(0, "for two");
    cluster.crash(0, 0);
    cluster.nodes[0].config.members = 3;
    assert_eq!(cluster.try_start(0).unwrap_err().reason, "an entry of another cluster");
}

#[test]
fn recovery_begins_a_new_life_at_each_start() {
    let mut cluster = Cluster::new(1);
    for life in 1..5 {
        cluster.say(0, &format!("life {life}"));
        cluster.run(ms(100));
        assert_eq!(cluster.nodes[0].replica().life, life);
        assert_eq!(cluster.nodes[0].final_list().len(), life as usize);
        cluster.crash(0, 0);
        cluster.start(0);
    }
}
