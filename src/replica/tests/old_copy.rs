//! A member whose journal is a copy from earlier: a restored backup, or a disk that lost what it had synced.

use std::time::Duration;

use super::kit::Cluster;
use crate::ids::MemberId;
use crate::replica::entry::EntryId;
use crate::replica::message::Message;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A cluster of three, of which the first has said five texts, and a copy of its journal after the second. The others
/// have not confirmed everything, so that they forget nothing.
fn aged() -> (Cluster, super::kit::Journal) {
    let mut cluster = Cluster::new(3);
    cluster.run(ms(50));
    cluster.part(1, 2);
    cluster.part(0, 2);
    (1..=2).for_each(|number| cluster.say(0, &format!("text {number}")));
    cluster.run(ms(50));
    let copy = cluster.nodes[0].journal.clone();
    (3..=5).for_each(|number| cluster.say(0, &format!("text {number}")));
    cluster.run(ms(50));
    (cluster, copy)
}

#[test]
fn old_copy_fetches_its_own_entries_back_before_it_sends() {
    let (mut cluster, copy) = aged();
    cluster.restore(0, copy);
    cluster.cut.clear();
    assert!(!cluster.submit(0, "too early"));
    cluster.run(ms(300));
    assert_eq!(cluster.nodes[0].list(), ["text 1", "text 2", "text 3", "text 4", "text 5"]);
    cluster.say(0, "text 6");
    cluster.settle();
    let list = cluster.nodes[0].final_list();
    assert_eq!(list.len(), 6);
    assert!(cluster.nodes.iter().all(|node| node.final_list() == list && node.forked.is_empty()));
}

#[test]
fn old_copy_that_hears_entries_alone_goes_on_listening() {
    let (mut cluster, copy) = aged();
    cluster.nodes[1].sent.clear();
    cluster.say(1, "news");
    let news = cluster.nodes[1].sent.drain(..).map(|(_, message)| message);
    let news = news.into_iter().find(|message| matches!(message, Message::Entry(_))).unwrap();
    cluster.restore(0, copy);
    // An entry says nothing about what its sender has of this member.
    cluster.inject(1, 0, news.clone());
    cluster.inject(2, 0, news);
    assert_eq!(cluster.nodes[0].replica().window(), 0);
    cluster.cut.clear();
    cluster.run(ms(300));
    assert_eq!(cluster.nodes[0].list().len(), 6);
    assert!(cluster.nodes[0].replica().window() > 0);
}

#[test]
fn old_copy_that_lacks_millions_of_entries_is_noticed() {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    let mut word = cluster.nodes[1].replica().word(0, [0].into_iter());
    word.lines[0].stored[0] = 5_000_000;
    cluster.crash(0, 0);
    cluster.start(0);
    cluster.inject(1, 0, Message::Word(word));
    cluster.run(ms(3_000));
    assert_eq!(cluster.nodes[0].replica().window(), 0, "it would give numbers again that it has used");
}

#[test]
fn old_copy_alone_forks_and_every_holder_notices() {
    let (mut cluster, copy) = aged();
    cluster.restore(0, copy);
    cluster.part(0, 1);
    cluster.run(ms(1_500));
    cluster.say(0, "another text 3");
    cluster.cut.clear();
    cluster.run(ms(1_000));
    let id = EntryId { origin: MemberId(0), number: 3 };
    assert!(cluster.nodes[1].forked.contains(&id), "{:?}", cluster.nodes[1].forked);
    assert!(cluster.nodes[0].forked.contains(&EntryId { number: 4, ..id }), "{:?}", cluster.nodes[0].forked);
    assert_eq!(cluster.nodes[1].list()[2], "text 3", "the first is kept");
}

#[test]
fn old_copy_keeps_the_promises_of_its_clock() {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    let copy = cluster.nodes[0].journal.clone();
    (1..=5).for_each(|number| cluster.say(1, &format!("text {number}")));
    cluster.settle();
    assert_eq!(cluster.nodes[1].final_list().len(), 5, "the first has promised to stay above them");
    cluster.restore(0, copy);
    cluster.run(ms(300));
    cluster.say(0, "late");
    cluster.run(ms(1_000));
    assert_eq!(cluster.nodes[1].list()[5], "late");
    assert!(cluster.nodes[1].diverged.is_empty());
}

#[test]
fn old_copy_that_a_member_heard_late_tells_of_is_noticed() {
    let (mut cluster, copy) = aged();
    cluster.restore(0, copy);
    cluster.part(0, 1);
    cluster.run(ms(1_500));
    assert!(cluster.nodes[0].replica().window() > 0, "it has listened long enough");
    cluster.cut.clear();
    cluster.run(ms(300));
    assert_eq!(cluster.nodes[0].list(), ["text 1", "text 2", "text 3", "text 4", "text 5"]);
    cluster.say(0, "text 6");
    cluster.settle();
    assert!(cluster.nodes.iter().all(|node| node.final_list().len() == 6 && node.forked.is_empty()));
}

#[test]
fn old_copy_that_hears_nothing_of_its_promises_goes_on_listening() {
    let mut cluster = Cluster::new(2);
    cluster.run(ms(50));
    let copy = cluster.nodes[0].journal.clone();
    (1..=5).for_each(|number| cluster.say(1, &format!("text {number}")));
    cluster.settle();
    cluster.restore(0, copy);
    let without = cluster.nodes[1].replica().word(0, std::iter::empty());
    cluster.inject(1, 0, Message::Word(without));
    assert_eq!(cluster.nodes[0].replica().window(), 0, "it may have promised more than it knows of");
    let word = cluster.nodes[1].replica().word(0, [0].into_iter());
    cluster.inject(1, 0, Message::Word(word));
    assert!(cluster.nodes[0].replica().window() > 0);
}

#[test]
fn old_copy_that_lacks_what_all_have_forgotten_is_told_so() {
    // All others have forgotten the entries of the one who comes back, of another, or of both.
    for (own, of_another) in [(3, 0), (0, 3), (2, 2)] {
        let mut cluster = Cluster::new(3);
        cluster.run(ms(50));
        let empty = cluster.nodes[0].journal.clone();
        (0..own).for_each(|number| cluster.say(0, &format!("own {number}")));
        (0..of_another).for_each(|number| cluster.say(1, &format!("of another {number}")));
        cluster.settle();
        cluster.run(ms(1_000));
        let origin = usize::from(own == 0);
        assert_eq!(cluster.nodes[2].replica().log.forgotten(origin), own.max(of_another), "not forgotten");
        cluster.restore(0, empty);
        cluster.run(ms(2_000));
        let id = EntryId { origin: MemberId(origin as u16), number: 1 };
        assert!(cluster.nodes[0].outdated.contains(&id), "{:?}", cluster.nodes[0].outdated);
        assert_eq!(cluster.nodes[0].replica().lacks_forgotten(), Some((id, vec![])));
        assert!(own == 0 || cluster.nodes[0].replica().window() == 0, "it would use numbers again");
        assert!(cluster.nodes[1..].iter().all(|node| node.outdated.is_empty() && node.forked.is_empty()));
    }
}

#[test]
fn old_copy_gets_what_a_single_member_has_not_forgotten() {
    let mut cluster = Cluster::new(3);
    cluster.run(ms(50));
    let empty = cluster.nodes[0].journal.clone();
    (0..3).for_each(|number| cluster.say(0, &format!("text {number}")));
    cluster.settle();
    // The member 2 does not hear that all have stored the last texts, and keeps them.
    cluster.cut.extend([(0, 2), (1, 2)]);
    (3..5).for_each(|number| cluster.say(0, &format!("text {number}")));
    cluster.run(ms(100));
    cluster.cut.clear();
    let words: Vec<Message> = cluster.nodes[2].sent.drain(..).map(|(_, message)| message).collect();
    drop(words);
    cluster.part(0, 2);
    cluster.restore(0, empty);
    cluster.run(ms(2_000));
    let id = EntryId { origin: MemberId(0), number: 1 };
    let left = cluster.nodes[0].replica().lacks_forgotten();
    assert_eq!((left, &*cluster.nodes[0].outdated), (Some((id, vec![MemberId(2)])), &[][..]));
}

#[test]
fn forgotten_reply_about_what_is_here_or_beyond_all_is_ignored() {
    let (mut cluster, _) = aged();
    cluster.cut.clear();
    cluster.settle();
    for (origin, number) in [(0, 1), (0, 5), (1, (1 << 32) + 2), (2, u64::MAX), (777, 1)] {
        let id = EntryId { origin: MemberId(origin), number };
        let before = cluster.nodes[1].replica().repair.clone();
        for from in [0, 2] {
            cluster.inject(from, 1, Message::Forgotten(id));
        }
        assert!(cluster.nodes[1].outdated.is_empty(), "{id:?}");
        assert!(cluster.nodes[1].replica().lacks_forgotten().is_none() && before.due().is_none());
    }
}
