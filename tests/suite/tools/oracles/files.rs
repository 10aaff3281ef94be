//! `groupcast check` on real files: the same damages, read from disk; and what only files can have wrong.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use groupcast::check::{Event, History, MessageId, MessageIndex, PROPERTIES, Record};
use groupcast::member::Undelivered;
use groupcast::prng::Prng;
use groupcast::results::{self, Counts, Results, Start};
use serde_json::Value;
use tempfile::TempDir;

use super::damage::{NAMES, WAYS, valid};

/// The lines of a history before its first message: `start` and `view`.
const HEAD: usize = 2;

/// A folder of results and what the checker says about it.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// The results of a history, as clients write them.
    fn of(history: &History) -> Self {
        let folder = Self::new();
        write(folder.path(), history, "main");
        folder
    }

    /// The results of a valid run.
    fn good() -> Self {
        Self::of(&valid(&mut Prng::new(7)))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn put(&self, file: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(file), content).unwrap();
        self
    }

    fn remove(&self, file: &str) -> &Self {
        fs::remove_file(self.path().join(file)).unwrap();
        self
    }

    fn rename(&self, from: &str, to: &str) -> &Self {
        fs::rename(self.path().join(from), self.path().join(to)).unwrap();
        self
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    /// Changes the lines of a file.
    fn edit(&self, file: &str, change: impl FnOnce(&mut Vec<String>)) -> &Self {
        let mut lines: Vec<String> = self.read(file).lines().map(str::to_owned).collect();
        change(&mut lines);
        self.put(file, lines.join("\n") + "\n")
    }

    pub(super) fn check(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        command.arg("check").arg(self.path()).args(arguments.split_whitespace());
        command.output().expect("the tool starts")
    }

    /// The verdicts on the only group there is, and the exit code.
    pub(super) fn verdicts(&self, arguments: &str) -> Verdicts {
        let output = self.check(&format!("{arguments} --format json"));
        let code = output.status.code().unwrap();
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(value["groups"].as_array().map(Vec::len), Some(1), "{value:#}");
        Verdicts { code, group: value["groups"][0].clone() }
    }
}

/// The checker's judgement of a group.
pub(super) struct Verdicts {
    pub(super) code: i32,
    group: Value,
}

impl Verdicts {
    fn all(&self) -> &Vec<Value> {
        self.group["properties"].as_array().unwrap()
    }

    fn find(&self, property: &str) -> &Value {
        self.all()
            .iter()
            .find(|one| one["property"] == property)
            .unwrap_or_else(|| panic!("{property}: {self:?}"))
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.all().iter().map(|one| one["property"].as_str().unwrap()).collect()
    }

    pub(super) fn word(&self, property: &str) -> &str {
        self.find(property)["verdict"].as_str().unwrap()
    }

    pub(super) fn why(&self, property: &str) -> &str {
        self.find(property)["why"].as_str().unwrap_or_default()
    }

    pub(super) fn with(&self, word: &str) -> Vec<&str> {
        self.names().into_iter().filter(|name| self.word(name) == word).collect()
    }
}

impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}, {:#}", self.code, self.group)
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes the results of all members of `history`.
fn write(dir: &Path, history: &History, group: &str) {
    let names: Vec<&str> = history.records.iter().map(|record| record.name.as_str()).collect();
    for record in &history.records {
        write_member(dir, history, record, group, &names);
    }
}

fn write_member(dir: &Path, history: &History, record: &Record, group: &str, members: &[&str]) {
    let mut results = Results::create(dir, &record.name, "tom", true, false).unwrap();
    let start = Start {
        member: &record.name,
        incarnation: 1,
        group,
        groups: (&[]).into(),
        order: "total",
        method: Some("bb"),
        log: None,
        members: members.into(),
        time_us: 1,
    };
    results.start(&start).unwrap();
    results.view(1, members, 1).unwrap();
    let mut counts = Counts::default();
    for event in &record.events {
        let MessageId { member, incarnation, number } = event.id();
        let from = history.who(member);
        let id = results::MessageId { member: from, incarnation, number };
        let written = match event {
            Event::Multicast { text, .. } => results.multicast(id, text, 2),
            Event::Deliver { number, text, .. } => results.deliver(from, id, text, *number, 2),
            Event::Send { to, text, .. } => results.send(id, history.who(*to), text, 2),
            Event::Receive { text, .. } => results.receive(id, from, text, 2),
            Event::Undeliverable { to, .. } => {
                results.undeliverable(id, history.who(*to), Undelivered::NotAcknowledged, 2)
            }
        };
        written.unwrap();
        *match event {
            Event::Multicast { .. } => &mut counts.multicasts,
            Event::Deliver { .. } => &mut counts.delivered,
            Event::Send { .. } => &mut counts.sent,
            Event::Receive { .. } => &mut counts.received,
            Event::Undeliverable { .. } => &mut counts.undeliverable,
        } += 1;
    }
    if record.ended {
        results.end("done", &counts, 3).unwrap();
    }
    results.finish().unwrap();
}

#[test]
fn check_good_run_is_valid_in_every_format() {
    let folder = Folder::good();
    let verdicts = folder.verdicts("");
    assert_eq!((verdicts.code, verdicts.with("valid").len()), (0, 11), "{verdicts:?}");
    let text = said(&folder.check("").stdout);
    let last = "PASS: group main, total (bb), 3 members: 12 multicast, 36 delivered, 6 sent, 6 received\n";
    assert!(text.ends_with(last), "{text}");
    assert_eq!(text.lines().filter(|line| line.ends_with(" valid")).count(), 11, "{text}");
    let junit = said(&folder.check("--format junit").stdout);
    assert!(
        junit.contains("<testsuite name=\"main\" tests=\"11\" failures=\"0\" errors=\"0\" skipped=\"0\">"),
        "{junit}"
    );
    assert!(folder.check("").stderr.is_empty());
}

#[test]
fn check_damage_is_reported_with_its_line() {
    for (name, way) in WAYS {
        let damaged = |seed: u64| {
            let mut prng = Prng::new(seed);
            let mut history = valid(&mut prng);
            way(&mut history, &mut prng).map(|damage| (seed, history, damage))
        };
        for (seed, history, damage) in (0..300).filter_map(damaged).take(3) {
            let folder = Folder::of(&history);
            let verdicts = folder.verdicts("--property all");
            let context = format!("{name}, seed {seed}: {verdicts:?}");
            let index = MessageIndex::new(&history);
            for property in &PROPERTIES {
                let expected = property.judge(&index);
                assert_eq!(verdicts.word(property.name), expected.word(), "{}: {context}", property.name);
            }
            assert_eq!(verdicts.word("start-barrier") == "violated", first_was_lost(&history), "{context}");
            assert_ne!(verdicts.word("consistency"), "violated", "{context}");
            let code = match (verdicts.with("violated").len(), verdicts.with("undecided").len()) {
                (0, 0) => 0,
                (0, _) => 2,
                _ => 1,
            };
            assert_eq!(verdicts.code, code, "{context}");
            assert_eq!(code == 2, damage.must.is_empty(), "{context}");
            if let Some((property, member, events)) = damage.shown {
                let file = format!("history_{}.jsonl", NAMES[member]);
                let places = verdicts.find(property)["places"].as_array().unwrap();
                let lines = places.iter().filter(|place| place["file"] == file.as_str());
                let mut lines = lines.flat_map(|place| place["lines"].as_array().unwrap());
                let is_shown = |line: &Value| events.contains(&(line.as_u64().unwrap() as usize - 1 - HEAD));
                assert!(lines.any(is_shown), "{events:?} {context}");
            }
        }
    }
}

/// Whether somebody who came to the end misses the first message of someone.
fn first_was_lost(history: &History) -> bool {
    let first = |member: usize, record: &Record| {
        let own =
            |event: &&Event| matches!(event, Event::Multicast { id, .. } if usize::from(id.member) == member);
        record.events.iter().find(own).map(Event::id)
    };
    let has = |record: &Record, id: MessageId| {
        record.events.iter().any(|event| matches!(event, Event::Deliver { .. }) && event.id() == id)
    };
    let firsts = || history.records.iter().enumerate().filter_map(|(member, record)| first(member, record));
    history.records.iter().filter(|record| record.ended).any(|record| firsts().any(|id| !has(record, id)))
}

#[test]
fn check_invalid_history_is_refused_with_its_place() {
    let deliver = |fields: &str| format!("{{\"v\":1,\"event\":\"deliver\",{fields}}}");
    let good = deliver("\"id\":\"c1/1/1\",\"text\":\"x\",\"time_us\":1,\"number\":1");
    for (line, at, message) in [
        (&good[..good.len() - 9], "5:65", "in the middle of an event"),
        ("hello", "5:1", "no event: expected an object"),
        ("{\"v\":1}", "5:7", "missing field `event`"),
        ("[1]", "5:1", "no event: expected an object"),
        ("{\"v\":2,\"event\":\"deliver\",\"id\":7}", "5:1", "version 2 of the format"),
        ("{\"v\":1,\"event\":\"delivr\",\"id\":\"c1/1/1\"}", "5:17", "unknown event `delivr`"),
        (&deliver("\"text\":\"x\""), "5:17", "the field \"id\""),
        (&deliver("\"id\":\"c1/1/1\""), "5:17", "the field \"text\""),
        (&deliver("\"id\":\"c1/1\",\"text\":\"x\""), "5:32", "`c1/1` is not the id"),
        (&deliver("\"id\":\"/1/1\",\"text\":\"x\""), "5:32", "not the id"),
        (&deliver("\"id\":\"c1/1/+1\",\"text\":\"x\""), "5:32", "not the id"),
        (&deliver("\"id\":\"c1/1/\",\"text\":\"x\""), "5:32", "not the id"),
        (&deliver("\"id\":\"c1/1/18446744073709551616\",\"text\":\"x\""), "5:32", "not the id"),
        (&deliver("\"id\":\"c1/4294967296/1\",\"text\":\"x\""), "5:32", "not the id"),
        (&deliver("\"id\":\"c1/1/1\",\"text_b64\":\"%%\""), "5:52", "not base64"),
        (&deliver("\"id\":\"c1/1/1\",\"text\":\"x\",\"text_b64\":\"eA==\""), "5:63", "has two"),
        (&deliver("\"id\":\"c1/1/1\",\"text\":7"), "5:47", "invalid type"),
        (&deliver("\"id\":\"c1/1/1\",\"text\":\"\\ud800\""), "5:", "no event"),
        (&deliver("\"id\":\"c1/1/1\",\"text\":\"x\",\"number\":-1"), "5:", "invalid value"),
        (&deliver("\"id\":\"c1/1/1\",\"text\":\"x\",\"number\":1.5"), "5:", "invalid type"),
        (&deliver("\"id\":\"c1/1/1\",\"text\":\"x\",\"number\":18446744073709551616"), "5:", "invalid"),
        (&deliver("\"id\":\"c1/1/1\",\"id\":\"c1/1/2\",\"text\":\"x\""), "5:", "duplicate field"),
        ("{\"v\":1,\"event\":\"start\",\"member\":\"c1\"}", "5:17", "the field \"incarnation\""),
        ("{\"v\":1,\"event\":\"end\",\"time_us\":1}", "5:17", "the field \"reason\""),
    ] {
        let folder = Folder::good();
        folder.edit("history_c2.jsonl", |lines| lines.insert(4, line.to_owned()));
        let output = folder.check("");
        let talk = said(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{line}: {talk}");
        assert!(talk.contains(&format!("history_c2.jsonl:{at}")) && talk.contains(message), "{line}: {talk}");
        assert!(talk.lines().any(|line| line.ends_with('^')), "{talk}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn check_half_line_is_refused_in_a_finished_history_only() {
    let cut = |file: &str, part: bool| {
        let folder = Folder::good();
        let content = folder.read(file);
        folder.put(file, &content[..content.len() - 5]);
        if part {
            folder.rename(file, &format!("{file}.part"));
        }
        folder
    };
    let output = cut("history_c3.jsonl", false).check("");
    assert_eq!(output.status.code(), Some(65));
    assert!(said(&output.stderr).contains("in the middle of"), "{}", said(&output.stderr));
    // Of a text nobody knows where it should end; but it is not what the history says.
    for file in ["test_result_c3_tom.txt", "test_result_c3_uno.txt"] {
        assert_eq!(cut(file, false).verdicts("").with("violated"), ["consistency"], "{file}");
    }
    let verdicts = cut("history_c3.jsonl", true).verdicts("");
    assert_eq!(verdicts.code, 2, "{verdicts:?}");
    assert_eq!(verdicts.with("valid"), [""; 0]);
    assert!(
        verdicts.why("total").starts_with("the history of c3 is cut off (history_c3.jsonl.part:"),
        "{verdicts:?}"
    );
    assert_eq!(cut("test_result_c3_tom.txt", true).verdicts("").code, 0, "the history tells the rest");
}

#[test]
fn check_missing_file_has_its_exit_code() {
    let empty = Folder::new();
    assert_eq!(empty.check("").status.code(), Some(66));
    assert!(said(&empty.check("").stderr).contains("there are no results in"));
    empty.put("notes.txt", "").put("history_c1.jsonl.gz", "");
    assert_eq!(empty.check("").status.code(), Some(66));
    fs::create_dir(empty.path().join("history_c1.jsonl")).unwrap();
    assert_eq!(empty.check("").status.code(), Some(66));
    let good = Folder::good();
    for (arguments, code) in [
        ("--commands /nowhere", 66),
        ("--property sorted", 64),
        ("--order sorted", 64),
        ("--format xml", 64),
        ("--help", 0),
        ("--property total,fifo", 0),
        ("--order agreed", 0),
    ] {
        assert_eq!(good.check(arguments).status.code(), Some(code), "{arguments}");
    }
    assert_eq!(good.check(&format!("--commands {}", empty.path().display())).status.code(), Some(66));
    good.put("history_c1.jsonl.part", "");
    let output = good.check("");
    assert_eq!(output.status.code(), Some(65));
    assert!(said(&output.stderr).contains("history_c1.jsonl and history_c1.jsonl.part are both there"));
    let nowhere = Command::new(env!("CARGO_BIN_EXE_groupcast")).args(["check", "/nowhere"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(66));
}

#[test]
fn check_unusual_correct_run_is_valid() {
    let mut history = valid(&mut Prng::new(3));
    history.records[0].name = "a.b-c_d".into();
    history.records[1].name = "7".into();
    // A member that only listens; texts with everything in them.
    let texts: [&[u8]; 5] = [b"a###b\\n", b"\xff\0\r\n", b"", "\u{202e}\"\u{1F600}".as_bytes(), b"\\"];
    for record in &mut history.records {
        record.events.retain(|event| event.id().member != 2 && !event.is_direct());
        for event in &mut record.events {
            let fill =
                |id: MessageId, text: &mut Bytes| *text = Bytes::from_static(texts[id.number as usize % 5]);
            match event {
                Event::Multicast { id, text } => fill(*id, text),
                Event::Deliver { id, number, text, .. } => {
                    fill(*id, text);
                    *number = None;
                }
                Event::Send { .. } | Event::Receive { .. } | Event::Undeliverable { .. } => {}
            }
        }
    }
    let folder = Folder::of(&history);
    for record in &history.records {
        folder.edit(&format!("history_{}.jsonl", record.name), |lines| {
            // No view; a field that nobody knows; an empty line; other line ends; another order of fields.
            lines.retain(|line| !line.contains("\"view\""));
            lines[1] = lines[1].replacen('{', "{\"later\":{\"a\":[1,null]},", 1);
            lines.insert(1, "  \r".into());
            lines.iter_mut().for_each(|line| line.push('\r'));
        });
    }
    let verdicts = folder.verdicts(
        "--property no-creation,no-duplicate,validity,agreement,fifo,causal,total,start-barrier,consistency",
    );
    assert_eq!(verdicts.with("valid").len(), 9, "{verdicts:?}");
    assert_eq!(folder.verdicts("--property numbers").why("numbers"), "no delivery has a number");
    assert!(!folder.verdicts("").names().contains(&"point-to-point"), "nothing was sent");
}

#[test]
fn check_missing_evidence_is_named_and_undecided() {
    let folder = Folder::good();
    folder.remove("history_c2.jsonl").remove("test_result_c2_tom.txt").remove("test_result_c2_uno.txt");
    let verdicts = folder.verdicts("");
    assert_eq!((verdicts.code, verdicts.with("valid")), (2, vec![]), "{verdicts:?}");
    assert_eq!(verdicts.why("start-barrier"), "the history of c2 is missing");
    assert_eq!(verdicts.why("agreement"), "c2 has no files here");

    let folder = Folder::good();
    folder.edit("history_c2.jsonl", |lines| {
        let end = lines.last_mut().unwrap();
        *end = end.replace("\"done\"", "\"interrupted\"");
    });
    let verdicts = folder.verdicts("");
    assert_eq!((verdicts.code, verdicts.with("valid")), (2, vec![]), "{verdicts:?}");
    assert!(verdicts.why("total").starts_with("c2 did not come to the end: interrupted (history_c2.jsonl:"));

    // An earlier life that nobody tells of.
    let folder = Folder::good();
    let restarted =
        folder.read("history_c2.jsonl").replace("\"c2\",\"incarnation\":1", "\"c2\",\"incarnation\":2");
    folder.put("history_c2.jsonl", restarted);
    let verdicts = folder.verdicts("");
    assert!(verdicts.code != 0 && !verdicts.names().is_empty(), "{verdicts:?}");

    // A history that was cut off before it told anything.
    let folder = Folder::good();
    folder.remove("history_c3.jsonl").remove("test_result_c3_tom.txt").put("history_c3.jsonl.part", "");
    assert_eq!(folder.verdicts("").code, 2);
    assert_eq!(folder.verdicts("").with("violated"), [""; 0]);
}

#[test]
fn check_groups_are_judged_separately() {
    let folder = Folder::good();
    let mut other = valid(&mut Prng::new(8));
    other.records.iter_mut().for_each(|record| record.name = record.name.replace('c', "d"));
    write(folder.path(), &other, "other");
    assert_eq!(folder.check("").status.code(), Some(0));
    let file = "history_d2.jsonl";
    folder.edit(file, |lines| {
        let at = lines.iter().position(|line| line.contains("\"deliver\"")).unwrap();
        lines.remove(at);
    });
    let output = folder.check("--format json");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(value["verdict"], "violated");
    assert_eq!([&value["groups"][0]["verdict"], &value["groups"][1]["verdict"]], ["valid", "violated"]);
    assert_eq!(value["groups"][1]["group"], "other");
}

/// Damages of files that no history in memory can have: the property that fails, and a part of the story.
/// A change of a file in a good folder, and a part of the reason for the verdict on it.
type Case = (&'static str, fn(&mut Vec<String>), &'static str);

fn assert_violated(property: &str, cases: &[Case]) {
    for (file, change, story) in cases {
        let folder = Folder::good();
        folder.edit(file, change);
        let verdicts = folder.verdicts("");
        assert_eq!((verdicts.code, verdicts.word(property)), (1, "violated"), "{story}: {verdicts:?}");
        assert!(verdicts.why(property).contains(story), "{story}: {verdicts:?}");
    }
}

#[test]
fn check_histories_without_a_common_start_violate_the_start_barrier() {
    let cases: [Case; 6] = [
        ("history_c2.jsonl", |lines| drop(lines.remove(0)), "c2 never started"),
        (
            "history_c2.jsonl",
            |lines| lines.swap(0, 1),
            "did something before it started (history_c2.jsonl:1,2)",
        ),
        (
            "history_c2.jsonl",
            |lines| lines.insert(2, lines[0].clone()),
            "c2 started twice (history_c2.jsonl:1,3)",
        ),
        (
            "history_c2.jsonl",
            |lines| lines[0] = lines[0].replace("\"bb\"", "\"ub\""),
            "c2 with order total (ub) (history_c2.jsonl:1)",
        ),
        (
            "history_c2.jsonl",
            |lines| lines[0] = lines[0].replace("\"total\"", "\"lamport\""),
            "with order lamport (bb)",
        ),
        ("history_c2.jsonl", |lines| lines[0] = lines[0].replace(",\"c3\"]", "]"), "c2 with c1 and c2"),
    ];
    assert_violated("start-barrier", &cases);
    let folder = Folder::good();
    folder.put("test_result_c9_tom.txt", "c1###1 of c1\n");
    let verdicts = folder.verdicts("");
    assert!(
        verdicts.why("start-barrier").starts_with("c9 has files here, and c1 started with c1, c2 and c3"),
        "{verdicts:?}"
    );
}

#[test]
fn check_contradictory_files_are_inconsistent() {
    let cases: [Case; 8] = [
        (
            "history_c2.jsonl",
            |lines| lines[0] = lines[0].replace("\"member\":\"c2\"", "\"member\":\"c3\""),
            "this is the history of c3 (history_c2.jsonl:1)",
        ),
        ("history_c2.jsonl", |lines| lines[1] = lines[1].replace("\"c2\",", ""), "view 1 without itself"),
        (
            "history_c2.jsonl",
            |lines| lines[1] = lines[1].replace("\"c1\",", ""),
            "c2 started with c1, c2 and c3, and its view 1 is c2 and c3 (history_c2.jsonl:1,2)",
        ),
        (
            "history_c2.jsonl",
            |lines| lines.insert(2, lines[1].clone()),
            "view 1 and then view 1 (history_c2.jsonl:2,3)",
        ),
        ("history_c2.jsonl", |lines| lines.push(lines[1].clone()), "c2 ended, and then something happened"),
        (
            "history_c2.jsonl",
            |lines| {
                *lines.last_mut().unwrap() =
                    lines.last().unwrap().replace("\"delivered\":12", "\"delivered\":13");
            },
            "c2 counted 13 delivered",
        ),
        ("test_result_c2_tom.txt", |lines| lines.swap(3, 9), "test_result_c2_tom.txt:4"),
        (
            "test_result_c2_tom.txt",
            |lines| drop(lines.pop()),
            "after the end of the results (test_result_c2_tom.txt)",
        ),
    ];
    assert_violated("consistency", &cases);
    let folder = Folder::good();
    folder.edit("test_result_c1_uno.txt", |lines| lines.push("c2###more".into()));
    assert!(folder.verdicts("").why("consistency").contains("after the end of the history"));
}

#[test]
fn check_views_of_one_number_have_the_same_members() {
    let folder = Folder::good();
    for (file, members) in [("history_c1.jsonl", "c1"), ("history_c2.jsonl", "c2")] {
        let view = format!("{{\"v\":1,\"event\":\"view\",\"number\":2,\"members\":[\"{members}\"]}}");
        folder.edit(file, |lines| lines.insert(2, view));
    }
    let story = "view 2 is c1 at c1 (history_c1.jsonl:3) and c2 at c2 (history_c2.jsonl:3)";
    assert_eq!(folder.verdicts("").why("consistency"), story);
}

#[test]
fn check_member_lost_before_its_first_view_is_known() {
    let folder = Folder::good();
    for file in ["history_c4.jsonl.part", "test_result_c4_tom.txt.part", "test_result_c4_uno.txt.part"] {
        folder.put(file, "");
    }
    assert_ne!(folder.check("").status.code(), Some(1), "it has said nothing");
    let start = r#"{"v":1,"event":"start","member":"c4","incarnation":1,"group":"main","order":"total","method":"bb","members":["c1","c4"]}"#;
    folder.put("history_c4.jsonl.part", format!("{start}\n"));
    let verdicts = folder.verdicts("");
    assert_ne!(verdicts.word("start-barrier"), "violated", "it began later: {verdicts:?}");
}

#[test]
fn check_runs_of_one_group_name_are_judged_separately() {
    let folder = Folder::good();
    let mut other = valid(&mut Prng::new(8));
    for (record, name) in other.records.iter_mut().zip(["d1", "d2", "d3"]) {
        record.name = name.to_owned();
    }
    write(folder.path(), &other, "main");
    let output = folder.check("");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stdout));
    assert_eq!(said(&output.stdout).matches("PASS: group main").count(), 2);
}

#[test]
fn check_unknown_method_removes_no_promise() {
    let folder = Folder::good();
    for file in ["history_c1.jsonl", "history_c2.jsonl", "history_c3.jsonl"] {
        folder.edit(file, |lines| lines[0] = lines[0].replace("\"bb\"", "\"other\""));
    }
    assert!(folder.verdicts("").names().contains(&"total"));
}

#[test]
fn check_first_message_of_interrupted_sender_is_optional() {
    let mut history = valid(&mut Prng::new(7));
    let is_of_third = |event: &Event| event.id().member == 2;
    for record in &mut history.records {
        record.events.retain(|event| !is_of_third(event) && !event.is_direct());
    }
    let id = MessageId { member: 2, incarnation: 1, number: 1 };
    history.records[2].events.push(Event::Multicast { id, text: Bytes::from_static(b"last words") });
    let folder = Folder::of(&history);
    folder.edit("history_c3.jsonl", |lines| {
        let end = lines.last_mut().unwrap();
        *end = end.replace("\"done\"", "\"interrupted\"");
    });
    let verdicts = folder.verdicts("--property start-barrier,validity,agreement");
    assert_eq!((verdicts.code, verdicts.with("undecided").len()), (2, 3), "{verdicts:?}");
}
