//! Folders of clusters: histories of several lives and result files, as members write them.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::super::checker::Checker;
use super::super::super::{judge_folder, read, tool};
use super::super::list::List;
use super::{ClusterHistory, Happening, NAMES, VALID, damage, history, judge, world};
use crate::check::Verdict;
use crate::exit::Exit;
use crate::ids::MemberId;
use crate::member::Undelivered;
use crate::order::TENTATIVE;
use crate::prng::Prng;
use crate::replica::entry::Stamp;
use crate::results::cluster::{ClusterResults, Opening};
use crate::results::{Counts, MessageId, Start};

const fn stamp((time, slot): (u64, u16)) -> Stamp {
    Stamp { time, origin: MemberId(slot) }
}

fn id((slot, number): (u16, u64)) -> MessageId<'static> {
    MessageId { member: NAMES[usize::from(slot)], incarnation: 1, number }
}

/// Writes the files of a history, one life after the other.
fn write(dir: &Path, history: &ClusterHistory) {
    let members: Vec<&str> = history.members.iter().map(|member| member.name.as_str()).collect();
    for (story, slot) in history.members.iter().zip(0..) {
        let list = List::new(story);
        let (mut confirmed, mut received) = (0, 0);
        for (life, told) in story.lives.iter().enumerate() {
            let number = life as u32 + 1;
            let opening = Opening { life: number, history: true, fresh: life == 0, force: false };
            let mut results = ClusterResults::open(dir, &story.name, opening).unwrap();
            // A broken history is written as it is.
            results.forgotten(confirmed, received, |_, _| ()).unwrap();
            results.recovered();
            let members = Cow::Borrowed(&members[..]);
            let (member, group, order) = (&*story.name, "chat", TENTATIVE);
            let start = Start {
                member,
                incarnation: number,
                group,
                groups: (&[]).into(),
                order,
                method: None,
                log: None,
                members,
                time_us: 1,
            };
            results.start(&start).unwrap();
            for (event, happening) in told.events.iter().enumerate() {
                record(&mut results, slot, happening);
                let here = list.confirmed.iter().filter(|(_, moment)| *moment == (life, event));
                for (id, _) in here {
                    let text = list.inserted[id].text;
                    results.confirm(NAMES[usize::from(id.0)], text).unwrap();
                    confirmed += 1;
                }
                if let Happening::Receive { from, text, .. } = happening {
                    results.receive(NAMES[usize::from(*from)], text).unwrap();
                    received += 1;
                }
            }
            if let Some(end) = &told.end {
                results.end(end, &Counts::default(), 9).unwrap();
            }
            results.finish().unwrap();
        }
    }
}

fn record(results: &mut ClusterResults, own: u16, happening: &Happening) {
    match happening {
        Happening::Multicast { number, text } => results.multicast(id((own, *number)), text, 2),
        Happening::Stored { number } => results.stored(id((own, *number)), 2),
        Happening::Insert { id: message, at, deps, text } => {
            results.insert(id(*message), stamp(*at), deps, text, 2)
        }
        Happening::Confirm { upto, number, count, digest } => {
            results.confirmed(stamp(*upto), *number, *count, *digest, 2)
        }
        Happening::Withdraw { id: message } => results.withdraw(id(*message), 2),
        Happening::Epoch { number, members, removed } => {
            let name = |slot: &u16| NAMES[usize::from(*slot)];
            let members: Vec<&str> = members.iter().map(name).collect();
            results.epoch(*number, &members, removed.as_ref().map(name), 2)
        }
        Happening::Recover { entries, confirmed } => results.recover(*entries, *confirmed, 1, 7),
        Happening::Send { to, number, text } => {
            results.sent(id((own, *number)), NAMES[usize::from(*to)], text, 2)
        }
        Happening::Receive { from, number, text } => results.received(id((*from, *number)), text, 2),
        Happening::Undeliverable { to, number, .. } => {
            results.undeliverable(id((own, *number)), NAMES[usize::from(*to)], Undelivered::NotSent, 2)
        }
    }
    .unwrap();
}

fn folder(history: &ClusterHistory) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), history);
    dir
}

/// The verdicts of the checker on the only run of a folder.
fn verdicts(dir: &Path, order: Option<&str>, commands: Option<&Path>) -> Vec<(&'static str, Verdict)> {
    let (runs, _) = read::read(dir, commands).unwrap();
    let [run] = &runs[..] else { panic!("{} runs", runs.len()) };
    let checker = Checker::new(run, order);
    checker.promised(order).into_iter().map(|name| (name, checker.judge(name))).collect()
}

#[track_caller]
fn says(verdicts: &[(&str, Verdict)], property: &str, word: &str) -> String {
    let (_, verdict) = verdicts.iter().find(|(name, _)| *name == property).unwrap();
    assert_eq!(verdict.word(), word, "{property} {verdict}");
    verdict.why().unwrap_or_default().to_owned()
}

fn edit(dir: &Path, name: &str, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(dir.join(name)).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed, "{name}");
    fs::write(dir.join(name), changed).unwrap();
}

#[test]
fn cluster_folder_is_judged_in_every_format() {
    let dir = folder(&history(&VALID));
    let [text, json, junit] = &tool::reports(dir.path()).unwrap()[..] else { panic!("three formats") };
    let all = "once            valid\nplacement       valid\nclosure         valid\nconfirmed       valid\n\
               convergence     valid\ndurable         valid\nmembership      undecided the members did not change\nno-creation     valid\nno-duplicate    valid\n\
               validity        valid\nagreement       valid\nfifo            valid\ncausal          valid\ntotal           valid\n\
               point-to-point  undecided nothing was sent to one member alone\nconsistency     valid\n";
    let title = "UNDECIDED: cluster chat, tentative, 2 members: 3 multicast, 6 inserted, 6 confirmed, 0 sent, 0 received\n";
    assert_eq!(*text, format!("{all}{title}"));
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["groups"][0]["order"], TENTATIVE);
    assert_eq!(json["groups"][0]["counts"]["inserted"], 6);
    assert!(junit.contains("<testcase classname=\"groupcast.check.chat\" name=\"convergence\"/>"), "{junit}");
    let judged = judge_folder(dir.path(), dir.path());
    assert!(judged.is_err(), "there are no commands");
    assert_eq!(verdicts(dir.path(), None, None).len(), 14, "no member was added or removed");
}

#[test]
fn cluster_files_give_the_verdicts_of_their_history() {
    let mut violated = 0;
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let mut history = world::valid(&mut prng);
        let (name, way) = damage::one(&mut prng);
        let is_damaged = seed % 3 > 0 && way(&mut history, &mut prng);
        let dir = folder(&history);
        let of_files = verdicts(dir.path(), None, None);
        for (property, expected) in judge(&history) {
            let (_, found) = of_files.iter().find(|(known, _)| *known == property).unwrap();
            assert_eq!(found.word(), expected.word(), "{seed}, {name}: {property} {found}, {expected}");
            violated += usize::from(is_damaged && found.is_violated());
        }
    }
    assert!(violated > 40, "{violated}");
}

#[test]
fn cluster_witness_names_the_files_of_the_lives() {
    let dir = folder(&history(&["+1 s1 a1@1 | a1@1 c1^1a", "a1@1 c1^1a"]));
    let why = says(&verdicts(dir.path(), None, None), "once", "violated");
    assert_eq!(why, "a inserted a/1/1 twice (history_a.1.jsonl:4, history_a.2.jsonl:2)");
}

#[test]
fn cluster_life_that_was_killed_may_end_in_half_a_line() {
    let mut told = history(&VALID);
    told.members[1].lives[0].end = None;
    let dir = folder(&told);
    edit(dir.path(), "history_a.1.jsonl", |text| format!("{text}{{\"v\":1,\"eve"));
    edit(dir.path(), "history_b.1.jsonl", |text| format!("{text}{{\"v\":1,\"eve"));
    edit(dir.path(), "test_result_b_tom.txt", |text| format!("{text}a##"));
    // It may also have more results than its history tells.
    edit(dir.path(), "history_b.1.jsonl", |text| {
        text.replace("\"event\":\"confirm\",\"upto\":[3,0]", "\"event\":\"con\"")
    });
    let failure = read::read(dir.path(), None).unwrap_err();
    assert_eq!(failure.exit, Exit::BadData, "{failure}");
    edit(dir.path(), "history_b.1.jsonl", |text| {
        let whole = text.lines().filter(|line| !line.contains("\"con\"") && line.ends_with('}'));
        whole.map(|line| format!("{line}\n")).chain(["{\"v\":1,\"eve".to_owned()]).collect()
    });
    let found = verdicts(dir.path(), None, None);
    for (property, verdict) in &found {
        assert_eq!(verdict.word(), "undecided", "{property} {verdict}");
    }
    let why = says(&found, "confirmed", "undecided");
    assert_eq!(why, "the history of b has no end (history_b.1.jsonl)");
}

#[test]
fn cluster_life_without_a_history_leaves_everything_undecided() {
    let dir = folder(&history(&VALID));
    fs::remove_file(dir.path().join("history_a.1.jsonl")).unwrap();
    let found = verdicts(dir.path(), None, None);
    assert_eq!(says(&found, "once", "undecided"), "there is no history of life 1 of a here");
    // The second life goes on from the first one: alone, it looks like a violation, and is none.
    assert!(found.iter().all(|(_, verdict)| verdict.word() == "undecided"), "{found:?}");
    // The others are judged all the same.
    let dir = folder(&history(&[VALID[0], VALID[1], "+1=x s1 c1@9=x"]));
    edit(dir.path(), "history_b.1.jsonl", |text| {
        let told = text.lines().last().unwrap();
        let insert = "{\"v\":1,\"event\":\"insert\",\"id\":\"c/1/1\",\"text\":\"y\",\"at\":[9,2],\"deps\":[],\"time_us\":2}";
        text.replace(told, &format!("{insert}\n{told}"))
    });
    fs::remove_file(dir.path().join("history_a.1.jsonl")).unwrap();
    says(&verdicts(dir.path(), None, None), "once", "violated");
    let dir = folder(&history(&VALID));
    fs::remove_file(dir.path().join("history_b.1.jsonl")).unwrap();
    let found = verdicts(dir.path(), None, None);
    assert_eq!(says(&found, "once", "undecided"), "there is no history of b here");
    // A life that was killed before its first line was written has an empty file.
    let dir = folder(&history(&VALID));
    fs::write(dir.path().join("history_a.3.jsonl"), "").unwrap();
    let found = verdicts(dir.path(), None, None);
    assert_eq!(says(&found, "once", "undecided"), "the history of a has no end (history_a.3.jsonl)");
}

#[test]
fn cluster_epochs_are_read_from_the_files() {
    let told = ["+1 s1 a1@1 c1^1a e2=abc", "a1@1 c1^1a e2=abc", "e2=abc | e2=abc"];
    let dir = folder(&history(&told[..2]));
    let found = verdicts(dir.path(), None, None);
    assert_eq!(says(&found, "membership", "undecided"), "there is no history of c here");
    let dir = folder(&history(&told));
    edit(dir.path(), "history_b.1.jsonl", |text| {
        text.replace(
            "\"members\":[\"a\",\"b\",\"c\"],\"time_us\":2",
            "\"members\":[\"a\",\"b\",\"x\"],\"time_us\":2",
        )
    });
    let why = says(&verdicts(dir.path(), None, None), "membership", "violated");
    assert_eq!(
        why,
        "epoch 2 began at a (history_a.1.jsonl:6) with a, b and c, and at b (history_b.1.jsonl:4) with a, b and x"
    );
}

#[test]
fn cluster_files_that_disagree_violate_consistency() {
    let disagree = |name: &str, change: fn(&str) -> String, story: &str| {
        let dir = folder(&history(&VALID));
        edit(dir.path(), name, change);
        assert_eq!(says(&verdicts(dir.path(), None, None), "consistency", "violated"), story);
    };
    disagree(
        "test_result_b_tom.txt",
        |text| text.replace("b###1", "b###9"),
        "the history says `b###1` (history_b.1.jsonl:7) where the results say `b###9` (test_result_b_tom.txt:2)",
    );
    disagree(
        "history_b.1.jsonl",
        |text| text.replace("\"members\":[\"a\",\"b\"]", "\"members\":[\"b\",\"a\"]"),
        "a started with a and b (history_a.1.jsonl:1); b with b and a (history_b.1.jsonl:1)",
    );
    disagree(
        "history_a.2.jsonl",
        |text| text.replace("\"incarnation\":2", "\"incarnation\":1"),
        "this is the history of life 1 of a (history_a.2.jsonl:1)",
    );
    disagree(
        "history_a.2.jsonl",
        |text| format!("{text}{}\n", text.lines().nth(1).unwrap()),
        "a ended, and then something happened (history_a.2.jsonl:8,9)",
    );
    disagree(
        "history_a.1.jsonl",
        |text| text.replace("stored\",\"id\":\"a/", "stored\",\"id\":\"b/"),
        "a tells of a message with an id that it cannot have (history_a.1.jsonl:3)",
    );
    let strange = folder(&history(&VALID));
    edit(strange.path(), "history_b.1.jsonl", |text| {
        text.replace("insert\",\"id\":\"a/1/2", "insert\",\"id\":\"x/1/2")
    });
    let found = verdicts(strange.path(), None, None);
    assert_eq!(
        says(&found, "no-creation", "violated"),
        "b delivered x/1/2 (history_b.1.jsonl:9), whose sender is no member"
    );
    let mixed = folder(&history(&VALID));
    edit(mixed.path(), "history_b.1.jsonl", |text| {
        text.replace("\"event\":\"insert\"", "\"event\":\"deliver\"")
    });
    let failure = read::read(mixed.path(), None).unwrap_err();
    assert!(failure.message.starts_with("history_b.1.jsonl:2: this event belongs to a group"), "{failure}");
}

#[test]
fn cluster_result_files_alone_show_prefixes() {
    let results = |a: &str, b: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test_result_a_tom.txt"), a).unwrap();
        fs::write(dir.path().join("test_result_b_tom.txt"), b).unwrap();
        dir
    };
    let dir = results("a###1\nb###1\n", "a###1\n");
    let found = verdicts(dir.path(), Some(TENTATIVE), None);
    says(&found, "confirmed", "valid");
    assert_eq!(says(&found, "convergence", "undecided"), "only a history tells whether a settled");
    assert_eq!(says(&found, "agreement", "undecided"), "only a history tells whether a settled");
    assert_eq!(says(&found, "once", "undecided"), "only histories tell");
    // Without being told, this is a group in which one member lacks a message.
    says(&verdicts(dir.path(), None, None), "agreement", "violated");
    let dir = results("a###1\nb###1\n", "a###1\nb###2\n");
    let found = verdicts(dir.path(), Some(TENTATIVE), None);
    let story =
        "number 2 is `b###2` at b (test_result_b_tom.txt:2) and `b###1` at a (test_result_a_tom.txt:2)";
    assert_eq!(says(&found, "confirmed", "violated"), story);
    says(&found, "convergence", "violated");
    // The lists of the end say that nothing is tentative; and that this is a cluster.
    let dir = results("a###1\nb###1\n", "a###1\nb###1\n");
    for (member, rest) in [("a", ""), ("b", "~ b###2\n")] {
        let name = format!("test_result_{member}_now.txt");
        fs::write(dir.path().join(name), format!("a###1\nb###1\n{rest}")).unwrap();
    }
    says(&verdicts(dir.path(), None, None), "convergence", "undecided");
    edit(dir.path(), "test_result_b_now.txt", |text| text.replace("~ b###2\n", ""));
    let found = verdicts(dir.path(), None, None);
    says(&found, "convergence", "valid");
    says(&found, "confirmed", "valid");
    let (_, warnings) = read::read(dir.path(), None).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn cluster_commands_tell_what_must_be_confirmed_once() {
    let dir =
        folder(&history(&["+1 s1 a1@1 >b1 | c1^1a +2=1 s2 a2@2:a1=1 c2^2a", "a1@1 <a1 a2@2:a1=1 c1-2^2a"]));
    let commands = tempfile::tempdir().unwrap();
    let asked = |a: &str| {
        fs::write(commands.path().join("a.txt"), a).unwrap();
        fs::write(commands.path().join("b.txt"), "").unwrap();
        verdicts(dir.path(), None, Some(commands.path()))
    };
    let found = asked("Multicast,a,1\na,b,\nMulticast,a,1\n");
    assert!(found.iter().all(|(_, verdict)| verdict.is_valid()), "{found:?}");
    // A member that started again and repeated a command.
    let found = asked("Multicast,a,1\na,b,\n");
    assert!(says(&found, "no-duplicate", "violated").contains("2 times"), "{found:?}");
    // A member that started again and left one out.
    let found = asked("Multicast,a,1\na,b,\nMulticast,a,1\nMulticast,a,3\n");
    let story = "a was asked to multicast `a###3` (a.txt:4) and never delivered it (test_result_a_tom.txt)";
    assert_eq!(says(&found, "validity", "violated"), story);
    let found = asked("Multicast,a,1\na,b,\na,b,x\nMulticast,a,1\n");
    says(&found, "point-to-point", "violated");
}

#[test]
fn cluster_beside_a_group_is_judged_apart() {
    let dir = folder(&history(&VALID));
    let start = "{\"v\":1,\"event\":\"start\",\"member\":\"c.1\",\"incarnation\":1,\"group\":\"main\",\"order\":\"fifo\",\
                 \"members\":[\"c.1\"],\"time_us\":1}\n";
    fs::write(dir.path().join("history_c.1.jsonl"), start).unwrap();
    let (runs, _) = read::read(dir.path(), None).unwrap();
    let groups: Vec<_> = runs.iter().map(|run| (run.group.clone().unwrap(), run.cluster.is_some())).collect();
    assert_eq!(groups, [("chat".to_owned(), true), ("main".to_owned(), false)]);
    let checker = Checker::new(&runs[1], None);
    assert_eq!(checker.judge("once").why(), Some("these are files of a group, not of a cluster"));
    let checker = Checker::new(&runs[0], None);
    assert_eq!(checker.judge("start-barrier").why(), Some("members of a cluster start when they like"));
    // A cluster also keeps the promises of `lamport`, if its confirmations are taken as deliveries.
    assert!(Checker::new(&runs[0], Some("lamport")).judge("total").is_valid());
}
