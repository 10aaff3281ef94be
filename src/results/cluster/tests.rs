//! The files of a member of a cluster through several lives.

use std::borrow::Cow;
use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;
use crate::ids::MemberId;

const FIRST: Opening = Opening { life: 1, history: true, fresh: true, force: false };

fn id(member: &str, number: u64) -> MessageId<'_> {
    MessageId { member, incarnation: 1, number }
}

const fn at(time: u64, slot: u16) -> Stamp {
    Stamp { time, origin: MemberId(slot) }
}

fn life(life: u32) -> Opening {
    Opening { life, fresh: false, ..FIRST }
}

fn open(dir: &Path, opening: Opening) -> ClusterResults {
    ClusterResults::open(dir, "s1", opening).unwrap()
}

fn read(dir: &Path, name: &str) -> String {
    String::from_utf8(fs::read(dir.join(name)).unwrap()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

fn append(dir: &Path, name: &str, text: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).open(dir.join(name)).unwrap();
    file.write_all(text).unwrap();
}

/// A first life that confirmed two texts, received one, and crashed.
fn crashed(dir: &Path) {
    let mut results = open(dir, FIRST);
    for text in ["a", "b\nc"] {
        results.confirm("s2", text.as_bytes()).unwrap();
    }
    results.receive("s3", b"d").unwrap();
    results.insert(id("s2", 1), at(5, 1), &[0, 0], b"a", 7).unwrap();
    results.insert(id("s2", 2), at(6, 1), &[0, 1], b"b\nc", 8).unwrap();
    results.confirmed(at(6, 1), 1, 2, 0xabc, 9).unwrap();
}

#[test]
fn cluster_files_have_their_final_names_from_the_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/b");
    let mut results = open(&out, FIRST);
    assert_eq!((results.confirmed_lines(), results.received_lines()), (0, 0));
    let all = ["history_s1.1.jsonl", "test_result_s1_tom.txt", "test_result_s1_uno.txt"];
    assert_eq!(names(&out), all);
    results.confirm("s2", b"x").unwrap();
    results.flush().unwrap();
    assert_eq!(read(&out, "test_result_s1_tom.txt"), "s2###x\n");
    let paths = results.finish().unwrap();
    let finals = ["test_result_s1_tom.txt", "test_result_s1_uno.txt", "history_s1.1.jsonl"];
    assert_eq!(paths, finals.map(|name| out.join(name)));
    assert_eq!(names(&out), all);
}

#[test]
fn cluster_without_a_history_or_without_files_writes_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = open(dir.path(), Opening { history: false, ..FIRST });
    results.stored(id("s1", 1), 5).unwrap();
    assert_eq!(results.finish().unwrap().len(), 2);
    assert_eq!(names(dir.path()), ["test_result_s1_tom.txt", "test_result_s1_uno.txt"]);
    let mut none = ClusterResults::none();
    none.confirm("s1", b"x").unwrap();
    none.now([("s1", &b"x"[..])].into_iter()).unwrap();
    none.forgotten(7, 7, |_, _| ()).unwrap();
    assert!(none.finish().unwrap().is_empty());
}

#[test]
fn cluster_history_holds_every_event_with_its_fields() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = open(dir.path(), FIRST);
    let members = Cow::Borrowed(&["s1", "s2"][..]);
    let (order, group) = ("tentative", "chat");
    let groups = Cow::Borrowed(&[][..]);
    let start = Start {
        member: "s1",
        incarnation: 1,
        group,
        groups,
        order,
        method: None,
        log: None,
        members,
        time_us: 1,
    };
    results.start(&start).unwrap();
    results.recover(9, 4, 2, 1_700_000_000_000_000).unwrap();
    results.multicast(id("s1", 5), b"x", 3).unwrap();
    results.stored(id("s1", 5), 4).unwrap();
    results.insert(id("s1", 5), at(12, 0), &[4, 3], b"\xff", 5).unwrap();
    results.confirmed(at(12, 0), 5, 1, 0xabc, 6).unwrap();
    results.withdraw(id("s2", 9), 7).unwrap();
    results.sent(id("s1", 1), "s2", b"y", 8).unwrap();
    results.received(id("s2", 1), b"z", 9).unwrap();
    results.undeliverable(id("s1", 1), "s2", Undelivered::NotSent, 10).unwrap();
    results.end("settled", &Counts { multicasts: 1, ..Counts::default() }, 11).unwrap();
    results.finish().unwrap();
    let expected = r#"
{"v":1,"event":"start","member":"s1","incarnation":1,"group":"chat","order":"tentative","members":["s1","s2"],"time_us":1}
{"v":1,"event":"recover","entries":9,"confirmed":4,"time_us":2,"calendar_us":1700000000000000}
{"v":1,"event":"multicast","id":"s1/1/5","text":"x","time_us":3}
{"v":1,"event":"stored","id":"s1/1/5","time_us":4}
{"v":1,"event":"insert","id":"s1/1/5","text_b64":"/w==","at":[12,0],"deps":[4,3],"time_us":5}
{"v":1,"event":"confirm","upto":[12,0],"number":5,"count":1,"digest":"0000000000000abc","time_us":6}
{"v":1,"event":"withdraw","id":"s2/1/9","time_us":7}
{"v":1,"event":"send","id":"s1/1/1","to":"s2","text":"y","time_us":8}
{"v":1,"event":"receive","id":"s2/1/1","from":"s2","text":"z","time_us":9}
{"v":1,"event":"undeliverable","id":"s1/1/1","to":"s2","reason":"not sent: the receiver is no longer in the group","time_us":10}
{"v":1,"event":"end","reason":"settled","multicasts":1,"delivered":0,"sent":0,"received":0,"undeliverable":0,"time_us":11}
"#;
    assert_eq!(read(dir.path(), "history_s1.1.jsonl"), expected.trim_start());
}

#[test]
fn cluster_member_that_starts_again_goes_on_after_its_last_lines() {
    let dir = tempfile::tempdir().unwrap();
    crashed(dir.path());
    let mut results = open(dir.path(), life(2));
    assert_eq!((results.confirmed_lines(), results.received_lines()), (2, 1));
    for text in ["a", "b\nc", "e"] {
        results.confirm("s2", text.as_bytes()).unwrap();
    }
    results.receive("s3", b"d").unwrap();
    results.receive("s3", b"f").unwrap();
    results.finish().unwrap();
    assert_eq!(read(dir.path(), "test_result_s1_tom.txt"), "s2###a\ns2###b\\nc\ns2###e\n");
    assert_eq!(read(dir.path(), "test_result_s1_uno.txt"), "s3###d\ns3###f\n");
}

#[test]
fn cluster_torn_lines_are_cut_and_written_again() {
    let dir = tempfile::tempdir().unwrap();
    crashed(dir.path());
    append(dir.path(), "test_result_s1_tom.txt", b"s2###");
    append(dir.path(), "test_result_s1_uno.txt", b"s");
    append(dir.path(), "history_s1.1.jsonl", b"{\"v\":1,\"event\":\"insert\",\"id\":\"s2/1/3");
    let mut results = open(dir.path(), life(2));
    assert_eq!((results.confirmed_lines(), results.received_lines()), (2, 1));
    assert_eq!(read(dir.path(), "test_result_s1_tom.txt"), "s2###a\ns2###b\\nc\n");
    results.forgotten(1, 1, |_, _| ()).unwrap();
    results.confirm("s2", b"b\nc").unwrap();
    results.confirm("s2", b"e").unwrap();
    results.insert(id("s2", 3), at(7, 1), &[0, 2], b"e", 20).unwrap();
    drop(results);
    assert_eq!(read(dir.path(), "test_result_s1_tom.txt"), "s2###a\ns2###b\\nc\ns2###e\n");
    assert_eq!(read(dir.path(), "history_s1.2.jsonl").lines().count(), 1);
    // The same life, opened again, goes on in its file.
    append(dir.path(), "history_s1.2.jsonl", b"{\"v");
    let mut results = open(dir.path(), life(2));
    results.insert(id("s2", 3), at(7, 1), &[0, 2], b"e", 20).unwrap();
    results.insert(id("s2", 4), at(8, 1), &[0, 3], b"e", 21).unwrap();
    drop(results);
    assert_eq!(read(dir.path(), "history_s1.2.jsonl").lines().count(), 2);
}

#[test]
fn cluster_events_of_earlier_lives_are_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = open(dir.path(), FIRST);
    results.stored(id("s1", 1), 3).unwrap();
    results.sent(id("s1", 1), "s2", b"y", 3).unwrap();
    results.received(id("s2", 1), b"z", 4).unwrap();
    drop(results);
    crashed_history(dir.path());
    let mut results = open(dir.path(), life(3));
    let events = |results: &mut ClusterResults| {
        results.stored(id("s1", 1), 3).unwrap();
        results.sent(id("s1", 1), "s2", b"y", 3).unwrap();
        results.received(id("s2", 1), b"z", 4).unwrap();
        results.insert(id("s2", 2), at(6, 1), &[], b"", 5).unwrap();
        results.confirmed(at(6, 1), 2, 1, 7, 6).unwrap();
    };
    events(&mut results);
    assert_eq!(read_flushed(&mut results, dir.path()), "");
    // The journal has more than the histories tell.
    results.insert(id("s2", 3), at(7, 1), &[], b"", 5).unwrap();
    results.confirmed(at(9, 1), 1, 5, 7, 6).unwrap();
    results.confirmed(at(9, 1), 3, 0, 7, 6).unwrap();
    let told = read_flushed(&mut results, dir.path());
    let numbers = "\"upto\":[9,1],\"number\":3,\"count\":3,";
    assert!(told.lines().count() == 3 && told.contains(numbers), "{told}");
    // From now on, a repetition is a mistake that the checker must see.
    results.recovered();
    events(&mut results);
    assert_eq!(read_flushed(&mut results, dir.path()).lines().count(), 8);
}

/// A second life that inserted and confirmed two messages.
fn crashed_history(dir: &Path) {
    let mut results = open(dir, life(2));
    results.insert(id("s2", 1), at(5, 1), &[], b"", 7).unwrap();
    results.insert(id("s2", 2), at(6, 1), &[], b"", 8).unwrap();
    results.confirmed(at(6, 1), 1, 2, 7, 9).unwrap();
}

fn read_flushed(results: &mut ClusterResults, dir: &Path) -> String {
    results.flush().unwrap();
    read(dir, "history_s1.3.jsonl")
}

#[test]
fn cluster_results_of_another_run_are_not_touched_without_force() {
    for name in [
        "test_result_s1_tom.txt",
        "test_result_s1_uno.txt",
        "test_result_s1_now.txt",
        "test_result_s1_tom.txt.part",
        "history_s1.1.jsonl",
        "history_s1.7.jsonl",
        "history_s1.jsonl",
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "old\n").unwrap();
        let failure = ClusterResults::open(dir.path(), "s1", FIRST).unwrap_err();
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert!(failure.message.ends_with(&format!("/{name} is there already")), "{failure}");
        assert_eq!((names(dir.path()), &*read(dir.path(), name)), (vec![name.to_owned()], "old\n"));
        let results = open(dir.path(), Opening { force: true, ..FIRST });
        drop(results);
        let all = ["history_s1.1.jsonl", "test_result_s1_tom.txt", "test_result_s1_uno.txt"];
        assert_eq!(names(dir.path()), all);
        assert!(all.iter().all(|name| read(dir.path(), name).is_empty()));
    }
    let dir = tempfile::tempdir().unwrap();
    for other in ["test_result_s2_tom.txt", "history_s10.1.jsonl", "history_s1.x.jsonl"] {
        fs::write(dir.path().join(other), "old\n").unwrap();
    }
    open(dir.path(), FIRST);
}

#[test]
fn cluster_empty_files_of_a_member_killed_in_its_start_are_of_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        drop(open(dir.path(), FIRST));
        assert_eq!(names(dir.path()).len(), 3);
    }
    append(dir.path(), "history_s1.1.jsonl", b"{}\n");
    assert_eq!(ClusterResults::open(dir.path(), "s1", FIRST).unwrap_err().exit, Exit::CannotCreate);
}

#[test]
fn cluster_files_of_another_run_under_this_journal_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    crashed(dir.path());
    let mut results = open(dir.path(), life(2));
    results.confirm("s2", b"a").unwrap();
    let failure = results.confirm("s2", b"other").unwrap_err();
    assert_eq!(failure.exit, Exit::BadData);
    let told = "test_result_s1_tom.txt:2 is `s2###b\\nc`, and the journal has `s2###other` there";
    assert!(failure.message.ends_with(told), "{failure}");
    drop(results);
    let mut results = open(dir.path(), life(2));
    let failure = results.forgotten(3, 0, |_, _| ()).unwrap_err();
    assert!(failure.message.ends_with("has 2 lines, and the journal has forgotten the first 3"), "{failure}");
    drop(results);
    fs::write(dir.path().join("history_s1.1.jsonl"), "no event\n").unwrap();
    let failure = ClusterResults::open(dir.path(), "s1", life(2)).unwrap_err();
    assert!(failure.message.contains("history_s1.1.jsonl:1: this is no event"), "{failure}");
}

#[test]
fn cluster_list_of_now_replaces_the_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = open(dir.path(), FIRST);
    results.now([("s1", &b"old"[..])].into_iter()).unwrap();
    results.confirm("s1", b"a").unwrap();
    results.now([("s2", &b"b\n"[..])].into_iter()).unwrap();
    assert_eq!(read(dir.path(), "test_result_s1_now.txt"), "s1###a\n~ s2###b\\n\n");
    assert_eq!(names(dir.path()).len(), 4);
}

#[test]
fn cluster_full_disk_ends_with_its_name_and_reason() {
    for name in ["test_result_s1_tom.txt", "test_result_s1_uno.txt", "history_s1.1.jsonl"] {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/full", dir.path().join(name)).unwrap();
        let mut results = open(dir.path(), Opening { fresh: false, ..FIRST });
        results.confirm("s1", b"x").unwrap();
        results.receive("s1", b"x").unwrap();
        results.stored(id("s1", 1), 5).unwrap();
        let failure = results.flush().unwrap_err();
        assert_eq!(failure.exit, Exit::Io);
        assert!(failure.message.contains(name) && failure.message.contains("No space left"), "{failure}");
        assert_eq!(results.finish().unwrap_err(), failure);
    }
}
