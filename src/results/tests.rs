//! The content of the files, and failures to write it.

use std::borrow::Cow;
use std::io::Write;
use std::os::unix::fs::symlink;

use super::lines::FULL_BUFFER;
use super::output::State;
use super::*;

const ID: MessageId<'_> = MessageId { member: "c1", incarnation: 1, number: 7 };
const START: Start<'_> = Start {
    member: "c1",
    incarnation: 1,
    group: "main",
    groups: Cow::Borrowed(&[]),
    order: "total",
    method: Some("bb"),
    log: None,
    members: Cow::Borrowed(&["c1", "c2"]),
    time_us: 5,
};

/// Results with a history in an empty directory, started.
fn started(dir: &Path) -> Results {
    let mut results = Results::create(dir, "c1", "tom", true, false).unwrap();
    results.start(&START).unwrap();
    results
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_have_their_final_names_only_when_finished() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/b");
    let results = started(&out);
    assert_eq!(
        names(&out),
        ["history_c1.jsonl.part", "test_result_c1_tom.txt.part", "test_result_c1_uno.txt.part"]
    );
    let paths = results.finish().unwrap();
    let finals = ["test_result_c1_tom.txt", "test_result_c1_uno.txt", "history_c1.jsonl"];
    assert_eq!(paths, finals.map(|name| out.join(name)));
    assert_eq!(names(&out), ["history_c1.jsonl", "test_result_c1_tom.txt", "test_result_c1_uno.txt"]);
}

#[test]
fn without_a_history_there_are_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = Results::create(dir.path(), "c1", "fifo", false, false).unwrap();
    results.start(&START).unwrap();
    results.deliver("c1", ID, b"x", None, 9).unwrap();
    results.finish().unwrap();
    assert_eq!(names(dir.path()), ["test_result_c1_fifo.txt", "test_result_c1_uno.txt"]);
}

#[test]
fn a_result_is_one_line_whatever_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = started(dir.path());
    let texts: [&[u8]; 5] = [b"command1", b"", b"a\\b\nc\rd\n", b"\xff\0###\t", "ä".as_bytes()];
    for text in texts {
        results.deliver("c2", ID, text, Some(1), 9).unwrap();
    }
    results.receive(ID, "c3", b"x\ny", 9).unwrap();
    let paths = results.finish().unwrap();
    assert_eq!(
        fs::read(&paths[0]).unwrap(),
        b"c2###command1\nc2###\nc2###a\\\\b\\nc\\rd\\n\nc2###\xff\0###\t\nc2###\xc3\xa4\n"
    );
    assert_eq!(fs::read(&paths[1]).unwrap(), b"c3###x\\ny\n");
}

#[test]
fn the_history_holds_every_event_with_its_fields() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = started(dir.path());
    results.start(&Start { method: None, ..START }).unwrap();
    results.view(1, &["c1", "c2"], 6).unwrap();
    results.multicast(ID, b"say \"hi\"\n", 7).unwrap();
    results.multicast(ID, b"\xff\0", 8).unwrap();
    results.deliver("c1", ID, b"x", None, 9).unwrap();
    results.deliver("c1", ID, b"\xff", Some(12), 10).unwrap();
    results.send(ID, "c2", b"", 11).unwrap();
    results.receive(MessageId { member: "c2", ..ID }, "c2", b"z", 12).unwrap();
    results.undeliverable(ID, "c2", Undelivered::NotSent, 12).unwrap();
    let counts = Counts { multicasts: 1, delivered: 2, sent: 3, received: 4, undeliverable: 1 };
    results.end("done", &counts, 13).unwrap();
    let paths = results.finish().unwrap();
    let expected = r#"
{"v":1,"event":"start","member":"c1","incarnation":1,"group":"main","order":"total","method":"bb","members":["c1","c2"],"time_us":5}
{"v":1,"event":"start","member":"c1","incarnation":1,"group":"main","order":"total","members":["c1","c2"],"time_us":5}
{"v":1,"event":"view","number":1,"members":["c1","c2"],"time_us":6}
{"v":1,"event":"multicast","id":"c1/1/7","text":"say \"hi\"\n","time_us":7}
{"v":1,"event":"multicast","id":"c1/1/7","text_b64":"/wA=","time_us":8}
{"v":1,"event":"deliver","id":"c1/1/7","text":"x","time_us":9}
{"v":1,"event":"deliver","id":"c1/1/7","text_b64":"/w==","time_us":10,"number":12}
{"v":1,"event":"send","id":"c1/1/7","to":"c2","text":"","time_us":11}
{"v":1,"event":"receive","id":"c2/1/7","from":"c2","text":"z","time_us":12}
{"v":1,"event":"undeliverable","id":"c1/1/7","to":"c2","reason":"not sent: the receiver is no longer in the group","time_us":12}
{"v":1,"event":"end","reason":"done","multicasts":1,"delivered":2,"sent":3,"received":4,"undeliverable":1,"time_us":13}
"#;
    assert_eq!(fs::read_to_string(&paths[2]).unwrap(), expected.trim_start());
}

#[test]
fn results_of_another_run_are_not_touched_without_force() {
    for name in [
        "test_result_c1_tom.txt",
        "test_result_c1_tom.txt.part",
        "test_result_c1_uno.txt",
        "test_result_c1_uno.txt.part",
        "history_c1.jsonl",
        "history_c1.jsonl.part",
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "old").unwrap();
        let failure = Results::create(dir.path(), "c1", "tom", false, false).unwrap_err();
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert!(failure.message.ends_with(&format!("/{name} is there already")), "{failure}");
        assert!(failure.help.unwrap().contains("--force"));
        assert_eq!(names(dir.path()), [name]);
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"old");
    }
}

#[test]
fn results_of_other_clients_and_orders_are_not_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("test_result_c2_tom.txt"), "old").unwrap();
    fs::write(dir.path().join("test_result_c1_fifo.txt"), "old").unwrap();
    assert!(Results::create(dir.path(), "c1", "tom", true, false).is_ok());
}

#[test]
fn force_leaves_nothing_of_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = started(dir.path());
    results.deliver("c1", ID, b"old", None, 9).unwrap();
    drop(results);
    for name in ["test_result_c1_tom.txt", "test_result_c1_uno.txt", "history_c1.jsonl"] {
        fs::write(dir.path().join(name), "old").unwrap();
    }
    let before = names(dir.path());
    drop(Results::create(dir.path(), "c1", "tom", false, true).unwrap());
    assert_eq!(names(dir.path()), before, "a run that does not start takes nothing away");
    let mut results = Results::create(dir.path(), "c1", "tom", false, true).unwrap();
    results.start(&START).unwrap();
    assert_eq!(names(dir.path()), ["test_result_c1_tom.txt.part", "test_result_c1_uno.txt.part"]);
    results.deliver("c1", ID, b"new", None, 9).unwrap();
    assert_eq!(fs::read(&results.finish().unwrap()[0]).unwrap(), b"c1###new\n");
}

#[test]
fn a_run_that_is_cut_off_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = started(dir.path());
    results.deliver("c1", ID, b"x", None, 9).unwrap();
    drop(results);
    assert_eq!(fs::read(dir.path().join("test_result_c1_tom.txt.part")).unwrap(), b"c1###x\n");
    assert_eq!(names(dir.path()).len(), 3);
}

#[test]
fn a_run_that_never_started_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    drop(Results::create(dir.path(), "c1", "tom", true, false).unwrap());
    assert!(names(dir.path()).is_empty());
    fs::create_dir(dir.path().join("test_result_c1_uno.txt.part")).unwrap();
    Results::create(dir.path(), "c1", "tom", true, true).unwrap_err();
    assert_eq!(names(dir.path()), ["test_result_c1_uno.txt.part"]);
}

#[test]
fn what_cannot_be_created_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [file.clone(), file.join("below")] {
        let failure = Results::create(&out, "c1", "tom", true, false).unwrap_err();
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert!(failure.message.starts_with(&format!("cannot create {}: ", out.display())), "{failure}");
    }
}

#[test]
fn a_full_disk_ends_with_its_name_and_reason() {
    for name in ["test_result_c1_tom.txt.part", "test_result_c1_uno.txt.part", "history_c1.jsonl.part"] {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/full", dir.path().join(name)).unwrap();
        let mut results = Results::create(dir.path(), "c1", "tom", true, true).unwrap();
        results.start(&START).unwrap();
        results.deliver("c1", ID, b"x", None, 9).unwrap();
        results.receive(ID, "c1", b"x", 9).unwrap();
        let failure = results.flush().unwrap_err();
        assert_eq!(failure.exit, Exit::Io);
        assert!(failure.message.contains(name) && failure.message.contains("No space left"), "{failure}");
        assert_eq!(results.finish().unwrap_err(), failure);
        let others = names(dir.path()).into_iter().filter(|other| other != name);
        assert!(others.map(|other| fs::read(dir.path().join(other)).unwrap()).all(|file| !file.is_empty()));
    }
}

#[test]
fn a_full_disk_is_noticed_in_mid_run() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/dev/full", dir.path().join("test_result_c1_tom.txt.part")).unwrap();
    let mut results = Results::create(dir.path(), "c1", "tom", false, true).unwrap();
    let outcome = (0..100).try_for_each(|_| results.deliver("c1", ID, &[b'x'; 1024], None, 9));
    assert_eq!(outcome.unwrap_err().exit, Exit::Io);
}

#[test]
fn half_a_line_is_taken_back_and_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut output = Output::create(dir.path().join("f"), false).unwrap();
    output.state = State::Started;
    let content = || fs::read(dir.path().join("f.part")).unwrap();
    output.line(|line| line.extend_from_slice(b"ab")).unwrap();
    output.line(|line| line.extend_from_slice(b"cd")).unwrap();
    output.lines.file.write_all(b"ab\nc").unwrap();
    output.lines.settle(4);
    assert_eq!((content(), &*output.lines.buffer), (b"ab\n".to_vec(), &b"cd\n"[..]));
    output.flush().unwrap();
    assert_eq!(content(), b"ab\ncd\n");
}

#[test]
fn much_is_written_before_anyone_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = started(dir.path());
    for number in 1..=10_000 {
        results.deliver("c1", MessageId { number, ..ID }, &[b'x'; 100], Some(number), 9).unwrap();
    }
    let delivered = &results.delivered.as_ref().unwrap().lines;
    assert!(delivered.length > 900_000 && delivered.buffer.len() < FULL_BUFFER);
    let paths = results.finish().unwrap();
    assert_eq!(fs::read_to_string(&paths[0]).unwrap().lines().count(), 10_000);
}
